from datetime import timedelta

from django.utils import timezone

from oscar_fulfillment import fulfillment_api
from oscar_fulfillment.fulfillment_api import Outcome
from oscar_fulfillment.models import OutboxMessage, RefundLine
from oscar_fulfillment.signals import refund_completed
from tests.conftest import statuses_of


def refunded(shop, complete=True):
    order = shop.order()
    if complete:
        shop.tell(order, "complete")
    return order, fulfillment_api.refund(order, order.lines.all()).refund


def states_of(made):
    made.refresh_from_db()
    return made.status, [line.status for line in made.lines.all()]


def test_a_revoked_line_is_refunded(shop):
    order, made = refunded(shop)
    heard = []

    def listener(sender, refund, **kwargs):
        heard.append(refund.number)

    refund_completed.connect(listener)
    shop.tell(order, "complete", refund_number=made.number)
    refund_completed.disconnect(listener)
    assert states_of(made) == ("Complete", ["Complete"])
    assert statuses_of(order) == ("Complete", ["Refunded"])
    assert heard == [made.number]


def test_a_revocation_that_fails_says_why_and_can_be_asked_for_again(shop):
    order, made = refunded(shop)
    shop.tell(order, "dead", "Revocation Error", refund_number=made.number)
    assert states_of(made) == ("Revocation Error", ["Revocation Error"])
    assert statuses_of(order) == ("Complete", ["Complete"])
    assert RefundLine.objects.get().reason_code == "server_error"
    OutboxMessage.objects.update(sent_at=timezone.now() - timedelta(hours=1))
    assert fulfillment_api.resubmit_refund(made).accepted
    assert fulfillment_api.resubmit_refund(made).outcome is Outcome.NOTHING_TO_DO
    assert states_of(made) == ("Open", ["Open"])
    message = OutboxMessage.objects.last()
    assert (message.action, message.refund) == ("resubmit", made)
    assert made.number in message.body
    shop.tell(order, "complete", refund_number=made.number)
    assert states_of(made) == ("Complete", ["Complete"])


def test_a_refund_before_fulfilment_leaves_the_line_unfulfilled(shop):
    order, made = refunded(shop, complete=False)
    shop.tell(order, "complete", refund_number=made.number)
    assert statuses_of(order) == ("Complete", ["Refunded"])
    assert not order.shipping_events.exists()


def test_events_of_a_refund_are_compared_with_those_of_the_refund_only(shop):
    order, made = refunded(shop)
    shop.tell(order, "complete", sequence=9_000_000_000_000_000)
    answer = shop.tell(order, "complete", refund_number=made.number, sequence=5)
    assert answer == "applied"
    assert shop.tell(order, "dead", "Revocation Error", refund_number=made.number, sequence=4) == (
        "stale"
    )
    assert states_of(made) == ("Complete", ["Complete"])


def test_a_completion_after_the_refund_has_it_published_again(shop):
    order, made = refunded(shop, complete=False)
    shop.tell(order, "complete", refund_number=made.number)
    before = OutboxMessage.objects.count()
    shop.tell(order, "complete", result={"uuid": "u-2"})
    assert statuses_of(order) == ("Complete", ["Refunded"])
    message = OutboxMessage.objects.last()
    assert OutboxMessage.objects.count() == before + 1
    assert (message.action, message.refund) == ("refund", made)
    assert '"result":{"uuid":"u-2"}' in message.body
    assert order.notes.filter(message__contains="published again").exists()
    assert not order.shipping_events.exists()


def test_a_completion_from_before_the_refund_that_comes_late_has_nothing_published(shop):
    order, made = refunded(shop, complete=False)
    shop.tell(order, "complete", refund_number=made.number, sequence=100)
    before = OutboxMessage.objects.count()
    shop.tell(order, "complete", sequence=50)
    assert OutboxMessage.objects.count() == before


def test_an_event_for_an_unknown_refund_is_kept(shop):
    order = shop.order()
    assert shop.tell(order, "complete", refund_number="nobody-R1") == "unknown_order"


def test_a_revocation_that_was_not_tried_yet_is_no_error(shop):
    order, made = refunded(shop)
    shop.tell(order, "requeued", "Open", refund_number=made.number)
    assert states_of(made) == ("Open", ["Open"])


def test_a_complete_refund_is_not_resubmitted(shop):
    order, made = refunded(shop)
    shop.tell(order, "complete", refund_number=made.number)
    assert fulfillment_api.resubmit_refund(made).outcome is Outcome.NOTHING_TO_DO
