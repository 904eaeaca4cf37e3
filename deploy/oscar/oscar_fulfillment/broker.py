"""RabbitMQ, in the two roles the shop needs: publish with confirm, consume with ack.

The only module that sees pika. Both classes connect when first used, try the cluster's nodes in
turn, and turn every failure of the link into ``BrokerDown``; whoever uses them waits and comes
back. Neither declares anything: the topology is fulfilld's.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika
from pika import exceptions as errors

from oscar_fulfillment import conf

# While the broker's alarm blocks publishers, wait this long before giving the link up.
BLOCKED_TIMEOUT_SECONDS = 60
SOCKET_TIMEOUT_SECONDS = 10


class BrokerDown(Exception):
    """The link is gone or cannot be had; nothing is known of what was not confirmed."""


class NotPublished(Exception):
    """The broker did not take this message: no queue for it, or it said no."""


@dataclass(frozen=True)
class Delivery:
    """One message from a queue; ``tag`` is for ``Consumer.ack`` on the same link."""

    body: bytes
    routing_key: str
    tag: int


def _parameters() -> list[pika.URLParameters]:
    nodes = []
    for url in conf.amqp_urls():
        node = pika.URLParameters(url)
        node.heartbeat = conf.get("AMQP_HEARTBEAT")
        node.blocked_connection_timeout = BLOCKED_TIMEOUT_SECONDS
        node.socket_timeout = SOCKET_TIMEOUT_SECONDS
        node.stack_timeout = 2 * SOCKET_TIMEOUT_SECONDS
        node.connection_attempts = 1
        node.client_properties = {"connection_name": "oscar_fulfillment"}
        if conf.get("AMQP_USERNAME"):
            node.credentials = pika.PlainCredentials(conf.get("AMQP_USERNAME"), _password())
        if url.startswith("amqps:"):
            node.ssl_options = pika.SSLOptions(_tls(), node.host)
        nodes.append(node)
    return nodes


def _password() -> str:
    path = conf.get("AMQP_PASSWORD_FILE")
    return Path(path).read_text("utf-8").splitlines()[0] if path else ""


def _tls() -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=conf.get("AMQP_TLS_CA_FILE") or None)
    if conf.get("AMQP_TLS_CERT_FILE"):
        tls.load_cert_chain(conf.get("AMQP_TLS_CERT_FILE"), conf.get("AMQP_TLS_KEY_FILE") or None)
    return tls


def _innermost(error: BaseException) -> BaseException:
    """What went wrong: pika wraps it, more than once, and its wrappers say nothing."""
    for inner in (getattr(error, "exception", None), *error.args):
        if isinstance(inner, BaseException):
            return _innermost(inner)
    return error


def _reason(error: Exception) -> str:
    cause = _innermost(error)
    text = str(cause) or type(cause).__name__
    if isinstance(error, errors.ChannelClosedByBroker) and error.reply_code == 404:
        text += " (is fulfilld's topology declared? `fulfilld topology --declare`)"
    return text[:400]


class _Link:
    """One connection with one channel, opened when needed and dropped on any failure."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._channel: Any = None

    def _open(self) -> Any:
        if self._channel is None or not self._channel.is_open:
            self.close()
            try:
                self._connection = pika.BlockingConnection(_parameters())
                self._channel = self._connection.channel()
                self._prepare(self._channel)
            except (errors.AMQPError, OSError) as error:
                self.close()
                raise BrokerDown(_reason(error)) from error
        return self._channel

    def _prepare(self, channel: Any) -> None:
        """Puts a fresh channel into the mode the role needs."""

    def close(self) -> None:
        """Closes what is open; never raises."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            try:
                connection.close()
            except (errors.AMQPError, OSError):
                return


class Publisher(_Link):
    """Publishes one message at a time and returns when the broker has confirmed it."""

    def _prepare(self, channel: Any) -> None:
        channel.confirm_delivery()

    def publish(self, message_id: str, routing_key: str, body: str, traceparent: str = "") -> None:
        """Persistent, mandatory, confirmed. Raises ``NotPublished`` or ``BrokerDown``."""
        channel = self._open()
        properties = pika.BasicProperties(
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            message_id=message_id,
            headers={"traceparent": traceparent} if traceparent else None,
        )
        exchange = f"{conf.get('AMQP_PREFIX')}.orders"
        try:
            channel.basic_publish(exchange, routing_key, body.encode(), properties, mandatory=True)
        except errors.UnroutableError as error:
            raise NotPublished(f"no queue is bound to exchange {exchange}") from error
        except errors.NackError as error:
            raise NotPublished("the broker refused the message") from error
        except (errors.AMQPError, OSError) as error:
            self.close()
            raise BrokerDown(_reason(error)) from error

    def idle(self) -> None:
        """Answers heartbeats between messages; a link that died meanwhile is dropped quietly."""
        if self._connection is None:
            return
        try:
            self._connection.process_data_events(0)
        except (errors.AMQPError, OSError):
            self.close()


class Consumer(_Link):
    """Takes messages from one queue; each is acknowledged by its tag, on the same link."""

    def __init__(self, queue: str, prefetch: int) -> None:
        super().__init__()
        self._queue = queue
        self._prefetch = prefetch

    def _prepare(self, channel: Any) -> None:
        channel.basic_qos(prefetch_count=self._prefetch)

    def deliveries(self, idle_seconds: float) -> Iterator[Delivery | None]:
        """Yields deliveries; None when nothing came for a while. Raises ``BrokerDown``."""
        channel = self._open()
        try:
            for method, _properties, body in channel.consume(
                self._queue, inactivity_timeout=idle_seconds
            ):
                if method is None:
                    yield None
                else:
                    yield Delivery(body, method.routing_key, method.delivery_tag)
        except (errors.AMQPError, OSError) as error:
            self.close()
            raise BrokerDown(_reason(error)) from error
        self.close()
        raise BrokerDown(f"the broker cancelled the consumer of {self._queue}")

    def ack(self, delivery: Delivery) -> None:
        """Takes a delivery off the queue for good. Raises ``BrokerDown``."""
        try:
            self._open().basic_ack(delivery.tag)
        except (errors.AMQPError, OSError) as error:
            self.close()
            raise BrokerDown(_reason(error)) from error
