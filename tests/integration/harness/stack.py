"""fulfilld with everything it needs, under a prefix of its own on shared servers."""

import pathlib
import uuid

from .client import Client
from .daemon import Daemon
from .lms import Lms


class Stack:
    """daemon, lms, client, prefix; made and ended together."""

    def __init__(self, directory, broker, redis, config=None):
        directory = pathlib.Path(directory)
        self.broker, self.redis = broker, redis
        self.prefix = "s" + uuid.uuid4().hex[:8]
        self.lms = Lms(directory / "lms")
        self.client = Client(broker, self.prefix)
        self.daemon = None
        self._directory, self._config = directory, config

    def start(self):
        self.lms.start()
        config = None if callable(self._config) else self._config
        self.daemon = Daemon(self._directory / "daemon", self.broker, self.redis, self.lms, self.prefix, config)
        if callable(self._config):
            self._config(self.daemon, self.lms)
        self.daemon.start()
        return self

    def run(self, order, outcome="complete", deadline_s=30):
        """Publishes an order and waits for the event with that outcome; answers the event."""
        self.client.publish(order)
        return self.client.wait_event(order["order_number"], outcome, deadline_s=deadline_s)

    def requests_of(self, order):
        """What the LMS saw for the learner of an order, in order."""
        return self.lms.ledger(user=order["user"]["username"])

    def destroy(self):
        if self.daemon:
            self.daemon.destroy()
        self.client.close()
        self.broker.delete_prefix(self.prefix)
        self.redis.delete_prefix(self.prefix + ":")
        self.lms.destroy()
