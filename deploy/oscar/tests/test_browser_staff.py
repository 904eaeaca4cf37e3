"""What staff do on the dashboard, in a real browser; and the pictures of docs/oscar.md."""

import datetime
import json

import pytest
from django.utils import timezone
from oscar.core.loading import get_model
from selenium.webdriver.common.action_chains import ActionChains

from oscar_fulfillment import events
from oscar_fulfillment.models import OutboxMessage, Refund
from tests.conftest import statuses_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AWAY = {"code": "network", "message": "Couldn't connect to server", "http_status": None}
UNKNOWN = {"code": "user_unknown", "message": "", "http_status": 406}
NO_COURSE = {
    "code": "course_unavailable",
    "message": "No course 'course-v1:edX+GhostX+2026' found for enrollment",
    "http_status": 400,
}
BUSY = {"code": "server_error", "message": "Maintenance", "http_status": 503}


@pytest.fixture
def staff(shop, browser):
    browser.log_in("admin@example.com", "secret-pass-1")
    return browser


def ago(**delta):
    return timezone.now() - datetime.timedelta(**delta)


def tell(shop, order, outcome, at, **data):
    """An event that happened at a given time."""
    event = shop.event(order, outcome, **data)
    event["time"] = at.isoformat()
    if event["data"]["next_attempt_at"]:
        event["data"]["next_attempt_at"] = ago(minutes=-9).isoformat()
    assert events.handle(json.dumps(event).encode(), f"order.fulfill.{outcome}") == "applied"


def place(shop, product, at, number):
    """An order of the past, published when it was placed."""
    order = shop.order(product, order_number=f"EDX-{100000 + number}")
    get_model("order", "Order").objects.filter(pk=order.pk).update(date_placed=at)
    OutboxMessage.objects.filter(order=order).update(sent_at=at, created_at=at)
    return order


@pytest.fixture
def day(shop):
    """A day of a shop with an hour without its LMS, and four orders that are not complete."""
    products = [
        shop.product("DEMOX-VERIFIED"),
        shop.product("DATAX-PRO", price="199.00"),
        shop.product("GHOSTX-VERIFIED"),
    ]
    for number in range(40):
        at = ago(hours=23) + datetime.timedelta(minutes=number * number * 0.8)
        order = place(shop, products[number % 2], at, number)
        if 12 <= number < 17:
            tell(shop, order, "retrying", at + datetime.timedelta(seconds=1), reason=BUSY)
            at += datetime.timedelta(minutes=40)
        tell(shop, order, "complete", at + datetime.timedelta(seconds=2), attempt=2)
    left = {
        "ghost": place(shop, products[2], ago(hours=5), 50),
        "unknown": place(shop, products[0], ago(hours=3), 51),
        "away": place(shop, products[1], ago(minutes=14), 52),
        "waiting": place(shop, products[0], ago(minutes=1), 53),
    }
    tell(shop, left["ghost"], "dead", ago(hours=5), reason=NO_COURSE)
    tell(shop, left["unknown"], "dead", ago(hours=3), reason=UNKNOWN)
    for attempt in (1, 2, 3):
        when = ago(minutes=16 - 4 * attempt)
        tell(shop, left["away"], "retrying", when, reason=AWAY, attempt=attempt,
             statuses="Fulfillment Network Error")  # fmt: skip
    return left


def test_the_overview_tells_how_the_day_goes(day, staff):
    staff.open("/dashboard/fulfillment/")
    staff.sees("2 orders failed for good and need a person.")
    assert "40 orders were completed" in staff.text(".fulfillment-verdict")
    assert staff.text("a[data-state=dead] b") == "2"
    assert staff.text("a[data-state=retrying] b") == "1"
    assert len(staff.all(".fulfillment-chart rect")) > 10
    assert day["ghost"].number in staff.text("#oldest")
    staff.picture("oscar-overview", ".container-fluid")
    staff.follow("#reasons tr[data-reason=user_unknown] a")
    assert [row.get_attribute("data-order") for row in staff.all("tr[data-order]")] == [
        day["unknown"].number
    ]


def test_an_empty_shop_is_a_happy_one(shop, staff):
    staff.open("/dashboard/fulfillment/")
    staff.sees("Every learner has what was bought.")
    staff.sees("Nothing happened in this time.")


def test_the_order_page_says_why_a_learner_waits(day, staff):
    staff.open(f"/dashboard/orders/{day['away'].number}/")
    staff.sees("The LMS could not be reached", "#fulfillment")
    staff.sees(" minutes", "#fulfillment td[data-label='Next attempt']")
    staff.click("#fulfillment summary")
    staff.sees("attempt 3 of round 1", "#fulfillment")
    staff.sees("Published to the worker", "#fulfillment")
    staff.picture("oscar-panel", "#fulfillment")


def test_the_panel_fits_a_telephone(day, staff):
    staff.driver.set_window_size(500, 900)
    staff.open(f"/dashboard/orders/{day['away'].number}/")
    width = "return document.querySelector('#fulfillment').%sWidth"
    needed, there = [staff.driver.execute_script(width % kind) for kind in ("scroll", "client")]
    staff.driver.set_window_size(1200, 900)
    assert needed <= there


def test_a_double_click_resubmits_once(day, staff):
    order = day["ghost"]
    staff.open(f"/dashboard/orders/{order.number}/")
    page = staff.find("html")
    button = staff.find("#fulfillment form button[type=submit]")
    ActionChains(staff.driver).double_click(button).perform()
    staff.gone(page)
    staff.sees("Not published yet", "#fulfillment")
    assert OutboxMessage.objects.filter(order=order, action="resubmit").count() == 1
    assert statuses_of(order) == ("Open", ["Open"])


def test_the_failed_orders_of_a_filtered_list_are_resubmitted_at_once(day, staff):
    staff.open("/dashboard/orders/")
    staff.picture("oscar-orders", ".container-fluid", height=900)
    staff.follow("#fulfillment-filters a[data-state=dead]")
    shown = [row.get_attribute("data-order") for row in staff.all("tr[data-order]")]
    assert shown == [day["unknown"].number, day["ghost"].number]
    today = timezone.localdate().isoformat()
    staff.driver.execute_script(
        "document.querySelector('#fulfillment-from').value = arguments[0]", today
    )
    staff.choose("#fulfillment-reason", "user_unknown")
    staff.follow("#fulfillment-filters button[type=submit]")
    rows = [row.get_attribute("data-order") for row in staff.all("tr[data-order]")]
    assert set(rows) <= {day["unknown"].number}, "the state, the reason and the date hold together"
    staff.open("/dashboard/orders/?fulfillment_state=dead")
    staff.click(".order_table thead input[type=checkbox]")
    staff.follow("button[value=resubmit_fulfillment]")
    staff.sees("2 orders were resubmitted.")
    for name in ("ghost", "unknown"):
        assert statuses_of(day[name]) == ("Open", ["Open"])
    assert statuses_of(day["away"])[0] == "Fulfillment Error"


def test_a_line_is_refunded_from_the_order_page(day, shop, staff):
    order = get_model("order", "Order").objects.get(number="EDX-100000")
    staff.open(f"/dashboard/orders/{order.number}/")
    staff.follow("#fulfillment header a")
    assert staff.find("input[name=lines]").is_selected(), "the only line is meant"
    staff.type("#id_comment", "Changed her mind")
    staff.picture("oscar-refund", ".container-fluid")
    staff.follow("form button.btn-danger")
    staff.sees("EDX-100000-R1")
    made = Refund.objects.get()
    tell(shop, order, "complete", timezone.now(), refund_number=made.number)
    staff.open(f"/dashboard/orders/{order.number}/")
    staff.sees("Refunded", "#fulfillment")
    assert statuses_of(order) == ("Complete", ["Refunded"])
