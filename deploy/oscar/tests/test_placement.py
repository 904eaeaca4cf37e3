import json

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import RequestFactory
from oscar.core.loading import get_class, get_model

from oscar_fulfillment import builders, fulfillment_api, messages, outbox, panel, queries, reconcile
from oscar_fulfillment.models import FulfillmentLine, FulfillmentOrder, OutboxMessage
from oscar_fulfillment.reasons import NOT_WRITTEN
from tests.conftest import statuses_of


def only_message():
    (row,) = OutboxMessage.objects.all()
    return json.loads(row.body)


def test_an_order_and_its_message_are_written_together(shop):
    order = shop.order(shop.product(sku="8CF08E5"))
    line = order.lines.get()
    assert only_message() == {
        "schema": "fulfillment.order/1",
        "action": "fulfill",
        "order_number": order.number,
        "date_placed": order.date_placed.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "user": {"username": "honor", "email": "honor@example.com"},
        "tracking": {},
        "enterprise_customer_uuid": None,
        "email_opt_in": False,
        "lines": [
            {
                "id": line.pk,
                "product_class": "Seat",
                "sku": "8CF08E5",
                "quantity": 1,
                "title": "Course 8CF08E5",
                "user": None,
                "attributes": {
                    "course_key": "course-v1:edX+DemoX+2026",
                    "certificate_type": "verified",
                    "id_verification_required": True,
                    "credit_provider": None,
                },
            }
        ],
    }
    assert statuses_of(order) == ("Open", ["Open"])
    assert not order.shipping_events.exists(), "the event is written when it is fulfilled"


def test_a_placement_that_rolls_back_leaves_no_message(shop):
    with pytest.raises(RuntimeError), transaction.atomic():
        shop.order()
        raise RuntimeError("the view failed after the placement")
    assert not get_model("order", "Order").objects.exists()
    assert not OutboxMessage.objects.exists()


def test_an_order_without_its_message_is_not_placed(shop, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("the database went away")

    product = shop.product()
    monkeypatch.setattr(outbox, "write", fail)
    with pytest.raises(ConnectionError):
        shop.order(product)
    assert not get_model("order", "Order").objects.exists()


def test_an_order_that_waits_for_its_payment_is_published_when_it_opens(shop):
    request = RequestFactory().get("/")
    request.COOKIES["_ga"] = "GA1.2.123.456"
    request.site = None
    order = shop.order(status="Pending", request=request)
    assert not OutboxMessage.objects.exists()
    order.set_status("Open")
    message = only_message()
    assert message["action"] == "fulfill"
    assert message["tracking"] == {"ga_client_id": "123.456", "lms_ip": "127.0.0.1"}


def test_a_payment_error_is_never_published(shop):
    shop.order(status="Pending").set_status("Payment Error")
    assert not OutboxMessage.objects.exists()


def test_a_status_and_its_message_are_one_transaction(shop, monkeypatch):
    order = shop.order(status="Pending")

    def fail(*args, **kwargs):
        raise ConnectionError("the database went away")

    monkeypatch.setattr(outbox, "write", fail)
    with pytest.raises(ConnectionError):
        order.set_status("Open")
    order.refresh_from_db()
    assert order.status == "Pending"


def test_a_guest_has_no_user_name(shop):
    shop.order(guest=True)
    assert only_message()["user"] is None


def test_lines_of_other_product_classes_are_left_alone(shop):
    shop.order(shop.product(), shop.product("BOOK-1", "Book"))
    assert [line["sku"] for line in only_message()["lines"]] == ["SEAT-1"]


def test_an_order_of_nothing_but_books_is_not_published(shop):
    shop.order(shop.product("BOOK-1", "Book"))
    assert not OutboxMessage.objects.exists()
    assert not FulfillmentOrder.objects.exists()


def test_an_entitlement_carries_the_uuid_of_its_course(shop):
    uuid = "6f1f6b3e-6d2c-4a4e-9d7e-000000000001"
    shop.order(shop.product("ENT", "Course Entitlement", UUID=uuid, certificate_type="verified"))
    assert only_message()["lines"][0]["attributes"] == {
        "UUID": uuid,
        "certificate_type": "verified",
    }


def test_each_line_may_have_a_learner_of_its_own(shop):
    shop.user("ada")
    product = shop.product()
    shop.order((product, "ada"), product)
    users = [line["user"] for line in only_message()["lines"]]
    assert users == [{"username": "ada", "email": "ada@example.com"}, None]


def test_an_order_for_an_unknown_learner_is_not_placed(shop):
    with pytest.raises(get_class("order.exceptions", "UnableToPlaceOrder"), match="nobody"):
        shop.order((shop.product(), "nobody"))
    assert not get_model("order", "Order").objects.exists()


def test_a_shop_may_check_learners_itself(shop, settings):
    settings.OSCAR_FULFILLMENT = {
        **settings.OSCAR_FULFILLMENT,
        "LEARNER_CHECK": "tests.test_placement.company_learners_only",
    }
    shop.order((shop.product(), "ada.example"))
    assert only_message()["lines"][0]["user"] == {"username": "ada", "email": "a@x.example"}


def company_learners_only(username, buyer):
    if not username.endswith(".example"):
        raise ValidationError("not one of ours")
    return {"username": username.removesuffix(".example"), "email": "a@x.example"}


class BookAttributes(builders.LineAttributes):
    def attributes(self, line):
        return {"isbn": "978-3", "pages": line.quantity * 100}


class BrokenAttributes(builders.LineAttributes):
    def attributes(self, line):
        raise KeyError("isbn")


def with_books(settings, path):
    settings.OSCAR_FULFILLMENT = {
        **settings.OSCAR_FULFILLMENT,
        "PRODUCT_TYPES": {"Book": {"module": "webhook", "attributes": path}},
    }


def test_a_shops_own_product_type_fills_its_own_attributes(shop, settings):
    with_books(settings, "tests.test_placement.BookAttributes")
    shop.order(shop.product("BOOK-1", "Book"))
    line = only_message()["lines"][0]
    assert line["product_class"] == "Book"
    assert line["attributes"] == {"isbn": "978-3", "pages": 100}


def test_a_builder_that_fails_costs_no_order_and_is_seen_by_staff(shop, settings):
    with_books(settings, "tests.test_placement.BrokenAttributes")
    order = shop.order(shop.product("BOOK-1", "Book"))
    assert not OutboxMessage.objects.exists()
    assert statuses_of(order) == ("Fulfillment Error", ["Fulfillment Configuration Error"])
    assert "could not be published" in order.notes.get().message
    (reason,) = queries.by_reason()
    assert (reason["reason_code"], reason["dead"]) == (NOT_WRITTEN, 1)
    assert "isbn" in panel.of(order).summary.reason
    assert not list(reconcile.find(-1)), "trying again mends no product"
    with_books(settings, "tests.test_placement.BookAttributes")
    assert fulfillment_api.resubmit(order).accepted
    assert statuses_of(order) == ("Open", ["Open"])
    assert only_message()["action"] == "fulfill"


def test_a_product_attribute_of_the_wrong_type_is_named(shop, settings):
    with_books(settings, "tests.test_placement.WrongAttributes")
    order = shop.order(shop.product("BOOK-1", "Book"))
    assert "lines[0].attributes.course_key" in order.notes.get().message


class WrongAttributes(builders.LineAttributes):
    def attributes(self, line):
        return {"course_key": 5}


def test_the_message_survives_the_product(shop):
    order = shop.order()
    before = only_message()["lines"]
    get_model("catalogue", "Product").objects.all().delete()
    line = order.lines.select_related("fulfillment").get()
    assert line.product is None
    assert [messages.line_message(line)] == before


def test_the_shipping_event_of_the_dashboard_publishes_what_was_not(shop):
    order = shop.order(status="Pending")
    get_model("order", "Order").objects.filter(pk=order.pk).update(status="Open")
    order.refresh_from_db()
    handler = get_class("order.processing", "EventHandler")()
    event_type = get_model("order", "ShippingEventType").objects.get(name="Shipped")
    lines = order.lines.all()
    status = handler.handle_shipping_event(order, event_type, lines, [1])
    assert status.accepted
    assert not order.shipping_events.exists()
    again = handler.handle_shipping_event(order, event_type, lines, [1])
    assert again.outcome is fulfillment_api.Outcome.NOTHING_TO_DO
    assert OutboxMessage.objects.count() == 1


def test_another_shipping_event_is_oscars_own(shop):
    order = shop.order()
    returned = get_model("order", "ShippingEventType").objects.create(name="Returned")
    handler = get_class("order.processing", "EventHandler")()
    handler.handle_shipping_event(order, returned, order.lines.all(), [1])
    assert order.shipping_events.get().event_type == returned


def test_a_mixed_shipment_publishes_courses_and_ships_books(shop):
    order = shop.order(shop.product(), shop.product("BOOK-1", "Book"), status="Pending")
    get_model("order", "Order").objects.filter(pk=order.pk).update(status="Open")
    order.refresh_from_db()
    handler = get_class("order.processing", "EventHandler")()
    event_type = get_model("order", "ShippingEventType").objects.get(name="Shipped")
    status = handler.handle_shipping_event(order, event_type, order.lines.all(), [1, 1])
    assert status.accepted
    assert order.shipping_events.get().lines.get().partner_sku == "BOOK-1"


def test_partial_shipments_are_items_of_their_own(shop):
    order = shop.order(shop.product("A"), shop.product("B"), status="Pending")
    get_model("order", "Order").objects.filter(pk=order.pk).update(status="Open")
    first, second = order.lines.order_by("pk")
    for line in (first, second):
        assert fulfillment_api.fulfill(order, line_ids={line.pk}).accepted
    assert FulfillmentLine.objects.values("item").distinct().count() == 2
    assert [len(json.loads(m.body)["lines"]) for m in OutboxMessage.objects.all()] == [1, 1]


def test_a_line_that_cannot_be_written_stays_failed_when_another_item_is_resubmitted(
    shop, settings
):
    with_books(settings, "tests.test_placement.BookAttributes")
    order = shop.order(shop.product("A"), shop.product("BOOK-1", "Book"), status="Pending")
    get_model("order", "Order").objects.filter(pk=order.pk).update(status="Open")
    for line in order.lines.all():
        assert fulfillment_api.fulfill(order, line_ids={line.pk}).accepted
    shop.tell(order, "dead")
    with_books(settings, "tests.test_placement.BrokenAttributes")
    assert fulfillment_api.resubmit(order, force=True).accepted
    assert statuses_of(order)[1] == ["Open", "Fulfillment Configuration Error"]
    (reason,) = queries.by_reason()
    assert (reason["reason_code"], reason["dead"]) == (NOT_WRITTEN, 1)


def test_the_context_hook_fills_what_a_request_knows(shop, settings):
    settings.OSCAR_FULFILLMENT = {
        **settings.OSCAR_FULFILLMENT,
        "ORDER_CONTEXT": "tests.test_placement.enterprise_context",
    }
    shop.order()
    message = only_message()
    assert message["enterprise_customer_uuid"] == "e-1"
    assert message["email_opt_in"] is True
    assert OutboxMessage.objects.get().traceparent == "00-1-2-01"


def enterprise_context(order, request):
    return {"enterprise_customer_uuid": "e-1", "email_opt_in": True, "traceparent": "00-1-2-01"}
