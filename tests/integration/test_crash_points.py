"""A worker dies between every two steps of an order, for every outcome: the redelivery does no harm.

The steps are the stages of worker/stages.def. A Debug build dies on entering the stage whose name lies as a
file in $FULFILLD_CRASH_DIR (worker/pipeline.c); in mid-call and with a frozen server the worker is killed
from outside. Whatever happened, an order ends once, has its effect once, and its events keep their ids.
"""

import os
import pathlib
import re
import signal

import pytest

from harness import messages
from harness.daemon import fulfilld_bin
from harness.stack import Stack
from harness.wait import wait_until

CONFIG = {"worker": {"lease": "1s"}, "retry": {"first_delay": "1s", "max_delay": "1s"}}

STAGES_DEF = pathlib.Path(__file__).resolve().parents[2] / "worker" / "stages.def"
STAGES = re.findall(r"^STAGE\((\w+),", STAGES_DEF.read_text(), re.MULTILINE) + ["DONE"]

ASIDE = {"KEPT", "TELL"}             # not on the way of an order: a resubmit by number, tested below
SKIPPED_BY = {"MARK": {"success"}}   # there is no copy to mark

# An outcome: what the LMS answers, the events that follow, how often the LMS may have its effect.
FAILS_ONCE = {"status": 500, "body": {"message": "Oops!"}}
REFUSES = {"status": 422, "body": {"message": "not like this"}, "times": "forever"}
OUTCOMES = {
    "success": ([], [("complete", 1)], 1),
    "retry": ([FAILS_ONCE], [("retrying", 1), ("complete", 2)], 1),
    "dead": ([REFUSES], [("dead", 1)], 0),
}


class Lanes:
    """Three daemons side by side, one for each outcome, so that their waiting overlaps."""

    def __init__(self, directory, broker, redis):
        self.stacks = {name: Stack(directory / name, broker, redis, CONFIG) for name in OUTCOMES}
        self.directory = directory

    def restart(self):
        """Fresh daemons: the pauses before a worker is started again begin anew."""
        for name, stack in self.stacks.items():
            stack.lms.clear_script()
            stack.client.drain("dead")
            stack.daemon.kill()
            stack.daemon.start(wait_ready=False, env={"FULFILLD_CRASH_DIR": str(self.points(name))})
        for stack in self.stacks.values():
            stack.daemon.wait_ready()

    def points(self, name):
        return self.directory / name


@pytest.fixture(scope="module")
def all_lanes(tmp_path_factory, broker, redis):
    binary = pathlib.Path(fulfilld_bin())
    assert b"FULFILLD_CRASH_DIR" in binary.read_bytes(), "crash points need a Debug build"
    lanes = Lanes(tmp_path_factory.mktemp("lanes"), broker, redis)
    try:
        for stack in lanes.stacks.values():
            stack.start()
        yield lanes
    finally:
        for stack in lanes.stacks.values():
            stack.destroy()


@pytest.fixture
def lanes(all_lanes):
    all_lanes.restart()
    return all_lanes


class Trial:
    """One order on its lane, and a crash on its way."""

    def __init__(self, lanes, outcome):
        self.stack, self.outcome = lanes.stacks[outcome], outcome
        self.directory = lanes.points(outcome)
        self.steps, self.expected, self.effects = OUTCOMES[outcome]
        self.order = messages.order()
        self.number = self.order["order_number"]

    def script(self, *steps):
        if steps:
            self.stack.lms.script(*steps, order=self.number, kind="enrollment.post")

    def publish(self):
        self.stack.client.publish(self.order)

    def crash_at(self, stage):
        (self.directory / stage).touch()

    def wait_crash(self, stage):
        wait_until(lambda: not (self.directory / stage).exists(), f"the crash at {stage} ({self.outcome})")

    def requests(self):
        return self.stack.lms.ledger(order=self.number, kind="enrollment.post")

    def kill_workers(self):
        for pid in self.stack.daemon.worker_pids():
            os.kill(pid, signal.SIGKILL)

    def is_recorded(self):
        keys = [key for key in self.stack.redis.keys(self.stack.prefix + ":")
                if self.number in key and ":item:" in key]
        return any(self.stack.redis.client().hget(key, "decision") for key in keys)

    def distinct_events(self):
        return {event.id: event for event in self.stack.client.events_of(self.number)}

    def assert_harmless(self):
        """The order ended as if nothing had happened; repeats of an event are the same event."""
        for name, _ in self.expected:
            self.stack.client.wait_event(self.number, name)
        self.stack.client.wait_settled()
        distinct = self.distinct_events()
        assert [(event.outcome, event.data["attempt"]) for event in distinct.values()] == self.expected
        for event in self.stack.client.events_of(self.number):
            assert event.data == distinct[event.id].data, "a repeat says something else"
        assert len([entry for entry in self.requests() if entry["applied"]]) == self.effects
        assert self.stack.lms.stats()["repeated_enrolls"] == 0
        dead = {message.json["order_number"] for message in self.stack.client.peek("dead")}
        assert dead == ({self.number} if self.outcome == "dead" else set())


@pytest.fixture
def trials(lanes):
    return [Trial(lanes, outcome) for outcome in OUTCOMES]


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ASIDE])
def test_worker_dies_on_entering_a_stage(trials, stage):
    trials = [trial for trial in trials if trial.outcome not in SKIPPED_BY.get(stage, ())]
    for trial in trials:
        # Before RECORD the answer is known to the dead worker only: the LMS is asked again, and says the same.
        trial.script(*trial.steps, *(trial.steps if stage == "RECORD" else []))
        trial.crash_at(stage)
        trial.publish()
    for trial in trials:
        trial.wait_crash(stage)
    for trial in trials:
        trial.assert_harmless()


@pytest.mark.parametrize("stage", ["FULFILL", "RECORD", "PUBLISH", "SETTLE"])
def test_worker_dies_twice_at_the_same_stage(trials, stage):
    for trial in trials:
        trial.script(*trial.steps * (3 if stage == "RECORD" else 1))
        trial.crash_at(stage)
        trial.publish()
    for trial in trials:
        trial.wait_crash(stage)
        trial.crash_at(stage)
    for trial in trials:
        trial.wait_crash(stage)
    for trial in trials:
        trial.assert_harmless()


def test_worker_dies_in_mid_call(trials):
    """Without an answer; of the successful one the effect is there, and is found by looking first."""
    for trial in trials:
        trial.script({"never": True, "apply": trial.outcome == "success"}, *trial.steps)
        trial.publish()
    for trial in trials:
        wait_until(trial.requests, "the request")
        trial.kill_workers()
    for trial in trials:
        trial.assert_harmless()
    success = trials[0]
    assert success.outcome == "success" and len(success.requests()) == 1, "it looked before it wrote again"


def hold_requests(trials, delay_ms):
    """Each order is at its upstream, and will have its answer after a while."""
    for trial in trials:
        first = trial.steps[0] if trial.steps else {"pass": True}
        trial.script({**first, "delay_ms": delay_ms, "times": 1}, *trial.steps[1:],
                     *([first] if first.get("times") == "forever" else []))
        trial.publish()
    for trial in trials:
        wait_until(trial.requests, "the request")


def test_worker_dies_while_the_broker_is_frozen(trials, broker):
    """What it has published may be there or not, and no confirm came."""
    hold_requests(trials, 500)
    broker.pause()
    try:
        for trial in trials:
            wait_until(trial.is_recorded, "the record")
            trial.kill_workers()
    finally:
        broker.resume()
    for trial in trials:
        trial.assert_harmless()


def test_worker_dies_while_redis_is_frozen(trials, redis):
    """The record may be there or not, and no answer came."""
    trials = [trial for trial in trials if trial.outcome != "retry"]  # the answer is said once only
    hold_requests(trials, 500)
    redis.pause()
    try:
        for trial in trials:
            trial.stack.lms.wait_requests(1, order=trial.number, kind="enrollment.post")
            trial.kill_workers()
    finally:
        redis.resume()
    for trial in trials:
        trial.assert_harmless()


@pytest.mark.parametrize("stage", ["KEPT", "TELL", "FULFILL", "PUBLISH", "SETTLE"])
def test_worker_dies_over_a_resubmit_by_number(lanes, stage):
    trial = Trial(lanes, "dead")
    trial.script({**REFUSES, "times": 1})
    trial.publish()
    trial.assert_harmless()
    trial.crash_at(stage)
    trial.stack.client.publish(messages.resubmit_number(trial.number))
    trial.wait_crash(stage)
    trial.stack.client.wait_event(trial.number, "complete")
    trial.stack.client.wait_settled()
    told = [event.outcome for event in trial.distinct_events().values()]
    assert [outcome for outcome in told if outcome != "ignored"] == ["dead", "requeued", "complete"]
    assert len([entry for entry in trial.requests() if entry["applied"]]) == 1
