"""Relay and consumer against a real RabbitMQ, with processes killed at the worst moments."""

import json
import signal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from oscar_fulfillment import outbox
from oscar_fulfillment.consumer import EventConsumer
from oscar_fulfillment.models import FulfillmentEvent, OutboxMessage, ProcessedEvent
from oscar_fulfillment.relay import Relay
from tests.conftest import statuses_of
from tests.processes import command, wait_until

pytestmark = [pytest.mark.broker, pytest.mark.django_db(transaction=True)]

KILL_SELF = "os.kill(os.getpid(), signal.SIGKILL)"


def test_an_order_reaches_the_queue(shop, broker):
    order = shop.order()
    assert Relay().run_once() == 1
    ((message_id, body),) = broker.received()
    assert message_id == str(OutboxMessage.objects.get().message_id)
    assert body["order_number"] == order.number


def test_a_running_relay_sends_what_is_committed_and_stops_when_told(shop, broker):
    shop.order()
    with command("fulfillment_relay") as process:
        wait_until(lambda: not outbox.unsent().exists(), "the first message to be sent")
        shop.order()
        wait_until(lambda: not outbox.unsent().exists(), "the second message to be sent")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert len(broker.received()) == 2


def test_several_relays_send_each_message_once(shop, broker):
    for _ in range(20):
        shop.order(shop.product(f"P-{OutboxMessage.objects.count()}"))
    with command("fulfillment_relay"), command("fulfillment_relay"):
        wait_until(lambda: not outbox.unsent().exists(), "all messages to be sent")
    ids = [message_id for message_id, _ in broker.received()]
    assert len(ids) == len(set(ids)) == 20


def test_a_relay_killed_between_confirm_and_mark_repeats_the_message_id(shop, broker):
    shop.order()
    patch = f"from oscar_fulfillment import outbox\noutbox.mark_sent = lambda message: {KILL_SELF}"
    with command("fulfillment_relay", patch=patch) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert outbox.unsent().count() == 1
    OutboxMessage.objects.update(leased_until=timezone.now())
    assert Relay().run_once() == 1
    first, second = broker.received()
    assert first == second


def test_a_missing_topology_is_named_and_loses_nothing(shop, broker, settings):
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "AMQP_PREFIX": "nowhere"}
    shop.order()
    with pytest.raises(CommandError, match="fulfilld topology --declare"):
        call_command("fulfillment_relay", "--once")
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "AMQP_PREFIX": broker.prefix}
    assert Relay().run_once() == 1


def test_a_message_without_a_queue_is_not_taken_for_sent(shop, broker):
    broker.channel.queue_unbind(f"{broker.prefix}.orders", f"{broker.prefix}.orders", "order.#")
    shop.order()
    assert Relay().run_once() == 0
    assert "no queue" in outbox.unsent().get().last_error


def test_an_order_placed_while_the_broker_is_away_goes_out_later(shop, broker, settings, rabbitmq):
    away = "amqp://127.0.0.1:1/%2F"
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "AMQP_URLS": [away]}
    shop.order()
    with pytest.raises(CommandError, match=r"broker away.*Connection refused"):
        call_command("fulfillment_relay", "--once")
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "AMQP_URLS": [away, rabbitmq.uri]}
    assert Relay().run_once() == 1, "the second node was tried"
    assert len(broker.received()) == 1


def test_a_running_relay_comes_through_a_closed_connection(shop, broker, rabbitmq):
    with command("fulfillment_relay"):
        shop.order()
        wait_until(lambda: not outbox.unsent().exists(), "the first message")
        rabbitmq.close_connections()
        shop.order()
        wait_until(lambda: not outbox.unsent().exists(), "the second message")


def test_the_consumer_takes_good_and_bad_events_alike(shop, broker):
    order = shop.order()
    broker.send_event(b"not json")
    broker.send_event({"id": "x", "specversion": "1.0", "type": "something.else"})
    broker.send_event({**shop.event(order, "complete"), "id": ""})
    stranger = shop.event(order, "complete")
    stranger["data"]["order_number"] = "nobody's"
    broker.send_event(stranger)
    event = shop.event(order, "complete")
    broker.send_event(event)
    broker.send_event(event)
    assert EventConsumer().run(until_idle=True) == 6
    assert statuses_of(order) == ("Complete", ["Complete"])
    assert order.shipping_events.count() == 1
    answers = sorted(ProcessedEvent.objects.values_list("answer", flat=True))
    assert answers == ["applied", "invalid", "invalid", "unknown_order", "unknown_version"]
    assert broker.waiting_events() == 0


@pytest.mark.parametrize(
    ("moment", "patch"),
    [
        (
            "before the commit",
            "from oscar_fulfillment import events\n"
            f"events._write_history = lambda *a, **k: {KILL_SELF}",
        ),
        (
            "after the commit, before the ack",
            f"from oscar_fulfillment.broker import Consumer\nConsumer.ack = lambda *a: {KILL_SELF}",
        ),
    ],
)
def test_a_consumer_that_is_killed_has_no_double_effect(shop, broker, moment, patch):
    product = shop.product("LIMITED", "Donation", price="10.00", stock=5)
    order = shop.order(product)
    broker.send_event(shop.event(order, "complete"))
    with command("fulfillment_events", patch=patch) as process:
        assert process.wait(60) == -signal.SIGKILL, moment
    wait_until(lambda: broker.waiting_events() == 1, "the delivery to come back")
    with command("fulfillment_events", "--once") as process:
        assert process.wait(60) == 0
    assert statuses_of(order) == ("Complete", ["Complete"])
    assert order.shipping_events.count() == 1
    assert order.notes.count() == 1
    assert FulfillmentEvent.objects.count() == 1
    record = product.stockrecords.get()
    assert (record.num_in_stock, record.num_allocated) == (4, 0)
    assert broker.waiting_events() == 0


def test_several_consumers_apply_each_event_once(shop, broker):
    orders = [shop.order(shop.product(f"P-{n}")) for n in range(10)]
    with command("fulfillment_events") as one, command("fulfillment_events") as two:
        wait_until(lambda: broker.event_consumers() == 2, "both to consume")
        for order in orders:
            for outcome in ("retrying", "complete"):
                event = json.dumps(shop.event(order, outcome)).encode()
                broker.send_event(event)
                broker.send_event(event)
        wait_until(lambda: ProcessedEvent.objects.count() == 20, "all events to be applied")
        for process in (one, two):
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    for order in orders:
        assert statuses_of(order) == ("Complete", ["Complete"])
        assert order.shipping_events.count() == 1
