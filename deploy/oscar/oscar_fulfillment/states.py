"""Moves orders and lines through Oscar's state machine, and writes what goes with a move.

Every function here expects the caller to hold the lock on the order, in a transaction. A move the
pipeline does not allow is not made and not an error: what arrives late must not stop anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import F
from oscar.apps.partner.exceptions import InvalidStockAdjustment
from oscar.core.loading import get_class, get_model

from oscar_fulfillment import conf, statuses

ENTITLEMENT_OPTION = "course_entitlement"


def shipping_event_type() -> Any:
    """Oscar's event type that stands for fulfilment; made when the shop has none of that name."""
    model = get_model("order", "ShippingEventType")
    event_type, _ = model.objects.get_or_create(name=conf.get("SHIPPING_EVENT"))
    return event_type


def lock(order: Any) -> Any:
    """The order again, locked until the transaction ends."""
    rows = get_model("order", "Order").objects.filter(pk=order.pk)
    if not connection.features.has_select_for_update:
        # SQLite: a write takes the lock that a read does not.
        rows.update(status=F("status"))
    return rows.select_for_update().get()


def move_line(line: Any, status: str) -> bool:
    """Sets a line's status when the pipeline allows it; True when it changed."""
    if line.status == status or status not in line.available_statuses():
        return False
    line.set_status(status)
    return True


def settle_order(order: Any, reopen: bool = False) -> bool:
    """Brings the order's status in line with its lines; True when it changed.

    Lines that fulfilld does not fulfil count as finished when their own status says Complete.
    """
    target = statuses.order_status_of(line.status for line in order.lines.all())
    if target == statuses.OPEN and not reopen:
        return False
    if target == order.status or target not in order.available_statuses():
        return False
    order.set_status(target)
    return True


def ship(order: Any, lines: Iterable[Any]) -> None:
    """Shipping event and stock for lines that have just been completed, each once."""
    handler = get_class("order.processing", "EventHandler")(user=None)
    event_type = shipping_event_type()
    shipped = []
    for line in lines:
        left = line.quantity - line.shipping_event_quantity(event_type)
        if left > 0:
            shipped.append((line, left))
    if not shipped:
        return
    handler.create_shipping_event(
        order, event_type, [line for line, _ in shipped], [left for _, left in shipped]
    )
    for line, _ in shipped:
        if _holds_stock(line):
            _consume_stock(handler, order, line)


def _consume_stock(handler: Any, order: Any, line: Any) -> None:
    """What was reserved leaves the stock, if the stock record still knows of it.

    An update of the stock commonly sets the reserved number to zero; the learner has the course
    all the same, so that is a note for staff and not an error.
    """
    try:
        handler.consume_stock_allocations(order, [line], [line.num_allocated])
    except InvalidStockAdjustment:
        note(
            order,
            f"{line.title}: the stock record does not hold what this order had reserved "
            "(changed meanwhile?); the stock was left as it is.",
            "Warning",
        )


def give_stock_back(order: Any, line: Any) -> None:
    """Cancels what a line holds that will not be fulfilled any more."""
    if _holds_stock(line):
        handler = get_class("order.processing", "EventHandler")(user=None)
        handler.cancel_stock_allocations(order, [line], [line.num_allocated])


def _holds_stock(line: Any) -> bool:
    return bool(line.stockrecord and line.product and line.num_allocated)


def store_entitlement(line: Any, uuid: str) -> None:
    """Keeps an entitlement's uuid as a line attribute, where reports and staff look for it."""
    option, _ = get_model("catalogue", "Option").objects.get_or_create(
        code=ENTITLEMENT_OPTION, defaults={"name": "Course entitlement"}
    )
    line.attributes.update_or_create(
        type=ENTITLEMENT_OPTION, defaults={"option": option, "value": uuid}
    )


def note(order: Any, message: str, kind: str = "System", user: Any = None) -> None:
    """An order note staff can read."""
    handler = get_class("order.processing", "EventHandler")(user=user)
    handler.create_note(order, message, note_type=kind)
