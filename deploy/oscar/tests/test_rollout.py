import json

import pytest
from oscar.core.loading import get_class, get_model

from oscar_fulfillment import fulfillment_api, rollout
from oscar_fulfillment.models import DryRunRecord, OutboxMessage, RolloutRule
from tests.conftest import statuses_of


@pytest.fixture
def table(shop, settings):
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "ROLLOUT": True}


def rule(kind, value, workflow="new", percentage=100):
    return RolloutRule.objects.create(
        kind=kind, value=value, workflow=workflow, percentage=percentage
    )


def published():
    return OutboxMessage.objects.count()


def test_without_a_rule_an_order_is_left_to_the_old_path(shop, table):
    order = shop.order()
    assert published() == 0
    status = fulfillment_api.fulfill(order)
    assert status.reason == fulfillment_api.OLD_WORKFLOW
    assert status.leaves_to_old_path
    assert statuses_of(order) == ("Open", ["Open"])
    assert not order.notes.exists()


def test_a_rule_by_sku_or_by_mode_takes_an_order_over(shop, table):
    rule("sku", "A")
    rule("mode", "no-id-professional")
    shop.order(shop.product("A"))
    shop.order(shop.product("B", certificate_type="professional", id_verification_required=False))
    shop.order(shop.product("C"))
    assert published() == 2


def test_a_sku_goes_before_a_mode(shop, table):
    rule("mode", "verified")
    rule("sku", "A", "old")
    shop.order(shop.product("A"))
    shop.order(shop.product("B"))
    assert published() == 1


def test_an_order_is_never_split(shop, table):
    rule("sku", "A")
    shop.order(shop.product("A"), shop.product("B"))
    assert published() == 0


def test_a_percentage_takes_its_share_and_keeps_it(shop, table):
    numbers = [f"EDX-{n}" for n in range(2000)]
    share = [number for number in numbers if rollout.draw(number) < 30]
    assert 500 < len(share) < 700
    assert set(share) <= {number for number in numbers if rollout.draw(number) < 60}
    assert rollout.draw("EDX-1") == rollout.draw("EDX-1")


def test_the_rest_of_a_percentage_takes_the_other_path(shop, table):
    order = shop.order(shop.product("A"))
    number = rollout.draw(order.number)
    rule("sku", "A", "new", number)
    assert not fulfillment_api.fulfill(order).accepted
    RolloutRule.objects.update(workflow="old")
    assert fulfillment_api.fulfill(order).accepted


def test_an_order_that_took_the_new_path_stays_on_it(shop, table):
    rule("sku", "A")
    order = shop.order(shop.product("A"))
    shop.tell(order, "dead")
    RolloutRule.objects.all().delete()
    OutboxMessage.objects.update(sent_at="2026-01-01T00:00:00Z")
    assert fulfillment_api.resubmit(order).accepted


def test_an_old_order_reaches_the_shops_old_handler(shop, table):
    order = shop.order()
    handler = get_class("order.processing", "EventHandler")()
    event_type = get_model("order", "ShippingEventType").objects.get(name="Shipped")
    handler.handle_shipping_event(order, event_type, order.lines.all(), [1])
    assert order.shipping_events.count() == 1, "Oscar's own way, as before"


def test_refunds_of_old_orders_are_the_old_workflows(shop, table):
    order = shop.order()
    status = fulfillment_api.refund(order, order.lines.all())
    assert status.reason == fulfillment_api.OLD_WORKFLOW


def test_a_dry_run_records_and_publishes_nothing(shop, settings):
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "DRY_RUN": True}
    order = shop.order()
    assert published() == 0
    record = DryRunRecord.objects.get()
    assert json.loads(record.body)["order_number"] == order.number
    assert statuses_of(order) == ("Open", ["Open"])
