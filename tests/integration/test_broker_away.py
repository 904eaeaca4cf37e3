"""RabbitMQ stopped, silent, unreachable, closing connections: what is in hand is finished, the rest waits."""

import pytest

from harness.away import BrokerRig
from harness.wait import wait_until

DOWN = "RabbitMQ (consuming) is down; RabbitMQ (publishing) is down;"


@pytest.fixture(scope="module")
def rig(tmp_path_factory, redis):
    made = BrokerRig(tmp_path_factory.mktemp("rig"), redis)
    try:
        yield made
    finally:
        made.destroy()


@pytest.fixture
def watch(rig):
    return rig.watch()


def go_through(watch, begin, end, can_publish):
    """A fault while one order is at the LMS. What was done already is not done again, and not told twice."""
    watch.publish(3)
    watch.assert_all_complete_once()
    slow = watch.publish_slow()
    begin()
    watch.wait_not_ready(DOWN)
    later = watch.publish(5) if can_publish else []
    wait_until(lambda: watch.requests_of([slow])[0]["finished_us"], "the call in flight to end")
    assert not watch.requests_of(later), "work was taken"
    end()
    watch.client.close()  # its own connection may have died as well
    watch.wait_ready()
    watch.publish(3)
    watch.assert_all_complete_once()
    assert len(watch.requests_of([slow])) == 1, "what was done already was done again"
    watch.assert_told_once("broker.down")
    watch.wait_over("broker.down", "broker.up")
    watch.assert_quiet()


def test_rabbitmq_is_killed_and_comes_back(rig, watch):
    before = watch.rss_kib()
    go_through(watch, rig.broker.kill, rig.broker.start, can_publish=False)
    assert watch.rss_kib() < before + 64 * 1024


def test_rabbitmq_is_paused(rig, watch):
    go_through(watch, rig.broker.pause, rig.broker.resume, can_publish=False)


def test_rabbitmq_is_behind_a_black_hole(rig, watch):
    go_through(watch, rig.proxy.black_hole, rig.proxy.pass_on, can_publish=True)


def test_rabbitmq_refuses_connections(rig, watch):
    go_through(watch, rig.proxy.refuse, rig.proxy.pass_on, can_publish=True)


def test_rabbitmq_closes_all_connections(rig, watch):
    slow = watch.publish_slow()
    rig.broker.close_connections("maintenance")
    rig.client.close()
    watch.publish(5)
    watch.assert_all_complete_once()
    assert len(watch.requests_of([slow])) == 1
    assert all("maintenance" in line["why"] for line in watch.lines("broker.down"))
    watch.assert_told_once("broker.down")


def test_connections_break_while_orders_are_in_flight(rig, watch):
    watch.publish_slow()
    for _ in range(3):
        watch.publish(10)
        accepted = rig.proxy.accepted
        rig.proxy.reset()
        wait_until(lambda: rig.proxy.accepted > accepted, "a new connection")
    watch.assert_all_complete_once()
    watch.wait_ready()


def test_connections_break_in_the_middle_of_frames(rig, watch):
    rig.proxy.cut_after(6001)
    rig.proxy.reset()
    watch.publish(40)
    accepted = rig.proxy.accepted
    wait_until(lambda: rig.proxy.accepted >= accepted + 3, "several connections to be cut")
    rig.proxy.pass_on()
    watch.assert_all_complete_once()
