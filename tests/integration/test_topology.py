"""`fulfilld topology`: what it prints can be imported, and is what it declares."""

import json
import socket

import pytest


@pytest.fixture
def console(broker, redis, prefix, make_daemon):
    return make_daemon(broker, redis, prefix=prefix, config={"lms": {"base_url": "http://127.0.0.1:1"}})


def printed(console):
    done = console.command("topology")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def at_broker(broker, prefix, vhost="%2F"):
    """Exchanges, queues and bindings of that prefix as the broker has them, in the form of definitions."""
    ours = prefix + "."
    exchanges = [exchange for exchange in broker.api("GET", f"/exchanges/{vhost}") if exchange["name"].startswith(ours)]
    queues = [queue for queue in broker.api("GET", f"/queues/{vhost}") if queue["name"].startswith(ours)]
    bindings = [binding for binding in broker.api("GET", f"/bindings/{vhost}")
                if binding["destination"].startswith(ours) and binding["source"]]
    return {
        "exchanges": sorted((exchange["name"], exchange["type"], exchange["durable"], exchange["auto_delete"],
                             json.dumps(exchange["arguments"], sort_keys=True)) for exchange in exchanges),
        "queues": sorted((queue["name"], queue["durable"], queue["auto_delete"],
                          json.dumps(queue["arguments"], sort_keys=True)) for queue in queues),
        "bindings": sorted((binding["source"], binding["destination_type"], binding["destination"],
                            binding["routing_key"]) for binding in bindings)}


def test_what_is_imported_is_what_is_declared(console, broker, prefix, tmp_path):
    assert console.command("topology", "--declare").returncode == 0
    declared = at_broker(broker, prefix)
    broker.delete_prefix(prefix)
    assert at_broker(broker, prefix) == {"exchanges": [], "queues": [], "bindings": []}

    definitions = tmp_path / "definitions.json"
    definitions.write_text(console.command("topology").stdout)
    assert "Uploaded definitions" in broker.rabbitmqadmin("import", str(definitions))
    imported = at_broker(broker, prefix)
    assert imported == declared
    assert (len(imported["exchanges"]), len(imported["queues"]), len(imported["bindings"])) == (24, 23, 43)
    # Declaring what was imported finds no difference, and check is content.
    assert console.command("topology", "--declare").returncode == 0
    assert at_broker(broker, prefix) == declared


def test_every_queue_is_safe(console):
    for queue in printed(console)["queues"]:
        arguments = queue["arguments"]
        assert queue["durable"] and arguments["x-queue-type"] == "quorum"
        assert "x-delivery-limit" not in arguments and "x-max-length" not in arguments
        if "x-dead-letter-exchange" in arguments:
            assert (arguments["x-dead-letter-strategy"], arguments["x-overflow"]) == ("at-least-once", "reject-publish")
        else:
            assert "x-message-ttl" not in arguments


def test_definitions_are_for_the_virtual_host_of_the_configuration(console, broker, prefix, tmp_path):
    vhost = f"shop {prefix}"
    broker.rabbitmqctl("add_vhost", vhost)
    try:
        broker.rabbitmqctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        quoted = f"shop%20{prefix}"
        console.configure({"amqp": {"uris": broker.uri.replace("%2F", quoted)}})
        document = printed(console)
        assert {item["vhost"] for items in document.values() for item in items} == {vhost}
        definitions = tmp_path / "definitions.json"
        definitions.write_text(json.dumps(document))
        broker.rabbitmqadmin("import", str(definitions))
        assert len(at_broker(broker, prefix, quoted)["queues"]) == 23
        assert at_broker(broker, prefix)["queues"] == []
        assert console.command("topology", "--declare").returncode == 0
    finally:
        broker.rabbitmqctl("delete_vhost", vhost)


def test_declaring_twice_changes_nothing(console, broker, prefix, client):
    for _ in range(2):
        done = console.command("topology", "--declare")
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("ok ")
    before = at_broker(broker, prefix)
    assert console.command("topology", "--declare").returncode == 0
    assert at_broker(broker, prefix) == before


def test_a_queue_that_differs_is_left_alone_and_named(console, broker, client, prefix):
    client.channel.queue_declare(f"{prefix}.dead", durable=True)
    client.channel.basic_publish("", f"{prefix}.dead", b"an order")
    done = console.command("topology", "--declare")
    assert done.returncode == 1
    assert f"{prefix}.dead" in done.stderr and "PRECONDITION_FAILED" in done.stderr
    assert client.depth("dead") == 1


def test_no_broker(console):
    done = console.command("topology", "--declare", env={"FULFILLD_AMQP_URIS": "amqp://guest:guest@127.0.0.1:1/%2F"})
    assert done.returncode == 1 and "127.0.0.1:1" in done.stderr
    assert printed(console)  # printing needs none


def test_declare_no_only_checks(console, broker, prefix):
    """With amqp.declare = no, `run` declares nothing; `topology --declare` is the operator's own word."""
    console.configure({"amqp": {"declare": "no"}})
    assert console.command("topology", "--declare").returncode == 0
    assert len(at_broker(broker, prefix)["queues"]) == 23


# the look at the start

def test_the_start_tells_of_what_amqp_does_not_show(console, broker, prefix):
    policy = f"policy-{prefix}"
    broker.rabbitmqctl("set_policy", "--apply-to", "queues", policy, f"^{prefix}\\.", '{"max-length": 1000}')
    try:
        console.start()
        line = json.loads(console.wait_log("topology.differs"))
        assert line["level"] == "warning" and f"policy {policy} sets max-length = 1000" in line["message"], line
        assert line["look"]
        assert console.stop() == 0
        assert console.log_text().count("topology.differs") == 1
    finally:
        broker.rabbitmqctl("clear_policy", policy)


def test_the_start_is_not_held_up_by_a_management_api_that_is_away(console):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        console.configure({"amqp": {"management_uri": f"http://127.0.0.1:{port}"}}).start()
        connection, _ = silent.accept()
        with connection:
            assert console.stop(deadline_s=10) == 0, "nobody waits for the answer"
        assert "topology.unseen" not in console.log_text()
    console.configure({"amqp": {"management_uri": "http://127.0.0.1:1"}}).start()
    assert "127.0.0.1" in console.wait_log("topology.unseen")
    assert console.readyz()[0] == 200
