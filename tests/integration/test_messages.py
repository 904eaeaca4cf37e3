"""docs/messages.md says what is so: its examples fit the schemas and are understood, its commands work, and real
events fit too."""

import json
import pathlib
import re
import shlex

import jsonschema
import pytest

from harness import messages

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/messages.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.S)]
ORDERS = [example for example in EXAMPLES if "schema" in example]
EVENTS = [example for example in EXAMPLES if "specversion" in example]
OUTCOMES = ["complete", "retrying", "dead", "requeued", "ignored", "invalid"]


def validator(name):
    return jsonschema.Draft202012Validator(json.loads((ROOT / f"docs/schemas/{name}.schema.json").read_text()))


def test_every_example_is_an_order_or_an_event():
    assert {order["action"] for order in ORDERS} == {"fulfill", "refund", "resubmit"}
    assert EVENTS and len(ORDERS) + len(EVENTS) == len(EXAMPLES)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order["action"])
def test_the_orders_fit_their_schema(order):
    validator("order-1").validate(order)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["id"])
def test_the_events_fit_their_schema(event):
    validator("status-1").validate(event)


def test_the_table_of_outcomes_is_complete():
    assert re.findall(r"^\| `(\w+)` \| .* \| (?:true|false) \|$", PAGE, re.M) == OUTCOMES


def test_the_order_of_the_page_is_fulfilled_and_its_refund_revokes(
        make_daemon, broker, redis, lms, prefix, client):
    make_daemon(broker, redis, lms, prefix).use_token(lms, keep_api_key=True).start()
    order, refund = (next(o for o in ORDERS if o["action"] == action) for action in ("fulfill", "refund"))
    client.publish(order)
    event = client.wait_event(order["order_number"], "complete")
    refund["lines"][0]["result"] = event.line_of(12)["result"]
    client.publish(refund)
    revoked = client.wait_event(order["order_number"], "complete", count=2)
    assert (revoked.data["action"], revoked.data["refund_number"]) == ("refund", "R-5001")
    entitlement, = lms.state()["entitlements"]
    assert entitlement["user"] == "colleague" and entitlement["expired"]


def test_real_events_of_each_kind_fit_the_schema(stack):
    dead = messages.order(messages.seat(course="course-v1:edX+Missing+2026"))
    retried = messages.order()
    stack.lms.script({"status": 500, "body": "<h1>Oops</h1>"}, user=retried["user"]["username"])
    stack.client.publish({**messages.order(), "lines": 7, "order_number": "INVALID-1"})
    stack.client.wait_event("INVALID-1", "invalid")
    stack.run(retried)
    stack.run(dead, "dead")
    stack.client.publish(messages.resubmit(retried))
    stack.client.wait_event(retried["order_number"], "ignored")
    stack.client.publish(messages.resubmit(dead))
    stack.client.wait_event(dead["order_number"], "dead", count=2)
    assert {event.outcome for event in stack.client.events} == set(OUTCOMES)
    for event in stack.client.events:
        validator("status-1").validate(event.json)


def test_the_commands_of_the_page_publish_an_order_and_a_resubmit(stack):
    block = re.search(r"<!-- [^>]*runs these commands -->\n```sh\n(.*?)```", PAGE, re.S).group(1)
    for command, outcome in zip(block.splitlines(), ("complete", "ignored"), strict=True):
        words = shlex.split(command.replace("exchange=fulfillment.", f"exchange={stack.prefix}."))
        assert words.pop(0) == "$A"
        assert stack.broker.rabbitmqadmin(*words) == "Message published"
        stack.client.wait_event("EDX-100002", outcome)
    assert stack.lms.enrollment("honor")["is_active"]
