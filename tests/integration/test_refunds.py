"""Refunds: what is revoked and how, whatever comes first, and whatever fails on the way."""

import json

import pytest

from harness import messages
from harness.lms import DEMO
from harness.operator import Operator
from harness.wait import wait_until

AUDIT = "course-v1:edX+AuditX+2026"
COURSE_UUID = "6a5f2c1e-0f0c-4f0f-8a53-1f1f0c3b2d4e"
REFUSED = {"status": 422, "body": {"message": "not like this"}}


def configure_stack(daemon, lms):
    """The entitlement API takes a token only; orders die after two attempts."""
    daemon.configure({"retry": {"first_delay": "1s", "max_delay": "2s", "max_attempts": 2}})
    daemon.use_token(lms, keep_api_key=True)


@pytest.fixture
def operator(stack):
    stack.lms.clear_script()
    stack.client.drain("dead")
    return Operator(stack)


@pytest.fixture
def shop(stack, operator):
    return Shop(stack)


class Shop:
    """Orders and refunds of one learner each."""

    def __init__(self, stack):
        self.stack, self.lms, self.client = stack, stack.lms, stack.client

    def fulfilled(self, *lines):
        order = messages.order(*lines)
        return order, self.stack.run(order)

    def told(self, order, action):
        """The outcomes of one action, without repeats of the same event."""
        seen = {}
        for event in self.client.events_of(order["order_number"]):
            if event.data["action"] == action:
                seen.setdefault(event.id, event.outcome)
        return list(seen.values())

    def wait(self, message, outcome, count=1):
        """Waits for the count-th event with that outcome about a refund (or, for an order, its fulfilment)."""
        number = message.get("refund_number")

        def found():
            matching = [event for event in self.client.events_of(message["order_number"])
                        if event.outcome == outcome and event.data["refund_number"] == number]
            return matching[count - 1] if len(matching) >= count else None
        return wait_until(found, f"event {count} {outcome} of {message['order_number']}, refund {number}")

    def refund(self, order, outcome="complete", **more):
        message = messages.refund(order, **more)
        self.client.publish(message)
        return message, self.wait(message, outcome)

    def requests(self, order, since=0):
        return self.lms.ledger(user=order["user"]["username"], since=since)

    def posts(self, order):
        """(is_active, status) of each enrolling or revoking POST."""
        return [(request["is_active"], request["status"]) for request in self.requests(order)
                if request["kind"] == "enrollment.post"]

    def last(self):
        return max([entry["seq"] for entry in self.lms.ledger()] or [0])

    def active(self, order, course=DEMO):
        found = self.lms.enrollment(order["user"]["username"], course)
        return bool(found and found["is_active"])


# what is sent

def test_a_seat_is_revoked_by_deactivating_its_enrollment(shop):
    order, _ = shop.fulfilled()
    since = shop.last()
    refund, event = shop.refund(order)

    (request,) = shop.requests(order, since)
    assert (request["method"], request["path"]) == ("POST", "/api/enrollment/v1/enrollment")
    assert json.loads(request["body"]) == {
        "user": order["user"]["username"], "mode": "verified", "is_active": False,
        "course_details": {"course_id": DEMO}}
    assert not shop.active(order)
    assert event.routing_key == "order.refund.complete"
    data = event.data
    assert (data["action"], data["refund_number"], data["status"], data["final"]) == \
        ("refund", refund["refund_number"], "Complete", True)
    assert (data["generation"], data["attempt"]) == (1, 1)
    assert (event.line["id"], event.line["status"], event.line["reason"]) == (11, "Complete", None)


@pytest.mark.parametrize("with_result", [True, False])
def test_an_entitlement_is_revoked_by_its_uuid(shop, with_result):
    order, event = shop.fulfilled(messages.entitlement())
    uuid = event.line["result"]["uuid"]
    since = shop.last()
    _, event = shop.refund(order, results={21: {"uuid": uuid}} if with_result else None)
    assert event.line["status"] == "Complete"
    (request,) = [entry for entry in shop.lms.ledger(since=since, kind="entitlement.delete")]
    assert (request["path"], request["status"]) == (f"/api/entitlements/v1/entitlements/{uuid}/", 204)


def test_an_entitlement_nobody_remembers_is_looked_up(shop, stack):
    order, event = shop.fulfilled(messages.entitlement())
    stack.redis.delete_prefix(stack.prefix + ":")
    since = shop.last()
    shop.refund(order)
    sent = [(entry["method"], entry["kind"]) for entry in shop.lms.ledger(since=since) if entry["kind"] != "token"]
    assert sent == [("GET", "entitlement.get"), ("DELETE", "entitlement.delete")]


def test_a_refund_of_nothing_asks_nobody(shop):
    order, _ = shop.fulfilled()
    since = shop.last()
    _, event = shop.refund(order, total="0.00")
    assert (event.data["status"], event.line["status"]) == ("Complete", "Complete")
    assert shop.requests(order, since) == []
    assert shop.active(order)


def test_a_learner_who_changed_the_mode_since_keeps_the_seat(shop):
    order, _ = shop.fulfilled()
    user = order["user"]["username"]
    shop.lms.configure(enrollments=[{"user": user, "course": DEMO, "mode": "honor", "is_active": True}])
    _, event = shop.refund(order)
    assert event.line["status"] == "Complete"
    assert shop.posts(order)[-1] == (False, 400)
    assert shop.active(order)


def test_what_needs_no_upstream_is_refunded_without_one(shop):
    donation = {"id": 31, "product_class": "Donation", "quantity": 1, "attributes": {}}
    order, _ = shop.fulfilled(donation)
    _, event = shop.refund(order)
    assert event.line["status"] == "Complete"


def test_a_partial_refund_leaves_the_other_lines(shop):
    order, _ = shop.fulfilled(messages.seat(11), messages.seat(12, course=AUDIT, mode="audit"))
    _, event = shop.refund(order, lines=[12])
    assert [line["id"] for line in event.data["lines"]] == [12]
    assert event.data["status"] == "Complete"
    assert shop.active(order) and not shop.active(order, AUDIT)
    refund, event = shop.refund(order, lines=[11])
    assert event.data["refund_number"] == refund["refund_number"]
    assert not shop.active(order)


# again

def test_the_same_refund_again_repeats_its_event(shop):
    order, _ = shop.fulfilled()
    refund, event = shop.refund(order)
    since = shop.last()
    shop.client.publish(refund)
    again = shop.wait(refund, "complete", count=2)
    assert (again.id, again.data["sequence"]) == (event.id, event.data["sequence"])
    assert shop.requests(order, since) == []


def test_a_refund_again_after_redis_was_emptied_only_looks(shop, stack):
    order, _ = shop.fulfilled()
    refund, first = shop.refund(order)
    stack.redis.delete_prefix(stack.prefix + ":")
    since = shop.last()
    shop.client.publish(refund)
    again = shop.wait(refund, "complete", count=2)
    assert again.data["sequence"] > first.data["sequence"]
    assert [entry["method"] for entry in shop.requests(order, since)] == ["GET"]


def test_a_refunded_order_is_not_fulfilled_again(shop, stack):
    order, _ = shop.fulfilled()
    shop.refund(order)
    since = shop.last()
    shop.client.publish(order)
    shop.wait(order, "complete", count=2)
    shop.client.publish(messages.resubmit(order))
    shop.wait(order, "ignored")
    assert shop.requests(order, since) == []
    stack.redis.delete_prefix(stack.prefix + ":")
    shop.client.publish(order)
    wait_until(lambda: shop.active(order), "the order to be fulfilled again, since nobody remembers the refund")
    shop.wait(order, "complete", count=3)
    refund, _ = shop.refund(order)
    assert not shop.active(order)


# whatever comes first

def test_a_refund_that_overtakes_the_fulfilment_wins(shop):
    order = messages.order()
    _, event = shop.refund(order)
    assert event.line["status"] == "Complete"
    shop.client.publish(order)
    event = shop.wait(order, "complete")
    assert (event.data["status"], event.line["status"]) == ("Complete", "Refunded")
    assert [request["method"] for request in shop.requests(order)] == ["GET"]


def test_a_refund_of_nothing_that_overtakes_the_fulfilment_wins_too(shop):
    order = messages.order()
    shop.refund(order, total="0.00")
    shop.client.publish(order)
    event = shop.wait(order, "complete")
    assert event.line["status"] == "Refunded"
    assert [request for request in shop.requests(order) if request["method"] == "POST"] == []


def test_a_refund_while_the_fulfilment_runs_revokes_it_afterwards(shop):
    order = messages.order()
    shop.lms.script({"pass": True, "delay_ms": 1200}, order=order["order_number"])
    shop.client.publish(order)
    wait_until(lambda: shop.requests(order), "the request to be on its way")
    shop.refund(order)
    shop.client.wait_settled()
    assert not shop.active(order)
    assert [active for active, _ in shop.posts(order)] == [True, False]


def test_a_refund_while_the_fulfilment_waits_for_a_retry_wins(shop):
    order = messages.order(messages.seat(11), messages.seat(12, course=AUDIT, mode="audit"))
    shop.lms.script({"status": 500}, order=order["order_number"], course=AUDIT)
    shop.client.publish(order)
    shop.wait(order, "retrying")
    _, event = shop.refund(order)
    assert {line["status"] for line in event.data["lines"]} == {"Complete"}
    event = shop.wait(order, "complete")
    assert event.line_of(12)["status"] == "Refunded"
    assert not shop.active(order) and not shop.active(order, AUDIT)
    assert len([request for request in shop.requests(order)
                if request["course"] == AUDIT and request["is_active"]]) == 1


def test_a_refund_of_a_fulfilment_whose_answer_was_lost_looks_and_revokes(shop):
    order = messages.order()
    shop.lms.script({"close": True, "apply": True}, order=order["order_number"])
    shop.client.publish(order)
    shop.wait(order, "retrying")
    assert shop.active(order)
    shop.refund(order)
    assert not shop.active(order)
    event = shop.wait(order, "complete")
    assert event.line["status"] in ("Refunded", "Complete")
    shop.client.wait_settled()
    assert not shop.active(order)


def test_a_refund_of_a_dead_order_keeps_it_from_coming_back(shop, operator):
    order = messages.order()
    shop.lms.script(REFUSED, order=order["order_number"])
    shop.client.publish(order)
    shop.wait(order, "dead")
    shop.refund(order)
    shop.client.wait_depth("dead", 1)
    operator.requeue("--order", order["order_number"])
    event = shop.wait(order, "complete")
    assert event.line["status"] == "Refunded"
    assert [active for active, _ in shop.posts(order) if active] == [True]


# failures of a revocation

def test_a_revocation_that_fails_is_tried_again(shop):
    order, _ = shop.fulfilled()
    shop.lms.script({"status": 500, "body": {"message": "Oops!"}}, user=order["user"]["username"])
    refund, event = shop.refund(order, outcome="retrying")
    assert event.routing_key == "order.refund.retrying"
    assert (event.data["status"], event.data["final"]) == ("Revocation Error", False)
    assert event.data["next_attempt_at"]
    assert (event.line["status"], event.line["reason"]["code"]) == ("Revocation Error", "server_error")
    event = shop.wait(refund, "complete")
    assert (event.data["attempt"], event.data["status"]) == (2, "Complete")
    assert not shop.active(order)


def dead_refund(shop):
    """A refund that died of its two attempts: whatever a revocation is refused with, it is tried again."""
    order, _ = shop.fulfilled()
    shop.lms.script({**REFUSED, "times": 2}, user=order["user"]["username"], kind="enrollment.post")
    refund, event = shop.refund(order, outcome="dead")
    assert (event.data["status"], event.data["final"]) == ("Revocation Error", True)
    assert event.line["status"] == "Revocation Error"
    (dead,) = shop.client.wait_dead(1)
    assert dead.own_headers["reason"] == "bad_request" and dead.json == refund
    return order, refund


def whole(operator, refund):
    operator.publish({**refund, "action": "resubmit"})


WORDS = {
    "shovel": lambda operator, refund: operator.shovel(),
    "whole message": whole,
    "order number": lambda operator, refund: operator.publish(messages.resubmit_number(refund["order_number"])),
    "dead requeue": lambda operator, refund: operator.requeue("--order", refund["order_number"]),
}


@pytest.mark.parametrize("word", WORDS)
def test_a_dead_refund_is_requeued(shop, operator, word):
    order, refund = dead_refund(shop)
    WORDS[word](operator, refund)
    event = shop.wait(refund, "complete")
    assert (event.data["action"], event.data["generation"], event.data["attempt"]) == ("refund", 2, 1)
    assert not shop.active(order)
    shop.client.wait_settled()
    assert shop.told(order, "refund") == ["retrying", "dead", "requeued", "complete"]
    assert shop.told(order, "fulfill") == ["complete"]
    assert shop.posts(order) == [(True, 200), (False, 422), (False, 422), (False, 200)]


def test_a_dead_refund_leaves_the_order_complete(shop, stack):
    order, _ = dead_refund(shop)
    shop.client.publish(order)
    event = shop.wait(order, "complete", count=2)
    assert event.data["status"] == "Complete"


def test_nothing_was_revoked_or_enrolled_twice(stack):
    stats = stack.lms.stats()
    assert [stats[name] for name in ("repeated_revokes", "repeated_entitlements", "repeated_deletes")] == [0, 0, 0]
