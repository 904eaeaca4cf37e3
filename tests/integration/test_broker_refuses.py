"""RabbitMQ is there and does not serve: alarms, full and missing queues, permissions taken away."""

import urllib.parse

import pytest

from harness import messages
from harness.away import BrokerRig, Watch
from harness.daemon import Daemon
from harness.wait import wait_until


@pytest.fixture(scope="module")
def rig(tmp_path_factory, redis):
    made = BrokerRig(tmp_path_factory.mktemp("rig"), redis, {
        "retry": {"first_delay": "16s", "max_delay": "16s"}})
    try:
        yield made
    finally:
        made.destroy()


@pytest.fixture
def watch(rig):
    return rig.watch()


def delete_queue(rig, suffix):
    rig.broker.api("DELETE", "/queues/%2F/" + urllib.parse.quote(rig.name(suffix)))


@pytest.fixture
def other(rig):
    """A second fulfilld, with a prefix of its own, which declares nothing."""
    uri = rig.daemon.sections["amqp"]["uris"]
    daemon = Daemon(rig.directory / "other", rig.broker, rig.redis, rig.lms, "other",
                    {"amqp": {"uris": uri, "heartbeat": "2s", "declare": "no"}})
    yield daemon
    daemon.destroy()


def publish_waiting(rig):
    """An order that comes back to the queue by itself in 8 to 16 seconds."""
    order = messages.order()
    rig.lms.script({"status": 503}, user=order["user"]["username"])
    rig.client.publish(order)
    rig.client.wait_event(order["order_number"], "retrying")
    return order


def test_a_memory_alarm_stops_new_work_and_nothing_else(rig, watch):
    losses = rig.daemon.metric("fulfilld_link_losses_total")
    slow = watch.publish_slow(5000)
    waiting = publish_waiting(rig)
    rig.broker.memory_alarm(True)
    watch.wait_not_ready("RabbitMQ blocks publishers")
    assert watch.requests_of([slow])[0]["finished_us"], "the call in flight went on"
    # Its delay over, the other order is back in the queue, alarm or not, and nobody takes it.
    wait_until(lambda: rig.broker.queue(rig.name("orders"))["messages_ready"] == 1, "the order to be due")
    assert len(watch.requests_of([waiting])) == 1

    rig.broker.memory_alarm(False)
    watch.wait_ready()
    watch.assert_all_complete_once()
    assert rig.client.wait_event(waiting["order_number"], "complete").data["attempt"] == 2
    assert rig.daemon.metric("fulfilld_link_losses_total") == losses, "heartbeats went on"
    watch.assert_told_once("broker.blocked")
    assert len(watch.lines("broker.unblocked")) == len(watch.lines("broker.blocked"))
    watch.assert_quiet()


def test_a_disk_alarm_stops_new_work_and_nothing_else(rig, watch):
    losses = rig.daemon.metric("fulfilld_link_losses_total")
    slow = watch.publish_slow(5000)
    rig.broker.disk_alarm(True)
    watch.wait_not_ready("RabbitMQ blocks publishers")
    assert watch.requests_of([slow])[0]["finished_us"], "the call in flight went on"
    rig.broker.disk_alarm(False)
    watch.wait_ready()
    watch.assert_all_complete_once()
    assert rig.daemon.metric("fulfilld_link_losses_total") == losses, "heartbeats went on"
    watch.assert_told_once("broker.blocked")


def test_a_full_queue_stops_work_until_there_is_room(rig, watch):
    rig.broker.api("PUT", "/policies/%2F/full", {
        "pattern": f"^{rig.name('events')}$", "apply-to": "queues",
        "definition": {"max-length": 1, "overflow": "reject-publish"}})
    wait_until(lambda: rig.broker.queue(rig.name("events")).get("policy") == "full", "the policy to be in force")
    watch.publish(10)
    watch.wait_not_ready("RabbitMQ does not take a message")
    later = watch.publish(5)
    rig.broker.api("DELETE", "/policies/%2F/full")
    watch.assert_all_complete_once()
    assert len(watch.requests_of(later)) == 5
    watch.wait_ready()
    watch.assert_told_once("broker.refuses")
    watch.wait_over("broker.refuses", "broker.takes")


def test_a_deleted_queue_is_declared_again(rig, watch):
    slow = watch.publish_slow()
    delete_queue(rig, "orders")
    wait_until(lambda: rig.broker.queue(rig.name("orders")), "the queue to be there again")
    watch.wait_ready()
    watch.publish(3)
    watch.assert_all_complete_once()
    assert len(watch.requests_of([slow])) == 1


def test_a_queue_that_is_missing_when_it_is_needed_is_declared_again(rig, watch):
    rig.client.collect()
    delete_queue(rig, "events")
    watch.publish(3)
    wait_until(lambda: rig.broker.queue(rig.name("events")), "the queue to be there again")
    watch.assert_all_complete_once()
    watch.wait_ready()
    watch.assert_told_once("broker.refuses")


def test_a_topology_that_may_not_be_declared_is_waited_for(other):
    other.start(wait_ready=False)
    watch = Watch(other, since_start=True)
    watch.wait_not_ready("exchanges and queues are not (yet) there")
    other.wait_log("topology.refused")
    done = other.command("topology", "--declare")
    assert done.returncode == 0, done.stderr
    other.wait_ready()
    told = [(line["role"], line["slot"], line["why"]) for line in watch.lines("topology.refused")]
    assert len(told) == len(set(told)), watch.lines("topology.refused")


def test_a_queue_that_may_not_be_read_is_told_of_once(rig, other):
    assert other.command("topology", "--declare").returncode == 0
    other.start()
    watch = Watch(other)
    rig.allow(read="^$")
    rig.proxy.reset()
    watch.wait_not_ready("RabbitMQ delivers no orders")
    accepted = rig.proxy.accepted
    wait_until(lambda: rig.proxy.accepted >= accepted + 5, "several attempts")
    rig.allow()
    other.wait_ready()
    told = [(line["slot"], line["link"], line["why"]) for line in watch.lines("broker.down")]
    assert len(told) == len(set(told)), told


PERMISSIONS = {
    "to read": (lambda rig: rig.allow(read="^$"), "exchanges and queues are not (yet) there", "topology.refused"),
    "to write": (lambda rig: rig.allow(write="^$"), "exchanges and queues are not (yet) there", "topology.refused"),
    "to enter the virtual host": (lambda rig: rig.forbid(), "RabbitMQ (consuming) is down", "broker.down"),
}


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_a_permission_is_taken_away_and_given_back(rig, watch, permission):
    take_away, words, event = PERMISSIONS[permission]
    watch.publish(2)
    watch.assert_all_complete_once()
    take_away(rig)
    rig.proxy.reset()  # RabbitMQ asks for permissions when something begins
    wait_until(lambda: any("refused" in line["why"] for line in watch.lines(event)), "the log to say it")
    watch.wait_not_ready(words)
    later = watch.publish(3)
    assert not watch.requests_of(later)
    rig.allow()
    watch.wait_ready()
    watch.assert_all_complete_once()
    watch.assert_quiet()
