"""RabbitMQ as a shop uses it: publishing with pipelined confirms, consuming status events."""

import asyncio
import json

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

MAX_UNCONFIRMED = 256


class Broker:
    """One connection with one channel. `async with Broker(uri, prefix) as broker: …`"""

    def __init__(self, uri, prefix):
        self.uri, self.prefix = uri, prefix
        self._unconfirmed = {}      # publisher's sequence number: future
        self._next_sequence = 1
        self._room = asyncio.Semaphore(MAX_UNCONFIRMED)
        self.failed = asyncio.get_running_loop().create_future()

    async def __aenter__(self):
        opened = asyncio.get_running_loop().create_future()
        self._connection = AsyncioConnection(
            pika.URLParameters(self.uri + "?heartbeat=0"),
            on_open_callback=lambda _: opened.set_result(None),
            on_open_error_callback=lambda _, error: opened.set_exception(ConnectionError(f"RabbitMQ: {error!r}")),
            on_close_callback=self._on_close)
        await opened
        opened = asyncio.get_running_loop().create_future()
        self._channel = self._connection.channel(on_open_callback=lambda _: opened.set_result(None))
        await opened
        self._channel.add_on_close_callback(self._on_close)
        return self

    async def __aexit__(self, *_):
        self.failed.cancel()
        if self._connection.is_open:
            self._connection.close()

    def _on_close(self, _, error):
        if not self.failed.done():
            self.failed.set_exception(ConnectionError(f"RabbitMQ closed the connection: {error!r}"))

    # publishing

    async def confirm(self):
        """Asks for confirms; before the first publish()."""
        ready = asyncio.get_running_loop().create_future()
        self._channel.confirm_delivery(self._on_confirm, callback=lambda _: ready.set_result(None))
        await ready

    async def publish(self, message, message_id):
        """Sends one order, persistent; waits only when too many are unconfirmed."""
        await self._room.acquire()
        self._unconfirmed[self._next_sequence] = message_id
        self._next_sequence += 1
        self._channel.basic_publish(
            f"{self.prefix}.orders", f"order.{message['action']}", json.dumps(message).encode(),
            pika.BasicProperties(content_type="application/json", delivery_mode=2, message_id=message_id))

    def _on_confirm(self, frame):
        tag, is_ack = frame.method.delivery_tag, isinstance(frame.method, pika.spec.Basic.Ack)
        tags = [t for t in self._unconfirmed if t <= tag] if frame.method.multiple else [tag]
        for confirmed in tags:
            del self._unconfirmed[confirmed]
            self._room.release()
        if not is_ack and not self.failed.done():
            self.failed.set_exception(ConnectionError("RabbitMQ refused an order (basic.nack)"))

    @property
    def unconfirmed(self):
        return len(self._unconfirmed)

    # consuming

    def consume(self, on_event):
        """Calls on_event(event, outcome) for each status event."""
        def on_message(_channel, method, _properties, body):
            on_event(json.loads(body), method.routing_key.rsplit(".", 1)[1])
        self._channel.basic_consume(f"{self.prefix}.events", on_message, auto_ack=True)

    async def depth(self, suffix):
        """Messages ready in a queue, asked of the queue itself."""
        answer = asyncio.get_running_loop().create_future()
        self._channel.queue_declare(f"{self.prefix}.{suffix}", passive=True,
                                    callback=lambda frame: answer.set_result(frame.method.message_count))
        return await answer

    async def waiting(self):
        """Messages in all retry queues."""
        return sum([await self.depth(f"retry.{level:02}") for level in range(18)])
