import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from oscar_fulfillment import fulfillment_api
from oscar_fulfillment.fulfillment_api import Outcome
from oscar_fulfillment.models import FulfillmentOrder, OutboxMessage, Refund
from tests.conftest import statuses_of


def sent_long_ago():
    """As if relay and worker had had the messages for an hour."""
    hour_ago = timezone.now() - timedelta(hours=1)
    OutboxMessage.objects.update(sent_at=hour_ago)
    FulfillmentOrder.objects.update(last_published_at=hour_ago)


def bodies():
    return [json.loads(row.body) for row in OutboxMessage.objects.order_by("pk")]


def test_an_order_is_fulfilled_once(shop):
    order = shop.order()
    assert fulfillment_api.fulfill(order).outcome is Outcome.NOTHING_TO_DO
    assert OutboxMessage.objects.count() == 1


def test_an_unpaid_order_is_refused_with_the_reason(shop):
    status = fulfillment_api.fulfill(shop.order(status="Pending"))
    assert status.outcome is Outcome.REFUSED
    assert status.reason == fulfillment_api.NOT_PAYABLE
    assert not status.accepted


def test_a_dead_order_is_resubmitted_whole(shop):
    order = shop.order(shop.product("A"), shop.product("B"))
    shop.tell(order, "dead", ["Complete", "Fulfillment Server Error"])
    sent_long_ago()
    status = fulfillment_api.resubmit(order, user=shop.staff)
    assert status.accepted
    again = bodies()[1]
    assert again["action"] == "resubmit"
    assert again["lines"] == bodies()[0]["lines"], "the whole message, the finished line too"
    assert statuses_of(order) == ("Open", ["Complete", "Open"])
    assert order.notes.filter(message__contains="resubmitted", user=shop.staff).exists()


def test_a_double_click_is_harmless(shop):
    order = shop.order()
    shop.tell(order, "dead")
    sent_long_ago()
    assert fulfillment_api.resubmit(order).accepted
    assert fulfillment_api.resubmit(order).outcome is Outcome.NOTHING_TO_DO
    OutboxMessage.objects.update(sent_at=timezone.now())
    assert fulfillment_api.resubmit(order).outcome is Outcome.NOTHING_TO_DO
    assert OutboxMessage.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_clicks_at_the_same_moment_publish_once(shop):
    order = shop.order()
    shop.tell(order, "dead")
    sent_long_ago()
    barrier = threading.Barrier(4)

    def click(_):
        barrier.wait(20)
        try:
            return fulfillment_api.resubmit(order).outcome
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(click, range(4)))
    assert outcomes.count(Outcome.ACCEPTED) == 1
    assert outcomes.count(Outcome.NOTHING_TO_DO) == 3
    assert OutboxMessage.objects.filter(action="resubmit").count() == 1


def test_a_complete_order_is_not_resubmitted(shop):
    order = shop.order()
    shop.tell(order, "complete")
    sent_long_ago()
    assert fulfillment_api.resubmit(order).outcome is Outcome.NOTHING_TO_DO


def test_a_resubmission_says_what_the_product_says_now(shop):
    product = shop.product(course_key="course-v1:edX+Wrong+2026")
    order = shop.order(product)
    shop.tell(order, "dead")
    sent_long_ago()
    product.attr.course_key = "course-v1:edX+Right+2026"
    product.save()
    fulfillment_api.resubmit(order)
    assert bodies()[1]["lines"][0]["attributes"]["course_key"] == "course-v1:edX+Right+2026"


def test_a_refunded_line_is_not_resubmitted(shop):
    order = shop.order(shop.product("A"), shop.product("B"))
    shop.tell(order, "dead")
    fulfillment_api.refund(order, [order.lines.first()])
    sent_long_ago()
    assert fulfillment_api.resubmit(order).accepted
    assert [line["sku"] for line in bodies()[2]["lines"]] == ["B"]


def test_a_refund_has_a_number_and_carries_the_results(shop):
    order = shop.order(shop.product("A"), shop.product("B"))
    shop.tell(order, "complete", result={"uuid": "u-1"})
    line = order.lines.first()
    status = fulfillment_api.refund(order, [line], user=shop.staff, comment="asked by phone")
    made = status.refund
    assert status.accepted
    assert made.number == f"{order.number}-R1"
    message = bodies()[1]
    assert message["action"] == "refund"
    assert message["refund_number"] == made.number
    assert message["total"] == "49.00"
    assert [row["id"] for row in message["lines"]] == [line.pk]
    assert message["lines"][0]["result"] == {"uuid": "u-1"}
    assert OutboxMessage.objects.last().routing_key == "order.refund"


def test_a_line_is_refunded_once(shop):
    order = shop.order()
    assert fulfillment_api.refund(order, order.lines.all()).accepted
    status = fulfillment_api.refund(order, order.lines.all())
    assert status.reason == fulfillment_api.ALREADY_REFUNDED
    assert Refund.objects.count() == 1


def test_refund_numbers_count_up(shop):
    order = shop.order(shop.product("A"), shop.product("B"))
    numbers = [fulfillment_api.refund(order, [line]).refund.number for line in order.lines.all()]
    assert numbers == [f"{order.number}-R1", f"{order.number}-R2"]


def test_a_refund_of_nothing_given_back_says_so(shop):
    order = shop.order()
    fulfillment_api.refund(order, order.lines.all(), total=Decimal("0.00"))
    assert bodies()[1]["total"] == "0.00"


def test_a_refund_of_an_unpaid_order_is_refused(shop):
    order = shop.order(status="Pending")
    status = fulfillment_api.refund(order, order.lines.all())
    assert status.reason == fulfillment_api.NOT_PAYABLE


def test_a_book_cannot_be_revoked(shop):
    order = shop.order(shop.product("BOOK-1", "Book"))
    status = fulfillment_api.refund(order, order.lines.all())
    assert status.reason == fulfillment_api.NOT_A_COURSE_LINE


def test_a_line_of_another_order_is_not_refunded(shop):
    order, other = shop.order(), shop.order()
    assert fulfillment_api.refund(order, other.lines.all()).outcome is Outcome.NOTHING_TO_DO


@pytest.mark.django_db(transaction=True)
def test_a_refund_that_cannot_be_published_is_not_made(shop, settings):
    order = shop.order()
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "DRY_RUN": True}
    status = fulfillment_api.refund(order, order.lines.all())
    assert status.reason == fulfillment_api.DRY_RUN
    assert not Refund.objects.exists()
    assert json.loads(order.fulfillment_dry_runs.get().body)["action"] == "refund"
