"""Waiting for a condition with a deadline. Tests never sleep for a guessed time."""

import time

import pika.exceptions
import redis.exceptions

DEADLINE_S = 30.0
PAUSE_S = 0.02

# What a server that is away, or an object that is not there yet, looks like from here.
NOT_YET = (AssertionError, OSError, pika.exceptions.AMQPError, redis.exceptions.ConnectionError)


def wait_until(condition, what, deadline_s=DEADLINE_S, pause_s=PAUSE_S):
    """Calls condition() until it answers something true, and answers that.

    After the deadline it fails with `what` and the last value, so that the failure tells how far
    things got. An assertion that fails and a server that does not answer count as "not yet".
    """
    end = time.monotonic() + deadline_s
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except NOT_YET as error:
            last = error
        if time.monotonic() >= end:
            raise AssertionError(f"waited {deadline_s:g} s for {what}; last value: {last!r}")
        time.sleep(pause_s)


def stays_true(condition, what, for_s):
    """Fails as soon as condition() is false within for_s seconds: for things that must not happen."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        assert condition(), f"did not stay true: {what}"
        time.sleep(PAUSE_S)
