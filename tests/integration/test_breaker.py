"""An upstream that is down is left alone: who pays for finding out, who waits, who tries it, and how work comes back."""

import itertools
import os

import pytest

from harness import messages
from harness.wait import wait_until
from harness.words import events_words, requests_words

DOWN = {"status": 503, "body": "<h1>Maintenance</h1>"}
ONE_FAILURE = "retrying 1: Server Error, server_error, 503"
FAILURES = 5
OUTAGE_ORDERS = int(os.environ.get("OUTAGE_ORDERS", 2000))  # full.outage: many more


def hook_order():
    return messages.order(messages.seat(product_class="Licence"))


def with_hook(daemon, lms):
    """A second upstream: licences go to the stand-in's /hook/ through a webhook."""
    return daemon.configure({"upstream shop": {"base_url": lms.base_url},
                             "module licence": {"type": "webhook", "upstream": "shop", "path": "/hook/licence"},
                             "modules": {"Licence": "licence"}})


def arrived(entry):
    return entry["arrived_us"] / 1e6


def finished(entry):
    return entry["finished_us"] / 1e6


def breaker_words(daemon, name="lms"):
    """What /readyz says of an upstream."""
    status, text = daemon.readyz()
    assert status == 200, text
    found = [line for line in text.splitlines() if line.strip().startswith(name + ":")]
    assert found, text
    return found[0]


# opening

@pytest.mark.config({"breaker": {"failures": FAILURES, "open_for": "60s"}, "retry": {"first_delay": "60s", "max_delay": "60s"}})
def test_it_opens_after_failures_in_a_row_and_not_before(daemon, client, lms):
    def run(*steps):
        order = messages.order()
        if steps:
            lms.script(*steps, user=order["user"]["username"])
        client.publish(order)
        return client.wait_event(order["order_number"])

    for _ in range(2):
        for _ in range(FAILURES - 1):
            assert events_words([run(DOWN)]) == [ONE_FAILURE]
        assert run().outcome == "complete"
    # A refusal of one order says that the LMS is well.
    for step in [DOWN] * (FAILURES - 1) + [{"status": 422}] + [{"close": True}, {"reset": True}] * 2:
        run(step)
    assert "closed" in breaker_words(daemon)
    run(DOWN)
    wait_until(lambda: "open until" in breaker_words(daemon), "the breaker to be open")
    assert "503" in breaker_words(daemon)
    daemon.wait_log("open until")

    # Open: nobody is sent, also after a restart; what is not in hand stays in the queue.
    seen = len(lms.ledger())
    assert daemon.stop() == 0
    daemon.start()
    orders = [messages.order() for _ in range(5)]
    for order in orders:
        client.publish(order)
    wait_until(lambda: "open until" in breaker_words(daemon), "the new worker to know that it is open")
    assert len(lms.ledger()) == seen
    for order in orders:
        assert client.events_of(order["order_number"]) == []


# an outage

def clusters(requests, gap_s):
    """Requests in groups that are further apart than gap_s."""
    groups = [[requests[0]]]
    for before, entry in itertools.pairwise(requests):
        if arrived(entry) - arrived(before) > gap_s:
            groups.append([])
        groups[-1].append(entry)
    return groups


def most_at_once(requests, since, until):
    """The largest number of requests in flight between two moments."""
    edges = sorted([(arrived(entry), 1) for entry in requests] + [(finished(entry), -1) for entry in requests])
    level = most = 0
    for at, step in edges:
        level += step
        if since <= at <= until:
            most = max(most, level)
    return most


def test_an_outage_costs_only_the_attempts_that_opened_the_breaker(make_daemon, broker, redis, lms, prefix, client):
    """Thousands of orders, two fulfilld of two processes each; an outage over several probes; then all comes back."""
    daemons = [make_daemon(broker, redis, lms, prefix, {
        "worker": {"processes": 2, "concurrency": 100}, "lms": {"max_in_flight": 64, "timeout": "10s"},
        "breaker": {"failures": FAILURES, "open_for": "1s", "max_open_for": "3s"}}) for _ in range(2)]
    processes = 4
    lms.outage(**DOWN, delay_ms=300)
    orders = [messages.order() for _ in range(OUTAGE_ORDERS)]
    for daemon in daemons:
        daemon.start()
    client.publish_many(orders)

    # The burst that opened it, then probes.
    wait_until(lambda: len(clusters(lms.ledger(), 0.8)) >= 5, "four probes", deadline_s=90, pause_s=0.2)
    down = [entry for entry in lms.ledger() if entry["finished_us"]]
    lms.recover()
    lms.latency(300)
    client.wait_all(orders, deadline_s=90 + OUTAGE_ORDERS / 50)

    burst, *probes = clusters(down, 0.8)
    assert [len(probe) for probe in probes] == [1] * len(probes), "more than one probe at a time"
    opened = [sorted(finished(entry) for entry in burst)[FAILURES - 1]] + [finished(probe[0]) for probe in probes]
    pauses = [arrived(probe[0]) - since for since, probe in zip(opened, probes)]
    for pause, least in zip(pauses, [1, 2, 3, 3, 3, 3]):
        assert pause >= least - 0.05, f"a probe came early: {pauses}"
    tried = [probe[0]["user"] for probe in probes]
    assert len(set(tried)) == len(tried), "the same order was the probe again"

    events = [event for event in client.events if event.outcome == "complete"]
    assert len(events) == len(orders) and all(event.data["final"] for event in events)
    assert sum(event.data["attempt"] - 1 for event in events) == FAILURES
    assert sorted(event.data["attempt"] for event in client.events if event.outcome == "retrying")[-FAILURES:] == [1] * FAILURES
    stats = lms.stats()
    assert (stats["repeated_enrolls"], stats["overlaps"]) == (0, 0)
    assert client.depth("dead") == 0

    # Back: four at once from each process at first, then more and more.
    back = [entry for entry in lms.ledger(since=down[-1]["seq"])]
    probe = next(entry for entry in back if entry["status"] == 200)
    work = [entry for entry in back if arrived(entry) >= finished(probe)]
    first = arrived(work[0])
    assert most_at_once(work, first, first + 0.25) <= 4 * processes
    assert most_at_once(work, first, finished(work[-1])) >= 3 * 4 * processes


# two upstreams

def test_one_upstream_down_does_not_hold_up_the_other(make_daemon, broker, redis, lms, prefix, client):
    daemon = with_hook(make_daemon(broker, redis, lms, prefix, {
        "breaker": {"failures": FAILURES, "open_for": "2s", "max_open_for": "2s"}}), lms).start()
    lms.script({**DOWN, "times": "forever"}, name="seats", kind="enrollment.post")
    seats = [messages.order() for _ in range(40)]
    for order in seats:
        client.publish(order)
    wait_until(lambda: "open until" in breaker_words(daemon), "the breaker of the LMS to be open")
    for order in [hook_order() for _ in range(40)]:
        client.publish(order)
        assert client.wait_event(order["order_number"]).outcome == "complete"
    assert "closed" in breaker_words(daemon, "shop")
    # The seats are out of the way, in the retry queues, not in front of the licences.
    client.wait_depth("orders", 0)

    # Now both: what comes stays where it is.
    lms.script({**DOWN, "times": "forever"}, name="licences", kind="hook")
    licences = [hook_order() for _ in range(40)]
    for order in licences:
        client.publish(order)
    wait_until(lambda: "open until" in breaker_words(daemon, "shop"), "the breaker of the shop to be open")

    lms.clear_script()
    for order in seats + licences:
        client.wait_event(order["order_number"], "complete")
    spent = [event.data["attempt"] - 1 for event in client.events if event.outcome == "complete"]
    assert sum(spent) == 2 * FAILURES
    assert client.depth("dead") == 0


@pytest.mark.config({"breaker": {"failures": 1, "open_for": "60s"}})
def test_nothing_is_taken_while_the_only_upstream_is_down(daemon, client, lms):
    lms.script(DOWN)
    client.publish(messages.order())
    wait_until(lambda: "open until" in breaker_words(daemon), "the breaker to be open")
    client.wait_paused()
    for _ in range(20):
        client.publish(messages.order())
    # The first one as well, when its delay is over.
    client.wait_depth("orders", 21)
    assert daemon.readyz()[0] == 200, "an upstream that is down is no reason to be taken out of service"
    assert len(lms.ledger()) == 1


@pytest.mark.config({"breaker": {"failures": 1, "open_for": "1s"}})
def test_a_probe_that_is_refused_for_its_own_sake_closes_it(daemon, client, lms):
    order = messages.order(messages.seat(course="course-v1:edX+Missing+2026"))
    lms.script(DOWN, user=order["user"]["username"])
    client.publish(order)
    client.wait_event(order["order_number"], "dead")
    assert requests_words(lms.ledger()) == ["POST 503", "POST 400"]
    wait_until(lambda: "closed" in breaker_words(daemon), "the breaker to be closed")


@pytest.mark.config({"breaker": {"failures": 1, "open_for": "1s"}, "retry": {"max_attempts": 2}})
def test_failed_probes_never_make_an_order_dead(daemon, client, lms):
    order = messages.order()
    lms.script({**DOWN, "times": 3}, user=order["user"]["username"])
    client.publish(order)
    client.wait_event(order["order_number"], "complete")
    assert [(event.outcome, event.data["attempt"]) for event in client.events_of(order["order_number"])] == \
        [("retrying", 1), ("retrying", 1), ("retrying", 1), ("complete", 2)]
    assert len({event.id for event in client.events}) == 4
    assert requests_words(lms.ledger()) == ["POST 503"] * 3 + ["POST 200"]
