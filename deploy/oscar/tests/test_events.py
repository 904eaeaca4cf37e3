import json

import pytest
from oscar.core.loading import get_model

from oscar_fulfillment import events, fulfillment_api, queries, states
from oscar_fulfillment.models import (
    FulfillmentEvent,
    FulfillmentLine,
    OutboxMessage,
    ProcessedEvent,
)
from tests.conftest import statuses_of


def known(order):
    return FulfillmentLine.objects.get(order=order)


def test_a_completed_order_is_complete(shop):
    order = shop.order()
    assert shop.tell(order, "complete", result={"uuid": "u-1"}) == "applied"
    assert statuses_of(order) == ("Complete", ["Complete"])
    assert order.shipping_events.get().line_quantities.get().quantity == 1
    assert known(order).result == {"uuid": "u-1"}
    assert order.notes.get().message == f"{order.lines.get().title}: fulfilled."


def test_a_failure_is_written_in_plain_words(shop):
    order = shop.order()
    reason = {"code": "mode_unavailable", "message": "expired", "http_status": 400}
    shop.tell(order, "dead", reason=reason)
    assert statuses_of(order) == ("Fulfillment Error", ["Fulfillment Server Error"])
    row = known(order)
    assert (row.reason_code, row.reason_message, row.http_status) == (
        "mode_unavailable",
        "expired",
        400,
    )
    assert row.is_dead
    note = order.notes.get()
    assert note.note_type == "Error"
    assert "does not offer this mode" in note.message
    assert "answered 400" in note.message
    assert "will not be retried" in note.message


def test_a_failure_without_a_reason_is_among_the_failures(shop):
    order = shop.order()
    assert shop.tell(order, "dead", reason={}) == "applied"
    (reason,) = queries.by_reason()
    assert (reason["words"], reason["dead"]) == ("No reason was given", 1)


def test_a_retry_says_when(shop):
    order = shop.order()
    shop.tell(order, "retrying", attempt=3)
    row = known(order)
    assert row.attempts == 3
    assert row.next_attempt_at.year == 2030
    assert not row.is_dead
    assert "next attempt at" in order.notes.get().message


def test_forty_like_attempts_are_one_note_and_forty_lines_of_history(shop):
    order = shop.order()
    for attempt in range(1, 41):
        shop.tell(order, "retrying", attempt=attempt)
    assert order.notes.count() == 1
    assert FulfillmentEvent.objects.filter(order=order).count() == 40


def test_an_error_may_become_another_error(shop):
    order = shop.order()
    for status in (
        "Fulfillment Network Error",
        "Fulfillment Timeout Error",
        "Fulfillment Server Error",
        "Fulfillment Configuration Error",
    ):
        shop.tell(order, "retrying", status)
        assert statuses_of(order) == ("Fulfillment Error", [status])
    shop.tell(order, "complete")
    assert statuses_of(order) == ("Complete", ["Complete"])


def test_a_duplicate_changes_nothing(shop):
    order = shop.order()
    event = shop.event(order, "complete")
    body = json.dumps(event).encode()
    assert events.handle(body, "order.fulfill.complete") == "applied"
    assert events.handle(body, "order.fulfill.complete") == "duplicate"
    assert order.shipping_events.count() == 1
    assert FulfillmentEvent.objects.count() == 1


def test_events_out_of_order_leave_the_newest(shop):
    order = shop.order()
    assert shop.tell(order, "complete", sequence=200) == "applied"
    assert shop.tell(order, "retrying", sequence=100) == "stale"
    assert shop.tell(order, "retrying", sequence=200, id="other") == "stale"
    assert statuses_of(order) == ("Complete", ["Complete"])
    assert list(
        FulfillmentEvent.objects.order_by("sequence", "pk").values_list("sequence", "stale")
    ) == [(100, True), (200, False), (200, True)]


def test_a_newer_error_does_not_undo_a_completion(shop):
    order = shop.order()
    shop.tell(order, "complete")
    assert shop.tell(order, "retrying") == "applied"
    assert statuses_of(order) == ("Complete", ["Complete"])
    assert known(order).next_attempt_at is None


def test_lines_are_compared_one_by_one(shop):
    order = shop.order(shop.product("A"), shop.product("B"))
    only_first = shop.event(order, "complete", sequence=50)
    only_first["data"]["lines"] = only_first["data"]["lines"][:1]
    events.handle(json.dumps(only_first).encode(), "order.fulfill.complete")
    only_second = shop.event(order, "dead", sequence=40)
    only_second["data"]["lines"] = only_second["data"]["lines"][1:]
    assert events.handle(json.dumps(only_second).encode(), "order.fulfill.dead") == "applied"
    assert statuses_of(order) == ("Fulfillment Error", ["Complete", "Fulfillment Server Error"])


def test_a_shipping_event_is_written_for_newly_completed_lines_only(shop):
    order = shop.order(shop.product("A"), shop.product("B"))
    shop.tell(order, "retrying", ["Complete", "Fulfillment Network Error"])
    shop.tell(order, "complete")
    assert order.shipping_events.count() == 2
    for line in order.lines.all():
        assert line.shipping_event_quantities.get().quantity == 1


def test_a_line_that_staff_shipped_by_hand_is_not_shipped_twice(shop):
    order = shop.order()
    handler = states.get_class("order.processing", "EventHandler")()
    handler.create_shipping_event(order, states.shipping_event_type(), order.lines.all(), [1])
    assert shop.tell(order, "complete") == "applied"
    assert order.shipping_events.count() == 1


def test_the_consumer_never_publishes_again(shop, monkeypatch):
    order = shop.order()
    handler = states.get_class("order.processing", "EventHandler")
    monkeypatch.setattr(
        handler, "handle_shipping_event", lambda *a, **k: pytest.fail("called by the consumer")
    )
    shop.tell(order, "complete")
    assert OutboxMessage.objects.count() == 1


def test_stock_is_consumed_on_completion(shop):
    product = shop.product("LIMITED", "Donation", price="10.00", stock=5)
    order = shop.order(product)
    record = product.stockrecords.get()
    assert (record.num_in_stock, record.num_allocated) == (5, 1)
    shop.tell(order, "complete")
    record.refresh_from_db()
    assert (record.num_in_stock, record.num_allocated) == (4, 0)


def test_stock_that_was_set_anew_meanwhile_costs_no_order_its_completion(shop):
    product = shop.product("LIMITED", "Donation", price="10.00", stock=5)
    order = shop.order(product)
    product.stockrecords.update(num_in_stock=8, num_allocated=0)
    assert shop.tell(order, "complete") == "applied"
    assert statuses_of(order) == ("Complete", ["Complete"])
    record = product.stockrecords.get()
    assert (record.num_in_stock, record.num_allocated) == (8, 0)
    assert order.notes.filter(message__contains="stock record does not hold").exists()


def test_stock_goes_back_when_a_refund_came_first(shop):
    product = shop.product("LIMITED", "Donation", price="10.00", stock=5)
    order = shop.order(product)
    shop.tell(order, "complete", "Refunded")
    record = product.stockrecords.get()
    assert (record.num_in_stock, record.num_allocated) == (5, 0)
    assert statuses_of(order) == ("Complete", ["Refunded"])


def test_the_uuid_of_an_entitlement_is_kept_as_a_line_attribute(shop):
    order = shop.order()
    shop.tell(order, "complete", result={"uuid": "u-1"})
    attribute = order.lines.get().attributes.get(type="course_entitlement")
    assert attribute.value == "u-1"
    assert attribute.option.code == "course_entitlement"


def test_a_requeue_opens_what_had_failed(shop):
    order = shop.order(shop.product("A"), shop.product("B"))
    shop.tell(order, "dead", ["Complete", "Fulfillment Server Error"])
    shop.tell(order, "requeued", ["Complete", "Fulfillment Server Error"], generation=2)
    assert statuses_of(order) == ("Open", ["Complete", "Open"])
    row = FulfillmentLine.objects.get(line=order.lines.last())
    assert (row.generation, row.final) == (2, False)


def test_an_ignored_resubmission_shows_how_things_stand(shop):
    order = shop.order()
    shop.tell(order, "retrying")
    OutboxMessage.objects.update(sent_at="2026-01-01T00:00:00Z")
    fulfillment_api.resubmit(order)
    assert statuses_of(order) == ("Open", ["Open"])
    shop.tell(order, "ignored", next_attempt_at="2030-01-02T03:04:19Z")
    assert statuses_of(order) == ("Fulfillment Error", ["Fulfillment Server Error"])
    assert known(order).next_attempt_at.year == 2030


def test_the_outcome_is_read_from_the_body_when_the_key_was_rewritten(shop):
    order = shop.order()
    for outcome in ("retrying", "dead", "complete", "requeued"):
        event = shop.event(order, outcome)
        events.handle(json.dumps(event).encode(), "fulfillment.events")
        assert FulfillmentEvent.objects.order_by("-sequence").first().outcome == outcome


def test_a_line_that_was_not_tried_yet_stays_open(shop):
    order = shop.order(shop.product("A"), shop.product("B"))
    shop.tell(order, "dead", ["Fulfillment Server Error", "Open"])
    assert statuses_of(order) == ("Fulfillment Error", ["Fulfillment Server Error", "Open"])
    assert [row.final for row in FulfillmentLine.objects.all()] == [True, False]
    assert order.notes.count() == 1


def test_an_invalid_message_is_told_to_staff_and_changes_nothing(shop):
    order = shop.order()
    event = shop.event(order, "invalid", status=None, lines=[], action=None)
    assert events.handle(json.dumps(event).encode(), "order.fulfill.invalid") == "applied"
    assert statuses_of(order) == ("Open", ["Open"])
    assert "could not read a message" in order.notes.get().message


def test_a_line_that_was_published_by_hand_is_adopted(shop):
    order = shop.order(shop.product("BOOK-1", "Book"))
    assert shop.tell(order, "complete") == "applied"
    assert statuses_of(order) == ("Complete", ["Complete"])


def test_a_line_of_another_order_is_not_touched(shop):
    order, other = shop.order(), shop.order()
    event = shop.event(order, "complete")
    event["data"]["lines"].append({**event["data"]["lines"][0], "id": other.lines.get().pk})
    events.handle(json.dumps(event).encode(), "order.fulfill.complete")
    assert statuses_of(other) == ("Open", ["Open"])
    assert str(other.lines.get().pk) in ProcessedEvent.objects.get().detail


def test_an_order_that_waits_for_another_kind_of_line_stays_open(shop):
    order = shop.order(shop.product(), shop.product("BOOK-1", "Book"))
    event = shop.event(order, "complete")
    event["data"]["lines"] = event["data"]["lines"][:1]
    events.handle(json.dumps(event).encode(), "order.fulfill.complete")
    assert statuses_of(order) == ("Open", ["Complete", "Open"])


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"not json", "invalid"),
        (b"\xff\xfe", "invalid"),
        (b"[" * 100_000, "invalid"),
        (b"[]", "invalid"),
        (b"{}", "invalid"),
        (b'{"id": "x", "specversion": "2.0"}', "unknown_version"),
        (b'{"id": "x", "specversion": "1.0", "type": "other"}', "unknown_version"),
        (
            b'{"id": "x", "specversion": "1.0", '
            b'"type": "fulfillment.order.status_changed.v2", "data": {}}',
            "unknown_version",
        ),
        (
            b'{"id": "x", "specversion": "1.0", '
            b'"type": "fulfillment.order.status_changed.v1", "data": []}',
            "invalid",
        ),
    ],
)
def test_what_is_not_an_event_is_kept_and_answered(db, body, answer):
    assert events.handle(body, "order.fulfill.complete") == answer
    row = ProcessedEvent.objects.get()
    assert row.answer == answer
    assert row.detail
    assert events.handle(body, "order.fulfill.complete") == "duplicate"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("data", "sequence"), "7", "data.sequence"),
        (("data", "sequence"), 2**63, "data.sequence"),
        (("data", "sequence"), True, "data.sequence"),
        (("data", "final"), "yes", "data.final"),
        (("data", "lines"), {}, "data.lines"),
        (("data", "lines", 0, "id"), None, "data.lines[0].id"),
        (("data", "lines", 0, "reason"), "why", "data.lines[0].reason"),
        (("data", "order_number"), "a\x00b", "data.order_number"),
        (("data", "next_attempt_at"), "tomorrow", "data.next_attempt_at"),
        (("time",), "2026-13-45T00:00:00Z", "time"),
    ],
)
def test_a_wrong_field_is_named(shop, path, value, field):
    event = shop.event(shop.order(), "retrying")
    target = event
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    assert events.handle(json.dumps(event).encode(), "order.fulfill.retrying") == "invalid"
    assert ProcessedEvent.objects.get().detail.startswith(f"{field}: ")


def test_an_unknown_order_is_kept_and_can_be_replayed(shop):
    order = shop.order()
    event = shop.event(order, "complete")
    get_model("order", "Order").objects.filter(pk=order.pk).update(number="elsewhere")
    assert events.handle(json.dumps(event).encode(), "order.fulfill.complete") == "unknown_order"
    get_model("order", "Order").objects.filter(pk=order.pk).update(number=order.number)
    assert events.replay(ProcessedEvent.objects.get()) == "applied"
    assert statuses_of(order) == ("Complete", ["Complete"])
    assert ProcessedEvent.objects.get().answer == "applied"


def test_the_repeat_of_an_event_that_was_only_kept_is_applied(shop, monkeypatch):
    order = shop.order()
    body = json.dumps(shop.event(order, "complete")).encode()
    with monkeypatch.context() as patch:
        patch.setattr(states, "ship", lambda *args: 1 / 0)
        assert events.handle(body, "order.fulfill.complete") == "failed"
        assert events.handle(body, "order.fulfill.complete") == "duplicate"
    assert events.handle(body, "order.fulfill.complete") == "applied"
    assert events.handle(body, "order.fulfill.complete") == "duplicate"
    assert statuses_of(order) == ("Complete", ["Complete"])
    assert ProcessedEvent.objects.get().body == ""


def test_an_event_whose_handling_fails_is_kept_and_can_be_replayed(shop, monkeypatch):
    order = shop.order()
    with monkeypatch.context() as patch:

        def fail(*args, **kwargs):
            raise ValueError("a bug in a receiver")

        patch.setattr(states, "ship", fail)
        assert shop.tell(order, "complete") == "failed"
    assert statuses_of(order) == ("Open", ["Open"]), "nothing of it was written"
    row = ProcessedEvent.objects.get()
    assert "a bug in a receiver" in row.detail
    assert events.replay(row) == "applied"
    assert statuses_of(order) == ("Complete", ["Complete"])
