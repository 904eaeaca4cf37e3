"""The relay: takes messages from the outbox to the broker, and never loses one.

A message is marked sent only after the broker's confirm. Dying in between publishes it once more
under the same message id, which the worker recognises; that is the one thing that can happen.
Several relays may run. Called by ``manage.py fulfillment_relay``.
"""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError

from oscar_fulfillment import conf, outbox, wakeup
from oscar_fulfillment.broker import BrokerDown, NotPublished, Publisher
from oscar_fulfillment.daemon import Backoff, StopSignal, drop_database, logger
from oscar_fulfillment.models import OutboxMessage

FIRST_REFUSAL_DELAY_SECONDS = 5
LONGEST_REFUSAL_DELAY_SECONDS = 600
# No longer than this without looking at the broker link, whose heartbeats want an answer.
LONGEST_WAIT_SECONDS = 5.0


class Relay:
    """One relay process: rounds of claim, publish, mark, and waits between them."""

    def __init__(self, stop: StopSignal | None = None) -> None:
        self.stop = StopSignal() if stop is None else stop
        self._publisher = Publisher()
        self._listener: wakeup.Listener | None = None
        self._backoff = Backoff(conf.get("RELAY_MAX_BACKOFF"))

    def run_once(self) -> int:
        """Publishes all that is due and returns how many; raises ``BrokerDown``."""
        total = 0
        try:
            while not self.stop:
                sent, claimed = self._round()
                total += sent
                if not claimed:
                    break
        finally:
            self._publisher.close()
        return total

    def run(self) -> None:
        """Runs until the stop signal; failures are waited out, never fatal."""
        logger.info("relay: started")
        while not self.stop:
            try:
                _, claimed = self._round()
                self._backoff.reset()
                if not claimed:
                    self._wait()
            except BrokerDown as error:
                self._pause(f"broker away: {error}")
            except (DatabaseError, InterfaceError) as error:
                self._drop_listener()
                drop_database()
                self._pause(f"database away: {type(error).__name__}")
        self._drop_listener()
        self._publisher.close()
        logger.info("relay: stopped")

    def _round(self) -> tuple[int, int]:
        """One batch; returns how many were sent and how many were claimed."""
        batch = outbox.claim(conf.get("RELAY_BATCH"), conf.get("RELAY_LEASE"))
        sent = 0
        for position, message in enumerate(batch):
            if self.stop:
                outbox.release(batch[position:])
                break
            try:
                sent += self._send(message)
            except BrokerDown:
                outbox.release(batch[position:])
                raise
        return sent, len(batch)

    def _send(self, message: OutboxMessage) -> int:
        try:
            self._publisher.publish(
                str(message.message_id), message.routing_key, message.body, message.traceparent
            )
        except NotPublished as error:
            delay = min(
                LONGEST_REFUSAL_DELAY_SECONDS,
                FIRST_REFUSAL_DELAY_SECONDS * 2 ** min(message.attempts, 10),
            )
            outbox.mark_failed(message, str(error), delay)
            logger.warning("relay: message %s not taken: %s", message.message_id, error)
            return 0
        outbox.mark_sent(message)
        return 1

    def _wait(self) -> None:
        if self._listener is None:
            # A message committed before the listener existed is found by the next round.
            self._listener = wakeup.listen()
            self._listener.wait(0)
            return
        self._listener.wait(min(conf.get("RELAY_POLL"), LONGEST_WAIT_SECONDS))
        self._publisher.idle()

    def _drop_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _pause(self, why: str) -> None:
        seconds = self._backoff.next()
        logger.warning("relay: %s; next try in %.0f s", why, seconds)
        self.stop.pause(seconds)
