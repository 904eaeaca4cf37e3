import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from oscar_fulfillment import events, fulfillment_api, panel, queries
from oscar_fulfillment.dashboard import chart
from oscar_fulfillment.models import (
    FulfillmentOrder,
    OutboxMessage,
    Refund,
    RolloutRule,
)
from oscar_fulfillment.templatetags import fulfillment_times
from tests.conftest import statuses_of


@pytest.fixture
def staff(client, shop):
    client.force_login(shop.staff)
    return client


@pytest.fixture
def clerk(client, shop):
    """Staff who may look at orders and at nothing else."""
    user = shop.user("clerk")
    user.is_staff = True
    user.save()
    user.user_permissions.add(Permission.objects.get(codename="view_order"))
    client.force_login(user)
    client.user = user
    return client


def page_of(order):
    return reverse("dashboard:order-detail", kwargs={"number": order.number})


def long_ago():
    OutboxMessage.objects.update(sent_at=timezone.now() - timedelta(hours=1))


def text(answer):
    return re.sub(r"\s+", " ", answer.content.decode())


def test_the_panel_says_why_in_plain_words(shop, staff):
    order = shop.order()
    shop.tell(
        order,
        "retrying",
        attempt=3,
        reason={"code": "timeout", "message": "<script>", "http_status": None},
    )
    page = text(staff.get(page_of(order)))
    assert "The LMS did not answer in time: &lt;script&gt;" in page
    assert "Fulfillment Server Error" in page
    assert " 2030" in page
    assert "History of attempts" in page
    assert page.count('class="fulfillment-event ') == 1
    assert "Resubmit fulfillment" in page


def test_an_order_of_books_has_no_panel(shop, staff):
    order = shop.order(shop.product("BOOK", "Book"))
    assert 'id="fulfillment"' not in text(staff.get(page_of(order)))


def test_staff_resubmit_an_order_and_a_double_click_is_harmless(shop, staff):
    order = shop.order()
    shop.tell(order, "dead")
    long_ago()
    for words in ("was resubmitted", "Nothing to do"):
        answer = staff.post(page_of(order), {"order_action": "resubmit_fulfillment"}, follow=True)
        assert words in text(answer)
    assert OutboxMessage.objects.count() == 2
    assert statuses_of(order) == ("Open", ["Open"])


def test_resubmitting_takes_a_permission(shop, clerk):
    order = shop.order()
    shop.tell(order, "dead")
    long_ago()
    page = text(clerk.get(page_of(order)))
    assert 'value="resubmit_fulfillment"' not in page
    clerk.post(page_of(order), {"order_action": "resubmit_fulfillment"})
    clerk.post(
        reverse("dashboard:order-list"),
        {"action": "resubmit_fulfillment", "selected_order": order.pk},
    )
    assert OutboxMessage.objects.count() == 1
    clerk.user.user_permissions.add(Permission.objects.get(codename="resubmit_fulfillment"))
    clerk.post(page_of(order), {"order_action": "resubmit_fulfillment"})
    assert OutboxMessage.objects.count() == 2


def test_the_list_is_filtered_by_state_and_reason(shop, staff):
    dead, retrying, waiting, done = [shop.order() for _ in range(4)]
    shop.tell(dead, "dead", reason={"code": "user_unknown"})
    shop.tell(retrying, "retrying")
    shop.tell(done, "complete")
    long_ago()

    def listed(**filters):
        answer = staff.get(reverse("dashboard:order-list"), filters)
        return [order.number for order in answer.context["orders"]]

    assert listed(fulfillment_state="dead") == [dead.number]
    assert listed(fulfillment_state="retrying") == [retrying.number]
    assert listed(fulfillment_state="waiting") == [waiting.number]
    assert listed(fulfillment_state="unsent") == []
    assert listed(fulfillment_reason="user_unknown") == [dead.number]
    assert listed(fulfillment_reason="timeout") == []
    assert listed(fulfillment_reason="user_unknown", date_to="2020-01-01") == []


def test_the_selected_orders_of_a_filtered_list_are_resubmitted(shop, staff):
    orders = [shop.order() for _ in range(3)]
    for order in orders[:2]:
        shop.tell(order, "dead")
    long_ago()
    answer = staff.post(
        reverse("dashboard:order-list") + "?fulfillment_state=dead",
        {
            "action": "resubmit_fulfillment",
            "selected_order": [order.pk for order in orders],
            "select_across": "0",
        },
        follow=True,
    )
    assert "2 orders were resubmitted" in text(answer)
    assert OutboxMessage.objects.filter(action="resubmit").count() == 2


def test_the_overview_counts_what_waits(shop, staff):
    for outcome in ("dead", "retrying", "complete"):
        shop.tell(shop.order(), outcome)
    shop.order()
    long_ago()
    shop.order()
    counts = {count.state: count.orders for count in queries.counts()}
    assert counts == {"unsent": 1, "waiting": 1, "retrying": 1, "dead": 1}
    assert len(queries.oldest()) == 4
    (reason,) = queries.by_reason()
    assert (reason["reason_code"], reason["retrying"], reason["dead"]) == ("server_error", 1, 1)
    page = text(staff.get(reverse("fulfillment-dashboard:fulfillment-overview")))
    assert "The LMS had an internal error" in page
    assert "<svg" in page
    assert 'src="http' not in page.split("<svg")[1].split("</svg>")[0]


def test_a_line_that_staff_opened_by_hand_waits(shop):
    order = shop.order()
    shop.tell(order, "dead")
    long_ago()
    order.lines.get().set_status("Open")
    assert {count.state for count in queries.counts() if count.orders} == {"waiting"}


def test_the_history_tells_things_in_the_order_in_which_they_came(shop):
    order = shop.order()
    now = timezone.now()
    event = shop.event(order, "dead", reason={"code": "user_unknown"})
    event["time"] = (now - timedelta(minutes=9)).isoformat()
    events.handle(json.dumps(event).encode(), "order.fulfill.dead")
    # A relay may mark a message only after the worker has answered it.
    OutboxMessage.objects.update(created_at=now - timedelta(minutes=10), sent_at=now)
    fulfillment_api.resubmit(order, force=True)
    labels = [(entry.label, entry.remark) for entry in panel.of(order).history]
    assert labels == [
        ("Resubmission waits to be published", ""),
        ("Failed for good", "attempt 1 of round 1"),
        ("Published to the worker", "10 minutes later"),
    ]


def test_the_panel_names_who_gets_the_course(shop, staff):
    shop.user("ada")
    order = shop.order(shop.product("A"), (shop.product("B"), "ada"))
    lines = panel.of(order).lines
    assert [(row.learner, row.is_buyer) for row in lines] == [("honor", True), ("ada", False)]
    assert text(staff.get(page_of(order))).count("the buyer") == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "any moment"), (20, "in 20 seconds"), (119, "in 119 seconds"), (7000, "in 117 minutes")],
)
def test_the_next_attempt_is_said_with_the_precision_that_matters(seconds, words, monkeypatch):
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert fulfillment_times.ahead(now + timedelta(seconds=seconds)) == words


def test_the_chart_counts_events_by_hour_and_by_day(shop, staff):
    order = shop.order()
    now = timezone.now().isoformat()
    for outcome in ("retrying", "retrying", "complete"):
        event = shop.event(order, outcome)
        event["time"] = now
        events.handle(json.dumps(event).encode(), f"order.fulfill.{outcome}")
    for hours in (24, 168, 720):
        last = queries.over_time(hours)[-1]
        assert (last.complete, last.retrying, last.dead) == (1, 2, 0)
    drawn = chart.draw(queries.over_time(24))
    assert [(rect.series, rect.title.split(": ")[1]) for rect in drawn.rects] == [
        ("complete", "1 complete"),
        ("retrying", "2 retrying"),
    ]
    assert not drawn.empty
    for chosen in ("24h", "7d", "30d", "nonsense"):
        url = reverse("fulfillment-dashboard:fulfillment-overview")
        assert staff.get(url, {"range": chosen}).status_code == 200


def test_staff_refund_lines_from_a_form(shop, staff):
    order = shop.order(shop.product("A"), shop.product("B"))
    shop.tell(order, "complete")
    url = reverse("fulfillment-dashboard:fulfillment-refund", kwargs={"number": order.number})
    assert "Course A" in text(staff.get(url))
    assert "Choose at least one line" in text(staff.post(url, {}))
    line = order.lines.first()
    answer = staff.post(url, {"lines": [line.pk], "comment": "by phone"}, follow=True)
    made = Refund.objects.get()
    assert (made.total, made.comment, made.created_by) == (49, "by phone", shop.staff)
    assert made.number in text(answer)
    answer = staff.post(url, {"lines": [line.pk]}, follow=True)
    assert Refund.objects.count() == 1, "a double click refunds once"
    listed = text(staff.get(reverse("fulfillment-dashboard:fulfillment-refunds")))
    assert made.number in listed


def test_a_failed_refund_is_resubmitted_from_the_order(shop, staff):
    order = shop.order()
    shop.tell(order, "complete")
    made = fulfillment_api.refund(order, order.lines.all()).refund
    shop.tell(order, "dead", "Revocation Error", refund_number=made.number)
    long_ago()
    url = reverse(
        "fulfillment-dashboard:fulfillment-refund-resubmit", kwargs={"number": made.number}
    )
    assert url in text(staff.get(page_of(order)))
    listed = text(staff.get(reverse("fulfillment-dashboard:fulfillment-refunds")))
    assert "The LMS had an internal error" in listed
    assert staff.get(url).status_code == 405
    assert "was resubmitted" in text(staff.post(url, follow=True))
    assert OutboxMessage.objects.last().refund == made
    shop.tell(order, "complete", refund_number=made.number)
    assert "Revoked" in [entry.label for entry in panel.of(order).history]


@pytest.mark.parametrize(
    "name",
    [
        "fulfillment-overview",
        "fulfillment-refunds",
        "fulfillment-rollout",
        "fulfillment-rollout-add",
    ],
)
def test_each_page_takes_a_permission_of_its_own(shop, clerk, name):
    url = reverse(f"fulfillment-dashboard:{name}")
    assert clerk.get(url).status_code == 403
    clerk.logout()
    assert clerk.get(url).status_code == 302


def test_staff_edit_the_rollout_table(shop, staff):
    add = reverse("fulfillment-dashboard:fulfillment-rollout-add")
    good = {"kind": "mode", "value": "verified", "workflow": "new", "percentage": 25}
    assert staff.post(add, good).status_code == 302
    rule = RolloutRule.objects.get()
    assert staff.post(add, good).status_code == 200, "one rule for each SKU or mode"
    assert staff.post(add, {**good, "value": "honor", "percentage": 101}).status_code == 200
    edit = reverse("fulfillment-dashboard:fulfillment-rollout-edit", kwargs={"pk": rule.pk})
    staff.post(edit, {**good, "percentage": 50})
    rule.refresh_from_db()
    assert rule.percentage == 50
    assert "50 %" in text(staff.get(reverse("fulfillment-dashboard:fulfillment-rollout")))
    delete = reverse("fulfillment-dashboard:fulfillment-rollout-delete", kwargs={"pk": rule.pk})
    assert staff.get(delete).status_code == 200
    staff.post(delete)
    assert not RolloutRule.objects.exists()


def test_the_menu_shows_the_pages(shop, staff):
    page = text(staff.get(reverse("dashboard:index")))
    assert reverse("fulfillment-dashboard:fulfillment-overview") in page


def test_the_row_of_an_order_says_how_it_stands(shop, staff):
    order = shop.order()
    shop.tell(order, "dead", reason={"code": "user_unknown"})
    assert FulfillmentOrder.objects.get().order == order
    answer = staff.get(reverse("dashboard:order-list"))
    assert answer.context["orders"][0].fulfillment_summary.tone == "danger"
    assert "Failed for good" in text(answer)
    assert "The LMS does not know the learner" in text(answer)


def test_the_admin_shows_what_was_kept(shop, staff):
    events.handle(b"not json", "order.fulfill.complete")
    url = reverse("admin:oscar_fulfillment_processedevent_changelist")
    assert "not JSON" in text(staff.get(url))
