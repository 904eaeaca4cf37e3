"""Buying, as a learner does it: through the pages, in a real browser."""

import json

import pytest
from django.core.management import call_command
from oscar.core.loading import get_model

from oscar_fulfillment.models import OutboxMessage
from tests.conftest import statuses_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def buyer(shop, browser):
    call_command("make_shop")
    call_command("rebuild_index", interactive=False, verbosity=0)
    browser.log_in("honor@example.com", "secret-pass-1")
    return browser


def the_order():
    return get_model("order", "Order").objects.get()


def finish_checkout(browser):
    """From the payment page on; the sandbox has no gateway, so that it asks for nothing."""
    if "payment-details" in browser.driver.current_url:
        browser.follow("#view_preview")
    browser.follow("#place-order")
    browser.sees("Your order has been placed")


def test_a_course_is_bought_through_the_pages(buyer):
    buyer.open("/catalogue/")
    buyer.follow("a[title='Demonstration Course, verified']")
    buyer.follow("#add_to_basket_form button[type=submit]")
    buyer.open("/basket/")
    buyer.sees("Demonstration Course, verified")
    buyer.follow("a[href*='/checkout/']")
    finish_checkout(buyer)
    message = OutboxMessage.objects.get()
    assert message.order == the_order()
    assert statuses_of(the_order()) == ("Open", ["Open"])


def test_a_link_by_sku_leads_to_the_checkout_of_a_free_course(buyer):
    buyer.open("/fulfillment/basket/add/?sku=DEMOX-HONOR")
    finish_checkout(buyer)
    order = the_order()
    assert order.total_incl_tax == 0
    assert OutboxMessage.objects.get().order == order
    buyer.open("/fulfillment/basket/add/?sku=NO-SUCH")
    buyer.sees("NO-SUCH")


def test_a_visitor_who_follows_a_link_logs_in_and_goes_on(shop, browser):
    call_command("make_shop")
    browser.open("/fulfillment/basket/add/?sku=DEMOX-VERIFIED")
    browser.fill_log_in("honor@example.com", "secret-pass-1")
    finish_checkout(browser)
    assert the_order().user == shop.honor


def test_a_course_for_somebody_else_names_the_learner(buyer, shop):
    shop.user("ada")
    buyer.open("/fulfillment/basket/add/?sku=DEMOX-VERIFIED&learner=ada")
    finish_checkout(buyer)
    body = json.loads(OutboxMessage.objects.get().body)
    assert body["lines"][0]["user"]["username"] == "ada"
