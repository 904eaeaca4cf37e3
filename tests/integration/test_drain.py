"""Stopping: what runs is finished, the rest is handed back, and nothing is lost or done twice."""

import os
import pathlib
import signal

import pytest

from harness import messages
from harness.wait import wait_until

SLOW = {"delay_ms": 1000, "pass": True, "times": "forever"}
NEVER = {"never": True, "times": "forever"}


def publish(client, count):
    orders = [messages.order() for _ in range(count)]
    for order in orders:
        client.publish(order)
    return orders


def wait_in_flight(lms, count):
    wait_until(lambda: len(lms.ledger(kind="enrollment.post")) >= count, f"{count} requests at the LMS")


def wait_complete(client, orders, deadline_s=40):
    numbers = {order["order_number"] for order in orders}

    def all_complete():
        client.collect()
        missing = numbers - {e.data["order_number"] for e in client.events if e.outcome == "complete"}
        assert not missing, f"{len(missing)} orders are not complete"
        return True
    wait_until(all_complete, f"{len(numbers)} orders to be complete", deadline_s, pause_s=0.1)


def assert_each_once(client, lms, orders):
    """One effect and one outcome each, no attempt spent on the stop."""
    for order in orders:
        told = {event.id: (event.outcome, event.data["attempt"])
                for event in client.events_of(order["order_number"])}
        assert list(told.values()) == [("complete", 1)]
    applied = [entry["order_number"] for entry in lms.ledger(kind="enrollment.post") if entry["applied"]]
    assert sorted(applied) == sorted(order["order_number"] for order in orders)
    assert lms.stats()["repeated_enrolls"] == 0


def processes_of(daemon):
    return [int(pid) for pid in
            pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()]


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


STOPS = {
    "SIGTERM": lambda daemon: daemon.signal(signal.SIGTERM),
    "SIGINT to all, as a terminal sends it": lambda daemon: os.killpg(daemon.pid, signal.SIGINT),
    "SIGTERM to all, as a service manager may": lambda daemon: os.killpg(daemon.pid, signal.SIGTERM),
}


@pytest.mark.config({"worker": {"concurrency": 10, "lease": "1s"}})
@pytest.mark.parametrize("stop", STOPS.values(), ids=list(STOPS))
def test_what_runs_is_finished_and_the_rest_stays(daemon, client, lms, stop):
    lms.script(SLOW, kind="enrollment.post")
    orders = publish(client, 30)
    wait_in_flight(lms, 10)
    stop(daemon)
    assert daemon.wait() == 0
    client.collect()
    complete = {e.data["order_number"] for e in client.events if e.outcome == "complete"}
    assert len(complete) >= 10
    client.wait_depth("orders", 30 - len(complete))
    assert len(lms.ledger(kind="enrollment.post")) == len(complete), "nothing was sent and then forgotten"
    lms.clear_script()
    daemon.start()
    wait_complete(client, orders)
    assert_each_once(client, lms, orders)


@pytest.mark.config({"worker": {"drain_timeout": "10m", "lease": "1s"}})
def test_a_second_signal_ends_it_at_once(daemon, client, lms):
    lms.script(NEVER, kind="enrollment.post")
    daemon.configure({"lms": {"timeout": "5m"}}).reload()
    daemon.wait_log("supervisor.reloaded")
    daemon.wait_ready()
    order, = publish(client, 1)
    wait_in_flight(lms, 1)
    daemon.terminate()
    wait_until(lambda: daemon.readyz()[1].startswith("stopping"), "it to be stopping")
    daemon.terminate()
    assert daemon.wait(10) == 0
    lms.clear_script()
    daemon.start()
    wait_complete(client, [order])
    assert_each_once(client, lms, [order])


@pytest.mark.config({"worker": {"drain_timeout": "1s"}, "lms": {"timeout": "1m"},
                     "retry": {"first_delay": "1h", "max_delay": "1h"}})  # what is handed back waits for no delay
@pytest.mark.parametrize("effect", [False, True], ids=["without its effect", "with its effect"])
def test_after_the_drain_timeout_runs_are_cancelled_and_look_first(daemon, client, lms, effect):
    lms.script({**NEVER, "apply": effect}, kind="enrollment.post")
    orders = publish(client, 5)
    wait_in_flight(lms, 5)
    assert daemon.stop() == 0
    assert "worker.left" not in daemon.log_text(), "they were recorded and handed back in order"
    before = len(lms.ledger())
    lms.clear_script()
    daemon.start()
    wait_complete(client, orders)
    assert_each_once(client, lms, orders)
    for order in orders:
        sent = [entry["kind"] for entry in lms.ledger(since=before, user=order["user"]["username"])]
        assert sent[0] == "enrollment.get" and sent.count("enrollment.post") == (0 if effect else 1)


@pytest.mark.config({"worker": {"processes": 2, "concurrency": 20}})
def test_reloads_under_load_lose_nothing(daemon, client, lms):
    lms.latency(30)
    orders, seen = [], set(daemon.worker_pids())
    for _ in range(3):
        orders += publish(client, 100)
        daemon.reload()
        wait_until(lambda: len(daemon.worker_pids()) == 2 and not seen & set(daemon.worker_pids()),
                   "both workers to be replaced")
        seen |= set(daemon.worker_pids())
    wait_complete(client, orders)
    assert_each_once(client, lms, orders)
    client.wait_settled()
    assert daemon.stop() == 0


@pytest.mark.config({"worker": {"processes": 1, "lease": "1s"}})
def test_a_stop_in_the_middle_of_a_reload_lets_all_of_them_finish(daemon, client, lms):
    lms.script(SLOW, kind="enrollment.post")
    orders = publish(client, 4)
    wait_in_flight(lms, 4)
    daemon.reload()
    daemon.wait_log("supervisor.reloaded")
    assert daemon.stop() == 0
    assert "worker.ended" not in daemon.log_text()
    wait_complete(client, orders)
    assert [entry["kind"] for entry in lms.ledger()] == ["enrollment.post"] * 4


@pytest.mark.config({"worker": {"processes": 2, "lease": "1s"}})
def test_workers_of_a_killed_master_finish_and_end_by_themselves(daemon, client, lms):
    lms.script(SLOW, kind="enrollment.post")
    orders = publish(client, 4)
    wait_in_flight(lms, 4)
    workers = processes_of(daemon)
    assert len(workers) == 3
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    wait_until(lambda: not any(map(is_alive, workers)), "the workers to end")
    wait_complete(client, orders)
    assert_each_once(client, lms, orders)
    assert client.depth("orders") == 0
