"""Promises of the contract that no other file holds it to: hostile headers, odd addresses, what an event may say."""

import json
import os
import subprocess
import urllib.parse

import pytest

from harness import messages
from harness.daemon import fulfilld_bin
from harness.lms import API_KEY, CLIENT_SECRET

FAR = 2 ** 63 - 1


def configure_stack(daemon, lms):
    daemon.configure({"log": {"level": "debug"}, "breaker": {"failures": 100000}, "redis": {"keep": "1h"},
                      "modules": {"Donation": "", "Gift Card": "none"}})
    daemon.use_token(lms, keep_api_key=True)


def missing_course():
    return messages.order(messages.seat(course=f"course-v1:edX+{messages.unique('Missing')}+2026"))


def keys_of(stack, order):
    return stack.redis.keys(f"{stack.prefix}:{{{order['order_number']}}}")


# headers are anybody's

@pytest.mark.parametrize("value", ["x\r\nX-Evil: yes", "", 5, "ü" * 50, "x" * 300])
def test_a_traceparent_that_is_none_costs_no_order(stack, value):
    order = messages.order()
    stack.client.publish(order, headers={"traceparent": value})
    event = stack.client.wait_event(order["order_number"])
    (request,) = stack.requests_of(order)
    assert (event.outcome, event.data["attempt"]) == ("complete", 1)
    assert "traceparent" not in event.json
    assert "traceparent" not in request["headers"] and "x-evil" not in request["headers"]


@pytest.mark.parametrize("headers", [
    {"x-fulfillment-attempts": -5}, {"x-fulfillment-attempts": [1, 2]}, {"x-fulfillment-generation": "zzz"},
    {"x-fulfillment-first": FAR}, {"x-fulfillment-due": FAR}, {"x-fulfillment-due": "soon"},
    {"x-fulfillment-lines": "[" * 5000}, {"x-fulfillment-lines": '[{"id":11}]'}, {"x-fulfillment-lines": [1, {"a": 1}]}],
    ids=str)
def test_a_header_of_nonsense_changes_nothing(stack, headers):
    order = messages.order()
    stack.client.publish(order, headers=headers)
    event = stack.client.wait_event(order["order_number"])
    assert (event.outcome, event.data["generation"], event.data["attempt"]) == ("complete", 1, 1)
    assert [request["method"] for request in stack.requests_of(order)][-1] == "POST"


def test_a_copy_takes_foreign_headers_along_and_the_brokers_own_not(stack):
    order = missing_course()
    deep = {"a": 1}
    for _ in range(100):
        deep = {"n": deep}
    message_id = stack.client.publish(
        order, expiration="60000",
        headers={"deep": deep, "x-first-death-queue": "q", "x-death": [{"queue": "q", "reason": "expired", "count": 1}]})
    stack.client.wait_event(order["order_number"], "dead")
    dead = stack.client.wait_dead_message(message_id)
    assert dead.headers["deep"] == deep
    assert not {"x-death", "x-first-death-queue"} & set(dead.headers)
    assert dead.properties.expiration is None


def test_what_a_message_is_never_depends_on_its_key(stack):
    order = messages.order()
    stack.run(order)
    stack.client.publish(messages.refund(order), routing_key="order.fulfill")
    event = stack.client.wait_event(order["order_number"], "complete", count=2)
    assert (event.routing_key, event.data["action"]) == ("order.refund.complete", "refund")


# bodies

def test_a_body_is_carried_byte_for_byte(stack):
    order = missing_course()
    body = json.dumps(order, indent=3).replace("{", '{ "x" :1.0000000000000000000001, "y":"\\u00e9\\/",', 1).encode()
    stack.lms.script({"status": 500}, user=order["user"]["username"])
    message_id = stack.client.publish(body)
    stack.client.wait_event(order["order_number"], "dead")
    assert stack.client.wait_dead_message(message_id).body == body
    assert [e.outcome for e in stack.client.events_of(order["order_number"])] == ["retrying", "dead"]


@pytest.mark.parametrize("change, key", [
    ({"action": "refund", "refund_number": "R-1", "total": 7}, "order.refund.invalid"),
    ({"action": "resubmit", "refund_number": "R-1", "total": 7}, "order.refund.invalid"),
    ({"action": "resubmit", "lines": []}, "order.fulfill.invalid"),
    ({"action": "dance.#"}, "order.fulfill.invalid"),
    ({"action": 5}, "order.fulfill.invalid")], ids=str)
def test_the_event_of_an_invalid_message_names_its_action(stack, change, key):
    order = {**messages.order(), **change}
    stack.client.publish(order)
    event = stack.client.wait_event(order["order_number"])
    assert (event.routing_key, event.data["action"]) == (key, key.split(".")[1])
    assert (event.data["status"], event.data["lines"]) == (None, [])
    assert keys_of(stack, order) == [], "what is known of the order is not touched"


# numbers and ids

@pytest.mark.parametrize("number", ["N" * 128, "é" * 64, "{EDX}", "{}", "}{", "ordér/☃ 1"])
def test_any_order_number_has_its_own_keys_and_a_short_event_id(stack, number):
    order = messages.order(number=number)
    event = stack.run(order)
    assert event.json["subject"] == number
    assert len(event.id.encode()) <= 255
    refund = messages.refund(order, number="R" * 128)
    stack.client.publish(refund)
    revoked = stack.client.wait_event(number, "complete", count=2)
    assert revoked.data["refund_number"] == "R" * 128 and len(revoked.id.encode()) <= 255
    assert stack.daemon.command("order", number).returncode == 0


def test_shipments_of_one_order_share_its_status_and_its_sequence(stack):
    number, user = messages.unique("PART"), messages.unique("learner")
    course = f"course-v1:edX+{messages.unique('Later')}+2026"
    parts = [messages.order(line, number=number, user=user) for line in (
        messages.seat(1), messages.seat(2, course=course), messages.seat(3, product_class="Gift Card"))]
    for count, part in enumerate(parts, 1):
        stack.client.publish(part)
        stack.client.wait_event(number, count=count)
    stack.lms.configure(courses=[{"id": course, "modes": ["verified"]}])
    stack.client.publish(messages.resubmit(parts[1]))
    last = stack.client.wait_event(number, "complete", count=3)

    events = stack.client.events_of(number)
    assert [(e.outcome, e.data["status"], [line["id"] for line in e.data["lines"]]) for e in events] == [
        ("complete", "Complete", [1]), ("dead", "Fulfillment Error", [2]), ("complete", "Fulfillment Error", [3]),
        ("requeued", "Fulfillment Error", [2]), ("complete", "Complete", [2])]
    assert (last.data["generation"], last.data["action"]) == (2, "fulfill")
    sequences = [e.data["sequence"] for e in events]
    assert sequences == sorted(set(sequences)) and len({e.id for e in events}) == len(events)


# what is kept, and how long

def test_only_a_finished_order_expires(stack):
    done, waiting, dead = messages.order(), messages.order(), missing_course()
    stack.lms.script({"status": 500, "times": "forever"}, user=waiting["user"]["username"])
    stack.run(done)
    stack.run(waiting, "retrying")
    stack.run(dead, "dead")
    redis = stack.redis.client()
    assert all(0 < redis.pttl(key) <= 3600 * 1000 for key in keys_of(stack, done)) and keys_of(stack, done)
    for order in (waiting, dead):
        assert [redis.pttl(key) for key in keys_of(stack, order)] == [-1, -1]


# learners and secrets

def test_words_of_the_lms_go_into_the_event_and_never_into_the_log(stack):
    order = messages.order(user=messages.unique("secretlearner"))
    user = order["user"]["username"]
    stack.lms.script({"status": 400, "body": {"message": f"{user} may not, says {API_KEY}"}}, user=user)
    reason = stack.run(order, "dead").line["reason"]["message"]
    assert user in reason and API_KEY not in reason
    odd = {**messages.order(user="secretlearner-2"), "action": "secretlearner-3", "date_placed": "secretlearner-4"}
    stack.run(odd, "invalid")
    log = stack.daemon.log_text()
    for hidden in ("secretlearner", "@example.com", API_KEY, CLIENT_SECRET, "guest:guest", "203.0.113.7"):
        assert hidden not in log
    assert "secretlearner" not in stack.daemon.get("/metrics")[1] + stack.daemon.readyz()[1]


# configuration

def test_a_default_module_can_be_taken_away(stack):
    event = stack.run(messages.order(messages.seat(1, product_class="Donation")), "dead")
    assert (event.line["status"], event.line["reason"]["code"]) == ("Fulfillment Configuration Error", "no_module")


@pytest.mark.parametrize("section, key, value", [
    ("redis", "uri", "redis://127.0.0.1:1/x"), ("redis", "uri", "redis+unix://relative"),
    ("amqp", "uris", "amqp://u:s3cret@127.0.0.1:0/"), ("amqp", "uris", "amqp://u:s3cret@h/%2"),
    ("lms", "base_url", "https://u:s3cret@lms.example.org")])
def test_a_bad_address_is_told_with_its_place_and_without_its_password(make_daemon, broker, redis, lms, section, key, value):
    daemon = make_daemon(broker, redis, lms, config={section: {key: value}})
    number = daemon.config_path.read_text().splitlines().index(f"{key} = {value}") + 1
    for command in ("run", "check", "topology"):
        done = daemon.command(command)
        said = done.stdout + done.stderr
        assert done.returncode == 2
        assert f"{daemon.config_path}:{number}: {section}.{key}" in said
        assert "s3cret" not in said


def test_odd_names_and_passwords_and_a_node_that_is_away(make_daemon, broker, redis, lms, prefix, start_client):
    name, password = "my/vhöst %1", "p@ss/w:rd%ü"
    vhost, login = urllib.parse.quote(name, safe=""), "fw:" + urllib.parse.quote(password, safe="")
    broker.api("PUT", f"/vhosts/{vhost}")
    broker.api("PUT", "/users/fw", {"password": password, "tags": "management"})
    broker.api("PUT", f"/permissions/{vhost}/fw", {"configure": ".*", "write": ".*", "read": ".*"})
    redis.client().execute_command("ACL", "SETUSER", "fw", "on", ">pä ss%word", "~*", "&*", "+@all")
    daemon = make_daemon(broker, redis, lms, prefix, {
        "amqp": {"uris": f"amqp://{login}@127.0.0.1:1/{vhost},\n    amqp://{login}@127.0.0.1:{broker.port}/{vhost}",
                 "management_uri": f"http://127.0.0.1:{broker.management_port}"},
        "redis": {"uri": f"redis+unix://{redis.socket_path}?db=3", "username": "fw"}})
    daemon.configure({"redis": {"password_file": daemon.secret("redis_password", "pä ss%word")}})
    try:
        daemon.start()
        checked = daemon.command("check")
        assert checked.returncode == 0, checked.stdout
        for hidden in ("p@ss", "p%40ss", "ss%word"):
            assert hidden not in daemon.log_text() + checked.stdout
        assert daemon.stop() == 0
    finally:
        broker.api("DELETE", f"/vhosts/{vhost}")
        broker.api("DELETE", "/users/fw")
        redis.client().execute_command("ACL", "DELUSER", "fw")


def test_output_that_cannot_be_written_is_a_failure():
    for command in (["print-config"], ["print-metrics"], ["--version"]):
        with open(os.devnull.replace("null", "full"), "w") as full:
            assert subprocess.run([fulfilld_bin(), *command], stdout=full, stderr=subprocess.DEVNULL).returncode == 1
