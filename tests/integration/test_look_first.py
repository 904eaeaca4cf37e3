"""An LMS that did what it was asked and whose answer was lost: it is asked what is there before anything is repeated.

The stand-in counts what must not happen: a second enrolling POST for an order that has enrolled its learner.
"""

import os
import signal

import pytest

from harness import messages
from harness.lms import DEMO
from harness.wait import wait_until
from harness.words import events_words, requests_words

CLOSED = "course-v1:edX+ClosedX+2026"
ANSWER = {"mode": "verified", "is_active": True}
UUID = messages.entitlement()["attributes"]["UUID"]


def configure_stack(daemon, lms):
    daemon.use_token(lms, keep_api_key=True)
    daemon.configure({"breaker": {"failures": 1000000}, "retry": {"max_delay": "1s"}})


# how the answer is lost, and what the first event says of it
LOST = {
    "never": ({"never": True}, "Timeout Error, timeout, None"),
    "close": ({"close": True}, "Network Error, network, None"),
    "reset": ({"reset": True}, "Network Error, network, None"),
    "truncate": ({"status": 200, "body": ANSWER, "truncate": 5}, "Network Error, network, None"),
    "big": ({"status": 200, "big": 2 * 1024 * 1024}, "Server Error, bad_response, None"),
    "garbage": ({"garbage": True}, "Server Error, bad_response, None"),
    "408": ({"status": 408}, "{408} Error, timeout, 408"),
    "425": ({"status": 425}, "Server Error, server_error, 425"),
}


@pytest.fixture(scope="module")
def lost(stack):
    """One order for each way to lose an answer, of a seat and of an entitlement, and what was counted at the end."""
    orders = {}
    for how, (step, _) in LOST.items():
        for kind, line in (("enrollment", messages.seat()), ("entitlement", messages.entitlement())):
            order = orders[kind, how] = messages.order(line)
            stack.lms.script({**step, "apply": True}, kind=f"{kind}.post", user=order["user"]["username"])
            stack.client.publish(order)
    for order in orders.values():
        stack.client.wait_event(order["order_number"], "complete")
    return orders


@pytest.mark.parametrize("kind", ["enrollment", "entitlement"])
@pytest.mark.parametrize("how", LOST)
def test_what_was_done_is_found_and_not_repeated(stack, lost, kind, how):
    order = lost[kind, how]
    expected = LOST[how][1].replace("{408}", "Timeout" if kind == "enrollment" else "Server")
    events = stack.client.events_of(order["order_number"])
    assert events_words(events) == [f"retrying 1: {expected}", "complete 2"]
    assert requests_words(stack.requests_of(order)) == [f"POST {how}", "GET 200"]
    if kind == "entitlement":
        (there,) = [row for row in stack.lms.state()["entitlements"] if row["order_number"] == order["order_number"]]
        assert events[-1].line["result"]["uuid"] == there["uuid"]


def test_no_effect_was_doubled(stack, lost):
    stats = stack.lms.stats()
    assert (stats["repeated_enrolls"], stats["repeated_entitlements"]) == (0, 0)


def test_a_lost_look_up_is_repeated_and_nothing_else(stack):
    order = messages.order()
    user = order["user"]["username"]
    stack.lms.script({"close": True, "apply": True}, kind="enrollment.post", user=user)
    stack.lms.script({"reset": True}, {"status": 503}, kind="enrollment.get", user=user)
    event = stack.run(order)
    assert event.data["attempt"] == 4
    assert requests_words(stack.requests_of(order)) == ["POST close", "GET reset", "GET 503", "GET 200"]


def test_what_is_found_to_be_missing_is_sent_again_and_looked_up_again(stack):
    order = messages.order()
    stack.lms.script({"close": True}, {"close": True, "apply": True}, kind="enrollment.post",
                     user=order["user"]["username"])
    stack.run(order)
    assert requests_words(stack.requests_of(order)) == ["POST close", "GET 200", "POST close", "GET 200"]


def test_another_mode_that_is_found_is_not_what_was_bought(stack):
    order = messages.order()
    user = order["user"]["username"]
    stack.lms.configure(enrollments=[{"user": user, "course": DEMO, "mode": "audit", "is_active": True}])
    stack.lms.script({"close": True}, kind="enrollment.post", user=user)
    stack.run(order)
    assert requests_words(stack.requests_of(order)) == ["POST close", "GET 200", "POST 200"]
    assert stack.lms.enrollment(user)["mode"] == "verified"


# in the same attempt

def test_the_catch_all_for_a_learner_who_is_in_already_is_looked_up_at_once(stack):
    order = messages.order(messages.seat(course=CLOSED))
    stack.lms.configure(enrollments=[{"user": order["user"]["username"], "course": CLOSED, "mode": "verified",
                                      "is_active": True}])
    event = stack.run(order)
    assert event.data["attempt"] == 1 and event.line["reason"] is None
    assert requests_words(stack.requests_of(order)) == ["POST 400", "GET 200"]
    assert len(stack.client.events_of(order["order_number"])) == 1


def test_a_cohort_error_after_the_enrollment_is_looked_up_at_once(stack):
    order = messages.order()
    stack.lms.script({"status": 400, "body": {"message": "An error occured while adding to cohort [blue]"}, "apply": True},
                     kind="enrollment.post", user=order["user"]["username"])
    assert stack.run(order).data["attempt"] == 1
    assert requests_words(stack.requests_of(order)) == ["POST 400", "GET 200"]


def test_an_entitlement_that_the_order_has_already_is_found_with_its_uuid(stack):
    order = messages.order(messages.entitlement())
    stack.lms.configure(entitlements=[{"user": order["user"]["username"], "course_uuid": UUID, "mode": "verified",
                                       "order_number": order["order_number"]}])
    event = stack.run(order)
    (there,) = [row for row in stack.lms.state()["entitlements"] if row["order_number"] == order["order_number"]]
    assert event.data["attempt"] == 1 and event.line["result"]["uuid"] == there["uuid"]
    assert requests_words(stack.requests_of(order)) == ["POST 400", "GET 200"]


def test_the_entitlement_of_another_order_is_not_taken_for_this_one(stack):
    order = messages.order(messages.entitlement())
    stack.lms.configure(entitlements=[{"user": order["user"]["username"], "course_uuid": UUID, "mode": "verified",
                                       "order_number": messages.unique("OTHER")}])
    stack.lms.script({"close": True}, kind="entitlement.post", user=order["user"]["username"])
    stack.run(order)
    assert requests_words(stack.requests_of(order)) == ["POST close", "GET 200", "POST 201"]


# revocations

def test_a_lost_revocation_of_a_seat_is_looked_up(stack):
    order = messages.order()
    stack.run(order)
    stack.lms.script({"close": True, "apply": True}, kind="enrollment.post", user=order["user"]["username"])
    stack.client.publish(messages.refund(order))
    event = stack.client.wait_event(order["order_number"], "complete", count=2)
    assert (event.data["action"], event.data["attempt"]) == ("refund", 2)
    assert requests_words(stack.requests_of(order)) == ["POST 200", "POST close", "GET 200"]
    assert stack.lms.enrollment(order["user"]["username"])["is_active"] is False
    assert stack.lms.stats()["repeated_revokes"] == 0


def test_a_lost_revocation_of_an_entitlement_is_looked_up(stack):
    order = messages.order(messages.entitlement())
    uuid = stack.run(order).line["result"]["uuid"]
    path = f"/api/entitlements/v1/entitlements/{uuid}/"
    stack.lms.script({"close": True, "apply": True}, path=path)
    stack.client.publish(messages.refund(order, results={21: {"uuid": uuid}}))
    event = stack.client.wait_event(order["order_number"], "complete", count=2)
    assert (event.data["action"], event.data["attempt"]) == ("refund", 2)
    assert event.line["result"]["uuid"] == uuid
    assert requests_words(stack.requests_of(order)) == ["POST 201", "GET 200"]
    assert requests_words(stack.lms.ledger(path=path)) == ["DELETE close"]


# connections and processes that die

def test_a_request_that_died_with_a_reused_connection_is_sent_once(stack):
    """libcurl sends a request again by itself when a connection that it had used before is closed without an answer."""
    stack.run(messages.order())
    order = messages.order()
    stack.lms.script({"close": True, "apply": True}, kind="enrollment.post", user=order["user"]["username"])
    stack.run(order)
    requests = stack.requests_of(order)
    assert requests_words(requests) == ["POST close", "GET 200"]
    assert requests[0]["connection_request"] > 1, "the connection was a new one: nothing was tested"


def test_a_connection_that_the_lms_has_closed_meanwhile_harms_nobody(stack):
    first, second = messages.order(), messages.order()
    stack.lms.script({"hangup": True, "apply": True}, kind="enrollment.post", user=first["user"]["username"])
    stack.run(first)
    stack.run(second)
    assert [entry["kind"] for entry in stack.requests_of(second) if entry["applied"]] == ["enrollment.post"]
    assert stack.lms.stats()["repeated_enrolls"] == 0


@pytest.mark.config({"worker": {"lease": "2s"}, "lms": {"timeout": "20s"}})
@pytest.mark.parametrize("whom", ["worker", "all"])
def test_a_worker_killed_in_mid_call_leaves_a_look_behind(daemon, client, lms, whom):
    order = messages.order()
    user = order["user"]["username"]
    lms.script({"delay_ms": 15000, "apply": True}, kind="enrollment.post", user=user)
    client.publish(order)
    wait_until(lambda: lms.enrollment(user), "the learner to be enrolled")
    if whom == "worker":
        for pid in daemon.worker_pids():
            os.kill(pid, signal.SIGKILL)
    else:
        daemon.kill()
        daemon.start()
    event = client.wait_event(order["order_number"], "complete")
    assert event.data["attempt"] == 1
    assert [entry["kind"] for entry in lms.ledger(user=user)] == ["enrollment.post", "enrollment.get"]
    assert lms.stats()["repeated_enrolls"] == 0
    assert len(client.events_of(order["order_number"])) == 1


def test_an_emptied_redis_does_not_make_it_forget_to_look(make_daemon, broker, own_redis, lms, prefix, client):
    make_daemon(broker, own_redis, lms, prefix, {"retry": {"first_delay": "3s", "max_delay": "3s"}}).start()
    order = messages.order()
    user = order["user"]["username"]
    lms.script({"close": True, "apply": True}, kind="enrollment.post", user=user)
    client.publish(order)
    client.wait_event(order["order_number"], "retrying")
    own_redis.flush()
    assert client.wait_event(order["order_number"], "complete").data["attempt"] == 2
    assert requests_words(lms.ledger(user=user)) == ["POST close", "GET 200"]
