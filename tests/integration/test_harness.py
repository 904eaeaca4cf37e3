"""The harness itself: what the other tests stand on works before they are believed."""

import json

import pika
import pytest

from harness import messages
from harness.daemon import ini_text
from harness.ports import free_port, is_listening
from harness.wait import wait_until


def declare_like_the_daemon(client):
    """The least a client needs: orders and events, each with its exchange."""
    for suffix, key in (("orders", "order.#"), ("events", "#")):
        client.channel.exchange_declare(client.name(suffix), "topic", durable=True)
        client.channel.queue_declare(client.name(suffix), durable=True,
                                     arguments={"x-queue-type": "quorum"})
        client.channel.queue_bind(client.name(suffix), client.name(suffix), key)


def test_a_published_order_reaches_the_queue_and_can_be_taken(client):
    declare_like_the_daemon(client)
    order = messages.order()
    message_id = client.publish(order, headers={"traceparent": "x"})
    client.wait_depth("orders", 1)
    (message,) = client.drain("orders")
    assert message.json == order
    assert message.properties.message_id == message_id
    assert message.headers["traceparent"] == "x"
    assert client.depth("orders") == 0


def test_peek_leaves_messages_where_they_are(client):
    declare_like_the_daemon(client)
    client.publish(messages.order(number="A"))
    client.publish(messages.order(number="B"))
    client.wait_depth("orders", 2)
    assert [m.json["order_number"] for m in client.peek("orders")] == ["A", "B"]
    client.wait_depth("orders", 2)


def test_events_are_collected_by_order_and_outcome(client):
    declare_like_the_daemon(client)
    for number, outcome in (("A", "retrying"), ("B", "complete"), ("A", "complete")):
        client.channel.basic_publish(client.name("events"), f"order.fulfill.{outcome}",
                                     json.dumps({"id": outcome, "data": {"order_number": number}}))
    assert client.wait_event("A", "complete").id == "complete"
    assert [event.outcome for event in client.events_of("A")] == ["retrying", "complete"]


def test_a_missing_event_fails_with_what_was_seen(client):
    declare_like_the_daemon(client)
    client.channel.basic_publish(client.name("events"), "order.fulfill.dead",
                                 json.dumps({"data": {"order_number": "A", "lines": []}}))
    with pytest.raises(AssertionError, match="order.fulfill.dead"):
        client.wait_event("A", "complete", deadline_s=0.3)


def test_a_mandatory_publish_without_a_queue_is_noticed(client):
    client.channel.exchange_declare(client.name("orders"), "topic", durable=True)
    with pytest.raises(pika.exceptions.UnroutableError):
        client.publish(messages.order())


def test_delete_prefix_removes_what_a_test_made_and_nothing_else(broker, client):
    declare_like_the_daemon(client)
    client.channel.queue_declare(client.prefix + "other", auto_delete=True)
    broker.delete_prefix(client.prefix)
    names = [queue["name"] for queue in broker.api("GET", "/queues/%2F")]
    assert client.name("orders") not in names
    assert client.prefix + "other" in names
    client.channel.queue_delete(client.prefix + "other")


def test_the_nodes_own_rabbitmqadmin_works(broker):
    listed = broker.rabbitmqadmin("--format=raw_json", "list", "exchanges", "name")
    assert {"name": "amq.topic"} in json.loads(listed)


def test_a_shovel_can_be_declared(broker, client):
    declare_like_the_daemon(client)
    client.channel.queue_declare(client.name("source"), durable=True, arguments={"x-queue-type": "quorum"})
    client.channel.basic_publish("", client.name("source"), b"{}", pika.BasicProperties(delivery_mode=2))
    broker.rabbitmqadmin("declare", "parameter", "component=shovel", f"name={client.prefix}", "value=" + json.dumps({
        "src-protocol": "amqp091", "src-uri": "amqp://", "src-queue": client.name("source"),
        "dest-protocol": "amqp091", "dest-uri": "amqp://", "dest-exchange": client.name("orders"),
        "dest-exchange-key": "order.fulfill", "src-delete-after": "queue-length", "ack-mode": "on-confirm"}))
    client.wait_depth("orders", 1)


def test_the_broker_keeps_its_messages_over_kill_and_alarm_and_pause(own_broker, start_client):
    client = start_client(own_broker, "fulfillment")
    declare_like_the_daemon(client)
    client.publish(messages.order(number="A"))

    own_broker.kill()
    own_broker.start()
    assert client_depth(client) == 1

    own_broker.memory_alarm(True)
    own_broker.memory_alarm(False)
    own_broker.disk_alarm(True)
    own_broker.disk_alarm(False)

    own_broker.pause()
    own_broker.resume()
    assert client_depth(client) == 1


def client_depth(client):
    """The depth of orders, over a new connection if the old one died with the broker."""
    client.close()
    wait_until(lambda: client.depth("orders") is not None, "the orders queue to be there again")
    return client.depth("orders")


def test_redis_keeps_its_keys_over_a_restart_and_loses_them_on_flush(own_redis):
    own_redis.client().set("a:1", "x")
    own_redis.restart()
    assert own_redis.keys("a:") == ["a:1"]
    sha = own_redis.client().script_load("return 1")
    own_redis.script_flush()
    assert own_redis.client().script_exists(sha) == [False]
    own_redis.pause()
    own_redis.resume()
    own_redis.set("maxmemory", "100mb")
    own_redis.flush()
    assert own_redis.keys("a:") == []
    own_redis.kill()
    assert not is_listening(own_redis.port)


def test_free_ports_are_below_the_ephemeral_range_and_never_given_twice():
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(port < 32768 for port in ports)


def test_wait_until_tells_the_last_value():
    with pytest.raises(AssertionError, match="the moon; last value: 0"):
        wait_until(lambda: 0, "the moon", deadline_s=0.05)


def test_an_ini_file_is_written_from_sections():
    assert ini_text({"a": {"b": 1, "c": None}, "modules": {"Course Entitlement": "none"}}) == \
        "[a]\nb = 1\n\n[modules]\nCourse Entitlement = none\n"
