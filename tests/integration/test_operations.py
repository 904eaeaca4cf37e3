"""The command lines of docs/operations.md, run as they stand there; and its table of alerts."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from harness import messages
from harness.daemon import Daemon, fulfilld_bin
from harness.lms import Lms
from harness.client import Client
from harness.wait import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
BLOCKS = dict(re.findall(r"<!-- test_operations\.py: ([^>]*) -->\n```sh\n(.*?)```", PAGE, re.S))
REFUSED = {"status": 422, "body": {"message": "not like this"}}


class Console:
    """A shell as the page wants it, on a fulfilld with the names of the page."""

    def __init__(self, directory, broker, redis):
        self.directory, self.broker = directory, broker
        self.lms = Lms(directory / "lms").start()
        self.client = Client(broker, "fulfillment")
        self.daemon = Daemon(directory / "daemon", broker, redis, self.lms,
                             config={"retry": {"first_delay": "60s", "max_delay": "120s"}}).start()
        broker.rabbitmqadmin("help", "subcommands")  # fetches the program
        tool = directory / "rabbitmqadmin"
        tool.write_text(f"#!/bin/sh\nexec /usr/bin/python3 {broker.directory}/rabbitmqadmin \"$@\"\n")
        tool.chmod(0o755)

    def run(self, name, order=None):
        """Runs the block of that name; every command of it must succeed. Answers what it printed."""
        environment = {
            **os.environ, "PATH": f"{self.directory}:{pathlib.Path(fulfilld_bin()).parent}:{os.environ['PATH']}",
            "C": str(self.daemon.config_path), "H": f"127.0.0.1:{self.daemon.http_port}", "U": self.broker.uri,
            "A": f"rabbitmqadmin -H 127.0.0.1 -P {self.broker.management_port} -V / -u guest -p guest",
            "N": order["order_number"] if order else ""}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", BLOCKS[name]], cwd=self.directory, env=environment,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def die(self, order=None, step=None):
        order = order or messages.order()
        self.lms.script(step or REFUSED, order=order["order_number"])
        self.client.publish(order)
        self.client.wait_event(order["order_number"], "dead")
        return order

    def wait_second(self, order):
        """Waits until the order is complete in its second generation."""
        assert self.client.wait_event(order["order_number"], "complete").data["generation"] == 2

    def wait_no_shovel(self):
        wait_until(lambda: not {"requeue", "unrouted"} & {shovel["name"] for shovel in self.broker.api(
            "GET", "/parameters/shovel")}, "the shovel to be over", pause_s=0.2)

    def destroy(self):
        self.daemon.destroy()
        self.client.close()
        self.broker.delete_prefix("fulfillment")
        self.lms.destroy()


@pytest.fixture(scope="module")
def page(broker, redis, tmp_path_factory):
    console = Console(tmp_path_factory.mktemp("console"), broker, redis)
    try:
        yield console
    finally:
        console.destroy()


@pytest.fixture
def console(page):
    page.lms.clear_script()
    page.client.drain("dead")
    return page


def test_every_block_with_a_name_is_run_here():
    here = pathlib.Path(__file__).read_text()
    assert len(BLOCKS) == PAGE.count("<!-- test_operations.py: ")
    for name in BLOCKS:
        assert f'console.run("{name}"' in here, f"nobody runs the block {name!r}"


def test_every_alert_is_told_of():
    rules = (ROOT / "deploy/prometheus/fulfilld.rules.yml").read_text()
    assert set(re.findall(r"alert: (\w+)", rules)) == set(re.findall(r"`(Fulfilld[A-Z]\w+)`", PAGE))


def test_every_link_of_the_page_leads_somewhere():
    def anchors(text):
        titles = re.findall(r"^#+ (.*)$", text, re.M)
        return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    for file, anchor in re.findall(r"\]\(([\w.]*)#?([\w-]*)\)", PAGE):
        text = (ROOT / "docs" / file).read_text() if file else PAGE
        assert not anchor or anchor in anchors(text), f"{file}#{anchor}"


def test_health(console):
    said = console.run("health")
    assert "FAIL" not in said and "ready" in said and "fulfillment.retry.17" in said


def test_order(console):
    order = messages.order()
    console.lms.script({"status": 500, "body": {"message": "Oops!"}}, order=order["order_number"])
    console.client.publish(order)
    console.client.wait_event(order["order_number"], "retrying")
    said = console.run("order", order)
    assert "waiting" in said and "next attempt" in said and "Oops!" in said


def test_list(console):
    order = console.die()
    console.die()
    said = console.run("list", order)
    assert re.search(r"^ *2 bad_request$", said, re.M)
    assert len(re.findall(rf"^{order['order_number']} ", said, re.M)) == 2


def test_requeue_one(console):
    order, other = console.die(), console.die()
    console.run("requeue one", order)
    console.wait_second(order)
    console.client.wait_depth("dead", 1)
    assert console.client.peek("dead")[0].json["order_number"] == other["order_number"]


def test_requeue_by_reason_and_all(console):
    refused = console.die()
    unknown = messages.order(messages.seat(attributes={"course_key": "course-v1:edX+DemoX+2026"}))
    console.lms.script({"status": 406, "body": {"message": "The user does not exist."}}, order=unknown["order_number"])
    console.daemon.configure({"retry": {"doubtful_attempts": 1}}).reload()
    wait_until(lambda: len(console.daemon.log_text().split("supervisor.reloaded")) > 1, "the reload")
    console.daemon.wait_ready()
    console.client.publish(unknown)
    console.client.wait_event(unknown["order_number"], "dead")
    console.client.wait_depth("dead", 2)
    console.run("requeue by reason")
    console.wait_second(unknown)
    console.client.wait_depth("dead", 1)
    console.run("requeue all")
    console.wait_second(refused)
    console.client.wait_depth("dead", 0)


def test_resubmit_by_number(console):
    order = console.die()
    assert console.run("resubmit by number", order).strip() == "Message published"
    console.wait_second(order)


def test_resubmit_whole(console):
    order = console.die()
    (console.directory / "order.json").write_text(json.dumps(order))
    console.run("resubmit whole")
    console.wait_second(order)


def test_shovel_and_peek(console):
    orders = [console.die(), console.die()]
    shown = json.loads(console.run("peek"))
    assert shown[0]["properties"]["headers"]["x-fulfillment-reason"] == "bad_request"
    console.client.wait_depth("dead", 2)
    console.run("shovel")
    for order in orders:
        console.wait_second(order)
    console.wait_no_shovel()


def test_purge(console):
    console.client.publish(b"no order")
    console.client.wait_depth("dead", 1)
    console.run("purge")
    assert console.client.depth("dead") == 0


def test_declare_and_import(console):
    console.client.channel.queue_delete("fulfillment.unrouted")
    console.run("declare")
    assert console.client.depth("unrouted") == 0
    console.client.channel.queue_delete("fulfillment.unrouted")
    console.run("import")
    assert console.client.depth("unrouted") == 0


def test_unrouted(console):
    order = messages.order()
    console.client.publish(order, routing_key="orders.fulfil")
    console.client.wait_depth("unrouted", 1)
    console.run("unrouted")
    console.client.wait_event(order["order_number"], "complete")
    console.wait_no_shovel()
