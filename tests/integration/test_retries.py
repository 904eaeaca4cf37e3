"""Waiting and counting: when an order comes back, how often, and what survives a Redis or a broker that does not."""

import shutil
import time
from datetime import datetime
from email.utils import formatdate

import pytest

from harness import messages
from harness.wait import wait_until
from harness.words import events_words, requests_words

MAX_ATTEMPTS = 3
RETRY = {"first_delay": "2s", "max_delay": "4s", "max_attempts": MAX_ATTEMPTS}
BREAKER = {"failures": 1000000}
LEVELS = 18
OWN = ("generation", "attempts", "first", "due", "lines")


def configure_stack(daemon, lms):
    daemon.configure({"retry": RETRY, "breaker": BREAKER, "modules": {}})
    for name in ("seconds", "date", "long"):
        daemon.configure({f"upstream {name}": {"base_url": lms.base_url},
                          f"module {name}": {"type": "webhook", "upstream": name, "path": f"/hook/{name}"},
                          "modules": {f"Hook {name}": name}})


def seconds(text):
    """A time of an event, as seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def delay_of(event):
    """How long an event says that the order waits, up to a second less: next_attempt_at is cut to whole seconds."""
    return seconds(event.data["next_attempt_at"]) - seconds(event.json["time"])


def arrivals(requests):
    return [entry["arrived_us"] / 1e6 for entry in requests]


def assert_never_early(events, requests):
    """Each request but the first came when the event before it said, or later."""
    for event, arrived in zip(events, arrivals(requests)[1:]):
        assert arrived >= seconds(event.data["next_attempt_at"]), f"{event.data} came early"


def fail_forever(lms, order, **match):
    lms.script({"status": 503, "times": "forever"}, user=order["user"]["username"], **match)


def take_waiting(client, message_id, deadline_s=20):
    """Takes a message out of whichever retry queue it waits in. It moves down from queue to queue meanwhile."""
    def found():
        for level in range(LEVELS):
            for message in client.drain(f"retry.{level:02}"):
                assert message.properties.message_id == message_id, "another order's copy was taken"
                return message
        return None
    return wait_until(found, "the order to wait in a retry queue", deadline_s)


# delays

def test_delays_double_with_jitter_and_none_is_early(stack):
    orders = [messages.order() for _ in range(30)]
    for order in orders:
        stack.lms.script({"status": 503, "times": 2}, user=order["user"]["username"])
        stack.client.publish(order)
    for order in orders:
        stack.client.wait_event(order["order_number"], "complete")
    drawn = []
    for order in orders:
        events = stack.client.events_of(order["order_number"])
        assert events_words(events) == ["retrying 1: Server Error, server_error, 503",
                                        "retrying 2: Server Error, server_error, 503", "complete 3"]
        for event, longest in zip(events, (2, 4)):
            assert longest / 2 - 1 <= delay_of(event) <= longest + 0.01, event.data
            drawn.append((longest, round(delay_of(event))))
        requests = stack.requests_of(order)
        assert requests_words(requests) == ["POST 503", "POST 503", "POST 200"]
        assert_never_early(events, requests)
        # What is promised of the first delay holds on the wire as well.
        assert arrivals(requests)[1] - requests[0]["finished_us"] / 1e6 >= 1
        assert arrivals(requests)[2] - requests[1]["finished_us"] / 1e6 >= 2
    assert len({delay for longest, delay in drawn if longest == 4}) > 1, "no jitter"


def test_the_last_attempt_makes_it_dead(stack):
    order = messages.order()
    fail_forever(stack.lms, order)
    message_id = stack.client.publish(order, headers={"custom": "kept", "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"},
                                      correlation_id="c-1", app_id="shop")
    stack.client.wait_event(order["order_number"], "dead")
    events = stack.client.events_of(order["order_number"])
    assert [(event.outcome, event.data["attempt"]) for event in events] == [("retrying", 1), ("retrying", 2), ("dead", 3)]
    assert len({event.id for event in events}) == 3
    assert len(stack.requests_of(order)) == MAX_ATTEMPTS

    dead = stack.client.wait_dead_message(message_id)
    assert dead.json == order
    assert (dead.own_headers["attempts"], dead.own_headers["generation"]) == (3, 1)
    assert dead.own_headers["reason"] == "server_error" and "used up" in dead.own_headers["detail"]
    assert dead.headers["custom"] == "kept" and dead.headers["traceparent"].startswith("00-1")
    assert (dead.properties.correlation_id, dead.properties.app_id, dead.properties.expiration) == ("c-1", "shop", None)
    assert not [name for name in dead.headers if name.startswith(("x-death", "x-first-death", "x-last-death"))]


def test_a_waiting_copy_says_where_it_stands_and_can_be_counted(stack):
    order = messages.order(messages.seat(1), messages.seat(2, user=messages.unique("friend")))
    friend = order["lines"][1]["user"]["username"]
    stack.lms.script({"status": 503, "times": 2}, user=friend)
    message_id = stack.client.publish(order)
    event = stack.client.wait_event(order["order_number"], "retrying")
    copy = take_waiting(stack.client, message_id)
    assert copy.json == order
    assert copy.properties.delivery_mode == 2 and copy.properties.content_type == "application/json"
    headers = copy.own_headers
    assert set(headers) == set(OWN)
    assert (headers["generation"], headers["attempts"]) == (1, 1)
    assert 0 <= headers["due"] / 1000 - seconds(event.data["next_attempt_at"]) < 1
    assert headers["first"] <= headers["due"] - 1000
    assert '"id":1' in headers["lines"] and '"id":2' not in headers["lines"]
    # Back among the others, as it came: it waits for the rest of its time and goes on.
    stack.client.publish(order, message_id=message_id, headers=copy.headers)
    assert stack.client.wait_event(order["order_number"], "complete").data["attempt"] == 3
    assert_never_early(stack.client.events_of(order["order_number"]), stack.lms.ledger(user=friend))
    assert len(stack.requests_of(order)) == 1


def test_an_operator_sees_in_rabbitmq_how_many_wait(stack):
    orders = [messages.order() for _ in range(7)]
    before = wait_until(lambda: stack.client.waiting() == 0 and "none", "the retry queues to be empty")
    assert before
    for order in orders:
        stack.lms.script({"status": 429, "headers": {"Retry-After": "8"}, "times": "forever"}, path="/hook/seconds")
        order["lines"] = [messages.seat(product_class="Hook seconds")]
        stack.client.publish(order)
    wait_until(lambda: stack.client.waiting() == len(orders), "all orders to wait where management shows them",
               pause_s=0.3)
    stack.lms.clear_script()
    for order in orders:
        assert stack.client.wait_event(order["order_number"], "complete").data["attempt"] == 1


# Retry-After

RETRY_AFTER = {
    "seconds": (lambda: "3", 3, 3),
    "date": (lambda: formatdate(time.time() + 4, usegmt=True), 2, 4),
    "long": (lambda: "999999", 3600, 3600),
}


@pytest.mark.parametrize("form", RETRY_AFTER)
def test_retry_after_is_obeyed_and_costs_no_attempt(stack, form):
    make, least, most = RETRY_AFTER[form]
    order = messages.order(messages.seat(product_class=f"Hook {form}"))
    stack.lms.script({"status": 429, "headers": {"Retry-After": make()}}, path=f"/hook/{form}", order=order["order_number"])
    stack.client.publish(order)
    event = stack.client.wait_event(order["order_number"], "retrying")
    assert event.data["attempt"] == 0 and event.line["reason"]["code"] == "throttled"
    # Rounded up to seconds, and spread by up to a tenth, five seconds at the most.
    assert least - 1 <= delay_of(event) <= most + min(most / 10, 5) + 1, event.data
    if form == "long":
        return
    assert stack.client.wait_event(order["order_number"], "complete").data["attempt"] == 1
    requests = stack.lms.ledger(order=order["order_number"])
    assert requests_words(requests) == ["POST 429", "POST 200"]
    assert arrivals(requests)[1] - arrivals(requests)[0] >= least
    assert_never_early([event], requests)


# the window

def test_the_window_ends_it_whatever_attempts_are_left(make_daemon, broker, redis, lms, prefix, client):
    make_daemon(broker, redis, lms, prefix, {"retry": {"first_delay": "2s", "window": "1s"}, "breaker": BREAKER}).start()
    order = messages.order()
    fail_forever(lms, order)
    message_id = client.publish(order)
    client.wait_event(order["order_number"], "dead")
    assert events_words(client.events_of(order["order_number"])) == [
        "retrying 1: Server Error, server_error, 503", "dead 2: Server Error, server_error, 503"]
    assert "window" in client.wait_dead_message(message_id).own_headers["detail"]


def test_waiting_alone_never_ends_it(make_daemon, broker, redis, lms, prefix, client):
    make_daemon(broker, redis, lms, prefix, {"retry": {"first_delay": "1s", "window": "1s"},
                                             "breaker": {"failures": 1, "open_for": "3s"}}).start()
    order = messages.order()
    lms.script({"status": 503}, user=order["user"]["username"])
    client.publish(order)
    assert client.wait_event(order["order_number"], "complete").data["attempt"] == 2
    first, second = arrivals(lms.ledger(user=order["user"]["username"]))
    assert second - first >= 3, "the window was not over: nothing was tested"


# counters

def restart_empty(server):
    server.kill()
    shutil.rmtree(server.directory / "appendonlydir")
    server.start()


LOSSES = {
    "emptied": lambda server: server.flush(),
    "without its scripts": lambda server: server.script_flush(),
    "restarted empty": restart_empty,
    "killed": lambda server: (server.kill(), server.start()),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_attempts_stay_counted_over_a_redis(make_daemon, broker, own_redis, lms, prefix, client, loss):
    quick = {**RETRY, "first_delay": "1s", "max_delay": "2s"}
    make_daemon(broker, own_redis, lms, prefix, {"retry": quick, "breaker": BREAKER}).start()
    orders = [messages.order() for _ in range(5)]
    for order in orders:
        fail_forever(lms, order, kind="enrollment.post")
        client.publish(order)
    for attempt in range(1, MAX_ATTEMPTS):
        for order in orders:
            client.wait_event(order["order_number"], "retrying", count=attempt)
        LOSSES[loss](own_redis)
    for order in orders:
        client.wait_event(order["order_number"], "dead")
    for order in orders:
        events = client.events_of(order["order_number"])
        assert [(event.outcome, event.data["attempt"]) for event in events] == \
            [("retrying", 1), ("retrying", 2), ("dead", 3)]
        sequences = [event.data["sequence"] for event in events]
        assert sequences == sorted(set(sequences))
        # Where Redis had forgotten, the LMS was asked as well; once an attempt is all the same.
        posts = [entry for entry in lms.ledger(user=order["user"]["username"]) if entry["kind"] == "enrollment.post"]
        assert requests_words(posts) == ["POST 503"] * MAX_ATTEMPTS
        assert_never_early(events, posts)
    client.wait_depth("dead", len(orders))


def test_attempts_stay_counted_when_a_copy_loses_its_headers(stack):
    order = messages.order()
    fail_forever(stack.lms, order)
    message_id = stack.client.publish(order)
    for attempt in range(1, MAX_ATTEMPTS):
        stack.client.wait_event(order["order_number"], "retrying", count=attempt)
        copy = take_waiting(stack.client, message_id)
        stack.client.publish(copy.body, message_id=message_id)
    stack.client.wait_event(order["order_number"], "dead")
    events = stack.client.events_of(order["order_number"])
    assert [(event.outcome, event.data["attempt"]) for event in events] == [("retrying", 1), ("retrying", 2), ("dead", 3)]
    requests = stack.requests_of(order)
    assert len(requests) == MAX_ATTEMPTS
    assert_never_early(events, requests)


# the broker

def test_a_killed_broker_gives_back_all_that_wait_and_none_early(make_daemon, own_broker, redis, lms, start_client):
    prefix = messages.unique("b")
    client = start_client(own_broker, prefix)
    daemon = make_daemon(own_broker, redis, lms, prefix,
                         {"retry": {"first_delay": "6s", "max_delay": "8s"}, "breaker": BREAKER}).start()
    orders = [messages.order() for _ in range(60)]
    lms.script({"status": 503, "times": len(orders)}, kind="enrollment.post")
    for order in orders:
        client.publish(order)
    for order in orders:
        client.wait_event(order["order_number"], "retrying")
    own_broker.kill()
    own_broker.start()
    for order in orders:
        assert client.wait_event(order["order_number"], "complete", deadline_s=90).data["attempt"] == 2
    for order in orders:
        retrying, complete = client.events_of(order["order_number"])
        assert (retrying.outcome, complete.outcome) == ("retrying", "complete")
        requests = lms.ledger(user=order["user"]["username"])
        assert requests_words(requests) == ["POST 503", "POST 200"]
        assert_never_early([retrying], requests)
    assert daemon.returncode is None
    redis.delete_prefix(prefix + ":")
