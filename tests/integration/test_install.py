"""docs/install.md is followed: what is installed, the RabbitMQ users it makes, the configuration it shows."""

import configparser
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pika
import pytest

from harness.daemon import fulfilld_bin
from harness import lms as lms_module
from harness import messages
from harness.client import Client
from harness.rabbitmq import RabbitMQ
from harness.redis import Redis

ROOT = pathlib.Path(__file__).resolve().parents[2]
PASSWORD = "correct horse"


def block_after(marker):
    """The fenced block of docs/install.md that follows the comment which names this test."""
    text = (ROOT / "docs/install.md").read_text()
    return re.search(rf"<!-- [^>]*{marker} -->\n```\w*\n(.*?)```", text, re.S).group(1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the build was installed as / would be."""
    build = pathlib.Path(fulfilld_bin()).parent.parent
    if not (build / "cmake_install.cmake").exists():
        pytest.skip("FULFILLD_BIN is not in a build folder")
    root = tmp_path_factory.mktemp("installed")
    install(build, root)
    return build, root


def install(build, root):
    subprocess.run(["cmake", "--install", build], check=True, capture_output=True,
                   env={**os.environ, "DESTDIR": str(root)})


def find(root, name, folder):
    """The file of that name in a folder of that name."""
    return next(path for path in root.rglob(name) if path.is_file() and path.parent.name == folder)


def configuration_in(root):
    found, = (path for path in root.rglob("etc/fulfilld/fulfilld.ini"))
    return found


def test_the_installed_program_runs_and_its_configuration_is_the_reference(installed):
    _, root = installed
    program = find(root, "fulfilld", "bin")
    assert subprocess.run([program, "--version"], capture_output=True, text=True).stdout.startswith("fulfilld ")
    printed = subprocess.run([program, "print-config"], capture_output=True, text=True).stdout
    assert configuration_in(root).read_text() == printed


def test_a_second_install_keeps_the_administrators_configuration(installed):
    build, root = installed
    configuration = configuration_in(root)
    configuration.write_text("[worker]\nprocesses = 3\n")
    install(build, root)
    assert configuration.read_text() == "[worker]\nprocesses = 3\n"


def test_the_unit_is_one_that_systemd_understands(installed, tmp_path):
    _, root = installed
    text = find(root, "fulfilld.service", "system").read_text()
    assert "Type=notify" in text and "KillMode=mixed" in text and "ExecReload=" in text
    assert "@" not in text.replace("@system-service", "")
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is missing")
    copy = tmp_path / "fulfilld.service"
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True)
    assert "fulfilld.service" not in done.stderr, done.stderr


def test_redis_as_installed_satisfies_check(tmp_path, broker, lms, prefix, make_daemon):
    server = Redis(tmp_path / "redis")
    settings = [line.split(None, 1) for line in (ROOT / "deploy/redis/fulfilld.conf").read_text().splitlines()
                if line and not line.startswith("#")]
    server.settings = dict(settings)
    try:
        server.start()
        daemon = make_daemon(broker, server, lms, prefix).start()
        line = next(line for line in daemon.command("check").stdout.splitlines() if "Redis" in line)
        assert line.startswith("ok") and "noeviction" in line
    finally:
        server.destroy()


@pytest.fixture(scope="module")
def shop_broker(tmp_path_factory):
    """A broker set up by the commands of install.md."""
    node = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    try:
        node.start()
        for command in block_after("runs these commands").splitlines():
            words = shlex.split(command)
            assert words.pop(0) == "rabbitmqctl"
            node.rabbitmqctl(*words, *([PASSWORD] if words[0] == "add_user" else []))
        yield node
    finally:
        node.destroy()


@pytest.fixture
def shop(shop_broker, redis, prefix, lms, make_daemon):
    """fulfilld with the configuration of install.md on that broker."""
    daemon = make_daemon(shop_broker, redis, lms)
    example = configparser.ConfigParser()
    example.read_string(block_after("tries this file"))
    daemon.sections.update({section: dict(example[section]) for section in example.sections()})
    daemon.configure({
        "amqp": {"uris": f"amqp://127.0.0.1:{shop_broker.port}/shop",
                 "management_uri": f"http://127.0.0.1:{shop_broker.management_port}",
                 "password_file": daemon.secret("amqp_password", PASSWORD)},
        "redis": {"prefix": prefix + ":"},
        "lms": {"base_url": lms.base_url, "oauth_token_url": lms.token_url, "oauth_client_id": lms_module.CLIENT_ID,
                "api_key_file": daemon.secret("lms_api_key", lms_module.API_KEY),
                "oauth_client_secret_file": daemon.secret("lms_client_secret", lms_module.CLIENT_SECRET)}})
    return daemon.start()


class Login:
    """A broker as one of its users sees it, for Client."""

    def __init__(self, broker, user):
        self.parameters = pika.ConnectionParameters(
            "127.0.0.1", broker.port, "shop", pika.PlainCredentials(user, PASSWORD), heartbeat=0)

    def connect(self):
        return pika.BlockingConnection(self.parameters)


def test_the_users_of_the_install_guide_can_do_what_they_must_and_no_more(shop, shop_broker):
    assert shop.command("check").returncode == 0, shop.command("check").stdout
    oscar = Client(Login(shop_broker, "oscar"), "fulfillment")
    order = messages.order(messages.seat(1), messages.entitlement(2))
    oscar.publish(order)
    assert oscar.wait_event(order["order_number"]).data["status"] == "Complete"
    for forbidden in (lambda channel: channel.basic_get("fulfillment.dead"),
                      lambda channel: channel.queue_purge("fulfillment.orders"),
                      lambda channel: channel.queue_delete("fulfillment.events"),
                      lambda channel: channel.basic_get("fulfillment.orders")):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            forbidden(oscar.channel)
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        shop_broker.connect()
    oscar.close()


def test_an_operator_requeues_a_dead_order_with_rabbitmqadmin(shop, shop_broker):
    oscar = Client(Login(shop_broker, "oscar"), "fulfillment")
    order = messages.order(messages.seat(course="course-v1:edX+Late+2026"))
    oscar.publish(order)
    oscar.wait_event(order["order_number"], "dead")
    uri = f"amqp://operator:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{shop_broker.port}/shop"
    shovel = {"src-protocol": "amqp091", "src-uri": uri, "src-queue": "fulfillment.dead",
              "src-delete-after": "queue-length", "dest-protocol": "amqp091", "dest-uri": uri,
              "dest-queue": "fulfillment.orders", "ack-mode": "on-confirm"}
    subprocess.run(
        [shutil.which("rabbitmqadmin"), "-H", "127.0.0.1", "-P", str(shop_broker.management_port), "-V", "shop",
         "-u", "operator", "-p", PASSWORD, "declare", "parameter", "component=shovel", "name=requeue",
         f"value={json.dumps(shovel)}"], check=True, capture_output=True, timeout=60)
    assert oscar.wait_event(order["order_number"], "dead", count=2).data["generation"] == 2
    oscar.close()
