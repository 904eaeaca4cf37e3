"""The kill loop; see README.md. Exit status 0: the books agree."""

import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import pika.exceptions  # noqa: E402

from harness import messages  # noqa: E402
from harness.client import Client, Event  # noqa: E402
from harness.daemon import Daemon  # noqa: E402
from harness.lms import Lms  # noqa: E402
from harness.rabbitmq import RabbitMQ  # noqa: E402
from harness.redis import Redis  # noqa: E402
from harness.wait import wait_until  # noqa: E402

AUDIT_ONLY = "course-v1:edX+AuditX+2026"
CONFIG = {
    "worker": {"processes": 2, "lease": "5s", "drain_timeout": "3s", "hang_timeout": "5s"},
    "retry": {"first_delay": "1s", "max_delay": "2s", "max_attempts": 100000, "doubtful_attempts": 100000},
    "breaker": {"open_for": "1s", "max_open_for": "2s"},
}
SETTLE_S = 180


class Order:
    """One order and what must become of it."""

    def __init__(self, number, message, ends):
        self.number, self.message, self.ends = number, message, ends
        self.learner = message["user"]["username"]
        self.confirmed = False


def make_order(chance, index):
    number = f"CHAOS-{index}"
    kind = chance.random()
    if kind < 0.05:
        lines, ends = [messages.seat(course=AUDIT_ONLY)], "dead"
    elif kind < 0.20:
        lines, ends = [messages.seat(11), messages.seat(12, course=AUDIT_ONLY, mode="audit")], "complete"
    else:
        lines, ends = [messages.seat()], "complete"
    return Order(number, messages.order(*lines, number=number, user=f"learner-{index}"), ends)


class Shop(threading.Thread):
    """Publishes until told to stop. An order counts from the moment the broker has confirmed it."""

    def __init__(self, broker, seed, rate):
        super().__init__(daemon=True)
        self.client = Client(broker, "fulfillment")
        self.chance = random.Random(seed)
        self.pause_s = 1 / rate
        self.stop = threading.Event()
        self.orders = []

    def run(self):
        while not self.stop.is_set():
            order = make_order(self.chance, len(self.orders))
            self.orders.append(order)
            self.publish(order)
            self.stop.wait(self.pause_s)

    def publish(self, order):
        """The same message again until it is confirmed, as an outbox does."""
        while not order.confirmed:
            try:
                self.client.publish(order.message, message_id=order.number)
                order.confirmed = True
            except (pika.exceptions.AMQPError, OSError):
                self.client.close()
                if self.stop.wait(0.2):
                    return  # unconfirmed: nothing is promised


class Books(threading.Thread):
    """Takes the events as they come."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.client = Client(broker, "fulfillment")
        self.stop = threading.Event()
        self.told = collections.defaultdict(dict)  # order number -> event id -> data
        self.contradictions = []

    def run(self):
        while not self.stop.wait(0.1):
            try:
                self.collect()
            except (pika.exceptions.AMQPError, OSError):
                self.client.close()

    def collect(self):
        """Acks an event when it is in the books, not before."""
        while True:
            method, properties, body = self.client.channel.basic_get(self.client.name("events"))
            if method is None:
                return
            self.take(Event(method, properties, body))
            self.client.channel.basic_ack(method.delivery_tag)

    def take(self, event):
        order = self.told[event.data["order_number"]]
        known = order.setdefault(event.id, (event.outcome, event.data))
        if known != (event.outcome, event.data):
            self.contradictions.append((event.id, known, event.data))

    def ends_of(self, number):
        return [outcome for outcome, _ in list(self.told[number].values()) if outcome in ("complete", "dead")]


class World:
    """All that can break, and the ways to break it. Each way mends again what it broke."""

    def __init__(self, directory, seed):
        self.chance = random.Random(seed)
        self.broker = RabbitMQ(directory / "rabbitmq")
        self.redis = Redis(directory / "redis")
        self.lms = Lms(directory / "lms")
        self.directory = directory
        self.daemons = []
        self.log = []

    def start(self):
        self.broker.start()
        self.redis.start()
        self.lms.start()
        self.daemons = [Daemon(self.directory / f"daemon{i}", self.broker, self.redis, self.lms, config=CONFIG)
                        for i in range(2)]
        for daemon in self.daemons:
            daemon.start()

    def destroy(self):
        for daemon in self.daemons:
            daemon.destroy()
        self.lms.destroy()
        self.redis.destroy()
        self.broker.destroy()

    def a_while(self, most_s):
        time.sleep(self.chance.uniform(0.1, most_s))

    def kill_worker(self):
        pids = self.chance.choice(self.daemons).worker_pids()
        if pids:
            os.kill(self.chance.choice(pids), signal.SIGKILL)

    def kill_daemon(self):
        daemon = self.chance.choice(self.daemons)
        daemon.kill()
        self.a_while(1)
        daemon.start(wait_ready=False)

    def kill_master(self):
        """Its workers live on for a while beside their successors."""
        daemon = self.chance.choice(self.daemons)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        daemon.start(wait_ready=False)

    def restart_daemon(self):
        daemon = self.chance.choice(self.daemons)
        daemon.stop()
        daemon.start(wait_ready=False)

    def reload_daemon(self):
        self.chance.choice(self.daemons).reload()

    def kill_redis(self):
        self.redis.kill()
        self.a_while(2)
        self.redis.start()

    def pause_redis(self):
        self.redis.pause()
        self.a_while(2)
        self.redis.resume()

    def forget_scripts(self):
        self.redis.script_flush()

    def kill_broker(self):
        self.broker.kill()
        self.a_while(1)
        self.broker.start()

    def pause_broker(self):
        self.broker.pause()
        self.a_while(3)
        self.broker.resume()

    def close_connections(self):
        self.broker.close_connections()

    def pause_lms(self):
        self.lms.signal(signal.SIGSTOP)
        self.a_while(3)
        self.lms.signal(signal.SIGCONT)

    def lms_outage(self):
        self.lms.outage()
        self.a_while(3)
        self.lms.recover()

    def lose_answers(self):
        """The LMS does what it is asked, and nobody hears of it."""
        self.lms.script({"close": True, "apply": True, "times": self.chance.randrange(1, 20)}, kind="enrollment.post")

    def fail_some(self):
        self.lms.script({"status": 500, "body": {"message": "Oops!"}, "times": self.chance.randrange(1, 20)},
                        kind="enrollment.post")

    WAYS = {kill_worker: 8, kill_daemon: 3, kill_master: 2, restart_daemon: 2, reload_daemon: 1, kill_redis: 3,
            pause_redis: 2, forget_scripts: 1, kill_broker: 1, pause_broker: 2, close_connections: 1, pause_lms: 2,
            lms_outage: 2, lose_answers: 4, fail_some: 3}

    def break_something(self):
        way, = self.chance.choices(list(self.WAYS), self.WAYS.values())
        self.log.append((time.strftime("%H:%M:%S"), way.__name__))
        way(self)


def rebel(world, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        world.a_while(2)
        world.break_something()
    world.lms.clear_script()
    for daemon in world.daemons:
        daemon.wait_ready()


def wait_settled(world, orders, books):
    def all_told():
        missing = [order.number for order in orders if order.confirmed and not books.ends_of(order.number)]
        assert not missing, f"{len(missing)} orders have no end, e.g. {missing[:5]}"
        return True
    wait_until(all_told, "every order to end", SETTLE_S, pause_s=0.5)

    def all_settled():
        left = {queue["name"]: queue["messages"] for queue in world.broker.api("GET", "/queues/%2F")
                if queue["messages"] and not queue["name"].endswith((".dead", ".events"))}
        assert not left, f"left in queues: {left}"
        return True
    wait_until(all_settled, "the queues to be empty", SETTLE_S, pause_s=0.5)


def check(world, orders, books):
    """What the books disagree on, in words."""
    wrong = [f"a repeat says something else: {each}" for each in books.contradictions]
    confirmed = [order for order in orders if order.confirmed]
    for order in confirmed:
        if books.ends_of(order.number) != [order.ends]:
            wrong.append(f"{order.number} should be {order.ends}, told was {books.ends_of(order.number)}")
    dead = {message.json["order_number"] for message in Client(world.broker, "fulfillment").drain("dead")}
    expected = {order.number for order in confirmed if order.ends == "dead"}
    unpromised = {order.number for order in orders if not order.confirmed}
    if dead - unpromised != expected:
        wrong.append(f"in the dead queue: {sorted(dead ^ expected)[:10]} too many or missing")
    return wrong + check_lms(world, confirmed)


def check_lms(world, confirmed):
    effects = collections.Counter((entry["user"], entry["course"])
                                  for entry in world.lms.ledger(kind="enrollment.post") if entry["applied"])
    wrong = [f"{user} was enrolled {count} times in {course}"
             for (user, course), count in effects.items() if count > 1]
    enrolled = {(each["user"], each["course"]) for each in world.lms.state()["enrollments"]}
    for order in confirmed:
        for line in order.message["lines"]:
            there = (order.learner, line["attributes"]["course_key"]) in enrolled
            if there != (order.ends == "complete"):
                wrong.append(f"{order.number} is {order.ends}, enrolled: {there}")
    repeated = world.lms.stats()["repeated_enrolls"]
    return wrong + ([f"{repeated} enrolments were repeated"] if repeated else [])


def run(directory, arguments):
    world = World(directory, arguments.seed)
    try:
        world.start()
        shop, books = Shop(world.broker, arguments.seed, arguments.rate), Books(world.broker)
        shop.start()
        books.start()
        rebel(world, arguments.seconds)
        shop.stop.set()
        shop.join(30)
        try:
            wait_settled(world, shop.orders, books)
            wrong = []
        except AssertionError as error:
            wrong = [str(error)]
        books.stop.set()
        books.join(30)
        wrong += check(world, shop.orders, books)
    finally:
        world.destroy()
    faults = collections.Counter(name for _, name in world.log)
    print(f"seed {arguments.seed}: {len(shop.orders)} orders, {len(world.log)} faults: "
          + ", ".join(f"{name} {count}" for name, count in faults.most_common()))
    for line in wrong[:50]:
        print("WRONG:", line)
    if wrong:
        print("faults in order:", *(f"{at} {name}" for at, name in world.log), sep="\n  ")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--rate", type=float, default=40, help="orders a second")
    parser.add_argument("--keep", type=pathlib.Path, help="a directory for the servers' data and logs")
    arguments = parser.parse_args()
    directory = arguments.keep or pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        status = run(directory, arguments)
    finally:
        if not arguments.keep:
            shutil.rmtree(directory, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
