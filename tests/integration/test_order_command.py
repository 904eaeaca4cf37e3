"""`fulfilld order NUMBER`: what Redis knows of one order."""

import json
from datetime import datetime, timezone

import pytest

from harness import messages
from harness.wait import wait_until

STACK_CONFIG = {"retry": {"first_delay": "60s", "max_delay": "120s"}}

AUDIT = "course-v1:edX+AuditX+2026"
REFUSED = {"status": 422, "body": {"message": "not like this"}}


def report(stack, order, status=0):
    done = stack.daemon.command("order", order["order_number"], "--json")
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout) if status == 0 else done


def text(stack, order):
    done = stack.daemon.command("order", order["order_number"])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_complete_order(stack):
    order = messages.order(messages.seat(11), messages.seat(12, course=AUDIT, mode="audit"))
    stack.run(order)
    told = report(stack, order)
    assert (told["order_number"], told["status"]) == (order["order_number"], "Complete")
    assert [(line["id"], line["status"]) for line in told["lines"]] == [(11, "Complete"), (12, "Complete")]
    (item,) = told["items"]
    assert (item["action"], item["state"], item["generation"]) == ("fulfill", "done", 1)
    assert "Complete" in text(stack, order)


def test_an_order_that_waits_says_why_and_until_when(stack):
    order = messages.order()
    stack.lms.script({"status": 500, "body": {"message": "Oops!"}}, order=order["order_number"])
    event = stack.run(order, "retrying")
    told = report(stack, order)
    (item,) = told["items"]
    assert (told["status"], item["state"], item["attempts"]) == ("Fulfillment Error", "waiting", 1)
    assert item["next_attempt_at"] == event.data["next_attempt_at"]
    due = datetime.fromisoformat(item["next_attempt_at"].replace("Z", "+00:00"))
    assert due > datetime.now(timezone.utc)
    (line,) = told["lines"]
    assert (line["status"], line["reason"]["code"], line["reason"]["http_status"]) == \
        ("Fulfillment Server Error", "server_error", 500)
    said = text(stack, order)
    assert "waiting" in said and "next attempt" in said and "Oops!" in said


def test_a_dead_order_and_its_new_generation(stack):
    order = messages.order()
    stack.lms.script(REFUSED, order=order["order_number"])
    stack.run(order, "dead")
    (item,) = report(stack, order)["items"]
    assert (item["state"], item["generation"], item["attempts"]) == ("dead", 1, 1)
    stack.run(messages.resubmit(order))
    told = report(stack, order)
    assert (told["status"], told["items"][0]["state"], told["items"][0]["generation"]) == ("Complete", "done", 2)


def test_an_order_that_runs_says_where(stack):
    order = messages.order()
    stack.lms.script({"pass": True, "delay_ms": 1500}, order=order["order_number"])
    stack.client.publish(order)
    item = wait_until(lambda: stack.requests_of(order) and report(stack, order)["items"][0], "the order to run")
    assert item["state"] == "running" and item["worker"]
    stack.client.wait_event(order["order_number"], "complete")


def test_a_refund_is_an_item_of_its_own(stack):
    order = messages.order()
    stack.run(order)
    refund = messages.refund(order)
    stack.client.publish(refund)
    stack.client.wait_event(order["order_number"], "complete", count=2)
    told = report(stack, order)
    items = {item["action"]: item for item in told["items"]}
    assert (items["refund"]["refund_number"], items["refund"]["state"]) == (refund["refund_number"], "done")
    assert items["fulfill"]["state"] == "done"
    assert refund["refund_number"] in text(stack, order)


def test_partial_shipments_are_items_of_one_order(stack):
    first = messages.order(messages.seat(11))
    second = {**first, "lines": [messages.seat(12, course=AUDIT, mode="audit")]}
    stack.run(first)
    stack.client.publish(second)
    stack.client.wait_event(first["order_number"], "complete", count=2)
    told = report(stack, first)
    assert [line["id"] for line in told["lines"]] == [11, 12]
    assert len(told["items"]) == 2


def test_an_order_nobody_knows(stack):
    done = report(stack, {"order_number": "EDX-nobody"}, status=1)
    assert done.stdout == "" and "Redis knows nothing of this order" in done.stderr


def test_it_changes_nothing(stack):
    order = messages.order()
    stack.run(order)
    stack.client.wait_settled()
    client = stack.redis.client()

    def everything():
        return {key: client.hgetall(key) for key in stack.redis.keys(stack.prefix + ":") if order["order_number"] in key}
    before = everything()
    assert before
    text(stack, order)
    report(stack, order)
    assert everything() == before


def test_no_learner_is_named(stack):
    order = messages.order()
    stack.lms.script(REFUSED, order=order["order_number"])
    stack.run(order, "dead")
    said = text(stack, order) + json.dumps(report(stack, order))
    assert order["user"]["username"] not in said and order["user"]["email"] not in said


@pytest.mark.parametrize("number", ["", "a" * 200, "EDX\n1"])
def test_a_number_that_cannot_be_one(stack, number):
    done = stack.daemon.command("order", number)
    assert done.returncode in (1, 2) and done.stderr


def test_redis_is_away(stack):
    done = stack.daemon.command("order", "EDX-1", env={"FULFILLD_REDIS_URI": "redis://127.0.0.1:1/0"})
    assert done.returncode == 1 and "refused" in done.stderr


def test_usage(stack):
    assert stack.daemon.command("order").returncode == 2
    assert stack.daemon.command("order", "EDX-1", "EDX-2").returncode == 2
