import io
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from oscar.core.loading import get_model

from oscar_fulfillment import fulfillment_api, reconcile
from oscar_fulfillment.models import (
    DryRunRecord,
    FulfillmentOrder,
    OutboxMessage,
    ProcessedEvent,
    Refund,
)


@pytest.fixture
def old(shop):
    """Makes everything in the database two hours old."""

    def make_old():
        then = timezone.now() - timedelta(hours=2)
        get_model("order", "Order").objects.update(date_placed=then)
        OutboxMessage.objects.update(sent_at=then)
        FulfillmentOrder.objects.update(last_published_at=then)
        FulfillmentOrder.objects.exclude(last_event_at=None).update(last_event_at=then)
        Refund.objects.update(last_published_at=then)

    return make_old


def found():
    return [(finding.number, finding.why) for finding in reconcile.find(3600)]


def test_an_order_without_news_is_found_and_resubmitted(shop, old):
    order = shop.order()
    assert found() == []
    old()
    assert found() == [(order.number, "no news")]
    call_command("fulfillment_reconcile", stdout=io.StringIO())
    assert json.loads(OutboxMessage.objects.last().body)["action"] == "resubmit"
    assert found() == []


def test_an_order_that_was_written_around_the_creator_is_published(shop, old):
    order = shop.order(status="Pending")
    get_model("order", "Order").objects.update(status="Open")
    old()
    assert found() == [(order.number, "never published")]
    call_command("fulfillment_reconcile", stdout=io.StringIO())
    assert OutboxMessage.objects.get().action == "fulfill"


def test_orders_of_the_time_before_the_app_are_left_alone(shop):
    shop.order(status="Pending")
    long_ago = timezone.now() - timedelta(days=400)
    get_model("order", "Order").objects.update(status="Open", date_placed=long_ago)
    assert found() == []


def test_finished_dead_and_waiting_orders_are_left_alone(shop, old):
    shop.tell(shop.order(), "complete")
    shop.tell(shop.order(), "dead")
    shop.tell(shop.order(), "retrying")
    shop.order(status="Pending")
    shop.order(shop.product("BOOK", "Book"))
    old()
    assert found() == []


def test_a_retry_that_never_came_is_found(shop, old):
    order = shop.order()
    shop.tell(order, "retrying", next_attempt_at="2020-01-02T03:04:19Z")
    old()
    assert found() == [(order.number, "no news")]


def test_a_message_that_is_not_sent_is_the_relays_business(shop, old):
    shop.order()
    old()
    OutboxMessage.objects.update(sent_at=None)
    assert found() == []


def test_a_refund_without_news_is_resubmitted(shop, old):
    order = shop.order()
    shop.tell(order, "complete")
    made = fulfillment_api.refund(order, order.lines.all()).refund
    old()
    assert found() == [(made.number, "no news")]
    call_command("fulfillment_reconcile", stdout=io.StringIO())
    assert OutboxMessage.objects.last().refund == made


def test_a_dry_run_only_says_what_it_would_do(shop, old):
    order = shop.order()
    old()
    out = io.StringIO()
    call_command("fulfillment_reconcile", "--dry-run", stdout=out)
    assert f"{order.number}: no news" in out.getvalue()
    assert OutboxMessage.objects.count() == 1


def test_the_limit_is_kept(shop, old):
    shop.order()
    shop.order()
    old()
    call_command("fulfillment_reconcile", "--limit", "1", stdout=io.StringIO())
    assert OutboxMessage.objects.count() == 3


def test_purging_takes_old_and_finished_rows_only(shop, old):
    order = shop.order()
    shop.tell(order, "complete")
    shop.order()
    OutboxMessage.objects.filter(order=order).update(sent_at=timezone.now() - timedelta(days=100))
    ProcessedEvent.objects.update(received_at=timezone.now() - timedelta(days=100))
    ProcessedEvent.objects.create(
        key="k", answer="failed", received_at=timezone.now() - timedelta(days=100)
    )
    DryRunRecord.objects.create(order=order, action="fulfill", body="{}")
    call_command("fulfillment_purge", stdout=io.StringIO())
    assert OutboxMessage.objects.count() == 1
    assert ProcessedEvent.objects.get().answer == "failed"
    assert DryRunRecord.objects.count() == 1
