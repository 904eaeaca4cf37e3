"""`fulfilld dead`: looking costs nothing, requeueing loses nothing, whatever happens in between."""

import json
import signal
import subprocess

import pika
import pytest

from harness import messages
from harness.daemon import fulfilld_bin
from harness.wait import stays_true, wait_until

HANDS = 32  # what `dead requeue` has in hand at once


@pytest.fixture
def console(broker, redis, prefix, make_daemon, client):
    """Topology and commands, but no fulfilld that takes what is requeued."""
    daemon = make_daemon(broker, redis, prefix=prefix, config={"lms": {"base_url": "http://127.0.0.1:1"}})
    declared = daemon.command("topology", "--declare")
    assert declared.returncode == 0, declared.stderr
    return daemon


def bury(client, body, reason="bad_request", detail="LMS answered 422", message_id=None, **headers):
    """Puts a message into the dead queue as fulfilld does; answers its id."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    message_id = message_id or messages.unique("m")
    headers = {f"x-fulfillment-{name}": value for name, value in headers.items()}
    if reason:
        headers.update({"x-fulfillment-reason": reason, "x-fulfillment-detail": detail})
    client.channel.basic_publish(client.name("dead"), "", raw, pika.BasicProperties(
        message_id=message_id, content_type="application/json", delivery_mode=2, headers=headers), mandatory=True)
    return message_id


def bury_many(client, count):
    """As many orders, without waiting for each confirm; answers them."""
    orders = [messages.order() for _ in range(count)]
    channel = client.broker.connect().channel()
    for order in orders:
        channel.basic_publish("", client.name("dead"), json.dumps(order).encode(), pika.BasicProperties(
            message_id=order["order_number"], delivery_mode=2,
            headers={"x-fulfillment-reason": "bad_request", "x-fulfillment-generation": 1}))
    client.wait_depth("dead", count)
    channel.connection.close()
    return orders


def numbers(copies):
    return sorted(copy.json["order_number"] for copy in copies)


def listed(console, *args):
    done = console.command("dead", "list", "--json", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# looking

def test_an_empty_queue(console):
    assert listed(console) == []
    done = console.command("dead", "list")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_list_tells_what_is_known(console, client):
    order = messages.order()
    refund = messages.refund(messages.order())
    first = bury(client, order, generation=2, attempts=3)
    bury(client, refund, reason="server_error", detail="Oops!")
    rows = {row["order_number"]: row for row in listed(console)}
    assert rows[order["order_number"]] == {
        "order_number": order["order_number"], "action": "fulfill", "refund_number": None, "reason": "bad_request",
        "detail": "LMS answered 422", "message_id": first, "generation": 2, "attempts": 3}
    row = rows[refund["order_number"]]
    assert (row["action"], row["refund_number"], row["reason"]) == ("refund", refund["refund_number"], "server_error")
    text = console.command("dead", "list").stdout
    assert order["order_number"] in text and "LMS answered 422" in text


def test_looking_leaves_everything_where_it_is(console, client):
    sent = [bury(client, messages.order()) for _ in range(20)]
    for _ in range(3):
        assert len(listed(console)) == 20
    client.wait_depth("dead", 20)
    copies = client.peek("dead")
    assert sorted(copy.properties.message_id for copy in copies) == sorted(sent)
    assert client.depth("orders") == 0


def test_what_cannot_be_read_is_listed_too(console, client):
    bury(client, b"\x00\xff no order \x1b[31m", reason="invalid_message", detail="expected \x1b[31ma string")
    bury(client, b'{"order_number": "EDX-7", "lines": 7}', reason="invalid_message", detail="lines: expected a list")
    bury(client, messages.order(), reason=None)
    rows = listed(console)
    assert {None, "EDX-7"} < {row["order_number"] for row in rows}
    assert [row["reason"] for row in rows].count("invalid_message") == 2
    assert "\x1b" not in console.command("dead", "list").stdout


def test_filters(console, client):
    orders = [messages.order() for _ in range(4)]
    for number, order in enumerate(orders):
        bury(client, order, reason=["bad_request", "user_unknown"][number % 2])
    assert [row["order_number"] for row in listed(console, "--order", orders[2]["order_number"])] == \
        [orders[2]["order_number"]]
    assert {row["order_number"] for row in listed(console, "--reason", "user_unknown")} == \
        {orders[1]["order_number"], orders[3]["order_number"]}
    both = console.command("dead", "list", "--json", "--order", orders[2]["order_number"], "--reason", "user_unknown")
    assert (both.returncode, json.loads(both.stdout)) == (1, [])


# requeueing

def test_a_requeued_message_is_the_same_with_a_reason(console, client):
    order = messages.order()
    message_id = bury(client, order, generation=1, attempts=2, first=1767323049123, lines="[]")
    assert console.command("dead", "requeue", "--order", order["order_number"]).returncode == 0
    (copy,) = client.peek("orders")
    assert copy.json == order
    assert copy.properties.message_id == message_id
    assert (copy.properties.content_type, copy.properties.delivery_mode) == ("application/json", 2)
    assert copy.own_headers["reason"] == "bad_request" and copy.own_headers["generation"] == 1
    assert not [name for name in copy.headers if name.startswith(("x-death", "x-first-death"))]
    assert client.depth("dead") == 0


def test_only_what_was_asked_for(console, client):
    orders = [messages.order() for _ in range(6)]
    for number, order in enumerate(orders):
        bury(client, order, reason=["bad_request", "user_unknown", "crashed"][number % 3])
    assert console.command("dead", "requeue", "--reason", "user_unknown").returncode == 0
    assert numbers(client.peek("orders")) == sorted([orders[1]["order_number"], orders[4]["order_number"]])
    client.wait_depth("dead", 4)
    assert console.command("dead", "requeue", "--all").returncode == 0
    assert numbers(client.peek("orders")) == sorted(order["order_number"] for order in orders)
    client.wait_depth("dead", 0)


def test_a_message_without_a_reason_gets_one(console, client):
    """Put there by hand: the header is what makes it a person's word."""
    bury(client, messages.order(), reason=None)
    assert console.command("dead", "requeue", "--all").returncode == 0
    assert client.peek("orders")[0].own_headers["reason"]


def test_who_looks_again_at_once_sees_all_of_it_again(console, client):
    bury_many(client, 200)
    for _ in range(8):
        done = console.command("dead", "list")
        assert done.returncode == 0 and "200 of 200 dead orders" in done.stderr, done.stderr


def test_an_order_that_is_not_there(console, client):
    bury(client, messages.order())
    for what in ("list", "requeue"):
        done = console.command("dead", what, "--order", "EDX-nobody")
        assert done.returncode == 1
        assert "EDX-nobody" in done.stderr and "fulfilld order" in done.stderr
    client.wait_depth("dead", 1)


@pytest.mark.parametrize("arguments", [[], ["bury"], ["list", "requeue"], ["requeue"], ["list", "--reasons", "x"]])
def test_usage(console, arguments):
    done = console.command("dead", *arguments)
    assert done.returncode == 2
    assert done.stdout == "" and "Usage" in done.stderr + done.stdout or "--help" in done.stderr


def test_requeue_without_saying_which_is_refused(console, client):
    bury(client, messages.order())
    done = console.command("dead", "requeue")
    assert done.returncode == 2 and "--all" in done.stderr
    assert client.depth("orders") == 0


def test_the_dead_queue_is_missing(console, client):
    client.channel.queue_delete(client.name("dead"))
    done = console.command("dead", "list")
    assert done.returncode == 1 and client.name("dead") in done.stderr


# interrupted

def start(console, *args):
    return subprocess.Popen([fulfilld_bin(), "dead", *args, "--config", str(console.config_path)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_lost_when_it_is_killed_midway(console, client, number):
    orders = bury_many(client, 1500)
    running = start(console, "requeue", "--all")
    wait_until(lambda: client.depth("orders") > 20, "the requeue to be under way", pause_s=0.001)
    running.send_signal(number)
    running.communicate()
    assert running.returncode == -number
    wait_until(lambda: client.depth("orders") + client.depth("dead") >= 1500, "what was in its hands to come back")
    done, left = numbers(client.peek("orders")), numbers(client.peek("dead"))
    assert 20 < len(done) < 1500, "it was not killed midway"
    assert sorted({*done, *left}) == sorted(order["order_number"] for order in orders)
    # What was in hand is there twice, and what was acked in the turn that the kill interrupted.
    assert len(done) + len(left) <= 1500 + 2 * HANDS
    client.wait_depth("dead", len(left))
    assert console.command("dead", "requeue", "--all").returncode == 0
    assert {*numbers(client.peek("orders"))} == {order["order_number"] for order in orders}
    client.wait_depth("dead", 0)


def test_progress_is_shown_when_it_takes_longer_than_a_second(console, client):
    bury_many(client, 500)
    running = start(console, "requeue", "--all")
    wait_until(lambda: client.depth("orders") > 0, "the first to be requeued", pause_s=0.001)
    running.send_signal(signal.SIGSTOP)
    stays_true(lambda: running.poll() is None, "it is stopped", 1.1)
    running.send_signal(signal.SIGCONT)
    _, said = running.communicate()
    assert " of 500 looked at, " in said
    assert said.endswith("500 of 500 dead orders requeued\n")


def test_an_alarm_at_the_broker_ends_it_with_a_word_and_loses_nothing(console, client, broker):
    bury(client, messages.order())
    broker.memory_alarm(True)
    try:
        done = console.command("dead", "requeue", "--all", deadline_s=90)
    finally:
        broker.memory_alarm(False)
    assert done.returncode == 1 and "FAIL" in done.stderr
    wait_until(lambda: client.depth("dead") == 1, "the order to be back")
