"""`fulfilld check`: one line each, ok or FAIL with the reason and the remedy."""

import json
import uuid

import pytest

from harness.daemon import Daemon
from harness.wait import wait_until


def declare(daemon):
    declared = daemon.command("topology", "--declare")
    assert declared.returncode == 0, declared.stderr
    return daemon


@pytest.fixture(scope="module")
def declared_prefix(broker, redis, tmp_path_factory):
    """A topology that is declared once, for the tests that leave it as it is."""
    name = "c" + uuid.uuid4().hex[:8]
    daemon = Daemon(tmp_path_factory.mktemp("declare"), broker, redis, prefix=name)
    declare(daemon.configure({"lms": {"base_url": "http://127.0.0.1:1"}}))
    yield name
    broker.delete_prefix(name)


@pytest.fixture
def config(broker, redis, lms, declared_prefix, make_daemon):
    """A configuration in which all is well; fulfilld does not run."""
    return make_daemon(broker, redis, lms, declared_prefix).use_token(lms, keep_api_key=True)


@pytest.fixture
def breakable(broker, redis, lms, prefix, make_daemon):
    """The same with a topology of its own."""
    return declare(make_daemon(broker, redis, lms, prefix).use_token(lms, keep_api_key=True))


def check(daemon, status, env=None):
    """Its lines, as {what: line}; more lines of one kind are joined."""
    done = daemon.command("check", env=env)
    assert done.returncode == status, done.stdout + done.stderr
    found = {}
    for line in done.stdout.splitlines():
        assert line.startswith(("ok    ", "FAIL  ")), line
        what = line[6:].split(":")[0]
        found[what] = found.get(what, "") + line + "\n"
    return found


def assert_only_failure(lines, what, *words):
    """Only `what` failed, and its line has the words."""
    assert [name for name, line in lines.items() if "FAIL" in line] == [what], lines
    for word in words:
        assert word in lines[what], lines[what]


def test_all_is_well(config):
    lines = check(config, 0)
    assert list(lines) == ["configuration", "Redis", "RabbitMQ login", "RabbitMQ topology", "RabbitMQ management",
                           "modules", "upstream lms"]
    assert all(line.startswith("ok ") for line in lines.values())


def test_it_changes_nothing(config, broker, redis, declared_prefix, start_client):
    def what_there_is():
        bindings = broker.rabbitmqctl("list_bindings").splitlines()
        return redis.keys(declared_prefix), sorted(line for line in bindings if declared_prefix in line)
    before = what_there_is()
    assert before[1]
    check(config, 0)
    assert what_there_is() == before
    assert start_client(broker, declared_prefix).depth("events") == 0


def test_a_secret_shows_nowhere(config):
    done = config.command("check")
    for secret in ("guest", "test-api-key", "test-client-secret"):
        assert secret not in done.stdout.replace("guest:guest@", "") + done.stderr


# the configuration

def test_a_bad_file_is_refused_with_the_key(config):
    config.configure({"retry": {"max_atempts": "3"}})
    done = config.command("check")
    assert done.returncode == 2
    assert "max_atempts" in done.stderr and "fulfilld.ini" in done.stderr and done.stderr.startswith("FAIL  ")


def test_a_secret_that_is_not_there(config, tmp_path):
    config.configure({"lms": {"api_key_file": tmp_path / "nowhere"}})
    lines = check(config, 2)
    assert_only_failure(lines, "upstream lms", str(tmp_path / "nowhere"))


def test_a_certificate_of_the_broker_that_is_not_there(config, broker, tmp_path):
    config.configure({"amqp": {"uris": broker.uri.replace("amqp:", "amqps:"), "tls_ca_file": tmp_path / "nowhere"}})
    lines = check(config, 2)
    assert f"{tmp_path / 'nowhere'}: No such file or directory" in lines["RabbitMQ login"]


def test_a_module_that_is_not_known(config):
    config.configure({"modules": {"Seat": "enrolment"}})
    lines = check(config, 2)
    assert_only_failure(lines, "modules", "enrolment")


def test_a_plugin_that_cannot_be_loaded(config, tmp_path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "broken.so").write_text("no shared object")
    config.configure({"plugins": {"directory": plugins}})
    lines = check(config, 2)
    assert_only_failure(lines, "modules", "broken.so")


# Redis

def test_redis_is_not_there(config):
    assert_only_failure(check(config, 1, env={"FULFILLD_REDIS_URI": "redis://127.0.0.1:1/0"}), "Redis", "redis.uri")


def test_redis_may_evict(config, own_redis):
    own_redis.set("maxmemory-policy", "allkeys-lru")
    lines = check(config, 1, env={"FULFILLD_REDIS_URI": own_redis.uri})
    assert_only_failure(lines, "Redis", "allkeys-lru", "noeviction")


def test_redis_is_a_replica(config, own_redis, redis):
    own_redis.client().replicaof("127.0.0.1", redis.port)
    lines = check(config, 1, env={"FULFILLD_REDIS_URI": own_redis.uri})
    assert_only_failure(lines, "Redis", "READONLY", "primary")


def test_redis_refuses_the_password(config, own_redis, tmp_path):
    own_redis.set("requirepass", "right")
    wrong = config.secret("redis_password", "wrong")
    lines = check(config, 1, env={"FULFILLD_REDIS_URI": own_redis.uri, "FULFILLD_REDIS_PASSWORD_FILE": str(wrong)})
    assert_only_failure(lines, "Redis", "redis.password_file")


def test_redis_asks_for_a_password_that_is_not_set(config, own_redis):
    own_redis.set("requirepass", "right")
    lines = check(config, 1, env={"FULFILLD_REDIS_URI": own_redis.uri})
    assert_only_failure(lines, "Redis", "NOAUTH", "redis.password_file")


# RabbitMQ

def test_rabbitmq_is_not_there(config):
    lines = check(config, 1, env={"FULFILLD_AMQP_URIS": "amqp://guest:guest@127.0.0.1:1/%2F"})
    assert_only_failure(lines, "RabbitMQ login", "127.0.0.1:1", "amqp.uris")


def test_the_first_of_several_nodes_is_away(config, broker):
    check(config, 0, env={"FULFILLD_AMQP_URIS": f"amqp://guest:guest@127.0.0.1:1/%2F,{broker.uri}"})


def test_rabbitmq_refuses_the_password(config, broker):
    lines = check(config, 1, env={"FULFILLD_AMQP_URIS": broker.uri.replace("guest:guest", "guest:wrong")})
    assert_only_failure(lines, "RabbitMQ login", "ACCESS_REFUSED", "amqp.password_file")


def test_nothing_is_declared(config, prefix):
    lines = check(config, 1, env={"FULFILLD_AMQP_PREFIX": prefix + "-other"})
    assert "topology --declare" in lines["RabbitMQ topology"]
    assert [line.split(": ", 1)[1].split(";")[0] for line in lines["RabbitMQ management"].splitlines()] == [
        f"exchange {prefix}-other.unrouted and 23 more are missing",
        f"queue {prefix}-other.unrouted and 22 more are missing",
        f"binding from {prefix}-other.unrouted to {prefix}-other.unrouted with key '' and 42 more are missing"]


def test_a_binding_was_removed(breakable, broker, client, prefix):
    client.channel.exchange_unbind(f"{prefix}.retry.02", f"{prefix}.retry.03",
                                   routing_key="*." * 14 + "0.#")
    lines = check(breakable, 1)
    assert_only_failure(lines, "RabbitMQ management", f"binding from {prefix}.retry.03 to {prefix}.retry.02",
                        "topology --declare")
    assert breakable.command("topology", "--declare").returncode == 0
    check(breakable, 0)


def test_a_foreign_binding_would_double_orders(breakable, client, prefix):
    client.channel.queue_bind(f"{prefix}.dead", f"{prefix}.retry.out", routing_key="#")
    assert_only_failure(check(breakable, 1), "RabbitMQ management", "doubles")


POLICIES = {
    "message-ttl": {"message-ttl": 60000}, "max-length": {"max-length": 1000},
    "delivery-limit": {"delivery-limit": 5}, "expires": {"expires": 86400000},
    "dead-letter-exchange": {"dead-letter-exchange": "elsewhere"},
}


@pytest.mark.parametrize("key", POLICIES)
def test_a_policy_that_harms_our_queues(breakable, broker, prefix, key):
    name = f"policy-{prefix}"
    broker.api("PUT", f"/policies/%2F/{name}",
               {"pattern": f"^{prefix}\\.", "definition": POLICIES[key], "apply-to": "queues"})
    try:
        wait_until(lambda: broker.queue(f"{prefix}.dead").get("policy") == name, "the policy to show")
        lines = wait_until(lambda: check(breakable, 1), "check to see it")
        assert_only_failure(lines, "RabbitMQ management", name, key, "rabbitmqctl list_policies")
        assert lines["RabbitMQ management"].count("FAIL") == 1 and " more: policy" in lines["RabbitMQ management"]
    finally:
        broker.api("DELETE", f"/policies/%2F/{name}")


def test_a_policy_that_does_no_harm(breakable, broker, prefix):
    name = f"policy-{prefix}"
    broker.api("PUT", f"/policies/%2F/{name}", {"pattern": f"^{prefix}\\.", "apply-to": "queues",
                                               "definition": {"max-in-memory-length": 1000}})
    try:
        wait_until(lambda: broker.queue(f"{prefix}.dead").get("policy") == name, "the policy to show")
        check(breakable, 0)
    finally:
        broker.api("DELETE", f"/policies/%2F/{name}")


def test_a_queue_somebody_else_declared(breakable, client, prefix):
    """At-least-once that was never in effect: accepted by the broker without a word."""
    queue = f"{prefix}.retry.04"
    client.channel.queue_delete(queue)
    client.channel.queue_declare(queue, durable=True, arguments={
        "x-queue-type": "quorum", "x-message-ttl": 16000, "x-dead-letter-exchange": f"{prefix}.retry.03",
        "x-dead-letter-strategy": "at-least-once", "x-max-length": 100})
    client.channel.queue_bind(queue, f"{prefix}.retry.04", routing_key="*." * 13 + "1.#")
    lines = wait_until(lambda: check(breakable, 1), "check to see it")
    assert_only_failure(lines, "RabbitMQ management", f"queue {queue}: x-overflow is nothing, not reject-publish",
                        f"queue {queue}: has x-max-length = 100")


def test_management_is_not_there_or_refuses(config, broker):
    lines = check(config, 1, env={"FULFILLD_AMQP_MANAGEMENT_URI": "http://127.0.0.1:1"})
    assert_only_failure(lines, "RabbitMQ management", "amqp.management_uri")
    lines = check(config, 1, env={
        "FULFILLD_AMQP_MANAGEMENT_URI": broker.management_uri.replace("guest:guest", "guest:wrong")})
    assert_only_failure(lines, "RabbitMQ management", "401")


def test_the_management_login_is_that_of_amqp(config, broker):
    check(config, 0, env={"FULFILLD_AMQP_MANAGEMENT_URI": broker.management_uri.replace("guest:guest@", "") + "/"})


def test_without_management_it_says_so(config):
    config.configure({"amqp": {"management_uri": None}})
    assert "not looked at" in check(config, 0)["RabbitMQ management"]


def test_a_memory_alarm(config, broker):
    broker.memory_alarm(True)
    try:
        assert_only_failure(check(config, 1), "RabbitMQ management", "memory alarm")
    finally:
        broker.memory_alarm(False)


# upstreams

def test_the_lms_is_not_there(config):
    lines = check(config, 1, env={"FULFILLD_LMS_BASE_URL": "http://127.0.0.1:1"})
    assert_only_failure(lines, "upstream lms", "http://127.0.0.1:1", "no connection")


def test_the_lms_refuses_the_api_key(config):
    config.configure({"lms": {"api_key_file": config.secret("wrong", "wrong"), "oauth_token_url": None,
                              "oauth_client_id": None, "oauth_client_secret_file": None}})
    assert_only_failure(check(config, 1), "upstream lms", "401", "api_key_file")


def test_the_token_endpoint_refuses_the_client(config):
    config.configure({"lms": {"oauth_client_secret_file": config.secret("wrong", "wrong")}})
    assert_only_failure(check(config, 1), "upstream lms", "invalid_client", "oauth_client_secret_file")


def test_the_token_is_that_of_no_staff(config, lms):
    config.configure({"lms": {"api_key_file": None}})
    lms.configure(tokens={"staff": False})
    assert_only_failure(check(config, 1), "upstream lms", "staff")


@pytest.mark.parametrize("step, words", [({"status": 503}, "503"), ({"redirect": "/elsewhere"}, "redirect"),
                                         ({"close": True}, "broke"), ({"garbage": True}, "HTTP")])
def test_the_lms_is_not_well(config, lms, step, words):
    lms.outage(**step)
    config.configure({"lms": {"oauth_token_url": None, "oauth_client_id": None, "oauth_client_secret_file": None}})
    assert_only_failure(check(config, 1), "upstream lms", words)


def test_every_upstream_is_tried(config, lms):
    config.configure({"upstream hooks": {"base_url": lms.base_url}, "upstream gone": {"base_url": "http://127.0.0.1:1"}})
    lines = check(config, 1)
    assert lines["upstream hooks"].startswith("ok ")
    assert_only_failure(lines, "upstream gone", "no connection")


def test_checking_enrolls_nobody(config, lms):
    check(config, 0)
    assert [entry["method"] for entry in lms.ledger() if entry["kind"] != "token"] == ["GET"]
    assert json.dumps(lms.state()["enrollments"]) == "[]"
