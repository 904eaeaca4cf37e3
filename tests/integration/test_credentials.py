"""Credentials that do not work: nothing is asked in vain, no order dies of it, and the operator reads what to mend."""

import pytest

from harness import messages
from harness.lms import API_KEY, CLIENT_SECRET
from harness.wait import wait_until
from harness.words import events_words, requests_words

BREAKER = {"failures": 5, "open_for": "1s", "max_open_for": "1s"}
RETRY = {"first_delay": "1s", "max_delay": "1s", "max_attempts": 2}
CONFIG = {"breaker": BREAKER, "retry": RETRY}


def publish(client, count, *lines):
    orders = [messages.order(*lines) for _ in range(count)]
    for order in orders:
        client.publish(order)
    return orders


def wait_readyz(daemon, *words):
    """Waits until /readyz holds all of these words; it stays 200, for fulfilld itself is well."""
    def found():
        status, text = daemon.readyz()
        assert status == 200, text
        missing = [word for word in words if word not in text]
        assert not missing, text
        return text
    return wait_until(found, f"/readyz to say {words}")


def assert_unspent(client, orders):
    """Every order complete at its first attempt, whatever it went through."""
    client.wait_all(orders)
    numbers = {order["order_number"] for order in orders}
    complete = [event for event in client.events if event.outcome == "complete" and event.data["order_number"] in numbers]
    assert [event.data["attempt"] for event in complete] == [1] * len(orders)
    assert client.depth("dead") == 0


def test_a_401_with_a_fresh_token_pauses_all_and_says_what_to_mend(make_daemon, broker, redis, lms, prefix, client):
    daemon = make_daemon(broker, redis, lms, prefix, CONFIG).use_token(lms).start()
    lms.script({"status": 401, "body": {"detail": "Error decoding token."}, "times": "forever"}, kind="enrollment.post")
    (first,) = publish(client, 1)
    event = client.wait_event(first["order_number"])
    assert events_words([event]) == ["retrying 0: Configuration Error, credentials, 401"]
    # Once more with a fresh token, and then no more: that was enough to open it.
    assert len(lms.ledger(kind="token")) == 2
    assert requests_words(lms.ledger(kind="enrollment.post"))[:2] == ["POST 401", "POST 401"]
    wait_readyz(daemon, "401", "mend the credentials")
    line = daemon.wait_log("mend the credentials")
    assert "401" in line and '"level":"warning"' in line
    assert '"reason":"credentials"' in daemon.wait_log("order.retrying")

    orders = publish(client, 30)
    lms.wait_requests(6, kind="enrollment.post")
    lms.clear_script()
    assert_unspent(client, [first, *orders])
    wait_readyz(daemon, "lms: closed")
    # Probes, each with a token of its own that was refused; not thirty orders.
    assert len([entry for entry in lms.ledger(kind="enrollment.post") if entry["status"] == 401]) < 20


def test_a_refused_client_pauses_all_and_a_reload_with_the_right_secret_goes_on(
        make_daemon, broker, redis, lms, prefix, client):
    daemon = make_daemon(broker, redis, lms, prefix, CONFIG).use_token(lms)
    right = daemon.secret("client_secret", "wrong")
    daemon.start()
    orders = publish(client, 30)
    events = [client.wait_event(orders[0]["order_number"])]
    assert events_words(events) == ["retrying 0: Configuration Error, credentials, 401"]
    wait_readyz(daemon, "oauth_client_secret_file")
    daemon.wait_log("oauth_client_secret_file")
    assert lms.ledger(kind="enrollment.post") == []

    daemon.secret(right.name, CLIENT_SECRET)
    daemon.reload()
    assert_unspent(client, orders)
    assert "wrong" not in daemon.log_text() and CLIENT_SECRET not in daemon.log_text()


@pytest.mark.config(CONFIG)
def test_a_wrong_api_key_pauses_all_and_a_reload_with_the_right_one_goes_on(daemon, client, lms):
    daemon.secret("api_key", "wrong-key")
    daemon.reload()
    workers = daemon.worker_pids()
    wait_until(lambda: daemon.worker_pids() and set(daemon.worker_pids()).isdisjoint(workers), "new workers")
    daemon.wait_ready()
    orders = publish(client, 20)
    wait_readyz(daemon, "401", "mend the credentials")
    daemon.secret("api_key", API_KEY)
    daemon.reload()
    assert_unspent(client, orders)
    assert "wrong-key" not in daemon.log_text()


@pytest.mark.config({**CONFIG, "breaker": {"failures": 5, "open_for": "60s"}})
def test_a_403_or_404_that_means_the_credentials_is_final_and_opens_the_breaker_after_some(daemon, client, lms):
    lms.script({"status": 404, "body": "", "times": "forever"}, kind="enrollment.post")
    orders = []
    for _ in range(5):
        orders += publish(client, 1)
        event = client.wait_event(orders[-1]["order_number"])
        assert events_words([event]) == ["dead 1: Configuration Error, credentials, 404"]
    wait_readyz(daemon, "open until", "404")
    # The rest are spared: they wait until somebody has mended it.
    client.wait_paused()
    publish(client, 20)
    client.wait_depth("orders", 20)
    assert client.depth("dead") == 5 and len(lms.ledger()) == 5


def test_an_api_key_that_works_is_not_helped_by_a_token_that_does_not(make_daemon, broker, redis, lms, prefix, client):
    """The LMS looks at the token first: a bad one beside a good key is refused as well."""
    daemon = make_daemon(broker, redis, lms, prefix, CONFIG).use_token(lms, keep_api_key=True)
    daemon.start()
    assert_unspent(client, publish(client, 3))
    lms.expire_tokens()
    orders = publish(client, 20)
    assert_unspent(client, orders)
    # One refresh for all of them, however many were refused with the old one.
    assert len(lms.ledger(kind="token")) == 2
    assert all(len(lms.ledger(user=order["user"]["username"])) <= 2 for order in orders)


def test_a_token_is_renewed_before_it_ends(make_daemon, broker, redis, lms, prefix, client):
    lms.configure(tokens={"ttl_s": 7})
    make_daemon(broker, redis, lms, prefix, CONFIG).use_token(lms).start()
    assert_unspent(client, publish(client, 1))
    fetched = wait_until(lambda: assert_second_token(client, lms), "a second token", deadline_s=30, pause_s=0.3)
    assert fetched and all(entry["status"] == 200 for entry in lms.ledger(kind="enrollment.post"))


def assert_second_token(client, lms):
    """One more order; true when a second token has been fetched for it. It is kept until 5 s before its end."""
    assert_unspent(client, publish(client, 1))
    return len(lms.ledger(kind="token")) >= 2


def test_a_rate_limited_token_endpoint_is_no_refusal(make_daemon, broker, redis, lms, prefix, client):
    lms.configure(tokens={"rate_limited": True})
    make_daemon(broker, redis, lms, prefix, {**CONFIG, "retry": {**RETRY, "max_attempts": 40}}).use_token(lms).start()
    (order,) = publish(client, 1)
    event = client.wait_event(order["order_number"])
    assert events_words([event]) == ["retrying 1: Server Error, server_error, 403"]
    lms.configure(tokens={"rate_limited": False})
    client.wait_event(order["order_number"], "complete")
    assert len(lms.ledger(user=order["user"]["username"])) == 1
