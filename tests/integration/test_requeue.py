"""Dead orders put back to work: every way of it, by mistake twice, too early, too late, and with Redis emptied.

One word of a person starts one generation, and only what is not finished is sent again.
"""

import pytest

from harness import messages
from harness.lms import DEMO
from harness.operator import Operator
from harness.wait import wait_until

STACK_CONFIG = {"retry": {"first_delay": "1s", "max_delay": "2s", "max_attempts": 2}}

AUDIT = "course-v1:edX+AuditX+2026"
REFUSED = {"status": 422, "body": {"message": "not like this"}}


@pytest.fixture
def operator(stack):
    """At the console, with an empty dead queue."""
    stack.lms.clear_script()
    stack.client.drain("dead")
    return Operator(stack)


def die(stack, *lines, times=1):
    """An order that died: its LMS refused it that many times. Answers the order and its dead message."""
    order = messages.order(*lines)
    stack.lms.script({**REFUSED, "times": times}, order=order["order_number"], kind="enrollment.post")
    message_id = stack.client.publish(order)
    event = stack.client.wait_event(order["order_number"], "dead")
    assert event.data["final"] is True
    return order, stack.client.wait_dead_message(message_id)


def outcomes(stack, order):
    """The outcomes told so far, without repeats of the same event, in order."""
    seen = {}
    for event in stack.client.events_of(order["order_number"]):
        seen.setdefault(event.id, event.outcome)
    return list(seen.values())


def posts(stack, order):
    return stack.lms.ledger(order=order["order_number"], kind="enrollment.post")


def assert_one_new_generation(stack, order, ignored=0):
    """The order was requeued once, is complete in its second generation, and was sent just once more."""
    event = stack.client.wait_event(order["order_number"], "complete")
    assert (event.data["generation"], event.data["attempt"], event.data["status"]) == (2, 1, "Complete")
    if ignored:
        stack.client.wait_event(order["order_number"], "ignored", count=ignored)
    stack.client.wait_settled()
    told = outcomes(stack, order)
    assert told[0] == "dead"
    assert (told.count("requeued"), told.count("complete"), told.count("dead")) == (1, 1, 1)
    assert max(event.data["generation"] for event in stack.client.events_of(order["order_number"])) == 2
    assert [request["status"] for request in posts(stack, order)] == [422, 200]


# what lies in the dead queue

def test_a_dead_copy_says_all_that_a_new_generation_needs(stack, operator):
    good, bad = messages.seat(11), messages.seat(12, course=AUDIT, mode="honor")
    order = messages.order(good, bad)
    stack.lms.script(REFUSED, course=AUDIT, order=order["order_number"])
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    message_id = stack.client.publish(order, headers={"traceparent": trace})
    dead = stack.client.wait_dead_message(message_id)
    headers = dead.own_headers

    assert headers["reason"] == "bad_request"
    assert "not like this" in headers["detail"]
    assert (headers["generation"], headers["attempts"]) == (1, 1)
    assert headers["first"] and headers["lines"]
    assert dead.headers["traceparent"] == trace
    assert not [name for name in dead.headers if name.startswith(("x-death", "x-first-death"))]
    assert dead.json == order
    assert (dead.properties.content_type, dead.properties.delivery_mode) == ("application/json", 2)
    assert dead.properties.expiration is None


# the four ways

def test_a_one_shot_shovel_requeues_the_whole_queue(stack, operator):
    orders = [die(stack)[0] for _ in range(3)]
    operator.shovel()
    for order in orders:
        assert_one_new_generation(stack, order)
    assert stack.client.depth("dead") == 0


def test_a_shovel_with_an_amount_moves_that_many(stack, operator):
    orders = [die(stack)[0] for _ in range(3)]
    operator.shovel(amount=1)
    wait_until(lambda: [order for order in orders if "complete" in outcomes(stack, order)], "one to complete")
    stack.client.wait_settled()
    assert stack.client.depth("dead") == 2


def test_resubmit_with_the_whole_message(stack, operator):
    order, _ = die(stack)
    operator.publish(messages.resubmit(order))
    assert_one_new_generation(stack, order)


def test_resubmit_by_order_number_alone(stack, operator):
    order, _ = die(stack)
    operator.publish(messages.resubmit_number(order["order_number"]))
    assert_one_new_generation(stack, order)


def test_fulfilld_dead_requeue(stack, operator):
    order, _ = die(stack)
    operator.requeue("--order", order["order_number"])
    assert_one_new_generation(stack, order)
    assert stack.client.depth("dead") == 0


def test_a_plain_repeat_of_a_dead_order_is_no_word_of_a_person(stack, operator):
    order, _ = die(stack)
    stack.client.publish(order)
    stack.client.wait_event(order["order_number"], "dead", count=2)
    stack.client.wait_settled()
    assert outcomes(stack, order) == ["dead"]
    assert len(posts(stack, order)) == 1


# which orders, which lines

def test_one_order_out_of_a_thousand(stack, operator):
    stack.lms.outage(**REFUSED)
    orders = [messages.order() for _ in range(1000)]
    for order in orders:
        stack.client.publish(order)
    stack.client.wait_depth("dead", 1000, deadline_s=60)
    stack.lms.recover()
    since = stack.lms.ledger()[-1]["seq"]
    wanted = orders[617]
    operator.requeue("--order", wanted["order_number"])
    stack.client.wait_event(wanted["order_number"], "complete")
    stack.client.wait_depth("dead", 999)
    (request,) = stack.lms.ledger(since=since)
    assert (request["order_number"], request["status"]) == (wanted["order_number"], 200)


def test_only_lines_that_are_not_finished_are_sent(stack, operator):
    order = messages.order(messages.seat(11), messages.seat(12, course=AUDIT, mode="audit"))
    stack.lms.script(REFUSED, course=AUDIT, order=order["order_number"])
    stack.client.publish(order)
    event = stack.client.wait_event(order["order_number"], "dead")
    assert (event.line_of(11)["status"], event.line_of(12)["status"]) == ("Complete", "Fulfillment Server Error")
    operator.requeue("--order", order["order_number"])
    event = stack.client.wait_event(order["order_number"], "complete")
    assert {line["status"] for line in event.data["lines"]} == {"Complete"}
    assert [(request["course"], request["status"]) for request in sorted(posts(stack, order), key=lambda r: r["seq"])
            if request["course"] == AUDIT] == [(AUDIT, 422), (AUDIT, 200)]
    assert len([request for request in posts(stack, order) if request["course"] == DEMO]) == 1


def test_requeue_by_reason_leaves_the_others(stack, operator):
    refused, _ = die(stack)
    unknown = messages.order(messages.seat(course="course-v1:edX+Nowhere+2026"))
    stack.client.publish(unknown)
    stack.client.wait_event(unknown["order_number"], "dead")
    stack.client.wait_depth("dead", 2)
    operator.requeue("--reason", "bad_request")
    assert_one_new_generation(stack, refused)
    (left,) = stack.client.peek("dead")
    assert (left.json["order_number"], left.own_headers["reason"]) == (unknown["order_number"], "course_unavailable")


# twice by mistake

def copy_back(stack, message):
    """What a shovel does that crashed between its confirm and its ack: the same copy once more."""
    stack.client.channel.basic_publish("", stack.client.name("orders"), message.body, message.properties,
                                       mandatory=True)


def test_a_shovel_that_moves_a_message_twice(stack, operator):
    order, dead = die(stack)
    copy_back(stack, dead)
    operator.shovel()
    assert_one_new_generation(stack, order)


WORDS = {
    "shovel": lambda operator, order: operator.shovel(),
    "whole message": lambda operator, order: operator.publish(messages.resubmit(order)),
    "order number": lambda operator, order: operator.publish(messages.resubmit_number(order["order_number"])),
    "dead requeue": lambda operator, order: operator.requeue("--order", order["order_number"]),
}


@pytest.mark.parametrize("first, second", [
    ("whole message", "whole message"), ("order number", "order number"), ("whole message", "order number"),
    ("whole message", "shovel"), ("order number", "dead requeue"), ("order number", "shovel")])
def test_two_words_for_one_order_start_one_generation(stack, operator, first, second):
    order, _ = die(stack)
    WORDS[first](operator, order)
    stack.client.wait_event(order["order_number"], "complete")
    WORDS[second](operator, order)
    # Typed once more in the same words, it is the same message: a repeat, unless nothing is left to be done by number.
    assert_one_new_generation(stack, order, ignored=0 if first == second == "whole message" else 1)
    assert stack.client.depth("dead") == (0 if second in ("shovel", "dead requeue") else 1)


def test_a_second_word_is_answered_with_ignored(stack, operator):
    order, _ = die(stack)
    stack.client.publish(messages.resubmit(order))
    stack.client.wait_event(order["order_number"], "complete")
    stack.client.publish(messages.resubmit(order))
    stack.client.publish(messages.resubmit_number(order["order_number"]))
    assert_one_new_generation(stack, order, ignored=2)


def test_two_words_before_either_is_read(stack, operator):
    order, _ = die(stack)
    stack.lms.script({"pass": True, "delay_ms": 1500}, order=order["order_number"])
    stack.client.publish(messages.resubmit(order))
    stack.client.publish(messages.resubmit(order))
    assert_one_new_generation(stack, order, ignored=1)


def test_a_word_is_answered_before_its_run_and_another_while_it_runs(stack, operator):
    order, _ = die(stack)
    stack.lms.script({"pass": True, "delay_ms": 1500}, order=order["order_number"])
    stack.client.publish(messages.resubmit(order))
    stack.client.wait_event(order["order_number"], "requeued")
    stack.client.publish(messages.resubmit(order))
    assert_one_new_generation(stack, order, ignored=1)
    assert outcomes(stack, order) == ["dead", "requeued", "ignored", "complete"]
    sequences = [event.data["sequence"] for event in stack.client.events_of(order["order_number"])]
    assert sequences == sorted(set(sequences))


def test_the_same_resubmit_by_number_is_ignored_in_the_same_words(stack):
    order = messages.order()
    stack.run(order)
    for _ in range(2):
        stack.client.publish(messages.resubmit_number(order["order_number"]), message_id="typed-" + order["order_number"])
    stack.client.wait_event(order["order_number"], "ignored", count=2)
    _, first, second = stack.client.events_of(order["order_number"])
    assert (first.id, first.data["sequence"]) == (second.id, second.data["sequence"])


@pytest.mark.parametrize("word", WORDS)
def test_the_same_word_works_again_after_a_second_death(stack, operator, word):
    order, _ = die(stack, times=2)
    WORDS[word](operator, order)
    event = stack.client.wait_event(order["order_number"], "dead", count=2)
    assert (event.data["generation"], event.data["attempt"]) == (2, 1)
    wait_until(lambda: 2 in [copy.own_headers["generation"] for copy in stack.client.peek("dead")],
               "the second dead copy")
    WORDS[word](operator, order)
    event = stack.client.wait_event(order["order_number"], "complete")
    assert event.data["generation"] == 3
    stack.client.wait_settled()
    assert [request["status"] for request in posts(stack, order)] == [422, 422, 200]


def test_an_old_dead_copy_is_ignored_beside_a_newer_one(stack, operator):
    order, old = die(stack, times=2)
    stack.client.publish(messages.resubmit(order))
    stack.client.wait_event(order["order_number"], "dead", count=2)
    copy_back(stack, old)
    stack.client.wait_event(order["order_number"], "ignored")
    stack.client.wait_settled()
    assert outcomes(stack, order).count("requeued") == 1


# too early, too late

def test_a_resubmit_while_the_order_waits_is_ignored(stack, operator):
    order = messages.order()
    stack.lms.script({"status": 500}, order=order["order_number"])
    stack.client.publish(order)
    stack.client.wait_event(order["order_number"], "retrying")
    stack.client.publish(messages.resubmit(order))
    stack.client.publish(messages.resubmit_number(order["order_number"]))
    stack.client.wait_event(order["order_number"], "ignored")
    event = stack.client.wait_event(order["order_number"], "complete")
    assert (event.data["generation"], event.data["attempt"]) == (1, 2)
    stack.client.wait_settled()
    assert "requeued" not in outcomes(stack, order)
    assert [request["status"] for request in posts(stack, order)] == [500, 200]


def test_a_resubmit_of_a_complete_order_is_ignored(stack, operator):
    order = messages.order()
    stack.run(order)
    operator.publish(messages.resubmit(order))
    event = stack.client.wait_event(order["order_number"], "ignored")
    assert (event.data["final"], event.data["status"], event.line["status"]) == (False, "Complete", "Complete")
    assert "reason" not in event.data
    stack.client.wait_settled()
    assert len(posts(stack, order)) == 1


# Redis emptied in between

def forget(stack):
    stack.redis.delete_prefix(stack.prefix + ":")


@pytest.mark.parametrize("word", ["shovel", "dead requeue"])
def test_the_dead_copy_alone_is_enough(stack, operator, word):
    order = messages.order(messages.seat(11), messages.seat(12, course=AUDIT, mode="audit"))
    stack.lms.script(REFUSED, course=AUDIT, order=order["order_number"])
    stack.client.publish(order)
    dead = stack.client.wait_event(order["order_number"], "dead")
    stack.client.wait_depth("dead", 1)
    forget(stack)
    WORDS[word](operator, order)
    event = stack.client.wait_event(order["order_number"], "complete")
    assert (event.data["generation"], event.data["attempt"]) == (2, 1)
    assert {line["status"] for line in event.data["lines"]} == {"Complete"}
    assert event.data["sequence"] > dead.data["sequence"]
    assert len([request for request in posts(stack, order) if request["course"] == DEMO]) == 1


def test_a_resubmit_with_the_whole_message_needs_no_memory(stack, operator):
    order, _ = die(stack)
    forget(stack)
    operator.publish(messages.resubmit(order))
    event = stack.client.wait_event(order["order_number"], "complete")
    assert event.data["status"] == "Complete"


def test_a_second_death_after_redis_was_emptied_is_no_repeat_of_the_first(stack, operator):
    order, _ = die(stack, times=2)
    forget(stack)
    operator.publish(messages.resubmit(order))
    second = stack.client.wait_event(order["order_number"], "dead", count=2)
    first = stack.client.events_of(order["order_number"])[0]
    assert second.id != first.id and second.data["sequence"] > first.data["sequence"]


def test_a_resubmit_by_number_of_a_forgotten_order_says_what_to_do(stack, operator):
    order, _ = die(stack)
    stack.client.drain("dead")
    forget(stack)
    operator.publish(messages.resubmit_number(order["order_number"]))
    (dead,) = stack.client.wait_dead(1)
    assert dead.own_headers["reason"] == "unknown_order"
    assert stack.client.name("dead") in dead.own_headers["detail"] and "whole message" in dead.own_headers["detail"]
    stack.client.wait_settled()
    assert outcomes(stack, order) == ["dead"]
    listed = operator.command("dead", "list")
    assert order["order_number"] in listed and "unknown_order" in listed


# what a copy carries

def test_a_retry_copy_of_a_requeued_order_carries_no_reason(stack, operator):
    order, _ = die(stack)
    stack.lms.script({"status": 500}, order=order["order_number"])
    operator.shovel()
    stack.client.wait_event(order["order_number"], "retrying")
    event = stack.client.wait_event(order["order_number"], "complete")
    assert (event.data["generation"], event.data["attempt"]) == (2, 2)
    assert outcomes(stack, order) == ["dead", "requeued", "retrying", "complete"]


def test_an_order_that_was_looked_at_often_is_no_suspect(stack, operator):
    order, _ = die(stack)
    for _ in range(12):
        assert order["order_number"] in operator.command("dead", "list")
    operator.shovel()
    assert_one_new_generation(stack, order)
    assert stack.client.depth("solo") == 0


def test_an_unreadable_message_comes_back_as_it_was(stack, operator):
    message_id = stack.client.publish(b'{"schema": "fulfillment.order/1", "order_number": 7')
    stack.client.wait_dead_message(message_id)
    operator.shovel()
    (dead,) = stack.client.wait_dead(1)
    assert dead.own_headers["reason"] == "invalid_message"
    assert dead.body == b'{"schema": "fulfillment.order/1", "order_number": 7'


def test_the_attempts_of_a_new_generation_start_at_none(stack, operator):
    order = messages.order()
    stack.lms.script({"status": 500, "times": 3}, order=order["order_number"])
    stack.client.publish(order)
    stack.client.wait_event(order["order_number"], "dead")
    operator.requeue("--all")
    event = stack.client.wait_event(order["order_number"], "complete")
    assert (event.data["generation"], event.data["attempt"]) == (2, 2)
    assert stack.client.depth("dead") == 0
