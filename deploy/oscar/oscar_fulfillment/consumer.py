"""The consumer of the events queue: takes, applies, and acknowledges after the commit.

Knows nothing of what an event means; that is ``events``' business. Called by
``manage.py fulfillment_events``; several may run.
"""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError

from oscar_fulfillment import conf, events
from oscar_fulfillment.broker import BrokerDown, Consumer, Delivery
from oscar_fulfillment.daemon import Backoff, StopSignal, drop_database, logger

IDLE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class EventConsumer:
    """One consumer process."""

    def __init__(self, stop: StopSignal | None = None) -> None:
        self.stop = StopSignal() if stop is None else stop
        self._backoff = Backoff(LONGEST_PAUSE_SECONDS)
        self._link = Consumer(
            f"{conf.get('AMQP_PREFIX')}.events", prefetch=conf.get("EVENTS_PREFETCH")
        )

    def run(self, until_idle: bool = False) -> int:
        """Runs until the stop signal; returns how many events were taken.

        With ``until_idle`` it ends when the queue has nothing more for a second, and a broker that
        is away is raised as ``BrokerDown``.
        """
        taken = 0
        while not self.stop:
            try:
                for delivery in self._link.deliveries(IDLE_SECONDS):
                    if delivery is None and until_idle:
                        self.stop.set()
                    elif delivery is not None:
                        taken += self._take(delivery)
                    if self.stop:
                        break
            except BrokerDown as error:
                if until_idle:
                    raise
                self._pause(f"broker away: {error}")
            except (DatabaseError, InterfaceError) as error:
                # Unacknowledged, the event comes again; on a fresh link, so in its old place.
                self._link.close()
                drop_database()
                self._pause(f"database away: {type(error).__name__}")
        self._link.close()
        return taken

    def _take(self, delivery: Delivery) -> int:
        events.handle(delivery.body, delivery.routing_key)
        self._link.ack(delivery)
        self._backoff.reset()
        return 1

    def _pause(self, why: str) -> None:
        seconds = self._backoff.next()
        logger.warning("events: %s; next try in %.0f s", why, seconds)
        self.stop.pause(seconds)
