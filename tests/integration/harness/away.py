"""What every test of a fault asks: was it noticed, told once, and was nothing lost or doubled?"""

import pathlib
import re

from . import messages
from .client import Client
from .daemon import Daemon
from .lms import Lms
from .proxy import Proxy
from .rabbitmq import RabbitMQ
from .wait import wait_until


class Watch:
    """Orders sent through one fulfilld around a fault, and what became of them.

    The log is looked at from here on, or `since_start` of the program.
    """

    def __init__(self, daemon, lms=None, client=None, since_start=False):
        self.daemon, self.lms, self.client = daemon, lms, client
        self.orders = []
        self._log_from = 0 if since_start else len(daemon.log())

    # orders

    def publish(self, count=1):
        """Publishes orders that only have to be fulfilled; answers them."""
        new = [messages.order() for _ in range(count)]
        for order in new:
            self.client.publish(order)
        self.orders += new
        return new

    def publish_slow(self, delay_ms=1000):
        """An order that is at the LMS now and will be for a while."""
        order = messages.order()
        self.lms.script({"delay_ms": delay_ms}, user=order["user"]["username"])
        self.client.publish(order)
        self.orders.append(order)
        wait_until(lambda: self.requests_of([order]), "the slow order to be at the LMS")
        return order

    def requests_of(self, orders):
        users = {order["user"]["username"] for order in orders}
        return [entry for entry in self.lms.ledger() if entry.get("user") in users]

    # what the program says

    def wait_not_ready(self, words, deadline_s=40):
        def told():
            status, text = self.daemon.readyz()
            assert status == 503 and words in text, text
            return True
        wait_until(told, f"/readyz to say {words!r}", deadline_s)

    def wait_ready(self):
        self.daemon.wait_ready(40)

    def lines(self, *events):
        """The log lines since the watch began, of these events or (without any) of warnings and errors."""
        return [line for line in self.daemon.log()[self._log_from:]
                if (line.get("event") in events if events else line.get("level") in ("warning", "error"))]

    def _tellers(self, event):
        return [(line.get("role"), line.get("slot"), line.get("link")) for line in self.lines(event)]

    def assert_told_once(self, event):
        """At least one worker says it; none says it twice of the same link."""
        told = self._tellers(event)
        assert told, f"nothing said {event}; said: {self.lines()}"
        assert len(told) == len(set(told)), f"{event} was said more than once: {self.lines(event)}"
        assert all(line.get("why") and line.get("look") for line in self.lines(event)), self.lines(event)

    def wait_over(self, began, ended):
        """Whoever told of the trouble tells of its end, too: only then would it tell of the same trouble again."""
        wait_until(lambda: set(self._tellers(began)) <= set(self._tellers(ended)),
                   f"every worker that said {began} to say {ended}")

    def assert_quiet(self, most=12):
        assert len(self.lines()) <= most, self.lines()

    # the end

    def assert_all_complete_once(self, attempt=1):
        """Each order has one end, each learner one enrollment, and the queue is empty."""
        for order in self.orders:
            number = order["order_number"]
            event = self.client.wait_event(number, "complete", deadline_s=60)
            assert attempt is None or event.data["attempt"] == attempt, event.data
            outcomes = {(e.id, e.outcome) for e in self.client.events_of(number)}
            assert [outcome for _, outcome in outcomes].count("complete") == 1, outcomes
            if attempt == 1:
                assert len(outcomes) == 1, outcomes
            assert self.lms.enrollment(order["user"]["username"])["is_active"]
        self.client.wait_settled()
        stats = self.lms.stats()
        assert stats["repeated_enrolls"] == 0 and stats["overlaps"] == 0, stats
        assert self.client.depth("dead") == 0

    def rss_kib(self):
        """Memory in use by the largest worker."""
        return max(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
                   for pid in self.daemon.worker_pids())


class BrokerRig:
    """One fulfilld that reaches a RabbitMQ of its own through a proxy, as a user of its own, with a quick heartbeat."""

    PREFIX = "away"
    USER = "worker"

    def __init__(self, directory, redis, config=None):
        self.broker = RabbitMQ(directory / "rabbitmq").start()
        self.allow()
        self.proxy = Proxy(self.broker.port).start()
        self.redis = redis
        self.lms = Lms(directory / "lms").start()
        self.client = Client(self.broker, self.PREFIX)
        self.directory = directory
        uri = self.proxy.uri_of(self.broker.uri).replace("guest:guest", f"{self.USER}:{self.USER}")
        self.daemon = Daemon(directory / "daemon", self.broker, redis, self.lms, self.PREFIX, {
            "amqp": {"uris": uri, "heartbeat": "2s"}, **(config or {})})
        self.daemon.configure({"lms": {"timeout": "15s"}}).start()

    def watch(self):
        self.daemon.wait_ready()
        return Watch(self.daemon, self.lms, self.client)

    def allow(self, configure=".*", write=".*", read=".*"):
        """Makes the user and says what it may do."""
        self.broker.api("PUT", f"/users/{self.USER}", {"password": self.USER, "tags": ""})
        self.broker.api("PUT", f"/permissions/%2F/{self.USER}",
                        {"configure": configure, "write": write, "read": read})

    def forbid(self):
        """Takes the whole virtual host from it."""
        self.broker.api("DELETE", f"/permissions/%2F/{self.USER}")

    def name(self, suffix):
        return f"{self.PREFIX}.{suffix}"

    def destroy(self):
        self.daemon.destroy()
        self.client.close()
        self.lms.destroy()
        self.proxy.destroy()
        self.broker.destroy()
