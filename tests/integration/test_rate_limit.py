"""How much an upstream is asked: the pool's rate, its Retry-After, and as many at once as it can bear.

Rates are counted at the stand-in, by its own clock, over the middle of many requests.
"""

import pytest

from harness import messages
from harness.wait import wait_until
from harness.words import requests_words

RATE, ORDERS = 100, 600


def arrived(entry):
    return entry["arrived_us"] / 1e6


def finished(entry):
    return entry["finished_us"] / 1e6


def publish(client, count):
    orders = [messages.order() for _ in range(count)]
    client.publish_many(orders)
    return orders


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_the_pool_keeps_its_rate(make_daemon, broker, redis, lms, prefix, client, processes):
    daemon = make_daemon(broker, redis, lms, prefix, {"worker": {"processes": processes},
                                                      "lms": {"max_requests_per_second": RATE}}).start()
    orders = publish(client, ORDERS)
    client.wait_all(orders)
    assert daemon.returncode is None
    times = sorted(arrived(entry) for entry in lms.ledger())
    assert len(times) == ORDERS
    middle = times[RATE:-RATE]
    rate = (len(middle) - 1) / (middle[-1] - middle[0])
    assert 0.95 * RATE <= rate <= 1.05 * RATE
    # A rate is no average over bursts: not half as much again in any second, however late a process may wake.
    most = max(sum(1 for other in times[at:at + 2 * RATE] if other < since + 1) for at, since in enumerate(times))
    assert most <= 1.5 * RATE
    assert all(event.data["attempt"] == 1 for event in client.events), "a rate costs no attempt"


@pytest.mark.config({"worker": {"processes": 2}, "retry": {"max_attempts": 1}})
def test_429_pauses_the_pool_until_retry_after_and_costs_nothing(daemon, client, lms):
    """With max_attempts = 1 any attempt that were spent would be the last."""
    client.wait_all(publish(client, 20))
    throttled = messages.order()
    lms.script({"status": 429, "body": {"detail": "Request was throttled. Expected available in 3 seconds."},
                "headers": {"Retry-After": "3"}}, user=throttled["user"]["username"])
    client.publish(throttled)
    (refusal,) = lms.wait_requests(1, user=throttled["user"]["username"])
    event = client.wait_event(throttled["order_number"], "retrying")
    assert (event.data["attempt"], event.line["reason"]["code"], event.line["reason"]["http_status"]) == (0, "throttled", 429)
    assert event.line["reason"]["message"] == "Request was throttled. Expected available in 3 seconds."
    later = publish(client, 100)
    wait_until(lambda: "Retry-After" in daemon.readyz()[1], "/readyz to say that the LMS asked for patience")
    client.wait_all([throttled, *later])
    # Published when the pause was in force already: neither process sends any of them before its end. What was on
    # its way to them is handed back to nobody, so there is nothing to be looked up either.
    after = lms.ledger(since=refusal["seq"])
    assert min(arrived(entry) for entry in after) >= finished(refusal) + 3
    assert [entry["method"] for entry in after] == ["POST"] * 101
    assert requests_words(lms.ledger(user=throttled["user"]["username"])) == ["POST 429", "POST 200"]
    assert {event.data["attempt"] for event in client.events if event.outcome == "complete"} == {1}


@pytest.mark.config({"retry": {"max_attempts": 1}})
def test_a_throttle_of_the_lms_is_lived_with(make_daemon, broker, redis, lms, prefix, client):
    """The stand-in throttles tokens as the LMS does, by its own clock: nobody dies of it."""
    lms.configure(throttle={"staff": 20, "window_ms": 2000})
    make_daemon(broker, redis, lms, prefix, {"retry": {"max_attempts": 1}}).use_token(lms).start()
    orders = publish(client, 60)
    client.wait_all(orders)
    refused = [entry for entry in lms.ledger(kind="enrollment.post") if entry["status"] == 429]
    assert refused, "nothing was throttled: nothing was tested"
    assert client.depth("dead") == 0


def at_once(entries):
    """The largest number of these requests in flight at the same time."""
    edges = sorted([(arrived(entry), 1) for entry in entries] + [(finished(entry), -1) for entry in entries])
    level = most = 0
    for _, step in edges:
        level += step
        most = max(most, level)
    return most


def test_a_slow_lms_is_asked_less_at_once_and_a_quick_one_more_again(make_daemon, broker, redis, lms, prefix, client):
    make_daemon(broker, redis, lms, prefix, {"lms": {"timeout": "2s", "max_in_flight": 64},
                                             "worker": {"concurrency": 200}}).start()

    def run(count, latency_ms):
        """That many orders; answers their requests."""
        since = max([entry["seq"] for entry in lms.ledger()] or [0])
        lms.latency(latency_ms)
        client.wait_all(publish(client, count), deadline_s=120)
        return lms.ledger(since=since)

    run(100, 0)
    slow = run(400, 400)
    begun, ended = at_once(slow[:80]), at_once(slow[-60:])
    assert begun > 50, "it began with few: nothing was tested"
    assert ended < 0.6 * begun
    # Better again: one more a round, so it takes many.
    quick = run(1200, 100)
    assert at_once(quick[-60:]) > 1.3 * ended
    assert {event.data["attempt"] for event in client.events} == {1}
