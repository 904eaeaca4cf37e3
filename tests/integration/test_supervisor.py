"""The master: replaces what dies, refuses a bad file, says what it does to systemd, answers its pages."""

import os
import pathlib
import signal
import socket

import pytest

from harness import messages
from harness.wait import wait_until


def run(client, order, outcome="complete"):
    client.publish(order)
    return client.wait_event(order["order_number"], outcome)


def children(daemon):
    return set(pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split())


def test_each_worker_that_dies_is_replaced(daemon, client):
    first = children(daemon)
    for pid in first:
        os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: len(children(daemon)) == 2 and not children(daemon) & first, "two new workers")
    daemon.wait_ready()
    run(client, messages.order())
    assert daemon.metric("fulfilld_worker_restarts_total") == 2
    ended = [line for line in daemon.log() if line["event"] == "worker.ended"]
    assert {line["signal"] for line in ended} == {9}
    assert daemon.healthz()[0] == 200


def test_a_worker_that_dies_again_and_again_is_always_restarted(daemon):
    for _ in range(3):
        pid = wait_until(daemon.worker_pids, "a worker")[0]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: daemon.worker_pids() not in ([], [pid]), "the next worker")
    assert daemon.metric("fulfilld_worker_restarts_total") == 3


def test_counters_survive_the_worker_that_counted(daemon, client):
    run(client, messages.order())
    os.kill(daemon.worker_pids()[0], signal.SIGKILL)
    daemon.wait_log("worker.ended")
    assert daemon.metrics()['fulfilld_orders_settled_total{outcome="complete"}'] == 1


def test_a_new_configuration_is_in_force_after_a_reload(daemon, client):
    before = children(daemon)
    order = messages.order(messages.seat(product_class="Mug"))
    assert run(client, order, "dead").line["reason"]["code"] == "no_module"
    daemon.configure({"modules": {"Mug": "none"}}).reload()
    wait_until(lambda: not children(daemon) & before and len(children(daemon)) == 2, "both to be replaced")
    daemon.wait_ready()
    run(client, messages.order(messages.seat(product_class="Mug")))
    assert not [line for line in daemon.log() if line["event"] == "worker.ended"]


BAD = {
    "unknown key": ({"worker": {"processors": 2}}, "processors"),
    "out of range": ({"worker": {"lease": "1h"}}, "lease"),
    "secret that is not there": ({"lms": {"api_key_file": "/nonexistent/key"}}, "/nonexistent/key"),
    "unknown module": ({"modules": {"Mug": "potter"}}, "potter"),
}


@pytest.mark.parametrize("change, word", BAD.values(), ids=list(BAD))
def test_a_bad_file_is_refused_and_the_old_one_stays_in_force(daemon, client, change, word):
    before = children(daemon)
    daemon.configure(change).reload()
    daemon.wait_log("supervisor.reload_refused")
    assert any(line["event"] == "config.invalid" and word in line["why"] for line in daemon.log())
    assert children(daemon) == before
    run(client, messages.order())


@pytest.mark.parametrize("change, word", BAD.values(), ids=list(BAD))
def test_a_bad_file_at_the_start_ends_it_with_2(make_daemon, broker, redis, lms, prefix, change, word):
    daemon = make_daemon(broker, redis, lms, prefix, change).start(wait_ready=False)
    assert daemon.wait() == 2
    assert word in daemon.log_text()


def test_a_plug_in_that_crashes_on_loading_is_a_bad_configuration(make_daemon, broker, redis, lms, prefix):
    directory = pathlib.Path(os.environ.get("FULFILLD_PLUGINS", "missing")) / "deadly"
    daemon = make_daemon(broker, redis, lms, prefix, {"plugins": {"directory": directory}})
    daemon.start(wait_ready=False, env={"DEADLY_LOADING": "1"})
    assert daemon.wait() == 2


def test_a_busy_address_ends_it_with_1(make_daemon, broker, redis, lms, prefix):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        daemon = make_daemon(broker, redis, lms, prefix, {"http": {"listen": listen}}).start(wait_ready=False)
        assert daemon.wait() == 1
    assert listen in daemon.log_text()


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGHUP, signal.SIGTERM],
                                     [signal.SIGHUP, signal.SIGHUP, signal.SIGINT]],
                         ids=lambda signals: " ".join(signal.Signals(s).name for s in signals))
def test_stopping_wins_over_a_reload_that_has_just_begun(daemon, signals):
    for number in signals:
        daemon.signal(number)
    assert daemon.wait() == 0


def test_reloads_that_overtake_each_other_replace_every_worker(make_daemon, broker, redis, lms, prefix, client):
    daemon = make_daemon(broker, redis, lms, prefix, {"worker": {"processes": 3}}).start()
    before = children(daemon)
    daemon.reload()
    wait_until(lambda: children(daemon) != before, "the roll to begin")
    middle = children(daemon) | before
    daemon.reload()
    wait_until(lambda: len(children(daemon)) == 4 and not children(daemon) & middle, "four new workers")
    daemon.wait_ready()
    run(client, messages.order())


def test_a_reload_leaves_no_moment_in_which_no_worker_is_ready(make_daemon, broker, redis, lms, prefix, client):
    daemon = make_daemon(broker, redis, lms, prefix, {"worker": {"processes": 2}}).start()
    statuses = set()

    def all_new(before):
        status, text = daemon.readyz()
        statuses.add(status)
        return not children(daemon) & before and text.count(": ready") == 3

    for _ in range(5):
        orders = [messages.order() for _ in range(20)]
        client.publish_many(orders)
        before = children(daemon)
        daemon.reload()
        wait_until(lambda: all_new(before), "all three to be replaced and ready")
        client.wait_all(orders)
    assert statuses == {200}


def test_a_reload_while_a_link_is_away_replaces_every_worker(make_daemon, broker, own_redis, lms, prefix, client):
    daemon = make_daemon(broker, own_redis, lms, prefix).start()
    before = children(daemon)
    own_redis.kill()
    wait_until(lambda: daemon.readyz()[0] == 503, "not to be ready")
    daemon.reload()
    wait_until(lambda: len(children(daemon)) == 2 and not children(daemon) & before, "both to be replaced")
    assert [line["slot"] for line in daemon.log() if line["event"] == "roll.not_ready"] == [0]
    own_redis.start()
    daemon.wait_ready()
    run(client, messages.order())


def test_systemd_is_told_what_goes_on(make_daemon, broker, redis, lms, prefix, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)

        def next_word():
            return listener.recv(4096).decode().split("\n")[0]

        daemon = make_daemon(broker, redis, lms, prefix).start(wait_ready=False, env={"NOTIFY_SOCKET": str(path)})
        assert next_word() == "READY=1"
        daemon.wait_ready()
        daemon.reload()
        assert next_word() == "RELOADING=1"
        assert next_word() == "READY=1"
        daemon.stop()
        assert next_word() == "STOPPING=1"


def test_ready_says_which_worker_is_not(make_daemon, broker, own_redis, lms, prefix):
    daemon = make_daemon(broker, own_redis, lms, prefix).start()
    status, text = daemon.readyz()
    assert status == 200 and "worker 0: ready" in text
    own_redis.kill()
    wait_until(lambda: daemon.readyz()[0] == 503, "not to be ready")
    assert "Redis is down" in daemon.readyz()[1]
    assert daemon.healthz()[0] == 200
    own_redis.start()
    daemon.wait_ready()
