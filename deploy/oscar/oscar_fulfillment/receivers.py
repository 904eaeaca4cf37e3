"""Signals of Oscar that the app listens to: orders that become payable, lines that open again."""

from __future__ import annotations

from typing import Any

from oscar_fulfillment import conf, statuses


def connect() -> None:
    """Connects the receivers; called once, when the app is ready."""
    from oscar.apps.order.signals import order_line_status_changed, order_status_changed

    order_line_status_changed.connect(reopen_line, dispatch_uid="oscar_fulfillment.reopen_line")
    order_status_changed.connect(
        publish_when_payable, dispatch_uid="oscar_fulfillment.publish_when_payable"
    )


def reopen_line(sender: Any, line: Any, new_status: str, **kwargs: Any) -> None:
    """An open line is not settled, also when it was opened by hand."""
    from oscar_fulfillment.models import FulfillmentLine

    if new_status == statuses.OPEN:
        FulfillmentLine.objects.filter(line=line, final=True).update(final=False)


def publish_when_payable(
    sender: Any, order: Any, old_status: str, new_status: str, **kwargs: Any
) -> None:
    """An order that waited for its payment is fulfilled when it opens.

    An order that opens again after an error was resubmitted by ``fulfillment_api``, which has
    written the message itself.
    """
    from oscar.core.loading import get_class

    allowed = conf.get("FULFILLABLE_STATUSES")
    if new_status in allowed and old_status not in allowed:
        get_class("order.processing", "EventHandler")(user=None).handle_order_placed(order)
