"""The LMS refused, silent, slow, talking garbage; names that do not resolve: orders wait, unspent, and are done."""

import os
import pathlib
import shutil
import subprocess

import pytest

from harness import messages
from harness.away import Watch
from harness.client import Client
from harness.daemon import Daemon, fulfilld_bin
from harness.lms import Lms
from harness.proxy import Proxy
from harness.wait import wait_until

PREFIX = "lmsaway"
# The breaker opens soon and is tried again each second.
CONFIG = {"breaker": {"failures": 3, "open_for": "1s", "max_open_for": "1s"}}


class Rig:
    """One fulfilld that reaches the LMS through a proxy."""

    def __init__(self, directory, broker, redis):
        self.lms = Lms(directory / "lms").start()
        self.proxy = Proxy(self.lms.port).start()
        self.client = Client(broker, PREFIX)
        self.daemon = Daemon(directory / "daemon", broker, redis, self.lms, PREFIX, CONFIG)
        self.daemon.configure({"lms": {"base_url": f"http://127.0.0.1:{self.proxy.port}", "timeout": "500ms",
                                       "connect_timeout": "500ms"}}).start()

    def destroy(self):
        self.daemon.destroy()
        self.client.close()
        self.client.broker.delete_prefix(PREFIX)
        self.proxy.destroy()
        self.lms.destroy()


@pytest.fixture(scope="module")
def rig(tmp_path_factory, broker, redis):
    made = Rig(tmp_path_factory.mktemp("rig"), broker, redis)
    try:
        yield made
    finally:
        made.destroy()


FAULTS = {
    "refused": (lambda rig: rig.proxy.refuse(), lambda rig: rig.proxy.pass_on()),
    "behind a black hole": (lambda rig: rig.proxy.black_hole(), lambda rig: rig.proxy.pass_on()),
    "slower than its timeout": (lambda rig: rig.proxy.delay(1.0), lambda rig: rig.proxy.pass_on()),
    "reset in the middle of an answer": (lambda rig: rig.proxy.cut_after(20), lambda rig: rig.proxy.pass_on()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_lms_is(rig, fault):
    """Ten orders meet the fault. A few open the breaker; the others wait and lose no attempt by it."""
    begin, end = FAULTS[fault]
    watch = Watch(rig.daemon, rig.lms, rig.client)
    watch.publish(2)
    watch.assert_all_complete_once()
    begin(rig)
    rig.proxy.reset()
    watch.publish(10)
    wait_until(lambda: "lms: open" in rig.daemon.readyz()[1] or "lms: closed" not in rig.daemon.readyz()[1],
               "/readyz to say that the LMS is left alone")
    assert rig.daemon.readyz()[0] == 200, "the upstreams' state is in the text only"
    wait_until(lambda: rig.client.depth("orders") == 0 and rig.client.waiting() or None, "orders to wait")
    end(rig)
    watch.assert_all_complete_once(attempt=None)
    spent = sum(rig.client.wait_event(order["order_number"], "complete").data["attempt"] - 1
                for order in watch.orders)
    assert 1 <= spent <= 16, "the breaker spares attempts"
    opened = [line for line in watch.lines("upstream.breaker")]
    assert opened and len(opened) <= 40, opened
    wait_until(lambda: "lms: closed" in rig.daemon.readyz()[1], "the breaker to close")


def test_the_lms_talks_garbage(rig):
    """It answers, so nothing says that it is down: each order is told so and tried again."""
    watch = Watch(rig.daemon, rig.lms, rig.client)
    rig.lms.outage(status=200, body="<html>surprise</html>")
    for order in watch.publish(5):
        assert rig.client.wait_event(order["order_number"], "retrying").line["reason"]["code"] == "bad_response"
    rig.lms.recover()
    watch.assert_all_complete_once(attempt=None)
    watch.assert_quiet(most=0)


# names

def can_have_own_names():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


class Names:
    """A program started through this looks names up in a file of its own and in no DNS."""

    def __init__(self, directory):
        self.hosts = directory / "hosts"
        resolv = directory / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.9\noptions timeout:1 attempts:1\n")
        self.none()
        self.program = directory / "fulfilld"
        self.program.write_text(
            "#!/bin/sh\nexec unshare -m sh -c '"
            f"mount --bind {self.hosts} /etc/hosts && mount --bind {resolv} /etc/resolv.conf && "
            f'exec {pathlib.Path(shutil.which(fulfilld_bin())).resolve()} "$@"\' fulfilld "$@"\n')
        self.program.chmod(0o755)

    def none(self):
        self.hosts.write_text("127.0.0.1 localhost\n")

    def all(self):
        self.hosts.write_text("127.0.0.1 localhost broker.test redis.test lms.test\n")


def test_names_do_not_resolve(tmp_path, broker, redis, lms, prefix, client, make_daemon, monkeypatch):
    if not can_have_own_names():
        pytest.skip("needs root, to give a program a hosts file of its own")
    names = Names(tmp_path)
    daemon = make_daemon(broker, redis, lms, prefix, CONFIG)
    daemon.configure({
        "amqp": {"uris": broker.uri.replace("127.0.0.1", "broker.test")},
        "redis": {"uri": redis.uri.replace("127.0.0.1", "redis.test")},
        "lms": {"base_url": lms.base_url.replace("127.0.0.1", "lms.test")}})
    monkeypatch.setenv("FULFILLD_BIN", str(names.program))
    daemon.start(wait_ready=False)
    watch = Watch(daemon, lms, client, since_start=True)
    watch.wait_not_ready("RabbitMQ (consuming) is down; RabbitMQ (publishing) is down; Redis is down;")
    daemon.wait_log("redis.down")
    daemon.wait_log("broker.down")
    names.hosts.write_text("127.0.0.1 localhost broker.test redis.test\n")
    daemon.wait_ready()
    orders = watch.publish(3)
    for order in orders:
        event = client.wait_event(order["order_number"], "retrying")
        assert event.line["reason"]["code"] == "network"
    names.all()
    watch.assert_all_complete_once(attempt=None)
    watch.assert_told_once("redis.down")
    watch.assert_told_once("broker.down")
