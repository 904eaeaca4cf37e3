"""Product types that others add, by webhook and by plug-in, on the real program and against a vendor that keeps count."""

import hashlib
import hmac
import os
import pathlib
import shutil
import subprocess

import pytest

from harness import messages
from harness.vendor import PASSWORD, Vendor
from harness.wait import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
LICENCE = ROOT / "docs" / "examples" / "licence" / "licence.c"
# What the plug-in tests/plugins/misbehave.c does, and what becomes of its line.
NONSENSE = ("Fulfillment Configuration Error", "module_error")
MISBEHAVIOURS = {
    "twice": ("Complete", None), "several": ("Complete", None), "wait": ("Complete", None), "post and forget": ("Complete", None),
    "nonsense decision": NONSENSE, "nonsense status": NONSENSE, "nonsense json": NONSENSE, "no result": NONSENSE,
    "own words": ("Fulfillment Server Error", "module_error"), "refuse": ("Fulfillment Configuration Error", "no_module"),
}
HOOK = {"type": "webhook", "upstream": "vendor", "path": "/hook"}
REFUSED = {"status": 422, "body": {"message": "sold out"}}


def licence(line_id=1, product_class="Hook", **more):
    return {"id": line_id, "product_class": product_class, "sku": "CAD-9", "quantity": 1, **more}


def order(*lines, **more):
    return messages.order(*(lines or [licence()]), **more)


VENDORS = {}


def configure_stack(daemon, lms):
    """`Hook` and its like are webhooks to the vendor, `Licence` is the example plug-in; orders die after two attempts."""
    VENDORS["open"], VENDORS["hidden"] = vendor, hidden = Vendor(), Vendor("::1")
    plugins = daemon.directory / "plugins"
    plugins.mkdir()
    subprocess.run(["cc", "-shared", "-fPIC", "-I", ROOT / "include", LICENCE, "-o", plugins / "licence.so"], check=True)
    misbehave = pathlib.Path(os.environ.get("FULFILLD_PLUGINS", "missing")) / "misbehave" / "misbehave.so"
    if misbehave.exists():
        shutil.copy(misbehave, plugins)
        for does in MISBEHAVIOURS:
            name = does.replace(" ", "-")
            daemon.configure({"modules": {does: name},
                              f"module {name}": {"type": "misbehave", "does": does, "upstream": "vendor"}})
    daemon.configure({
        "plugins": {"directory": plugins},
        "retry": {"max_attempts": 2},
        "worker": {"processes": 1, "line_concurrency": 1},
        "modules": {"Hook": "hook", "Signed": "signed", "Slow": "slow", "Licence": "licence"},
        "upstream vendor": {"base_url": vendor.base_url, "timeout": "1s"},
        "module licence": {"upstream": "vendor", "password_file": daemon.secret("password", PASSWORD)},
        "module hook": HOOK,
        "module slow": {**HOOK, "poll": "yes"},
        "module signed": {**HOOK, "method": "PUT", "header.X-Shop": "edx", "secret_file": daemon.secret("signing", "s3cret"),
                          "header_file.Authorization": daemon.secret("authorization", "Bearer abc")}})
    for name, place in private_places(vendor, hidden).items():
        daemon.configure({
            "modules": {name: name}, f"module {name}": {**HOOK, "upstream": name},
            f"upstream {name}": {"base_url": place, "forbid_private_addresses": "yes"}})


def private_places(vendor, hidden):
    hosts = ["localhost", "127.0.0.1", "127.9.9.9", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1"]
    places = [f"http://{host}:{vendor.port}" for host in hosts] + [hidden.base_url]
    return {f"private{i}": place for i, place in enumerate(places)}


@pytest.fixture
def vendor(stack):
    vendor = VENDORS["open"]
    vendor.requests.clear()
    return vendor


@pytest.fixture(scope="module", autouse=True)
def end_vendors():
    yield
    for vendor in VENDORS.values():
        vendor.destroy()


def keys(requests):
    return [request["headers"]["Idempotency-Key"] for request in requests]


def requeue(stack, what, forget):
    """A person's word for a dead order, with or without what Redis knows of it."""
    if forget:
        stack.redis.delete_prefix(stack.prefix + ":")
    answer = stack.daemon.command("dead", "requeue", "--order", what["order_number"])
    assert answer.returncode == 0, answer.stderr
    return stack.client.wait_event(what["order_number"], "complete")


# idempotency keys

@pytest.mark.parametrize("forget", [False, True], ids=["", "Redis emptied"])
@pytest.mark.parametrize("product_class, path", [("Hook", "/hook"), ("Licence", "/licences")])
def test_a_requeue_after_lost_answers_makes_no_second_one(stack, vendor, product_class, path, forget):
    bought = order(licence(product_class=product_class))
    vendor.script(path, "lost", 503)  # the last answer settles nothing: the licence is there
    assert stack.run(bought, "dead").line["reason"]["code"] == "server_error"
    assert requeue(stack, bought, forget).line["result"]["licence"] in vendor.licences
    assert len(vendor.of(bought)) == 1
    asked = [request for request in vendor.asked(bought) if request["path"] == path]
    assert len(asked) == 3 and len(set(keys(asked))) == 1


@pytest.mark.parametrize("forget", [False, True], ids=["", "Redis emptied"])
def test_the_key_changes_with_a_new_generation_where_the_answer_was_definitive_and_only_there(stack, vendor, forget):
    bought = order(licence(1), licence(2))
    vendor.script("/hook", "lost", REFUSED, 503)  # line 1, line 2, line 1 again
    stack.run(bought, "dead")
    requeue(stack, bought, forget)
    of_line = {line: keys(request for request in vendor.asked(bought) if request["body"]["line"]["id"] == line)
               for line in (1, 2)}
    assert len(of_line[1]) == 3 and len(set(of_line[1])) == 1
    assert len(of_line[2]) == 2 and len(set(of_line[2])) == 2
    assert of_line[1][0] != of_line[2][0]
    assert len(vendor.of(bought)) == 2


def test_a_repeat_says_that_it_is_one(stack, vendor):
    bought = order()
    vendor.script("/hook", "silent")
    stack.run(bought)
    assert [request["body"]["repeated"] for request in vendor.asked(bought)] == [False, True]


# webhooks

def test_what_a_webhook_sends(stack, vendor):
    bought = order(licence(product_class="Signed"))
    stack.run(bought)
    [request] = vendor.asked(bought)
    assert request["method"] == "PUT"
    assert request["headers"]["X-Shop"] == "edx" and request["headers"]["Authorization"] == "Bearer abc"
    assert request["body"]["line"] == bought["lines"][0]
    assert request["body"]["idempotency_key"] == request["headers"]["Idempotency-Key"]
    stamp, digest = (part.split("=")[1] for part in request["headers"]["X-Fulfillment-Signature"].split(","))
    assert digest == hmac.new(b"s3cret", stamp.encode() + b"." + request["raw"], hashlib.sha256).hexdigest()


def test_a_slow_receiver_is_asked_until_it_has_finished(stack, vendor):
    bought = order(licence(product_class="Slow"))
    job = "/jobs/" + vendor.make("of another day", bought["order_number"], "CAD-9")
    soon = {"status": 202, "headers": {"Retry-After": "1"}}
    vendor.script("/hook", {**soon, "body": {"poll_url": vendor.base_url + job}})
    vendor.script(job, soon)
    assert stack.run(bought).line["result"] == {"licence": job.rsplit("/", 1)[1]}
    assert [request["path"] for request in vendor.requests] == ["/hook", job, job]


@pytest.mark.parametrize("key, value, word", [
    ("poll", "maybe", "expected yes or no"), ("done_statuses", "2xx", "expected statuses"),
    ("pth", "/hook", "there is no such key"), ("path", "hook", "expected a path")])
def test_a_slip_of_the_pen_is_told_at_the_start(make_daemon, broker, redis, lms, prefix, key, value, word):
    daemon = make_daemon(broker, redis, lms, prefix, {"module hook": {"type": "webhook", key: value}})
    daemon.start(wait_ready=False)
    assert daemon.wait() == 2
    line = daemon.config_path.read_text().splitlines().index(f"{key} = {value}") + 1
    assert f"line {line}: [module hook]: {key} = {value}: {word}" in daemon.log_text()


# where requests may go

def test_private_addresses_can_be_forbidden_however_they_are_written(stack, vendor):
    places = private_places(vendor, VENDORS["hidden"])
    bought = order(*[licence(i, name) for i, name in enumerate(places)])
    event = stack.run(bought, "dead")
    assert {line["module"]: line["reason"]["code"] for line in event.data["lines"]} == dict.fromkeys(places, "forbidden")
    assert vendor.requests == VENDORS["hidden"].requests == []


def test_a_redirect_leads_nowhere(stack, vendor):
    vendor.script("/hook", {"status": 307, "headers": {"Location": VENDORS["hidden"].base_url + "/hook"}})
    assert stack.run(order(), "dead").line["reason"]["code"] == "redirect"
    assert VENDORS["hidden"].requests == []


def test_an_upstream_that_never_answers_does_not_hold_up_orders_for_another(
        make_daemon, broker, redis, lms, prefix, client, vendor):
    make_daemon(broker, redis, lms, prefix, {
        "worker": {"processes": 1, "concurrency": 64}, "breaker": {"failures": 5, "open_for": "60s"},
        "upstream vendor": {"base_url": vendor.base_url, "timeout": "1s"},
        "modules": {"Hook": "hook"}, "module hook": {**HOOK, "path": "/silent"}}).start()
    vendor.script("/silent", *["silent"] * 200)
    client.publish_many([order() for _ in range(200)])
    wait_until(lambda: len(vendor.requests) >= 5, "the vendor to be asked")
    seat = messages.order()
    client.publish(seat)
    client.wait_event(seat["order_number"], "complete")
    assert len(vendor.requests) < 200  # the rest waits for the breaker


def test_an_upstream_that_is_slow_does_not_hold_up_orders_for_another(
        make_daemon, broker, redis, lms, prefix, client, vendor):
    """Nor does it get one order twice, or is left idle: those that were sent back come when it is their turn."""
    make_daemon(broker, redis, lms, prefix, {
        "worker": {"processes": 1, "concurrency": 16},
        "upstream vendor": {"base_url": vendor.base_url, "max_in_flight": 2},
        "modules": {"Hook": "hook"}, "module hook": {**HOOK, "path": "/slow"}}).start()
    slow = [order() for _ in range(60)]
    client.publish_many(slow)
    wait_until(lambda: vendor.requests, "the vendor to be asked")
    seat = messages.order()
    client.publish(seat)
    client.wait_event(seat["order_number"], "complete")
    assert len(vendor.requests) < 30
    for bought in slow:
        client.wait_event(bought["order_number"], "complete", deadline_s=60)
    assert len(vendor.requests) == 60


# plug-ins that break their promises; what never finishes, crashes, hangs and leaks is in test_poison.py and unit tests

def test_a_module_that_breaks_its_promises_harms_its_own_line_only(stack, vendor):
    if not os.environ.get("FULFILLD_PLUGINS") and not os.environ.get("FULFILLD_REQUIRE_ALL"):
        pytest.skip("FULFILLD_PLUGINS is not set")
    bought = order(*[licence(i, does) for i, does in enumerate(MISBEHAVIOURS)], licence(99))
    event = stack.run(bought, "dead")
    told = {line["id"]: (line["status"], line["reason"] and line["reason"]["code"]) for line in event.data["lines"]}
    assert told == {**dict(enumerate(MISBEHAVIOURS.values())), 99: ("Complete", None)}
    said = [line["event"] for line in stack.daemon.log()]
    assert said.count("module.finished_twice") == 1 and said.count("module.nonsense") == 4


def test_a_plug_in_of_a_newer_interface_is_refused_and_the_old_ones_go_on(stack, vendor):
    newer = pathlib.Path(os.environ.get("FULFILLD_PLUGINS", "missing")) / "newer" / "newer.so"
    if not newer.exists() and not os.environ.get("FULFILLD_REQUIRE_ALL"):
        pytest.skip("FULFILLD_PLUGINS is not set")
    plugins = stack.daemon.directory / "plugins"
    shutil.copy(newer, plugins)
    stack.daemon.reload()
    stack.daemon.wait_log("supervisor.reload_refused")
    (plugins / "newer.so").unlink()
    assert "built for plug-in interface 2, this fulfilld has 1" in stack.daemon.log_text()
    assert stack.run(order(licence(product_class="Licence"))).line["result"]["key"]


# the example plug-in

def test_the_example_delivers_counts_and_takes_back(stack, vendor):
    counter = 'fulfilld_module_events_total{{module="{}"}}'.format
    before = stack.daemon.metrics()
    bought = order(licence(product_class="Licence", quantity=3))
    vendor.polls = 2
    event = stack.run(bought)
    [made] = vendor.of(bought)
    assert event.line["result"] == {"licence": made["id"], "key": "K-" + made["id"]}
    assert vendor.asked(bought)[0]["body"] == {"product": "CAD-9", "quantity": 3,
                                               "reference": bought["order_number"] + "-1"}
    assert stack.daemon.metrics()[counter("licence")] == before[counter("licence")] + 1
    assert stack.daemon.metrics()[counter("hook")] == 0
    stack.client.publish(messages.refund(bought, results={1: event.line["result"]}))
    wait_until(lambda: made["returned"], "the licence to be given back")


@pytest.mark.parametrize("product_class, path", [("Hook", "/hook"), ("Licence", "/licences")])
def test_a_refund_takes_back_what_a_lost_answer_left(stack, vendor, product_class, path):
    bought = order(licence(product_class=product_class))
    vendor.script(path, "lost", "lost")
    stack.run(bought, "dead")
    stack.client.publish(messages.refund(bought))
    stack.client.wait_event(bought["order_number"], "complete")
    assert [made["returned"] for made in vendor.of(bought)] == [True]


def test_an_answer_that_nobody_foresaw_is_no_licence(stack, vendor):
    bought = order(licence(product_class="Licence"))
    vendor.script("/session", {"status": 201, "body": {}})
    assert stack.run(bought, "retrying").line["reason"]["code"] == "bad_response"
    assert stack.client.wait_event(bought["order_number"], "complete").line["result"]["key"]
