import select
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from oscar_fulfillment import outbox, wakeup
from oscar_fulfillment.broker import BrokerDown, NotPublished
from oscar_fulfillment.models import OutboxMessage
from oscar_fulfillment.relay import Relay


class FakePublisher:
    """Stands for the broker: a list of what to do, one for each publish, then success."""

    def __init__(self, *faults):
        self.faults = list(faults)
        self.published = []

    def publish(self, message_id, routing_key, body, traceparent=""):
        fault = self.faults.pop(0) if self.faults else None
        if fault:
            raise fault
        self.published.append(message_id)

    def idle(self):
        pass

    def close(self):
        pass


def relay_with(publisher):
    relay = Relay()
    relay._publisher = publisher
    return relay


def test_two_relays_never_claim_the_same_message(shop):
    for _ in range(3):
        shop.order()
    first = outbox.claim(2, 60)
    second = outbox.claim(2, 60)
    assert [len(first), len(second)] == [2, 1]
    assert not {row.pk for row in first} & {row.pk for row in second}
    assert outbox.claim(2, 60) == []


def test_the_claims_of_a_dead_relay_are_free_again(shop):
    shop.order()
    (row,) = outbox.claim(10, 60)
    OutboxMessage.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert [again.pk for again in outbox.claim(10, 60)] == [row.pk]


def test_messages_leave_in_the_order_they_were_written(shop):
    for _ in range(5):
        shop.order()
    publisher = FakePublisher()
    assert relay_with(publisher).run_once() == 5
    written = OutboxMessage.objects.order_by("pk").values_list("message_id", flat=True)
    assert publisher.published == [str(one) for one in written]
    assert not outbox.unsent().exists()


def test_a_broker_that_goes_away_loses_nothing(shop):
    for _ in range(3):
        shop.order()
    publisher = FakePublisher(None, BrokerDown("gone"))
    relay = relay_with(publisher)
    with pytest.raises(BrokerDown):
        relay.run_once()
    assert outbox.unsent().count() == 2
    assert outbox.due().count() == 2, "the leases were given back"
    assert relay.run_once() == 2
    assert len(set(publisher.published)) == 3


def test_a_message_the_broker_refuses_waits_and_holds_up_no_other(shop):
    shop.order()
    shop.order()
    publisher = FakePublisher(NotPublished("no queue"))
    relay = relay_with(publisher)
    assert relay.run_once() == 1
    (refused,) = outbox.unsent()
    assert refused.last_error == "no queue"
    assert refused.attempts == 1
    assert refused.available_at > timezone.now()
    OutboxMessage.objects.update(available_at=timezone.now())
    assert relay.run_once() == 1


def test_a_crash_between_confirm_and_mark_repeats_the_same_message(shop, monkeypatch):
    shop.order()
    publisher = FakePublisher()
    relay = relay_with(publisher)

    def crash(message):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "mark_sent", crash)
        with pytest.raises(KeyboardInterrupt):
            relay.run_once()
    OutboxMessage.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert relay.run_once() == 1
    assert len(publisher.published) == 2
    assert len(set(publisher.published)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_commit_wakes_a_relay_and_a_rollback_does_not(shop, monkeypatch):
    listener = wakeup.listen()
    listener.wait(0)
    with pytest.raises(RuntimeError), transaction.atomic():
        shop.order()
        raise RuntimeError
    assert not woken(listener, 0.2)
    shop.order()
    assert woken(listener, 20)
    listener.close()


def woken(listener, seconds):
    """Whether a wait ended because of a message: a wait that nothing ends takes all its time."""
    import select

    if connection.vendor == "postgresql":
        raw = listener._raw()
        return bool(list(raw.notifies(timeout=seconds, stop_after=1)))
    readable, _, _ = select.select([listener._socket], [], [], seconds)
    if readable:
        listener.wait(0)
    return bool(readable)


@pytest.mark.django_db(transaction=True)
def test_the_socket_of_a_dead_relay_is_cleared_away(shop, settings):
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL has NOTIFY")
    listener = wakeup.listen()
    listener._socket.close()
    assert listener._path.exists()
    shop.order()
    assert not listener._path.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "postgresql", reason="PostgreSQL has NOTIFY")
def test_a_relay_is_woken_however_long_the_name_of_its_folder_is(shop, settings, tmp_path):
    deep = tmp_path / ("a" * 120) / ("b" * 120)
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "WAKEUP_DIR": str(deep)}
    listener = wakeup.listen()
    try:
        with transaction.atomic():
            wakeup.notify()
        assert select.select([listener._socket], [], [], 60)[0], "the wake-up arrived"
    finally:
        listener.close()
    assert list(deep.iterdir()) == []
