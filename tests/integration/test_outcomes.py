"""Every row of the table of outcomes (worker/outcomes.def, docs/failures.md), shown on the real program.

Each case names its row. All orders of a stack are published first and then looked at one by one. A case says what the
LMS answers to the first requests, what the first event says, and every request that is sent until the order is done.
"""

import pytest

from harness import messages
from harness.daemon import Daemon
from harness.stack import Stack
from harness.wait import wait_until

POST, GET = "enrollment.post", "enrollment.get"
CREATE, LIST, END = "entitlement.post", "entitlement.get", "entitlement.delete"
SERVER, NETWORK, TIMEOUT, CONFIGURATION = "Server Error", "Network Error", "Timeout Error", "Configuration Error"
RETRYING, DEAD, COMPLETE = "retrying", "dead", "complete"

E12 = "An error occurred while creating the new course enrollment for user 'u' in course 'c'"
UNIQUE = {"non_field_errors": ["The fields course_uuid, order_number must make a unique set."]}


def says(status, words, **more):
    return {"status": status, "body": {"message": words}, **more}


# Rows of seats. steps, outcome of the first event, word for the line, reason, all requests.
SEATS = {
    "ENR_DONE": ([], COMPLETE, None, None, [POST]),
    "ENR_DIFFERENT": ([{"status": 200, "body": {"mode": "audit", "is_active": True}}], DEAD, SERVER, "bad_response",
                      [POST]),
    "ENR_GARBLED": ([{"status": 200, "body": "<html>log in</html>"}], RETRYING, NETWORK, "bad_response",
                    [POST, GET, POST]),
    "ENR_2XX": ([{"status": 201, "body": {}}], RETRYING, SERVER, "bad_response", [POST, POST]),
    "ENR_E1": ([says(400, "Course ID must be specified to create a new enrollment.")], DEAD, SERVER, "bad_request",
               [POST]),
    "ENR_E2": ([says(400, "No course 'c' found for enrollment")], DEAD, SERVER, "course_unavailable", [POST]),
    "ENR_E3": ([{"status": 404, "body": ""}], DEAD, CONFIGURATION, "credentials", [POST]),
    "ENR_E4": ([says(403, "User does not have permission to create enrollment with mode [verified].")], DEAD,
               CONFIGURATION, "credentials", [POST]),
    "ENR_E5": ([says(406, "The user u does not exist.")], RETRYING, SERVER, "user_unknown", [POST, POST]),
    "ENR_E6": ([says(403, "Users from this location cannot access the course 'c'.")], DEAD, SERVER, "forbidden", [POST]),
    "ENR_E7": ([says(400, "'1' is an invalid enrollment activation status.")], DEAD, SERVER, "bad_request", [POST]),
    "ENR_E8": ([says(400, "'1' is an invalid force enrollment status.")], DEAD, SERVER, "bad_request", [POST]),
    "ENR_E10": ([says(400, "Missing enrollment attributes: requested mode=credit required attributes=[]")], DEAD, SERVER,
                "bad_request", [POST]),
    "ENR_E11": ([says(400, "The [verified] course mode is expired or otherwise unavailable for course run [c].")], DEAD,
                SERVER, "mode_unavailable", [POST]),
    "ENR_E12": ([says(400, E12)], RETRYING, SERVER, "enrollment_rejected", [POST, GET, POST]),
    "ENR_E13": ([says(400, "'namespace' not in enrollment attribute")], DEAD, SERVER, "bad_request", [POST]),
    "ENR_E14": ([says(403, "not for you")], DEAD, SERVER, "forbidden", [POST]),
    "ENR_E15": ([says(400, "An error occured while adding to cohort [c]")], DEAD, SERVER, "enrollment_rejected",
                [POST, GET]),
    "NET_NO_ANSWER": ([{"close": True}], RETRYING, NETWORK, "network", [POST, GET, POST]),
    "NET_TIMEOUT": ([{"never": True}], RETRYING, TIMEOUT, "timeout", [POST, GET, POST]),
    "NET_TRUNCATED": ([{"status": 200, "body": "{\"mode\": \"verified\"}", "truncate": 5}], RETRYING, NETWORK, "network",
                      [POST, GET, POST]),
    "NET_TOO_BIG": ([{"status": 200, "big": 2_000_000}], RETRYING, SERVER, "bad_response", [POST, GET, POST]),
    "NET_INVALID": ([{"garbage": True}], RETRYING, SERVER, "bad_response", [POST, GET, POST]),
    "ANY_3XX": ([{"redirect": "http://127.0.0.1:1/"}], DEAD, CONFIGURATION, "redirect", [POST]),
    "ANY_408": ([{"status": 408}], RETRYING, TIMEOUT, "timeout", [POST, GET, POST]),
    "ANY_409": ([{"status": 409}], RETRYING, SERVER, "conflict", [POST, POST]),
    "ANY_425": ([{"status": 425}], RETRYING, SERVER, "server_error", [POST, GET, POST]),
    "ANY_4XX": ([{"status": 422}], DEAD, SERVER, "bad_request", [POST]),
    "ANY_5XX": ([{"status": 502}], RETRYING, SERVER, "server_error", [POST, POST]),
    "ANY_STATUS": ([{"garbage": "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n"}], RETRYING, SERVER, "bad_response", [POST, GET, POST]),
    # The look-up after a lost answer.
    "ENR_LOOK_GARBLED": ([{"close": True}, {"status": 200, "body": "<html>"}], RETRYING, NETWORK, "network",
                         [POST, GET, GET, POST]),
    "ENR_LOOK_400": ([{"close": True}, says(400, "no")], RETRYING, NETWORK, "network", [POST, GET, GET, POST]),
    "ENR_LOOK_2XX": ([{"close": True}, {"status": 206}], RETRYING, NETWORK, "network", [POST, GET, GET, POST]),
    "ENR_LOOK_403": ([{"close": True}, {"status": 403}], RETRYING, NETWORK, "network", [POST, GET]),
}

# Revocations of a seat that is there: after the POST that enrolled it.
REVOCATIONS = {
    "ENR_REVOKED": ([], COMPLETE, None, [POST]),
    "ENR_E9": ([says(400, "Enrollment mode mismatch: active mode=audit, requested mode=verified. Won't deactivate.")],
               COMPLETE, None, [POST]),
    "ENR_REVOKE_E12": ([says(400, E12)], RETRYING, "enrollment_rejected", [POST, GET, POST]),
    "ENR_REVOKE_403": ([{"status": 403}], RETRYING, "credentials", [POST, POST]),
    "ENR_REVOKE_E5": ([{"status": 406}], RETRYING, "user_unknown", [POST, POST]),
    "REVOKE_3XX": ([{"redirect": "http://127.0.0.1:1/"}], RETRYING, "redirect", [POST, POST]),
    "REVOKE_4XX": ([{"status": 422}], RETRYING, "bad_request", [POST, POST]),
}

ENTITLEMENTS = {
    "ENT_DONE": ([], COMPLETE, None, None, [CREATE]),
    "ENT_NO_UUID": ([{"status": 201, "body": {}}], RETRYING, SERVER, "bad_response", [CREATE, LIST, CREATE]),
    "ENT_UNIQUE": ([{"status": 400, "body": UNIQUE}], DEAD, SERVER, "conflict", [CREATE, LIST]),
    "ENT_USER": ([{"status": 400, "body": {"user": ["Object with username=u does not exist."]}}], RETRYING, SERVER,
                 "user_unknown", [CREATE, CREATE]),
    "ENT_403": ([{"status": 403}], DEAD, CONFIGURATION, "credentials", [CREATE]),
    "ENT_408": ([{"status": 408}], RETRYING, SERVER, "timeout", [CREATE, LIST, CREATE]),
    "ANY_404": ([{"status": 404}], DEAD, CONFIGURATION, "bad_request", [CREATE]),
    "ENT_LOOK_GARBLED": ([{"close": True}, {"status": 200, "body": {}}], RETRYING, NETWORK, "network",
                         [CREATE, LIST, LIST, CREATE]),
    "ENT_LOOK_2XX": ([{"close": True}, {"status": 206}], RETRYING, NETWORK, "network", [CREATE, LIST, LIST, CREATE]),
    "ENT_LOOK_403": ([{"close": True}, {"status": 403}], RETRYING, NETWORK, "network", [CREATE, LIST]),
}

ENTITLEMENT_REVOCATIONS = {
    "ENT_REVOKED": ([], COMPLETE, None, [END]),
    "ENT_GONE": ([{"status": 404}], COMPLETE, None, [END]),
    "ENT_REVOKE_403": ([{"status": 403}], RETRYING, "credentials", [END, END]),
}

# What is asked of nobody: lines that lack something.
UNASKED = {
    "NO_MODULE": (messages.seat(product_class="Hoodie"), "no_module"),
    "NO_ATTRIBUTE": (messages.seat(attributes={}), "missing_attribute"),
    "NO_QUANTITY": (messages.seat(quantity=0), "missing_attribute"),
    "NO_USER": (messages.seat(), "no_user"),
}

WEBHOOKS = {
    "WEB_DONE": ({"status": 204}, COMPLETE, None, None, 1),
    "WEB_RETRY": ({"status": 418}, RETRYING, SERVER, "server_error", 2),
    "WEB_FINAL": ({"status": 409}, DEAD, SERVER, "bad_request", 1),
    "ANY_403": ({"status": 403}, DEAD, CONFIGURATION, "forbidden", 1),
    "WEB_NO_POLL": ({"status": 202, "body": {}}, RETRYING, SERVER, "bad_response", 2),
}

# No row opens the breaker here; rows that pause the pool have a daemon each, below.
MATRIX_CONFIG = {"breaker": {"failures": "1000"}, "lms": {"timeout": "1s"}, "worker": {"line_concurrency": "8"},
                "modules": {"Licence": "licence"},
                "upstream vendor": {"base_url": "%LMS%", "timeout": "2s"},
                "module licence": {"type": "webhook", "upstream": "vendor", "path": "/hook/licence", "poll": "yes",
                                   "retry_statuses": "418", "final_statuses": "409"}}


def start_stack(directory, broker, redis, config, use_token=False, keep_api_key=False):
    """A stack whose configuration may name its LMS: %LMS% over HTTP, %HTTPS% where no TLS is spoken."""
    stack = Stack(directory, broker, redis)
    stack.lms.start()
    names = {"%LMS%": stack.lms.base_url, "%HTTPS%": stack.lms.base_url.replace("http:", "https:")}
    config = {section: {key: names.get(value, value) for key, value in keys.items()}
              for section, keys in config.items()}
    stack.daemon = Daemon(directory / "daemon", broker, redis, stack.lms, stack.prefix, config)
    if use_token:
        stack.daemon.use_token(stack.lms, keep_api_key)
    stack.daemon.start()
    return stack


@pytest.fixture
def make_stack(tmp_path, broker, redis):
    made = []

    def make(config, use_token=False):
        made.append(start_stack(tmp_path / f"stack{len(made)}", broker, redis, config, use_token))
        return made[-1]

    yield make
    for stack in made:
        stack.destroy()


@pytest.fixture(scope="module")
def matrix(tmp_path_factory, broker, redis):
    """A stack on which all cases have been published, and the order of each."""
    stack = start_stack(tmp_path_factory.mktemp("matrix"), broker, redis, MATRIX_CONFIG, True, True)
    try:
        yield stack, publish_all(stack)
    finally:
        stack.destroy()


def publish_all(stack):
    orders = {}

    def publish(row, order, steps):
        user = (order.get("user") or {}).get("username")
        if steps:
            stack.lms.script(*steps, user=user)
        orders[row] = order
        stack.client.publish(order)

    for row, case in SEATS.items():
        publish(row, messages.order(), case[0])
    for row, case in ENTITLEMENTS.items():
        publish(row, messages.order(messages.entitlement()), case[0])
    for row, (line, _) in UNASKED.items():
        order = messages.order(line)
        if row == "NO_USER":
            order["user"] = None
        publish(row, order, [])
    for row, case in WEBHOOKS.items():
        order = messages.order(messages.seat(product_class="Licence"))
        stack.lms.script(case[0], order=order["order_number"])
        publish(row, order, [])
    for cases, line in ((REVOCATIONS, messages.seat), (ENTITLEMENT_REVOCATIONS, messages.entitlement)):
        bought = {row: messages.order(line()) for row in cases}
        for order in bought.values():
            stack.client.publish(order)
        for row, order in bought.items():
            done = stack.client.wait_event(order["order_number"], "complete")
            results = {done.line["id"]: done.line["result"]} if done.line["result"] else None
            publish(row, messages.refund(order, results=results), cases[row][0])
    return orders


def first_event(stack, order):
    """The first event of an order, of a refund its own."""
    def found():
        return [event for event in stack.client.events_of(order["order_number"])
                if event.data["refund_number"] == order.get("refund_number")]
    return wait_until(found, f"an event of {order['order_number']}")[0]


def kinds_of(stack, order, expected):
    """The requests of an order, once as many as expected are over."""
    return [entry["kind"] for entry in
            stack.lms.wait_requests(len(expected), user=order["user"]["username"])]


def assert_line(event, outcome, word, reason, refund=False):
    line = event.line
    assert event.outcome == outcome
    if outcome == COMPLETE:
        assert (line["status"], line["reason"]) == ("Complete", None)
    else:
        assert line["status"] == ("Revocation Error" if refund else f"Fulfillment {word}")
        assert line["reason"]["code"] == reason


@pytest.mark.parametrize("row", SEATS)
def test_outcome_of_a_seat(matrix, row):
    stack, orders = matrix
    _, outcome, word, reason, requests = SEATS[row]
    event = first_event(stack, orders[row])
    assert_line(event, outcome, word, reason)
    assert event.data["attempt"] == 1
    assert kinds_of(stack, orders[row], requests) == requests


@pytest.mark.parametrize("row", ENTITLEMENTS)
def test_outcome_of_an_entitlement(matrix, row):
    stack, orders = matrix
    _, outcome, word, reason, requests = ENTITLEMENTS[row]
    event = first_event(stack, orders[row])
    assert_line(event, outcome, word, reason)
    if outcome == COMPLETE:
        assert event.line["result"]["uuid"]
    assert kinds_of(stack, orders[row], requests) == requests


@pytest.mark.parametrize("row", [*REVOCATIONS, *ENTITLEMENT_REVOCATIONS])
def test_outcome_of_a_revocation(matrix, row):
    stack, orders = matrix
    seat = row in REVOCATIONS
    _, outcome, reason, requests = (REVOCATIONS if seat else ENTITLEMENT_REVOCATIONS)[row]
    assert_line(first_event(stack, orders[row]), outcome, None, reason, refund=True)
    requests = [POST if seat else CREATE, *requests]
    assert kinds_of(stack, orders[row], requests) == requests


@pytest.mark.parametrize("row", UNASKED)
def test_what_is_missing_is_asked_of_nobody(matrix, row):
    stack, orders = matrix
    assert_line(first_event(stack, orders[row]), DEAD, CONFIGURATION, UNASKED[row][1])
    assert stack.lms.ledger(order=orders[row]["order_number"]) == []


@pytest.mark.parametrize("row", WEBHOOKS)
def test_outcome_of_a_webhook(matrix, row):
    stack, orders = matrix
    _, outcome, word, reason, count = WEBHOOKS[row]
    assert_line(first_event(stack, orders[row]), outcome, word, reason)
    requests = stack.lms.wait_requests(count, order=orders[row]["order_number"])
    assert len(requests) == count
    assert len({request["headers"]["idempotency-key"] for request in requests}) == 1


# ---- rows that concern the whole upstream: one program each ----

AWAY = {
    "NET_CONNECT": ({"base_url": "http://127.0.0.1:1"}, NETWORK, "network"),
    "NET_NAME": ({"base_url": "http://no-such-host.invalid"}, NETWORK, "network"),
    "NET_TLS": ({"base_url": "%HTTPS%"}, NETWORK, "network"),
}


@pytest.mark.parametrize("row", AWAY)
def test_outcome_of_an_lms_that_is_away(make_stack, row):
    keys, word, reason = AWAY[row]
    stack = make_stack({"lms": keys, "retry": {"first_delay": "60s", "max_delay": "60s"}})
    order = messages.order()
    assert_line(stack.run(order, RETRYING), RETRYING, word, reason)


def test_no_credentials_are_final(make_stack):
    """Row NO_CREDENTIALS."""
    stack = make_stack({"lms": {"api_key_file": None}})
    order = messages.order()
    assert_line(stack.run(order, DEAD), DEAD, CONFIGURATION, "credentials")
    assert stack.lms.ledger() == []


def test_a_private_address_that_is_forbidden_is_final(make_stack):
    """Row FORBIDDEN_ADDRESS."""
    stack = make_stack({"lms": {"forbid_private_addresses": "yes"}})
    assert_line(stack.run(messages.order(), DEAD), DEAD, CONFIGURATION, "forbidden")
    assert stack.lms.ledger() == []


PAUSES = {
    "ANY_401": ({"status": 401, "body": {"detail": "no"}}, POST, False, CONFIGURATION, "credentials"),
    "ANY_429": ({"status": 429, "headers": {"Retry-After": "1"}}, POST, False, SERVER, "throttled"),
    "ANY_503_AFTER": ({"status": 503, "headers": {"Retry-After": "1"}}, POST, False, SERVER, "server_error"),
    "TOKEN_REFUSED": ({"status": 401, "body": {"error": "invalid_client"}}, "token", True, CONFIGURATION, "credentials"),
    "TOKEN_THROTTLED": ({"status": 429, "headers": {"Retry-After": "1"}}, "token", True, SERVER, "throttled"),
    "TOKEN_503": ({"status": 503, "headers": {"Retry-After": "1"}}, "token", True, SERVER, "server_error"),
}


@pytest.mark.parametrize("row", PAUSES)
def test_what_pauses_the_pool_costs_no_attempt(make_stack, row):
    step, kind, use_token, word, reason = PAUSES[row]
    stack = make_stack({"breaker": {"open_for": "1s"}}, use_token=use_token)
    stack.lms.script(step, kind=kind)
    order = messages.order()
    stack.client.publish(order)
    event = stack.client.wait_event(order["order_number"], COMPLETE)
    assert event.data["attempt"] == 1
    first = first_event(stack, order)
    assert_line(first, RETRYING, word, reason)
    assert first.data["attempt"] == 0


TOKENS = {
    "TOKEN_STATUS": ({"status": 500}, SERVER, "server_error"),
    "TOKEN_AWAY": ({"close": True}, NETWORK, "network"),
}


@pytest.mark.parametrize("row", TOKENS)
def test_a_token_endpoint_that_fails_is_tried_again(make_stack, row):
    step, word, reason = TOKENS[row]
    stack = make_stack({}, use_token=True)
    stack.lms.script(step, kind="token")
    order = messages.order()
    stack.client.publish(order)
    assert_line(first_event(stack, order), RETRYING, word, reason)
    assert stack.client.wait_event(order["order_number"], COMPLETE).data["attempt"] == 2
    assert [entry["kind"] for entry in stack.lms.ledger(kind=POST)] == [POST]
