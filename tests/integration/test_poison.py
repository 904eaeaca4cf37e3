"""Orders that kill or stop their worker: they end alone, and what was in flight beside them comes through.

The plug-in tests/plugins/deadly.c does what an order's line says.
"""

import os
import pathlib
import signal

import pytest

from harness import messages
from harness.wait import wait_until

BYSTANDERS = 500


@pytest.fixture
def deadly(make_daemon, broker, redis, lms, prefix):
    """deadly(sections): a running daemon whose product class `Deadly` is the plug-in's affair."""
    directory = pathlib.Path(os.environ.get("FULFILLD_PLUGINS", "missing")) / "deadly"
    if not (directory / "deadly.so").exists():
        (pytest.fail if os.environ.get("FULFILLD_REQUIRE_ALL") else pytest.skip)(f"no plug-in in {directory}")

    def start(**worker):
        return make_daemon(broker, redis, lms, prefix, {
            "worker": {"lease": "1s", **worker},
            "plugins": {"directory": directory},
            "modules": {"Deadly": "deadly"},
        }).start()

    return start


def deadly_order(does, file=None):
    attributes = {"does": does, **({"while": str(file)} if file else {})}
    return messages.order(messages.seat(product_class="Deadly", attributes=attributes))


def publish_bystanders(client, count=BYSTANDERS):
    orders = [messages.order() for _ in range(count)]
    for order in orders:
        client.publish(order)
    return [order["order_number"] for order in orders]


def wait_all_complete(client, numbers, deadline_s=60):
    def all_complete():
        client.collect()
        complete = {event.data["order_number"] for event in client.events if event.outcome == "complete"}
        missing = set(numbers) - complete
        assert not missing, f"{len(missing)} orders are not complete"
        return True
    wait_until(all_complete, f"{len(numbers)} orders to be complete", deadline_s, pause_s=0.2)


def assert_unharmed(client, lms, numbers):
    """Each has its effect once, and nothing but its completion was ever told of it."""
    outcomes = {}
    for event in client.events:
        outcomes.setdefault(event.data["order_number"], {})[event.id] = (event.outcome, event.data["attempt"])
    for number in numbers:
        assert list(outcomes[number].values()) == [("complete", 1)]
    applied = [entry["order_number"] for entry in lms.ledger(kind="enrollment.post") if entry["applied"]]
    assert sorted(applied) == sorted(numbers)
    assert lms.stats()["repeated_enrolls"] == 0


def test_an_order_that_crashes_its_workers_dies_alone(deadly, client, lms):
    daemon = deadly()
    poison = deadly_order("crash")
    numbers = publish_bystanders(client, BYSTANDERS // 2)
    message_id = client.publish(poison)
    numbers += publish_bystanders(client, BYSTANDERS - len(numbers))
    event = client.wait_event(poison["order_number"], "dead", deadline_s=60)
    assert (event.line["reason"]["code"], event.data["final"]) == ("crashed", True)
    assert event.line["status"] == "Fulfillment Server Error"
    wait_all_complete(client, numbers)
    assert_unharmed(client, lms, numbers)
    client.wait_settled()
    dead = client.wait_dead_message(message_id)
    assert dead.own_headers["reason"] == "crashed"
    assert dead.json == poison
    assert [message.properties.message_id for message in client.peek("dead")] == [message_id]
    assert client.depth("solo") == 0
    crashes = [line for line in daemon.log() if line.get("event") == "worker.ended"]
    assert len(crashes) == 6, "three among the others, three alone"


def test_a_mended_poison_order_is_requeued_and_completes(deadly, client, tmp_path):
    deadly()
    file = tmp_path / "poison"
    file.touch()
    poison = deadly_order("crash", file)
    client.publish(poison)
    client.wait_event(poison["order_number"], "dead", deadline_s=60)
    file.unlink()
    client.publish(messages.resubmit_number(poison["order_number"]))
    event = client.wait_event(poison["order_number"], "complete")
    assert (event.data["generation"], event.data["attempt"]) == (2, 1)


def test_a_hanging_worker_is_replaced_and_the_others_come_through(deadly, client, lms, tmp_path):
    daemon = deadly(hang_timeout="2s")
    file = tmp_path / "hangs"
    file.touch()
    order = deadly_order("hang", file)
    pids = daemon.worker_pids()
    numbers = publish_bystanders(client, 50)
    client.publish(order)
    numbers += publish_bystanders(client, 50)
    daemon.wait_log("worker.hung")
    file.unlink()
    client.wait_event(order["order_number"], "complete")
    wait_all_complete(client, numbers)
    assert_unharmed(client, lms, numbers)
    assert daemon.worker_pids() != pids


def test_a_worker_that_is_paused_too_long_is_replaced(deadly, client):
    """A stopped process is as good as a hanging one; SIGTERM would not reach it."""
    daemon = deadly(hang_timeout="2s")
    stopped = daemon.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    daemon.wait_log("worker.hung")
    order = messages.order()
    client.publish(order)
    client.wait_event(order["order_number"], "complete")
    assert stopped not in daemon.worker_pids()


def test_a_busy_worker_is_not_taken_for_a_hanging_one(deadly, client, lms):
    daemon = deadly(hang_timeout="1s")
    lms.latency(3000)
    order = messages.order()
    client.publish(order)
    client.wait_event(order["order_number"], "retrying")  # lms.timeout is 2 s
    lms.latency(0)
    client.wait_event(order["order_number"], "complete")
    assert "worker.hung" not in daemon.log_text()


def test_a_worker_that_leaks_is_replaced_and_nobody_notices(deadly, client, lms):
    daemon = deadly(max_memory="256m")
    before = daemon.worker_pids()
    numbers = publish_bystanders(client, 50)
    order = deadly_order("leak")
    client.publish(order)
    numbers += publish_bystanders(client, 50)
    daemon.wait_log("worker.grown")
    wait_all_complete(client, [*numbers, order["order_number"]])
    assert_unharmed(client, lms, numbers)
    wait_until(lambda: daemon.worker_pids() and not set(daemon.worker_pids()) & set(before), "a new worker")
    assert daemon.metric("fulfilld_worker_replaced_total") == 1
    assert daemon.metric("fulfilld_worker_restarts_total") == 0
