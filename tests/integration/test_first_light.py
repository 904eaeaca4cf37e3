"""One order's whole way: published, fulfilled at the LMS, told to the shop; or retried, or dead.

Every test reads contract.md literally: what is on the wire, in the event and in the queues.
"""

import json
import os
import signal
from datetime import datetime, timezone

import pytest

from harness import messages
from harness.lms import API_KEY, DEMO
from harness.wait import wait_until

AUDIT_ONLY = "course-v1:edX+AuditX+2026"


def seconds(timestamp):
    """A time as events write it, as seconds since 1970."""
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).astimezone(timezone.utc).timestamp()


def attribute(space, name, value):
    return {"namespace": space, "name": name, "value": value}


# the happy way

def test_an_order_is_fulfilled_and_its_event_says_so(stack):
    order = messages.order()
    event = stack.run(order)

    document = event.json
    assert event.routing_key == "order.fulfill.complete"
    assert event.exchange == stack.client.name("events")
    assert event.properties.delivery_mode == 2
    assert event.properties.message_id == document["id"]
    assert document["specversion"] == "1.0"
    assert document["type"] == "fulfillment.order.status_changed.v1"
    assert document["source"].startswith("fulfilld/")
    assert document["subject"] == order["order_number"]
    assert document["datacontenttype"] == "application/json"
    assert abs(seconds(document["time"]) - datetime.now(timezone.utc).timestamp()) < 60
    assert "traceparent" not in document

    data = event.data
    assert isinstance(data["sequence"], int) and data["sequence"] > 0
    expected = {"order_number": order["order_number"], "action": "fulfill", "refund_number": None, "generation": 1,
                "attempt": 1, "status": "Complete", "final": True, "next_attempt_at": None}
    assert {key: data[key] for key in expected} == expected
    line = event.line
    assert (line["id"], line["sku"], line["status"]) == (11, "8CF08E5", "Complete")
    assert (line["module"], line["reason"]) == ("enrollment", None)

    enrollment = stack.lms.enrollment(order["user"]["username"])
    assert (enrollment["mode"], enrollment["is_active"]) == ("verified", True)
    stack.client.wait_settled()
    assert len(stack.client.events_of(order["order_number"])) == 1


def test_an_order_asks_redis_twice(stack):
    """A claim and a record. Redis has one thread: what each order asks of it bounds the whole pool."""
    def asked():
        return stack.redis.client().info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]

    orders = [messages.order() for _ in range(100)]
    before = asked()
    stack.client.publish_many(orders)
    for order in orders:
        stack.client.wait_event(order["order_number"], "complete")
    # Besides, each worker looks at the breakers and rates from time to time, however many orders there are.
    assert 2 <= (asked() - before) / len(orders) < 3



def test_the_request_is_what_the_lms_expects_and_nothing_more(stack):
    order = messages.order()
    stack.run(order)
    (request,) = stack.requests_of(order)
    assert (request["method"], request["path"]) == ("POST", "/api/enrollment/v1/enrollment")
    assert json.loads(request["body"]) == {
        "user": order["user"]["username"], "mode": "verified", "is_active": True,
        "course_details": {"course_id": DEMO},
        "enrollment_attributes": [
            attribute("order", "order_number", order["order_number"]),
            attribute("order", "date_placed", "2026-01-02T03:04:05Z"),
            attribute("order", "sku", "8CF08E5")]}
    headers = request["headers"]
    assert headers["content-type"].split(";")[0] == "application/json"
    assert headers["x-edx-api-key"] == "good"
    assert headers["x-edx-ga-client-id"] == "G1"
    assert headers["x-forwarded-for"] == "203.0.113.7"
    assert "authorization" not in headers and "traceparent" not in headers and "expect" not in headers


def test_traceparent_goes_to_the_lms_and_into_the_event(stack):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    order = messages.order()
    stack.client.publish(order, headers={"traceparent": trace})
    event = stack.client.wait_event(order["order_number"], "complete")
    assert event.json["traceparent"] == trace
    assert stack.requests_of(order)[0]["headers"]["traceparent"] == trace


MODES = {
    "certificate_type": ({"certificate_type": "honor"}, "honor", []),
    "seat_type when there is no certificate_type": ({"seat_type": "honor", "certificate_type": None}, "honor", []),
    "neither": ({}, "audit", []),
    "professional": ({"certificate_type": "professional", "id_verification_required": True}, "professional", []),
    "professional without verification": ({"certificate_type": "professional", "id_verification_required": False},
                                          "no-id-professional", []),
    "credit": ({"certificate_type": "credit", "credit_provider": "asu"}, "credit",
               [attribute("credit", "provider_id", "asu")]),
}


@pytest.mark.parametrize("row", MODES)
def test_mode_of_a_seat(stack, row):
    attributes, mode, more = MODES[row]
    line = messages.seat(sku=None, attributes={"course_key": DEMO, **attributes})
    order = messages.order(line)
    stack.run(order)
    body = json.loads(stack.requests_of(order)[0]["body"])
    assert body["mode"] == mode
    assert body["enrollment_attributes"] == [
        attribute("order", "order_number", order["order_number"]),
        attribute("order", "date_placed", "2026-01-02T03:04:05Z"), *more]


def test_the_date_is_sent_as_utc_in_whole_seconds(stack):
    order = messages.order(date_placed="2026-01-02T05:04:05.678+02:00")
    stack.run(order)
    assert attribute("order", "date_placed", "2026-01-02T03:04:05Z") in stack.requests_of(order)[0]["attributes"]


def test_an_enterprise_customer_is_named_only_when_there_is_one(stack):
    customer = "3f1d9a4e-7c55-4f0e-9a39-0e6d2f6f2c11"
    order = messages.order(enterprise_customer_uuid=customer)
    stack.run(order)
    assert json.loads(stack.requests_of(order)[0]["body"])["linked_enterprise_customer"] == customer


def test_tracking_cannot_add_a_header_line(stack):
    order = messages.order(tracking={"ga_client_id": "G1\r\nX-Evil: yes", "lms_ip": "203.0.113.7\nX-Evil: yes"})
    stack.run(order)
    (request,) = stack.requests_of(order)
    assert "x-evil" not in request["headers"]


def test_unknown_fields_and_absent_optional_ones_are_fine(stack):
    name = messages.unique("learner")
    order = {"schema": messages.SCHEMA, "action": "fulfill", "order_number": messages.unique("EDX"),
             "user": {"username": name}, "surprise": {"deep": [1, 2]},
             "lines": [{"id": 1, "product_class": "Seat", "attributes": {"course_key": DEMO, "colour": "red"}}]}
    assert stack.run(order).data["status"] == "Complete"
    assert stack.lms.enrollment(name)["mode"] == "audit"


def test_all_lines_of_an_order_are_fulfilled(stack):
    stack.lms.configure(courses=[{"id": f"course-v1:edX+Many+{n}", "modes": ["audit", "verified"]} for n in range(12)])
    order = messages.order(*[messages.seat(n, course=f"course-v1:edX+Many+{n}") for n in range(12)])
    event = stack.run(order)
    assert [line["id"] for line in event.data["lines"]] == list(range(12))
    assert {line["status"] for line in event.data["lines"]} == {"Complete"}
    assert sorted(request["course"] for request in stack.requests_of(order)) == \
        sorted(f"course-v1:edX+Many+{n}" for n in range(12))


def test_a_line_may_be_for_another_learner(stack):
    friend = messages.unique("friend")
    order = messages.order(messages.seat(1), messages.seat(2, user=friend))
    stack.run(order)
    assert stack.lms.enrollment(order["user"]["username"])["is_active"]
    assert stack.lms.enrollment(friend)["is_active"]


@pytest.mark.parametrize("product_class", ["Coupon", "Donation", "Enrollment Code"])
def test_goods_made_in_the_shop_need_no_call(stack, product_class):
    order = messages.order(messages.seat(1, product_class=product_class, attributes={}))
    event = stack.run(order)
    assert (event.line["status"], event.line["module"]) == ("Complete", "none")
    assert stack.requests_of(order) == []


# failures

def test_an_unknown_course_is_final(stack):
    course = "course-v1:edX+Missing+2026"
    order = messages.order(messages.seat(course=course))
    message_id = stack.client.publish(order)
    event = stack.client.wait_event(order["order_number"], "dead")
    assert event.routing_key == "order.fulfill.dead"
    assert (event.data["status"], event.data["final"], event.data["next_attempt_at"]) == ("Fulfillment Error", True, None)
    assert event.line["status"] == "Fulfillment Server Error"
    assert event.line["reason"] == {
        "code": "course_unavailable", "message": f"No course '{course}' found for enrollment", "http_status": 400}

    dead = stack.client.wait_dead_message(message_id)
    assert dead.json == order
    assert dead.properties.delivery_mode == 2
    assert dead.own_headers["reason"] == "course_unavailable"
    assert dead.own_headers["detail"]
    assert (dead.own_headers["generation"], dead.own_headers["attempts"]) == (1, 1)
    assert len(stack.requests_of(order)) == 1
    stack.client.wait_settled()


def test_a_mode_that_is_not_offered_is_final(stack):
    event = stack.run(messages.order(messages.seat(course=AUDIT_ONLY)), "dead")
    assert (event.line["status"], event.line["reason"]["code"]) == ("Fulfillment Server Error", "mode_unavailable")


def test_an_unknown_user_is_tried_a_few_times_and_then_dead(stack):
    user = messages.unique("nobody")
    stack.lms.configure(users=[{"username": user, "exists": False}])
    order = messages.order(user=user)
    event = stack.run(order, "dead")
    assert event.line["reason"]["code"] == "user_unknown"
    assert event.line["status"] == "Fulfillment Server Error"
    assert [(e.outcome, e.data["attempt"]) for e in stack.client.events_of(order["order_number"])] == \
        [("retrying", 1), ("retrying", 2), ("dead", 3)]
    assert [request["status"] for request in stack.requests_of(order)] == [406, 406, 406]


def test_an_embargoed_learner_is_final(stack):
    event = stack.run(messages.order(messages.seat(course="course-v1:edX+EmbargoX+2026")), "dead")
    assert (event.line["reason"]["code"], event.line["reason"]["http_status"]) == ("forbidden", 403)


LINE_FAILURES = {
    "no course key": (messages.seat(2, attributes={"certificate_type": "verified"}), "missing_attribute"),
    "course key null": (messages.seat(2, attributes={"course_key": None}), "missing_attribute"),
    "quantity 0": (messages.seat(2, quantity=0), None),
    "no module": (messages.seat(2, product_class="Hoodie"), "no_module"),
}


@pytest.mark.parametrize("row", LINE_FAILURES)
def test_a_line_that_cannot_be_fulfilled_does_not_stop_the_others(stack, row):
    line, code = LINE_FAILURES[row]
    order = messages.order(messages.seat(1), line)
    event = stack.run(order, "dead")
    assert event.data["status"] == "Fulfillment Error"
    assert event.line_of(1)["status"] == "Complete"
    assert event.line_of(2)["status"] == "Fulfillment Configuration Error"
    assert code in (None, event.line_of(2)["reason"]["code"])
    assert event.line_of(2)["reason"]["http_status"] is None
    assert len(stack.requests_of(order)) == 1


def test_a_line_without_any_user_fails_alone(stack):
    order = messages.order(messages.seat(1), messages.seat(2, user=messages.unique("friend")), user=None)
    order["user"] = None
    event = stack.run(order, "dead")
    assert (event.line_of(1)["status"], event.line_of(1)["reason"]["code"]) == (
        "Fulfillment Configuration Error", "no_user")
    assert event.line_of(2)["status"] == "Complete"


def test_a_busy_lms_is_asked_again_with_the_attempt_counted(stack):
    order = messages.order()
    user = order["user"]["username"]
    stack.lms.script({"status": 503, "body": {"message": "Oops!"}, "times": 2}, user=user)
    message_id = stack.client.publish(order)
    stack.client.wait_event(order["order_number"], "complete")
    first, second, last = stack.client.events_of(order["order_number"])

    assert [(e.outcome, e.data["attempt"], e.data["generation"], e.data["final"]) for e in (first, second, last)] == \
        [("retrying", 1, 1, False), ("retrying", 2, 1, False), ("complete", 3, 1, True)]
    assert first.data["status"] == "Fulfillment Error"
    assert first.line["status"] == "Fulfillment Server Error"
    assert first.line["reason"]["code"] == "server_error"
    assert first.line["reason"]["http_status"] == 503
    assert len({e.id for e in (first, second, last)}) == 3
    assert first.data["sequence"] < second.data["sequence"] < last.data["sequence"]

    requests = stack.requests_of(order)
    assert [(r["kind"], r["status"]) for r in requests] == \
        [("enrollment.post", 503), ("enrollment.post", 503), ("enrollment.post", 200)]
    for event, request in zip((first, second), requests[1:]):
        assert request["arrived_us"] / 1e6 >= seconds(event.data["next_attempt_at"]), "a retry came early"
    assert all(m.properties.message_id != message_id for m in stack.client.peek("dead"))
    stack.client.wait_settled()


def test_a_refused_line_waits_and_the_done_one_is_not_sent_again(stack):
    friend = messages.unique("friend")
    order = messages.order(messages.seat(1), messages.seat(2, user=friend))
    stack.lms.script({"status": 500}, user=friend)
    event = stack.run(order)
    assert event.data["attempt"] == 2
    assert [line["status"] for line in event.data["lines"]] == ["Complete", "Complete"]
    assert len(stack.requests_of(order)) == 1
    assert len(stack.lms.ledger(user=friend)) == 2


def test_a_lost_answer_is_looked_up_before_it_is_sent_again(stack):
    order = messages.order()
    user = order["user"]["username"]
    stack.lms.script({"close": True, "apply": True}, user=user, kind="enrollment.post")
    event = stack.run(order)
    assert event.data["attempt"] == 2
    assert [r["kind"] for r in stack.lms.ledger(user=user)] == ["enrollment.post", "enrollment.get"]
    retrying = stack.client.wait_event(order["order_number"], "retrying")
    assert (retrying.line["status"], retrying.line["reason"]["code"]) == ("Fulfillment Network Error", "network")


def test_a_silent_lms_is_a_timeout_and_is_looked_up(stack):
    order = messages.order()
    user = order["user"]["username"]
    stack.lms.script({"never": True}, user=user, kind="enrollment.post")
    event = stack.run(order)
    retrying = stack.client.wait_event(order["order_number"], "retrying")
    assert (retrying.line["status"], retrying.line["reason"]["code"]) == ("Fulfillment Timeout Error", "timeout")
    assert event.data["attempt"] == 2
    assert [r["kind"] for r in stack.lms.ledger(user=user)] == ["enrollment.post", "enrollment.get", "enrollment.post"]


def test_a_redirect_is_never_followed(stack):
    order = messages.order()
    stack.lms.script({"redirect": stack.lms.base_url + "/hook/elsewhere"}, user=order["user"]["username"])
    event = stack.run(order, "dead")
    assert (event.line["status"], event.line["reason"]["code"]) == ("Fulfillment Configuration Error", "redirect")
    assert stack.lms.ledger(path="/hook/elsewhere") == []


# repeats

def test_a_second_copy_of_a_complete_order_repeats_the_event_and_sends_nothing(stack):
    order = messages.order()
    first = stack.run(order)
    stack.client.publish(order)
    second = stack.client.wait_event(order["order_number"], "complete", count=2)
    assert (second.id, second.data) == (first.id, first.data)
    assert len(stack.requests_of(order)) == 1
    stack.client.wait_settled()


def test_a_second_copy_of_a_dead_order_repeats_the_event_and_sends_nothing(stack):
    order = messages.order(messages.seat(course="course-v1:edX+Missing+2026"))
    first = stack.run(order, "dead")
    stack.client.publish(order)
    second = stack.client.wait_event(order["order_number"], "dead", count=2)
    assert (second.id, second.data["sequence"]) == (first.id, first.data["sequence"])
    assert len(stack.requests_of(order)) == 1


# messages that are none

def raw(change=None, **fields):
    """A valid order as bytes, with fields replaced (… removes one) and the text changed."""
    order = {**messages.order(number=messages.unique("EDX")), **fields}
    order = {key: value for key, value in order.items() if value is not ...}
    text = json.dumps(order)
    return (change(text) if change else text).encode()


def line(**fields):
    return [{key: value for key, value in {**messages.seat(), **fields}.items() if value is not ...}]


# name: (the body, what the detail begins with or holds, whether an event names the order)
INVALID = {
    "not JSON": (b"no JSON at all", "", False),
    "empty": (b"", "", False),
    "not an object": (b"[1, 2]", "", False),
    "cut off": (raw(lambda text: text[:-20]), "", None),
    "not UTF-8": (b'{"order_number": "\xff\xfe"}', "", None),
    "no schema": (raw(schema=...), "schema", True),
    "another schema": (raw(schema="fulfillment.order/9"), "schema", True),
    "no action": (raw(action=...), "action", True),
    "an unknown action": (raw(action="dance"), "action", True),
    "no order number": (raw(order_number=...), "order_number", False),
    "order number a number": (raw(order_number=17), "order_number", False),
    "no lines": (raw(lines=...), "lines", True),
    "an empty list of lines": (raw(lines=[]), "lines", True),
    "lines no list": (raw(lines={"id": 1}), "lines", True),
    "a line without an id": (raw(lines=line(id=...)), "lines[0].id", True),
    "a line without a product class": (raw(lines=line(product_class=...)), "lines[0].product_class", True),
    "a line id twice": (raw(lines=line() + line()), "lines[1].id", True),
    "a course key that is a number": (raw(lines=line(attributes={"course_key": 7})),
                                      "lines[0].attributes.course_key: expected a string", True),
    "a quantity that is a text": (raw(lines=line(quantity="1")), "lines[0].quantity", True),
    "a user that is a text": (raw(user="honor"), "user", True),
    "a date that is none": (raw(date_placed="yesterday"), "date_placed", True),
    "a refund without its number": (raw(action="refund", total="1.00"), "refund_number", True),
    "duplicate keys": (raw(lambda text: text.replace('"action"', '"action": "fulfill", "action"', 1)), "action: ", None),
    "too deep": (raw(extra=json.loads("[" * 500 + "]" * 500)), "extra[0]", None),
    "over a MiB": (raw(extra="x" * (1024 * 1024)), "", None),
}


@pytest.mark.parametrize("row", INVALID)
def test_an_invalid_message_goes_to_dead_unchanged(stack, row):
    body, detail, has_event = INVALID[row]
    message_id = stack.client.publish(body, headers={"custom": "kept"}, correlation_id="c-1", type="order",
                                      app_id="shop", timestamp=1767323045, expiration="600000")
    dead = stack.client.wait_dead_message(message_id)
    assert dead.body == body
    kept = dead.properties
    assert (kept.correlation_id, kept.type, kept.app_id, kept.timestamp, kept.expiration) == (
        "c-1", "order", "shop", 1767323045, None)
    assert dead.properties.content_type == "application/json"
    assert dead.headers["custom"] == "kept"
    assert dead.own_headers["reason"] == "invalid_message"
    assert dead.own_headers["detail"].startswith(detail) and dead.own_headers["detail"]
    if has_event is None:
        return
    number = str(json.loads(body).get("order_number")) if has_event else None
    if has_event:
        event = stack.client.wait_event(number, "invalid")
        assert event.data["status"] is None and event.data["lines"] == [] and event.data["final"] is False
    else:
        stack.client.collect()
        assert all(event.outcome != "invalid" or event.data["order_number"] for event in stack.client.events)


def test_the_worker_goes_on_after_an_invalid_message(stack):
    stack.client.publish(b"\x00")
    assert stack.run(messages.order()).data["status"] == "Complete"


def test_a_message_just_under_a_mib_is_fine(stack):
    order = messages.order(padding="")
    order["padding"] = "x" * (1024 * 1024 - len(json.dumps(order)))
    assert len(json.dumps(order)) == 1024 * 1024
    assert stack.run(order).data["status"] == "Complete"


def test_a_message_without_an_id_gets_the_same_one_each_time(stack):
    order = messages.order(messages.seat(course="course-v1:edX+Missing+2026"))
    channel = stack.client.channel
    channel.basic_publish(stack.client.name("orders"), "order.fulfill", json.dumps(order))
    stack.client.wait_event(order["order_number"], "dead")
    dead = [m for m in stack.client.peek("dead") if m.body == json.dumps(order).encode()]
    assert len(dead) == 1 and dead[0].properties.message_id


def test_a_mistyped_routing_key_ends_in_unrouted(stack):
    before = stack.client.depth("unrouted")
    stack.client.publish(messages.order(), routing_key="oder.fulfill")
    stack.client.wait_depth("unrouted", before + 1)


# the program

def test_every_queue_is_a_durable_quorum_queue(stack):
    names = ["orders", "unrouted", "solo", "dead", "events"] + [f"retry.{level:02}" for level in range(18)]
    for name in names:
        queue = stack.broker.queue(stack.client.name(name))
        assert queue, f"{name} is missing"
        assert queue["durable"] and queue["type"] == "quorum", name
        assert "x-delivery-limit" not in queue["arguments"], name
        if "x-dead-letter-exchange" in queue["arguments"]:
            assert queue["arguments"]["x-dead-letter-strategy"] == "at-least-once", name
            assert queue["arguments"]["x-overflow"] == "reject-publish", name
    assert stack.broker.queue(stack.client.name("solo"))["arguments"]["x-single-active-consumer"] is True


def test_health_readiness_and_metrics_are_served(stack):
    assert stack.daemon.healthz()[0] == 200
    assert stack.daemon.readyz()[0] == 200
    assert stack.daemon.metrics()
    assert stack.daemon.get("/nowhere")[0] == 404


def test_the_log_is_json_and_holds_no_secret_nor_learner(stack):
    order = messages.order()
    stack.run(order)
    text = stack.daemon.log_text()
    for hidden in (API_KEY, order["user"]["username"], order["user"]["email"], "guest:guest"):
        assert hidden not in text
    assert all(line.startswith("{") and json.loads(line) for line in text.splitlines())


def test_sigterm_finishes_what_is_in_flight(daemon, client, lms):
    order = messages.order()
    lms.script({"delay_ms": 1000})
    client.publish(order)
    wait_until(lambda: lms.stats()["in_flight"], "the order to be at the LMS")
    assert daemon.stop() == 0
    assert client.wait_event(order["order_number"]).outcome == "complete"
    assert client.depth("orders") == 0
    assert len(lms.ledger()) == 1


@pytest.mark.config({"worker": {"drain_timeout": "1s"}, "lms": {"timeout": "20s"}})
def test_sigterm_hands_back_what_does_not_finish_in_time(daemon, client, lms):
    order = messages.order()
    lms.script({"never": True})
    client.publish(order)
    wait_until(lambda: lms.stats()["in_flight"], "the order to be at the LMS")
    assert daemon.stop() == 0
    client.wait_depth("orders", 1)
    daemon.start()
    assert client.wait_event(order["order_number"], "complete").data["status"] == "Complete"
    assert lms.enrollment(order["user"]["username"])["is_active"]


def test_sigint_drains_too(daemon):
    daemon.signal(signal.SIGINT)
    assert daemon.wait() == 0


@pytest.mark.config({"worker": {"drain_timeout": "60s"}, "lms": {"timeout": "50s"}})
def test_a_second_sigterm_exits_at_once(daemon, client, lms):
    lms.script({"never": True})
    client.publish(messages.order())
    wait_until(lambda: lms.stats()["in_flight"], "the order to be at the LMS")
    daemon.terminate()
    wait_until(lambda: daemon.readyz()[0] != 200, "fulfilld to stop taking work")
    daemon.terminate()
    daemon.wait(deadline_s=15)
    client.wait_depth("orders", 1)


def test_sighup_with_a_bad_file_changes_nothing(daemon, client):
    good = daemon.config_path.read_text()
    workers = daemon.worker_pids()
    daemon.config_path.write_text(good + "\n[worker]\nconcurency = 5\n")
    daemon.reload()
    daemon.wait_log("concurency")
    assert daemon.returncode is None
    assert daemon.worker_pids() == workers
    order = messages.order()
    client.publish(order)
    assert client.wait_event(order["order_number"]).outcome == "complete"


def test_sighup_with_a_good_file_rolls_the_workers(daemon, client):
    workers = set(daemon.worker_pids())
    daemon.configure({"worker": {"concurrency": 7}})
    daemon.reload()
    wait_until(lambda: daemon.worker_pids() and workers.isdisjoint(daemon.worker_pids()), "the workers to be new")
    daemon.wait_ready()
    order = messages.order()
    client.publish(order)
    assert client.wait_event(order["order_number"]).outcome == "complete"


def test_a_dead_worker_is_replaced(daemon, client):
    (worker,) = daemon.worker_pids()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: daemon.worker_pids() not in ([], [worker]), "a new worker")
    order = messages.order()
    client.publish(order)
    assert client.wait_event(order["order_number"]).outcome == "complete"


def test_two_processes_share_the_work_and_double_nothing(make_daemon, broker, redis, lms, prefix, client):
    make_daemon(broker, redis, lms, prefix, {"worker": {"processes": 2}}).start()
    orders = [messages.order() for _ in range(200)]
    for order in orders:
        client.publish(order)
    for order in orders:
        assert client.wait_event(order["order_number"]).outcome == "complete"
    assert len(lms.ledger()) == 200
    assert lms.stats()["repeated_enrolls"] == 0 and lms.stats()["overlaps"] == 0


def test_an_access_token_is_fetched_once_for_all(make_daemon, broker, redis, lms, prefix, client):
    make_daemon(broker, redis, lms, prefix).use_token(lms).start()
    orders = [messages.order() for _ in range(20)]
    for order in orders:
        client.publish(order)
    for order in orders:
        assert client.wait_event(order["order_number"]).outcome == "complete"
    assert len(lms.ledger(kind="token")) == 1
    for request in lms.ledger(kind="enrollment.post"):
        assert request["headers"]["authorization"] == "jwt"
        assert "x-edx-api-key" not in request["headers"]


def test_an_expired_token_is_refreshed_once_and_costs_no_attempt(make_daemon, broker, redis, lms, prefix, client):
    make_daemon(broker, redis, lms, prefix).use_token(lms, keep_api_key=True).start()
    first, second = messages.order(), messages.order()
    client.publish(first)
    client.wait_event(first["order_number"], "complete")
    lms.expire_tokens()
    client.publish(second)
    assert client.wait_event(second["order_number"]).data["attempt"] == 1
    assert [r["status"] for r in lms.ledger(user=second["user"]["username"])] == [401, 200]
    assert len(lms.ledger(kind="token")) == 2


@pytest.mark.parametrize("section, key, value", [
    ("worker", "concurency", "5"), ("wroker", "concurrency", "5"), ("worker", "concurrency", "many"),
    ("retry", "first_delay", "5 parsecs"), ("worker", "concurrency", "1000001")])
def test_a_wrong_setting_is_named_with_its_line(make_daemon, broker, redis, lms, section, key, value):
    daemon = make_daemon(broker, redis, lms, config={section: {key: value}})
    lines = daemon.config_path.read_text().splitlines()
    culprit = f"[{section}]" if section == "wroker" else f"{key} = {value}"
    number = next(i for i, text in enumerate(lines, 1) if text == culprit)
    done = daemon.command("run")
    assert done.returncode == 2
    named = section if section == "wroker" else key
    assert f"{daemon.config_path}:{number}:" in done.stderr and named in done.stderr


def test_the_environment_overrides_the_file(make_daemon, broker, redis, lms):
    daemon = make_daemon(broker, redis, lms)
    done = daemon.command("run", env={"FULFILLD_WORKER_CONCURRENCY": "many"})
    assert done.returncode == 2 and "concurrency" in done.stderr.lower()
