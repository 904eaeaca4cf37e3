"""What the two long-running commands share: stop signals, pauses that grow, lost databases."""

from __future__ import annotations

import logging
import random
import signal
import threading
from typing import Any

from django.db import connections

logger = logging.getLogger("oscar_fulfillment")


class StopSignal:
    """Set by SIGTERM or SIGINT; the loop looks at it between two messages."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def install(self) -> None:
        """Takes over the two signals of the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._event.set()

    def set(self) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def pause(self, seconds: float) -> None:
        """Sleeps; a signal ends the sleep."""
        self._event.wait(seconds)


class Backoff:
    """Pauses that double from one second to a limit, with jitter; ``reset()`` after a success."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    def next(self) -> float:
        """The next pause in seconds, drawn from the upper half of its range."""
        self._failures += 1
        longest = min(self._limit, 2.0 ** min(self._failures - 1, 16))
        return random.uniform(longest / 2, longest)


def drop_database() -> None:
    """Closes the database connections, so that the next query makes new ones."""
    for connection in connections.all():
        connection.close()
