"""Fixtures: one broker for all files, one Redis for a file, everything else for one test.

A test that breaks a server takes own_broker or own_redis instead; it may do with them what it likes.
Tests on the shared servers keep apart by `prefix`.
"""

import json
import os
import pathlib
import shutil
import sys
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.client import Client  # noqa: E402
from harness.daemon import Daemon, fulfilld_bin  # noqa: E402
from harness.lms import Lms  # noqa: E402
from harness.rabbitmq import RabbitMQ  # noqa: E402
from harness.redis import Redis  # noqa: E402
from harness.stack import Stack  # noqa: E402


def require(program, what):
    """Skips the test when a program is missing, unless FULFILLD_REQUIRE_ALL says that it must be there."""
    if shutil.which(program):
        return
    if os.environ.get("FULFILLD_REQUIRE_ALL"):
        pytest.fail(f"{what} ({program}) is missing")
    pytest.skip(f"{what} ({program}) is missing")


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """The RabbitMQ node all tests share. Never stop, pause or alarm it: take own_broker for that, or make the file PRIVATE."""
    shared = os.environ.get("FULFILLD_SHARED_BROKER")
    if shared:
        place = json.loads(pathlib.Path(shared).read_text())
        yield RabbitMQ.at(place["directory"], place["port"])
        return
    node = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    try:
        yield node.start()
    finally:
        node.destroy()


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    """The Redis all tests of a file share. Never stop or flush it: take own_redis for that."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    try:
        yield server.start()
    finally:
        server.destroy()


@pytest.fixture
def own_broker(tmp_path):
    """A RabbitMQ node of this test's own, started."""
    node = RabbitMQ(tmp_path / "rabbitmq")
    try:
        yield node.start()
    finally:
        node.destroy()


@pytest.fixture
def own_redis(tmp_path):
    """A Redis of this test's own, started."""
    server = Redis(tmp_path / "redis")
    try:
        yield server.start()
    finally:
        server.destroy()


@pytest.fixture
def make_lms(tmp_path):
    """make_lms(seed=…, arguments=…): a started stand-in LMS of this test's own."""
    require(os.environ.get("FULFILLD_LMS_BIN", "fulfill-lms"), "the stand-in LMS")
    made = []

    def make(**settings):
        made.append(Lms(tmp_path / f"lms{len(made)}", **settings))
        return made[-1].start()

    yield make
    for server in made:
        server.destroy()


@pytest.fixture
def lms(make_lms):
    """A stand-in LMS of this test's own, started."""
    return make_lms()


@pytest.fixture
def prefix(request):
    """A prefix for exchanges, queues and keys that no other test uses. What it named is deleted after."""
    name = "t" + uuid.uuid4().hex[:8]
    yield name
    if "broker" in request.fixturenames:
        request.getfixturevalue("broker").delete_prefix(name)
    if "redis" in request.fixturenames:
        request.getfixturevalue("redis").delete_prefix(name + ":")


@pytest.fixture
def start_client():
    """start_client(broker, prefix): a client, closed after the test."""
    clients = []

    def start(node, name):
        clients.append(Client(node, name))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def client(broker, prefix, start_client):
    """A client of the shared broker for this test's prefix."""
    return start_client(broker, prefix)


@pytest.fixture
def make_daemon(tmp_path):
    """make_daemon(broker, redis, lms, prefix, config): a Daemon that is not started yet."""
    require(fulfilld_bin(), "the program under test")
    made = []

    def make(broker, redis, lms=None, prefix="fulfillment", config=None):
        made.append(Daemon(tmp_path / f"daemon{len(made)}", broker, redis, lms, prefix, config))
        return made[-1]

    yield make
    for daemon in made:
        daemon.destroy()


@pytest.fixture
def daemon(request, broker, redis, lms, prefix, make_daemon):
    """A running fulfilld on the shared servers. Configured by @pytest.mark.config({"retry": {…}})."""
    config = {}
    for mark in request.node.iter_markers("config"):
        for section, keys in mark.args[0].items():
            config[section] = {**keys, **config.get(section, {})}
    return make_daemon(broker, redis, lms, prefix, config).start()


@pytest.fixture(scope="module")
def stack(request, tmp_path_factory, broker, redis):
    """One fulfilld, LMS and client for all tests of a file that need nothing special.

    The tests keep apart by order number, learner and message id. STACK_CONFIG of the file configures it, or
    its function configure_stack(daemon, lms) where addresses and files are needed.
    """
    require(os.environ.get("FULFILLD_LMS_BIN", "fulfill-lms"), "the stand-in LMS")
    require(fulfilld_bin(), "the program under test")
    made = Stack(tmp_path_factory.mktemp("stack"), broker, redis,
                 getattr(request.module, "configure_stack", None) or getattr(request.module, "STACK_CONFIG", None))
    try:
        yield made.start()
    finally:
        made.destroy()


def pytest_configure(config):
    config.addinivalue_line("markers", "config(sections): configuration of the daemon fixture")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the end of the daemon's log with a failure."""
    outcome = yield
    report = outcome.get_result()
    fixtures = getattr(item, "funcargs", {})
    daemon = fixtures.get("daemon") or getattr(fixtures.get("stack"), "daemon", None)
    if report.when == "call" and report.failed and daemon is not None:
        report.sections.append(("fulfilld log (end)", daemon.log_text()[-6000:]))
