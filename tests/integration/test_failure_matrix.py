"""Every row of worker/outcomes.def, shown on the real servers: which requests went out and no others, which
events came, what lies in the dead queue, how many attempts were spent.

All rows run at the same time in one fulfilld; a test then looks at its own order. Rows that stop a whole upstream
(refused credentials, Retry-After) have an upstream of their own, a webhook at the stand-in's /hook/.

Texts say what is expected, so that a failure reads as a difference:
  a request   "POST 503", or what became of its answer: "POST never"
  an event    "retrying 1: Server Error, server_error, 503", "complete 2"; the number is attempts spent
"""

import dataclasses
import os
import pathlib
import re
import socket
import struct
import subprocess
import threading

import pytest

from harness import messages
from harness.wait import wait_until
from harness.words import event_words, request_words

TABLE = pathlib.Path(__file__).parents[2] / "worker" / "outcomes.def"
INCLUDE = pathlib.Path(__file__).parents[2] / "include"

MAX_ATTEMPTS, DOUBTFUL = 3, 2
CLOSE = {"close": True}
PROBLEM = {"message": "the LMS' words"}
MISSING = "course-v1:edX+Missing+2026"


def course(name):
    return f"course-v1:edX+{name}X+2026"


def says(words, status=400):
    return {"status": status, "body": {"message": words}}


@dataclasses.dataclass
class Row:
    """What the LMS answers, and what must follow. Steps are those of tests/lms/README.md."""
    events: list
    requests: list
    post: list = ()                 # scripted answers to what is written, in turn; then the real one
    get: list = ()                  # to what is looked up
    delete: list = ()
    line: dict = None               # default: a verified seat
    refund: bool = False            # fulfilled first; then this is about its refund
    upstream: dict = None           # keys of an upstream of its own; the line goes through a webhook to it
    module: dict = None             # keys of the webhook's section
    entitlement: bool = False
    order: dict = dataclasses.field(default_factory=dict)


def seat(post, events, requests, **more):
    return Row(events, requests, post=post, **more)


def final(code, status, http, **more):
    return [f"dead 1: {status}, {code}, {http}"]


def retried(code, status, http):
    return [f"retrying 1: {status}, {code}, {http}", "complete 2"]


def waited(code, status, http):
    return [f"retrying 0: {status}, {code}, {http}", "complete 1"]


def few(code, status, http):
    return [f"retrying 1: {status}, {code}, {http}", f"dead {DOUBTFUL}: {status}, {code}, {http}"]


def all_attempts(code, status, http):
    return [f"retrying {n}: {status}, {code}, {http}" for n in range(1, MAX_ATTEMPTS)] + \
        [f"dead {MAX_ATTEMPTS}: {status}, {code}, {http}"]


def lost(step, fault, code, status, http=None):
    """An answer to a POST of a seat that was lost before anything was done: look, then once more."""
    return Row(retried(code, status, http), [f"POST {fault}", "GET 200", "POST 200"], post=[step])


def refusal(step, code, status="Server Error", line=None):
    return Row(final(code, status, step["status"]), [f"POST {step['status']}"], post=[step], line=line)


def revocation(step, code):
    return Row(retried(code, "Revocation Error", step["status"]), [f"POST {step['status']}", "POST 200"],
               post=[step], refund=True)


def look(step, code, status, events=None, requests=None):
    """The POST is lost, the look-up gets this answer."""
    http = step["status"]
    return Row(events or ["retrying 1: Network Error, network, None", f"retrying 2: {status}, {code}, {http}",
                          "complete 3"],
               requests or ["POST close", f"GET {http}", "GET 200", "POST 200"], post=[CLOSE], get=[step])


def hook(events, requests, post=(), get=(), upstream=None, module=None, **more):
    return Row(events, requests, post=post, get=get, upstream=upstream or {}, module=module or {}, **more)


def token(step, events):
    """The token endpoint (a hook as well) answers this once, then gives a token."""
    good = {"status": 200, "body": {"access_token": "abc", "token_type": "JWT", "expires_in": 3600},
            "times": "forever"}
    return hook(events, [f"POST {step['status']}", "POST 200", "POST 200"], post=[step, good],
                upstream={"oauth_token_url": "{lms}/hook/{row}-token"})


ROWS = {
    # enrollment: fulfilment
    "ENR_DIFFERENT": Row(final("bad_response", "Server Error", 200), ["POST 200"],
                         post=[{"status": 200, "body": {"mode": "audit", "is_active": True}}]),
    "ENR_GARBLED": Row(retried("bad_response", "Network Error", 200), ["POST 200", "GET 200", "POST 200"],
                       post=[{"status": 200, "body": "<h1>Welcome</h1>"}]),
    "ENR_DONE": Row(["complete 1"], ["POST 200"]),
    "ENR_2XX": Row(retried("bad_response", "Server Error", 202), ["POST 202", "POST 200"], post=[{"status": 202}]),
    "ENR_E1": refusal(says("Course ID must be specified to create a new enrollment."), "bad_request"),
    "ENR_E2": Row(final("course_unavailable", "Server Error", 400), ["POST 400"], line=messages.seat(course=MISSING)),
    "ENR_E7": refusal(says("'1' is an invalid enrollment activation status."), "bad_request"),
    "ENR_E8": refusal(says("'1' is an invalid force enrollment status."), "bad_request"),
    "ENR_E10": refusal(says("Missing enrollment attributes: requested mode=credit required "
                            "attributes=['credit:provider_id']"), "bad_request"),
    "ENR_E11": Row(final("mode_unavailable", "Server Error", 400), ["POST 400"],
                   line=messages.seat(course=course("Expired"))),
    "ENR_E12": Row(few("enrollment_rejected", "Server Error", 400), ["POST 400", "GET 200", "POST 400", "GET 200"],
                   line=messages.seat(course=course("Closed"))),
    "ENR_E13": refusal(says("'namespace' not in enrollment attribute"), "bad_request"),
    "ENR_E15": Row(final("enrollment_rejected", "Server Error", 400), ["POST 400", "GET 200"],
                   post=[says("An error occured while adding to cohort [blue]")]),
    "ENR_E4": refusal(says("User does not have permission to create enrollment with mode [verified].", 403),
                      "credentials", "Configuration Error"),
    "ENR_E6": Row(final("forbidden", "Server Error", 403), ["POST 403"], line=messages.seat(course=course("Embargo"))),
    "ENR_E14": Row(final("forbidden", "Server Error", 403), ["POST 403"], line=messages.seat(course=course("Veto"))),
    "ENR_E3": refusal({"status": 404, "body": ""}, "credentials", "Configuration Error"),
    "ENR_E5": Row(few("user_unknown", "Server Error", 406), ["POST 406", "POST 406"], order={"user": "ghost"}),

    # enrollment: revocation
    "ENR_REVOKED": Row(["complete 1"], ["POST 200"], refund=True),
    "ENR_REVOKE_2XX": revocation({"status": 202}, "bad_response"),
    "ENR_E9": Row(["complete 1"], ["POST 400"], refund=True, post=[says(
        "Enrollment mode mismatch: active mode=audit, requested mode=verified. Won't deactivate.")]),
    "ENR_REVOKE_E12": Row(retried("enrollment_rejected", "Revocation Error", 400), ["POST 400", "GET 200", "POST 200"],
                          refund=True, post=[says("An error occurred while creating the new course enrollment for "
                                                  "user 'x' in course 'y'")]),
    "ENR_REVOKE_E2": revocation(says("No course 'c' found for enrollment"), "course_unavailable"),
    "ENR_REVOKE_E11": revocation(says("The [verified] course mode is expired or otherwise unavailable for course run "
                                      "[c]."), "mode_unavailable"),
    "ENR_REVOKE_E15": Row(retried("enrollment_rejected", "Revocation Error", 400), ["POST 400", "GET 200", "POST 200"],
                          refund=True, post=[says("An error occured while adding to cohort [c]")]),
    "ENR_REVOKE_E4": revocation(says("User does not have permission to create enrollment with mode [verified].", 403),
                                "credentials"),
    "ENR_REVOKE_403": revocation(says("Users from this location cannot access the course 'c'.", 403), "forbidden"),
    "ENR_REVOKE_E3": revocation({"status": 404, "body": ""}, "credentials"),
    "ENR_REVOKE_E5": revocation({"status": 406, "body": PROBLEM}, "user_unknown"),
    "REVOKE_3XX": revocation({"status": 302, "headers": {"Location": "/elsewhere"}}, "redirect"),
    "REVOKE_4XX": revocation({"status": 415, "body": PROBLEM}, "bad_request"),

    # enrollment: looking before repeating
    "ENR_LOOK_GARBLED": look({"status": 200, "body": "[nonsense"}, "bad_response", "Network Error"),
    "ENR_LOOK_2XX": look({"status": 204}, "bad_response", "Server Error"),
    "ENR_LOOK_400": look({"status": 400, "body": PROBLEM}, "bad_request", "Server Error"),
    "ENR_LOOK_403": look({"status": 403, "body": PROBLEM}, "credentials", "Configuration Error",
                         ["retrying 1: Network Error, network, None", "dead 2: Configuration Error, credentials, 403"],
                         ["POST close", "GET 403"]),

    # entitlement
    "ENT_DONE": Row(["complete 1"], ["POST 201"], entitlement=True),
    "ENT_NO_UUID": Row(retried("bad_response", "Server Error", 201), ["POST 201", "GET 200", "POST 201"],
                       entitlement=True, post=[{"status": 201, "body": {"user": "x"}}]),
    "ENT_UNIQUE": Row(final("conflict", "Server Error", 400), ["POST 400", "GET 200"], entitlement=True,
                      post=[{"status": 400, "body": {"non_field_errors": [
                          "The fields course_uuid, order_number must make a unique set."]}}]),
    "ENT_USER": Row(few("user_unknown", "Server Error", 400), ["POST 400", "POST 400"], entitlement=True, post=[
        {"status": 400, "times": 2, "body": {"user": ["Object with username=x does not exist."]}}]),
    "ENT_403": Row(final("credentials", "Configuration Error", 403), ["POST 403"], entitlement=True,
                   post=[{"status": 403, "body": {"detail": "You do not have permission to perform this action."}}]),
    "ENT_408": Row(retried("timeout", "Server Error", 408), ["POST 408", "GET 200", "POST 201"], entitlement=True,
                   post=[{"status": 408}]),
    "ENT_REVOKED": Row(["complete 1"], ["DELETE 204"], entitlement=True, refund=True),
    "ENT_REVOKED_200": Row(["complete 1"], ["DELETE 200"], entitlement=True, refund=True, delete=[{"status": 200}]),
    "ENT_REVOKE_2XX": Row(retried("bad_response", "Revocation Error", 202), ["DELETE 202", "DELETE 204"],
                          entitlement=True, refund=True, delete=[{"status": 202}]),
    "ENT_GONE": Row(["complete 1"], ["DELETE 404"], entitlement=True, refund=True, delete=[{"status": 404}]),
    "ENT_REVOKE_403": Row(retried("credentials", "Revocation Error", 403), ["DELETE 403", "DELETE 204"],
                          entitlement=True, refund=True, delete=[{"status": 403, "body": PROBLEM}]),
    "ENT_LOOK_GARBLED": Row(["retrying 1: Network Error, network, None",
                             "retrying 2: Server Error, bad_response, 200", "complete 3"],
                            ["POST close", "GET 200", "GET 200", "POST 201"], entitlement=True, post=[CLOSE],
                            get=[{"status": 200, "body": "<h1>Welcome</h1>"}]),
    "ENT_LOOK_2XX": Row(["retrying 1: Network Error, network, None", "retrying 2: Server Error, bad_response, 204",
                         "complete 3"],
                        ["POST close", "GET 204", "GET 200", "POST 201"], entitlement=True, post=[CLOSE],
                        get=[{"status": 204}]),
    "ENT_LOOK_403": Row(["retrying 1: Network Error, network, None", "dead 2: Configuration Error, credentials, 403"],
                        ["POST close", "GET 403"], entitlement=True, post=[CLOSE],
                        get=[{"status": 403, "body": PROBLEM}]),

    # webhook
    "WEB_DONE": hook(["complete 1"], ["POST 409"], [{"status": 409}], module={"done_statuses": "200, 409"}),
    "WEB_RETRY": hook(retried("server_error", "Server Error", 404), ["POST 404", "POST 200"], [{"status": 404}],
                      module={"retry_statuses": "404"}),
    "WEB_FINAL": hook(final("bad_request", "Server Error", 500), ["POST 500"], [{"status": 500}],
                      module={"final_statuses": "500"}),
    "WEB_NO_POLL": hook(retried("bad_response", "Server Error", 202), ["POST 202", "POST 200"],
                        [{"status": 202, "body": {"poll": "nowhere"}}], module={"poll": "yes"}),
    "WEB_CONFIG": hook(final("module_error", "Configuration Error", None), [], module={"header_file.X-Bad": "{two_lines}"}),

    # before anything is asked
    "NO_MODULE": Row(final("no_module", "Configuration Error", None), [],
                     line=messages.seat(product_class="Hoodie")),
    "UNSUPPORTED": hook(final("no_module", "Configuration Error", None), [],
                        module={"type": "odd", "does": "refuse"}),
    "NO_USER": Row(final("no_user", "Configuration Error", None), [], order={"user": None}),
    "NO_ATTRIBUTE": Row(final("missing_attribute", "Configuration Error", None), [],
                        line=messages.seat(attributes={"certificate_type": "verified"})),
    "NO_QUANTITY": Row(final("missing_attribute", "Configuration Error", None), [], line=messages.seat(quantity=0)),
    "NO_UPSTREAM": hook(final("credentials", "Configuration Error", None), [], upstream={"base_url": None}),
    "MODULE_NONSENSE": hook(final("module_error", "Configuration Error", None), [],
                            module={"type": "odd", "does": "nonsense"}),

    # the token endpoint: its requests are those of the row
    "TOKEN_THROTTLED": token({"status": 429, "headers": {"Retry-After": "1"}}, waited("throttled", "Server Error", 429)),
    "TOKEN_503": token({"status": 503, "headers": {"Retry-After": "1"}}, waited("server_error", "Server Error", 503)),
    "TOKEN_429": token({"status": 429}, retried("throttled", "Server Error", 429)),
    "TOKEN_STATUS": token({"status": 500}, retried("server_error", "Server Error", 500)),
    "TOKEN_REFUSED": token({"status": 401, "body": {"error": "invalid_client"}},
                           waited("credentials", "Configuration Error", 401)),
    "TOKEN_AWAY": hook(all_attempts("network", "Network Error", None), [],
                       upstream={"oauth_token_url": "http://127.0.0.1:1/token"}),

    # transport
    "NO_CREDENTIALS": hook(final("credentials", "Configuration Error", None), [], module={"type": "entitlement"},
                           entitlement=True),
    "FORBIDDEN_ADDRESS": hook(final("forbidden", "Configuration Error", None), [],
                              upstream={"forbid_private_addresses": "yes"}),
    "NET_NAME": hook(all_attempts("network", "Network Error", None), [],
                     upstream={"base_url": "http://nowhere.invalid"}),
    "NET_CONNECT": hook(all_attempts("network", "Network Error", None), [],
                        upstream={"base_url": "http://127.0.0.1:1"}),
    "NET_TLS": hook(all_attempts("network", "Network Error", None), [], upstream={"base_url": "{lms_as_https}"}),
    "NET_NOT_SENT": hook(all_attempts("network", "Network Error", None), [], upstream={"base_url": "{deaf}"},
                         order={"lines": "large"}),
    "NET_NO_ANSWER": lost({"reset": True}, "reset", "network", "Network Error"),
    "NET_TIMEOUT": lost({"never": True}, "never", "timeout", "Timeout Error"),
    "NET_TRUNCATED": lost({"status": 200, "body": {"mode": "verified", "is_active": True}, "truncate": 5}, "truncate",
                          "network", "Network Error"),
    "NET_TOO_BIG": lost({"status": 200, "big": 2 * 1024 * 1024}, "big", "bad_response", "Server Error"),
    "NET_INVALID": lost({"garbage": True}, "garbage", "bad_response", "Server Error"),

    # HTTP statuses
    "ANY_2XX": hook(retried("bad_response", "Server Error", 206), ["POST 206", "POST 200"], [{"status": 206}],
                    module={"type": "odd", "does": "/hook/any_2xx"}),
    "ANY_3XX": refusal({"status": 301, "headers": {"Location": "/elsewhere"}}, "redirect", "Configuration Error"),
    "ANY_401": hook(waited("credentials", "Configuration Error", 401), ["POST 401", "POST 200"], [{"status": 401}]),
    "ANY_408": Row(retried("timeout", "Timeout Error", 408), ["POST 408", "GET 200", "POST 200"],
                   post=[{"status": 408}]),
    "ANY_409": Row(retried("conflict", "Server Error", 409), ["POST 409", "POST 200"], post=[{"status": 409}]),
    "ANY_425": Row(retried("server_error", "Server Error", 425), ["POST 425", "GET 200", "POST 200"],
                   post=[{"status": 425}]),
    "ANY_429": hook(waited("throttled", "Server Error", 429), ["POST 429", "POST 200"],
                    [{"status": 429, "headers": {"Retry-After": "1"}}]),
    "ANY_403": hook(final("forbidden", "Configuration Error", 403), ["POST 403"], [{"status": 403}]),
    "ANY_404": hook(final("bad_request", "Configuration Error", 404), ["POST 404"], [{"status": 404}]),
    "ANY_4XX": refusal({"status": 422, "body": PROBLEM}, "bad_request"),
    "ANY_503_AFTER": hook(waited("server_error", "Server Error", 503), ["POST 503", "POST 200"],
                          [{"status": 503, "headers": {"Retry-After": "1"}}]),
    "ANY_5XX": Row(retried("server_error", "Server Error", 502), ["POST 502", "POST 200"],
                   post=[{"status": 502, "body": PROBLEM}]),
}

# Rows that no server can bring about in seconds, and the test that shows each instead.
ELSEWHERE = {
    "WEB_PENDING": "asks for two minutes: tests/test_webhook.c",
    "MODULE_TIMEOUT": "waits for two minutes and a half: tests/test_module_host.c",
    "HOST_FAILED": "memory must run out: tests/test_outcomes.c",
    "ANY_STATUS": "the host calls such an answer no HTTP (NET_INVALID); of a module's own making: tests/test_outcomes.c",
}

HOOKS = [name for name, row in ROWS.items() if row.upstream is not None]


# the servers

class Deaf:
    """A server that takes a few bytes of a request and resets the connection."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(8)
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            link.recv(1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def deaf():
    server = Deaf()
    yield server
    server.close()


def configure_stack(daemon, lms):
    daemon.use_token(lms, keep_api_key=True)
    daemon.configure({
        "retry": {"max_delay": "1s", "max_attempts": MAX_ATTEMPTS, "doubtful_attempts": DOUBTFUL},
        # One row's failures must not stop the upstream that it shares with others.
        "breaker": {"failures": 1000000, "open_for": "1s"},
        "lms": {"timeout": "3s"}, "modules": {}})
    plugins = daemon.directory / "plugins"
    plugins.mkdir()
    subprocess.run(["cc", "-shared", "-fPIC", "-I", INCLUDE, pathlib.Path(__file__).parent / "odd_module.c",
                    "-o", plugins / "odd.so"], check=True)
    daemon.configure({"plugins": {"directory": plugins}})
    for name in HOOKS:
        configure_hook(daemon, lms, name, ROWS[name])


def configure_hook(daemon, lms, name, row):
    section = name.lower()
    names = {"lms": lms.base_url, "lms_as_https": lms.base_url.replace("http:", "https:"), "row": section,
             "deaf": os.environ["MATRIX_DEAF"], "two_lines": daemon.secret("two_lines", "a\nb")}
    upstream = {"base_url": "{lms}", "timeout": "3s", **row.upstream}
    if "oauth_token_url" in upstream:
        upstream.update(oauth_client_id="x", oauth_client_secret_file=daemon.secret("hook_secret", "s3cret"))
    upstream, module = ({key: value.format(**names) if isinstance(value, str) else value for key, value in keys.items()}
                        for keys in (upstream, row.module))
    if module.setdefault("type", "webhook") == "webhook":
        module.setdefault("path", f"/hook/{section}")
    daemon.configure({
        f"upstream {section}": upstream,
        f"module {section}": {"upstream": section, **module},
        "modules": {product_class(name): section}})


def product_class(name):
    return f"Product of {name}"


# the orders

class Case:
    """One row's order on its way."""

    def __init__(self, name, row, stack):
        self.name, self.row, self.stack = name, row, stack
        line = row.line or (messages.entitlement() if row.entitlement else messages.seat())
        if row.upstream is not None:
            line = {**line, "product_class": product_class(name)}
        order = messages.order(line)
        fields = dict(row.order)
        if "user" in fields:
            order["user"] = fields["user"] and {"username": fields["user"], "email": None}
        if fields.get("lines") == "large":
            order["lines"][0]["attributes"]["padding"] = "x" * 900_000
        self.order = order
        self.user = order["user"] and order["user"]["username"]
        self.number = order["order_number"]
        self.since = 0

    def script(self):
        """Tells the stand-in what to answer."""
        row, lms = self.row, self.stack.lms
        if row.upstream is not None:
            path = f"/hook/{self.name.lower()}" + ("-token" if "oauth_token_url" in row.upstream else "")
            for method, steps in (("POST", row.post), ("GET", row.get)):
                if steps:
                    lms.script(*steps, path=path, method=method)
            return
        kind = "entitlement" if row.entitlement else "enrollment"
        for method, steps in (("post", row.post), ("get", row.get), ("delete", row.delete)):
            if steps:
                lms.script(*steps, kind=f"{kind}.{method}", **self.whose)

    @property
    def whose(self):
        """Which requests are the row's, as the stand-in can tell them."""
        if self.row.entitlement and self.row.refund:
            (done,) = self.stack.client.events_of(self.number)[:1]
            return {"path": f"/api/entitlements/v1/entitlements/{done.line['result']['uuid']}"}
        return {"user": self.user}

    def publish(self):
        """The message that the row is about; answers nothing."""
        self.since = max([entry["seq"] for entry in self.stack.lms.ledger(**self.whose)] or [0])
        if self.row.refund:
            (done,) = self.stack.client.events_of(self.number)
            self.order = messages.refund(self.order, results={line["id"]: line["result"] for line in done.data["lines"]})
        self.message_id = self.stack.client.publish(self.order)

    def events(self):
        action = "refund" if self.row.refund else "fulfill"
        return [event for event in self.stack.client.events_of(self.number) if event.data["action"] == action]

    def wait_final(self):
        return wait_until(lambda: [event for event in self.events() if event.data["final"]],
                          f"the last event of {self.name}; so far {self.said()}", deadline_s=60)

    def said(self):
        return [event_words(event) for event in self.events()]

    def sent(self):
        """The requests of this row, in order, as texts."""
        lms = self.stack.lms
        if self.row.upstream is not None:
            found = lms.ledger(path=f"/hook/{self.name.lower()}")
            # TOKEN_503 must not see what belongs to TOKEN_503x; the stand-in compares beginnings.
            found = [entry for entry in found if re.fullmatch(rf"/hook/{self.name.lower()}(-token)?", entry["path"])]
            return [request_words(entry) for entry in found]
        own = lms.ledger(since=self.since, **self.whose) if self.user else []
        if self.user == "ghost":
            own = [entry for entry in own if entry["order_number"] == self.number]
        return [request_words(entry) for entry in own]


@pytest.fixture(scope="module")
def deaf_address(deaf):
    os.environ["MATRIX_DEAF"] = deaf.url
    yield
    del os.environ["MATRIX_DEAF"]


@pytest.fixture(scope="module")
def cases(deaf_address, stack):
    """Every row's order, run to its end: {row id: Case}."""
    made = {name: Case(name, row, stack) for name, row in ROWS.items()}
    refunds = [case for case in made.values() if case.row.refund]
    for case in refunds:
        stack.client.publish(case.order)
    for case in refunds:
        assert stack.client.wait_event(case.number).outcome == "complete", case.name
    for case in made.values():
        case.script()
    for case in made.values():
        case.publish()
    for case in made.values():
        case.wait_final()
    return made


@pytest.fixture(scope="module")
def dead(cases, stack):
    """What lies in the dead queue at the end, by message id."""
    count = sum(case.events()[-1].outcome == "dead" for case in cases.values())
    return {message.properties.message_id: message for message in stack.client.wait_dead(count)}


# the tests

@pytest.mark.parametrize("row", ROWS)
def test_row(cases, dead, row):
    case = cases[row]
    assert case.said() == case.row.events
    assert case.sent() == case.row.requests
    last = case.events()[-1]
    expected = "Complete" if last.outcome == "complete" else "Revocation Error" if case.row.refund \
        else "Fulfillment Error"
    assert last.data["status"] == expected
    if last.outcome == "dead":
        copy = dead[case.message_id]
        assert copy.json == case.order
        assert copy.own_headers["reason"] == last.line["reason"]["code"]
        assert copy.own_headers["attempts"] == last.data["attempt"]
        assert copy.own_headers["detail"]
    else:
        assert case.message_id not in dead


def test_nothing_is_left_waiting_and_no_learner_was_enrolled_twice(cases, stack):
    stack.client.wait_settled()
    wait_until(lambda: stack.client.waiting() == 0, "the retry queues to be empty")
    stats = stack.lms.stats()
    assert [stats[name] for name in ("repeated_enrolls", "repeated_revokes", "repeated_entitlements")] == [0, 0, 0]


def test_tls_that_fails_is_told_once(cases, stack):
    lines = [line for line in stack.daemon.log() if line["event"] == "upstream.tls"]
    assert [(line["level"], line["upstream"]) for line in lines] == [("error", "net_tls")]
    assert lines[0]["why"]


def test_an_entitlement_brings_its_uuid(cases):
    for row in ("ENT_DONE", "ENT_NO_UUID", "ENT_408"):
        assert cases[row].events()[-1].line["result"]["uuid"], row


def test_a_revoked_entitlement_that_was_gone_says_so(cases):
    assert cases["ENT_GONE"].events()[-1].line["result"]["already_gone"] is True


def test_a_reason_has_the_words_of_the_upstream_or_of_the_table(cases):
    assert cases["ANY_5XX"].events()[0].line["reason"]["message"] == "the LMS' words"
    assert cases["ENR_E2"].events()[0].line["reason"]["message"] == f"No course '{MISSING}' found for enrollment"
    assert cases["NET_TIMEOUT"].events()[0].line["reason"]["message"] == "no answer in time"


def test_every_row_of_the_table_has_a_test():
    text = re.sub(r"/\*.*?\*/", "", TABLE.read_text(), flags=re.S)
    ids = re.findall(r"^OUTCOME\(\s*\w+,\s*\w+,\s*(\w+),", text, flags=re.M)
    assert len(ids) > 70 and len(set(ids)) == len(ids)
    assert set(ids) == set(ROWS) | set(ELSEWHERE)
    assert not set(ROWS) & set(ELSEWHERE)
