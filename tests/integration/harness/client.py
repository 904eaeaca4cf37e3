"""The shop's and the operator's side of RabbitMQ: publish orders, collect events, look at queues."""

import functools
import json
import uuid

import pika

from .wait import wait_until


class Message:
    """One message taken from a queue."""

    def __init__(self, method, properties, body):
        self.routing_key = method.routing_key
        self.exchange = method.exchange
        self.redelivered = method.redelivered
        self.properties = properties
        self.body = body

    @property
    def headers(self):
        return self.properties.headers or {}

    @property
    def own_headers(self):
        """The headers of ours: those that begin with x-fulfillment-, without that beginning."""
        return {name[len("x-fulfillment-"):]: value for name, value in self.headers.items()
                if name.startswith("x-fulfillment-")}

    @functools.cached_property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<Message {self.routing_key} {self.headers} {self.body[:200]!r}>"


class Event(Message):
    """A status event, with its parts at hand."""

    @property
    def data(self):
        return self.json["data"]

    @property
    def id(self):
        return self.json["id"]

    @property
    def outcome(self):
        return self.routing_key.rsplit(".", 1)[1]

    @property
    def line(self):
        """The only line of a one-line order."""
        assert len(self.data["lines"]) == 1, self.data
        return self.data["lines"][0]

    def line_of(self, line_id):
        return next(line for line in self.data["lines"] if line["id"] == line_id)


class Client:
    """Talks to the broker for one prefix. Connects when needed, again after the broker was away."""

    def __init__(self, broker, prefix):
        self.broker = broker
        self.prefix = prefix
        self.events = []
        self._connection = None
        self._channel = None

    def name(self, suffix):
        return f"{self.prefix}.{suffix}"

    @property
    def channel(self):
        if not self._channel or not self._channel.is_open:
            self.close()
            self._connection = self.broker.connect()
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        return self._channel

    def close(self):
        if self._connection and self._connection.is_open:
            try:
                self._connection.close()
            except pika.exceptions.AMQPError:
                pass
        self._connection = self._channel = None

    # publish

    def publish(self, message, message_id=None, headers=None, routing_key=None, **properties):
        """Publishes to the orders exchange, mandatory and confirmed; answers the message id.

        message: a dict (sent as JSON) or bytes (sent as they are).
        """
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        action = message.get("action", "fulfill") if isinstance(message, dict) else "fulfill"
        message_id = message_id or str(uuid.uuid4())
        properties.setdefault("content_type", "application/json")
        properties.setdefault("delivery_mode", 2)
        self.channel.basic_publish(
            self.name("orders"), routing_key or f"order.{action}", raw,
            pika.BasicProperties(message_id=message_id, headers=headers, **properties), mandatory=True)
        return message_id

    def publish_many(self, orders):
        """Publishes many orders at once, unconfirmed: whoever uses it waits for all of their events."""
        assert self.channel.is_open
        channel = self._connection.channel()
        for order in orders:
            channel.basic_publish(self.name("orders"), f"order.{order['action']}", json.dumps(order).encode(),
                                  pika.BasicProperties(message_id=str(uuid.uuid4()), delivery_mode=2,
                                                       content_type="application/json"))
        channel.close()

    # events

    def collect(self):
        """Takes every event that is there now into self.events; answers the new ones."""
        new = self._take(self.name("events"), Event)
        self.events += new
        return new

    def events_of(self, order_number):
        """The events of an order so far, in the order they came."""
        self.collect()
        return [event for event in self.events if event.data["order_number"] == order_number]

    def wait_event(self, order_number, outcome=None, count=1, deadline_s=30):
        """Waits for the count-th event of an order (with that outcome) and answers it."""
        def found():
            matching = [event for event in self.events_of(order_number)
                        if outcome in (None, event.outcome)]
            return matching[count - 1] if len(matching) >= count else None
        try:
            return wait_until(found, f"event {count} {outcome or ''} of {order_number}", deadline_s)
        except AssertionError as error:
            seen = [(event.routing_key, event.data.get("lines")) for event in self.events_of(order_number)]
            raise AssertionError(f"{error}; events of the order: {seen}") from None

    def wait_all(self, orders, outcome="complete", deadline_s=60):
        """Waits until every one of these orders has an event with that outcome: for many orders."""
        missing = {order["order_number"] for order in orders}
        seen = 0

        def found():
            nonlocal seen
            self.collect()
            missing.difference_update(event.data["order_number"] for event in self.events[seen:]
                                      if event.outcome == outcome)
            seen = len(self.events)
            assert not missing, f"{len(missing)} orders left"
            return True
        wait_until(found, f"{len(orders)} orders to be {outcome}", deadline_s, pause_s=0.1)

    # queues

    def _take(self, queue, kind, limit=100000):
        taken = []
        while len(taken) < limit:
            method, properties, body = self.channel.basic_get(queue)
            if method is None:
                break
            taken.append(kind(method, properties, body))
            self.channel.basic_ack(method.delivery_tag)
        return taken

    def drain(self, suffix):
        """Takes everything out of a queue, e.g. drain("dead")."""
        return self._take(self.name(suffix), Message)

    def peek(self, suffix):
        """Reads a whole queue and gives everything back."""
        seen, last = [], None
        while True:
            method, properties, body = self.channel.basic_get(self.name(suffix))
            if method is None:
                break
            seen.append(Message(method, properties, body))
            last = method.delivery_tag
        if last is not None:
            self.channel.basic_nack(last, multiple=True, requeue=True)
        return seen

    def depth(self, suffix):
        """Messages ready in a queue, asked of the queue itself."""
        return self.channel.queue_declare(self.name(suffix), passive=True).method.message_count

    def unacked(self, suffix):
        """Messages delivered and not settled, as management shows them (up to a second or two old)."""
        queue = self.broker.queue(self.name(suffix))
        return queue.get("messages_unacknowledged", 0) if queue else None

    def waiting(self):
        """Messages in all retry queues, as management shows them."""
        return sum(queue.get("messages", 0) for queue in self.broker.api("GET", "/queues/%2F")
                   if queue["name"].startswith(self.name("retry.")))

    def wait_depth(self, suffix, count, deadline_s=30):
        """Waits until a queue holds that many ready messages."""
        wait_until(lambda: self.depth(suffix) == count or None,
                   f"{count} messages in {self.name(suffix)}", deadline_s)

    def wait_paused(self, suffix="orders"):
        """Waits until nobody consumes from a queue; who pauses takes what comes in the last moment."""
        wait_until(lambda: self.channel.queue_declare(self.name(suffix), passive=True).method.consumer_count == 0,
                   f"{self.name(suffix)} to have no consumer")

    def wait_settled(self, deadline_s=30):
        """Waits until nothing is ready or unacknowledged in the orders queue."""
        def settled():
            queue = self.broker.queue(self.name("orders"))
            assert queue and "messages" in queue, "no count yet"
            assert queue["messages"] == 0, f"{queue['messages']} messages left"
            return self.depth("orders") == 0
        wait_until(settled, "the orders queue to be empty and acknowledged", deadline_s)

    def wait_dead_message(self, message_id, deadline_s=30):
        """Waits until the dead queue holds that message; answers it, left where it is."""
        def found():
            return next((message for message in self.peek("dead")
                         if message.properties.message_id == message_id), None)
        return wait_until(found, f"message {message_id} in {self.name('dead')}", deadline_s, pause_s=0.1)

    def wait_dead(self, count=1, deadline_s=30):
        """Waits until the dead queue holds count messages; answers them, left where they are."""
        self.wait_depth("dead", count, deadline_s)
        return self.peek("dead")
