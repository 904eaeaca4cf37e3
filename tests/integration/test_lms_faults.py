"""The stand-in LMS misbehaves exactly as told, and its ledger tells what happened."""

import json
import os
import socket
import subprocess

import pytest

from harness import lms as lms_module
from harness import raw
from harness.lms import DEMO
from harness.wait import wait_until

ENROLLMENT = "/api/enrollment/v1/enrollment"
KEY = f"X-Edx-Api-Key: {lms_module.API_KEY}"


def enrol(user="honor", order="EDX-1", *headers):
    document = {"user": user, "mode": "verified", "is_active": True, "course_details": {"course_id": DEMO},
                "enrollment_attributes": [{"namespace": "order", "name": "order_number", "value": order}]}
    return raw.post(ENROLLMENT, json.dumps(document).encode(), KEY, *headers)


def last_call(user="honor", order="EDX-1"):
    return enrol(user, order, "Connection: close")


def head_and_body(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body


def test_a_status_with_body_and_headers_then_the_real_answer(lms):
    lms.script({"status": 503, "body": "<h1>Busy</h1>", "headers": {"Retry-After": "7"}}, kind="enrollment.post")
    answer, _ = raw.exchange(lms.port, last_call())
    head, body = head_and_body(answer)
    assert head.startswith("HTTP/1.1 503 ") and "Retry-After: 7" in head and body == b"<h1>Busy</h1>"
    assert lms.enrollment("honor") is None
    assert raw.exchange(lms.port, last_call())[0].startswith(b"HTTP/1.1 200 ")


def test_steps_are_used_up_one_by_one_and_as_often_as_said(lms):
    lms.script({"status": 500, "times": 2}, {"status": 429}, {"pass": True}, {"status": 400, "times": "forever"})
    statuses = [int(raw.exchange(lms.port, last_call())[0][9:12]) for _ in range(6)]
    assert statuses == [500, 500, 429, 200, 400, 400]


@pytest.mark.parametrize("match", [
    {"order": "EDX-7"}, {"user": "seven"}, {"method": "POST", "user": "seven"}, {"path": "/api/enroll", "order": "EDX-7"},
    {"kind": "enrollment.post", "course": DEMO, "user": "seven"}])
def test_a_rule_answers_only_what_it_matches(lms, match):
    lms.script({"status": 500, "times": "forever"}, **match)
    assert raw.exchange(lms.port, last_call("honor", "EDX-1"))[0].startswith(b"HTTP/1.1 200")
    assert raw.exchange(lms.port, last_call("seven", "EDX-7"))[0].startswith(b"HTTP/1.1 500")


def test_apply_does_the_effect_although_the_answer_is_lost(lms):
    lms.script({"close": True, "apply": True}, user="lost")
    lms.script({"close": True}, user="never")
    assert raw.exchange(lms.port, enrol("lost")) == (b"", "closed")
    assert raw.exchange(lms.port, enrol("never")) == (b"", "closed")
    assert lms.enrollment("lost")["is_active"]
    assert lms.enrollment("never") is None
    assert [(e["applied"], e["status"], e["fault"]) for e in lms.ledger()] == \
        [(True, None, "close"), (False, None, "close")]


def test_reset_before_any_byte(lms):
    lms.script({"reset": True})
    assert raw.exchange(lms.port, enrol()) == (b"", "reset")


def test_never_leaves_the_connection_open_and_ends_with_the_client(lms):
    lms.script({"never": True})
    assert raw.exchange(lms.port, enrol(), timeout_s=0.3) == (b"", "silence")
    (entry,) = lms.wait_requests(1)
    assert (entry["fault"], entry["status"], entry["answered"]) == ("never", None, False)


def test_truncate_promises_more_than_it_sends(lms):
    lms.script({"truncate": 10, "apply": True}, {"truncate": 0}, {"truncate": 7, "status": 200, "body": "0123456789"})
    for arrives in (10, 0, 7):
        answer, ended = raw.exchange(lms.port, enrol())
        head, body = head_and_body(answer)
        promised = int(head.split("Content-Length: ")[1].split("\r\n")[0])
        assert ended == "closed" and len(body) == arrives < promised
    assert lms.enrollment("honor")["is_active"]


def test_garbage_is_no_http(lms):
    lms.script({"garbage": True}, {"garbage": "SSH-2.0-OpenSSH\r\n"})
    assert not raw.exchange(lms.port, enrol())[0].startswith(b"HTTP")
    assert raw.exchange(lms.port, enrol())[0] == b"SSH-2.0-OpenSSH\r\n"


def test_big_sends_a_body_of_that_length(lms):
    lms.script({"big": 2_000_000})
    answer, _ = raw.exchange(lms.port, last_call())
    head, body = head_and_body(answer)
    assert len(body) == 2_000_000 and "Content-Length: 2000000" in head
    assert set(json.loads(body)["message"]) == {"x"}


def test_redirect(lms):
    lms.script({"redirect": "http://127.0.0.1:1/elsewhere"}, {"redirect": "/x", "status": 307})
    assert b"302 Found\r\n" in raw.exchange(lms.port, last_call())[0]
    assert b"HTTP/1.1 307 " in raw.exchange(lms.port, last_call())[0]


def test_a_delay_keeps_the_real_answer_and_its_effect_at_once(lms):
    lms.script({"delay_ms": 300})
    with socket.create_connection(("127.0.0.1", lms.port), timeout=5) as link:
        link.sendall(last_call())
        wait_until(lambda: lms.enrollment("honor"), "the effect")
        assert lms.stats()["in_flight"] == 1
        assert link.recv(15) == b"HTTP/1.1 200 OK"


def test_dribble_sends_byte_by_byte_and_all_of_it(lms):
    lms.script({"dribble": 1, "status": 200, "body": "{}"})
    answer, ended = raw.exchange(lms.port, last_call())
    assert ended == "closed" and head_and_body(answer)[1] == b"{}"


def test_hangup_gives_the_whole_answer_and_closes_unannounced(lms):
    lms.script({"hangup": True})
    answer, ended = raw.exchange(lms.port, enrol())
    head, body = head_and_body(answer)
    assert ended == "closed" and json.loads(body)["user"] == "honor" and "close" not in head.lower()


def test_an_outage_answers_everything_until_it_is_over(lms):
    lms.outage(status=503, headers={"Retry-After": "1"})
    assert raw.exchange(lms.port, last_call())[0].startswith(b"HTTP/1.1 503")
    assert lms.request("GET", "/oauth2/access_token")[0] == 503
    lms.recover()
    assert raw.exchange(lms.port, last_call())[0].startswith(b"HTTP/1.1 200")


def test_latency_is_added_to_every_answer_but_not_to_the_admin_interface(lms):
    lms.latency(100)
    raw.exchange(lms.port, last_call())
    (entry,) = lms.ledger()
    assert entry["finished_us"] - entry["arrived_us"] > 90_000  # the loop's clock is rounded to milliseconds
    assert entry["fault"] == "delay"


def test_a_misspelt_fault_is_refused(lms):
    for wrong in ({"steps": [{"neverr": True}]}, {"steps": []}, {"match": {"usr": "a"}, "steps": [{}]},
                  {"steps": [{"status": 42}]}):
        assert lms.request("POST", "/_lms/script", wrong)[0] == 400
    assert lms.request("POST", "/_lms/config", {"open_course": True})[0] == 400
    assert lms.admin("GET", "script")["rules"] == []


def test_pipelined_requests_are_answered_in_their_order(lms):
    lms.script({"delay_ms": 100}, user="first")
    calls = [enrol("first"), raw.get(f"{ENROLLMENT}/first,{DEMO.replace('+', '%2B')}", KEY), last_call("third")]
    answer, _ = raw.exchange(lms.port, b"".join(calls))
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert [answer.index(b'"user": "first"'), answer.rindex(b'"user": "first"'), answer.index(b'"user": "third"')] == \
        sorted([answer.index(b'"user": "first"'), answer.rindex(b'"user": "first"'), answer.index(b'"user": "third"')])
    assert len({entry["connection"] for entry in lms.ledger()}) == 1
    assert [entry["connection_request"] for entry in lms.ledger()] == [1, 2, 3]


def test_the_ledger_tells_a_request_apart(lms):
    raw.exchange(lms.port, enrol("honor", "EDX-1", "traceparent: 00-a-b-01", "X-Forwarded-For: 203.0.113.7",
                                 "X-Edx-Ga-Client-Id: G1", "Authorization: JWT x.y.z", "Connection: close"))
    (entry,) = lms.ledger(order="EDX-1")
    assert entry["headers"]["x-edx-api-key"] == "good" and entry["headers"]["authorization"] == "jwt"
    assert entry["headers"]["traceparent"] == "00-a-b-01" and entry["headers"]["x-edx-ga-client-id"] == "G1"
    assert (entry["user"], entry["course"], entry["mode"], entry["is_active"]) == ("honor", DEMO, "verified", True)
    assert entry["attributes"] == [{"namespace": "order", "name": "order_number", "value": "EDX-1"}]
    assert json.loads(entry["body"])["user"] == "honor"
    assert (entry["status"], entry["kind"]) == (401, "enrollment.post")
    assert lms_module.API_KEY not in json.dumps(entry)


def test_overlapping_requests_of_one_line_are_seen(lms):
    lms.script({"delay_ms": 2000})
    with socket.create_connection(("127.0.0.1", lms.port)) as first:
        first.sendall(enrol())
        wait_until(lambda: lms.stats()["in_flight"] == 1, "the first to be in flight")
        raw.exchange(lms.port, last_call())
    assert lms.ledger()[1]["overlap_line"] == 1
    assert lms.stats()["overlaps"] == 1


def test_the_ledger_is_bounded_and_can_be_read_from_a_point(make_lms):
    server = make_lms(arguments=["--ledger", "5"])
    for number in range(8):
        raw.exchange(server.port, last_call(order=f"EDX-{number}"))
    assert [entry["seq"] for entry in server.ledger()] == [4, 5, 6, 7, 8]
    assert [entry["order_number"] for entry in server.ledger(since=6)] == ["EDX-6", "EDX-7"]
    assert server.stats()["requests"] == 8


def test_reset_forgets_everything(lms):
    raw.exchange(lms.port, last_call())
    lms.script({"status": 500})
    lms.reset()
    assert lms.ledger() == [] and lms.state()["enrollments"] == [] and lms.stats()["requests"] == 0
    assert raw.exchange(lms.port, last_call())[0].startswith(b"HTTP/1.1 200")


def test_a_hook_takes_anything_and_records_it(lms):
    status, _, text = lms.request("POST", "/hook/shipping", {"order_number": "EDX-9"}, {"Idempotency-Key": "k1"})
    assert (status, text) == (200, b"{}")
    (entry,) = lms.ledger(path="/hook/shipping")
    assert (entry["order_number"], entry["headers"]["idempotency-key"]) == ("EDX-9", "k1")


def test_a_seed_file_adds_to_the_default(make_lms):
    server = make_lms(seed={"courses": [{"id": "course-v1:A+B+C", "modes": ["audit"]}],
                            "users": [{"username": "gone", "exists": False}]})
    assert server.state()["courses"] == 8
    assert raw.exchange(server.port, last_call("gone"))[0].startswith(b"HTTP/1.1 406")
    assert server.stop() == 0


@pytest.mark.parametrize("arguments, sentence", [
    ([], "--listen is missing"), (["--listen", "x"], "--listen wants HOST:PORT"), (["--what"], "not known"),
    (["--listen", "127.0.0.1:0", "--seed", "/nonexistent"], "seed file cannot be read")])
def test_a_wrong_command_line_is_explained(arguments, sentence, lms):
    done = subprocess.run([os.environ.get("FULFILLD_LMS_BIN", "fulfill-lms"), *arguments],
                          capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and sentence in done.stderr
