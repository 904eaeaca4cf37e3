"""Redis stopped, silent, unreachable, emptied, a replica, out of memory: work waits and goes on by itself."""

import shutil

import pytest

from harness import messages
from harness.away import Watch
from harness.client import Client
from harness.daemon import Daemon
from harness.lms import Lms
from harness.proxy import Proxy
from harness.redis import Redis
from harness.wait import wait_until
from harness.words import requests_words

DOWN = "Redis is down"
REFUSES = "Redis refuses commands"


class Rig:
    """One fulfilld that reaches a Redis of this file's own through a proxy."""

    def __init__(self, directory, broker):
        self.redis = Redis(directory / "redis").start()
        self.proxy = Proxy(self.redis.port).start()
        self.lms = Lms(directory / "lms").start()
        self.client = Client(broker, "redisaway")
        self.daemon = Daemon(directory / "daemon", broker, self.redis, self.lms, "redisaway", {
            "redis": {"uri": self.proxy.uri_of(self.redis.uri), "timeout": "500ms"}}).start()

    def destroy(self):
        self.daemon.destroy()
        self.client.close()
        self.client.broker.delete_prefix("redisaway")
        self.lms.destroy()
        self.proxy.destroy()
        self.redis.destroy()


@pytest.fixture(scope="module")
def rig(tmp_path_factory, broker):
    made = Rig(tmp_path_factory.mktemp("rig"), broker)
    try:
        yield made
    finally:
        made.destroy()


@pytest.fixture
def watch(rig):
    rig.daemon.wait_ready()
    return Watch(rig.daemon, rig.lms, rig.client)


def go_through(watch, begin, end, words, event):
    """A fault while one order is at the LMS and more come in: none is taken, all are done when it has ended."""
    watch.publish(3)
    watch.assert_all_complete_once()
    slow = watch.publish_slow()
    begin()
    watch.wait_not_ready(words)
    later = watch.publish(5)
    wait_until(lambda: watch.requests_of([slow])[0]["finished_us"], "the call in flight to end")
    assert not watch.requests_of(later), "work was taken"
    end()
    watch.assert_all_complete_once()
    watch.wait_ready()
    assert len(watch.requests_of([slow])) == 1, "what was done already was done again"
    watch.assert_told_once(event)
    watch.wait_over(event, {"redis.down": "redis.up", "redis.refuses": "redis.serves"}[event])
    watch.assert_quiet()


def test_redis_is_killed_and_comes_back(rig, watch):
    go_through(watch, rig.redis.kill, rig.redis.start, DOWN, "redis.down")


def test_redis_is_paused(rig, watch):
    """It does what it was asked before, when it goes on: a claim that was given without anybody hearing of it."""
    unheard = []

    def begin():
        rig.redis.pause()
        unheard.extend(watch.publish(3))
    go_through(watch, begin, rig.redis.resume, DOWN, "redis.down")
    for order in unheard:
        assert requests_words(watch.requests_of([order])) == ["POST 200"], "it was taken for a crash"


def test_redis_is_behind_a_black_hole(rig, watch):
    go_through(watch, rig.proxy.black_hole, rig.proxy.pass_on, DOWN, "redis.down")


def test_redis_refuses_connections(rig, watch):
    go_through(watch, rig.proxy.refuse, rig.proxy.pass_on, DOWN, "redis.down")


def test_redis_has_become_a_replica(rig, watch):
    go_through(watch, lambda: rig.redis.client().replicaof("127.0.0.1", 1),
               lambda: rig.redis.client().replicaof("NO", "ONE"), DOWN, "redis.down")


def test_redis_is_out_of_memory(rig, watch):
    def begin():
        rig.redis.set("maxmemory", "1mb")
        watch.publish()  # nobody asks Redis for anything while all is quiet
    go_through(watch, begin, lambda: rig.redis.set("maxmemory", "0"), REFUSES, "redis.refuses")


def test_redis_takes_the_permission_to_run_scripts_away(rig, watch):
    def begin():
        rig.redis.client().execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
        watch.publish()
    go_through(watch, begin, lambda: rig.redis.client().execute_command("ACL", "SETUSER", "default", "+@all"),
               REFUSES, "redis.refuses")


def test_redis_comes_back_empty(rig, watch):
    def begin():
        rig.redis.kill()
        for path in rig.redis.directory.glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    go_through(watch, begin, rig.redis.start, DOWN, "redis.down")


def test_redis_is_emptied_while_an_order_waits(rig, watch):
    order = messages.order()
    rig.lms.script({"status": 503, "times": 1}, user=order["user"]["username"])
    rig.client.publish(order)
    watch.orders.append(order)
    rig.client.wait_event(order["order_number"], "retrying")
    rig.redis.flush()
    assert rig.client.wait_event(order["order_number"], "complete").data["attempt"] == 2, "the header's count"
    watch.assert_all_complete_once(attempt=None)


def test_connections_to_redis_are_cut_in_the_middle_of_answers(rig, watch):
    rig.proxy.cut_after(3000)
    rig.proxy.reset()
    watch.publish(30)
    wait_until(lambda: rig.proxy.accepted > 6, "several connections to be cut")
    rig.proxy.pass_on()
    watch.assert_all_complete_once(attempt=None)


def test_redis_forgets_its_scripts(rig, watch):
    for _ in range(5):
        rig.redis.script_flush()
        watch.publish(3)
        watch.assert_all_complete_once()
    assert watch.lines() == []


def test_a_redis_that_may_evict_is_told_of(rig, watch):
    rig.redis.set("maxmemory-policy", "allkeys-lru")
    rig.proxy.reset()
    rig.daemon.wait_log("redis.evicts")
    rig.proxy.reset()
    watch.publish(3)
    watch.assert_all_complete_once()
    workers = [(line["role"], line["slot"]) for line in watch.lines("redis.evicts")]
    assert len(workers) == len(set(workers)), watch.lines("redis.evicts")
    rig.redis.set("maxmemory-policy", "noeviction")
