"""RabbitMQ takes a delivery back that was not acked in time (its consumer_timeout; it looks once a minute)."""

import pytest

from harness.away import BrokerRig
from harness.wait import wait_until


@pytest.fixture
def rig(tmp_path, redis):
    made = BrokerRig(tmp_path / "rig", redis, {"worker": {"lease": "5s"}})
    try:
        yield made
    finally:
        made.destroy()


def test_a_delivery_that_is_taken_back_is_done_once_and_consuming_goes_on(rig):
    rig.broker.rabbitmqctl("eval", "application:set_env(rabbit, consumer_timeout, 5000).")
    rig.daemon.configure({"lms": {"timeout": "120s"}})
    rig.daemon.stop()
    rig.daemon.start()
    watch = rig.watch()
    slow = watch.publish_slow(delay_ms=90_000)
    wait_until(lambda: watch.lines("broker.down"), "the channel to be closed", 100)
    assert any("timeout" in line["why"] or "timed out" in line["why"] for line in watch.lines("broker.down")), \
        watch.lines("broker.down")
    watch.wait_ready()
    watch.publish(5)
    wait_until(lambda: watch.requests_of([slow])[0]["finished_us"], "the slow answer", 100)
    watch.assert_all_complete_once()
    assert len(watch.requests_of([slow])) == 1
    watch.assert_told_once("broker.down")
