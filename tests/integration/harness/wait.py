"""Waiting for a condition with a deadline. Tests never sleep for a guessed time."""

import time

DEADLINE_S = 30.0
PAUSE_S = 0.02


def wait_until(condition, what, deadline_s=DEADLINE_S, pause_s=PAUSE_S):
    """Calls condition() until it answers something true, and answers that.

    After the deadline it fails with `what` and the last value, so that the failure tells how far
    things got. An exception of condition() counts as "not yet"; the last one is told too.
    """
    end = time.monotonic() + deadline_s
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except AssertionError as error:
            last = error
        except (OSError, ConnectionError) as error:
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
