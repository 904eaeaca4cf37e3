"""The places where the app takes part in Oscar's own classes.

Three mixins, each for one class of Oscar's ``order`` app. ``oscar_fulfillment.order`` applies them
for shops that have no fork of it; the others add them to their own classes. None of them decides
anything: they call ``fulfillment_api``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction

from oscar_fulfillment import conf

if TYPE_CHECKING:
    _Mixed = Any
else:
    _Mixed = object


class FulfillmentHandlerMixin(_Mixed):
    """For ``order.processing.EventHandler``: shipping course lines means publishing them."""

    def handle_shipping_event(
        self, order: Any, event_type: Any, lines: Any, line_quantities: Any, **kwargs: Any
    ) -> Any:
        """Publishes what fulfilld fulfils, and leaves the rest to Oscar.

        The shipping event of a published line is written when its ``Complete`` arrives, not here.
        Orders that the rollout or a dry run keeps on the old path go to the next class in line,
        whole. Returns the status of ``fulfillment_api.fulfill()``, or what Oscar returned for
        lines that are not ours.
        """
        from oscar_fulfillment import fulfillment_api, messages

        lines = list(lines)
        quantities = list(line_quantities)
        ours = {line.pk for line in lines if messages.is_fulfilled_here(line)}
        result: Any = None
        if ours and event_type.name == conf.get("SHIPPING_EVENT"):
            result = fulfillment_api.fulfill(
                order, line_ids=ours, request=kwargs.pop("request", None)
            )
            if result.leaves_to_old_path:
                ours = set()
        else:
            ours = set()
        rest = [
            (line, quantity)
            for line, quantity in zip(lines, quantities, strict=True)
            if line.pk not in ours
        ]
        if rest and not kwargs.pop("only_fulfillment", False):
            event = super().handle_shipping_event(
                order, event_type, [line for line, _ in rest], [n for _, n in rest], **kwargs
            )
            return result if ours else event
        return result

    def handle_order_placed(self, order: Any, request: Any = None) -> Any:
        """Called in the transaction that places the order: ships the course lines at once.

        Lines that are no business of ours, and whole orders on the old path, are not touched:
        their own triggers go on as before.
        """
        from oscar_fulfillment import messages, states

        lines = [line for line in order.lines.all() if messages.is_fulfilled_here(line)]
        if not lines or order.status not in conf.get("FULFILLABLE_STATUSES"):
            return None
        return self.handle_shipping_event(
            order,
            states.shipping_event_type(),
            lines,
            [line.quantity for line in lines],
            request=request,
            only_fulfillment=True,
        )

    def handle_order_status_change(
        self, order: Any, new_status: str, note_msg: str | None = None
    ) -> None:
        with transaction.atomic():
            super().handle_order_status_change(order, new_status, note_msg=note_msg)


class OutboxOrderCreatorMixin(_Mixed):
    """For ``order.utils.OrderCreator``: the order and its message commit or roll back together."""

    def place_order(self, *args: Any, **kwargs: Any) -> Any:
        from oscar.core.loading import get_class

        from oscar_fulfillment import context, learners

        request = kwargs.get("request")
        with transaction.atomic():
            order = super().place_order(*args, **kwargs)
            learners.check_order(order)
            context.remember(order, request)
            handler = get_class("order.processing", "EventHandler")(user=None)
            handler.handle_order_placed(order, request=request)
        return order


class AtomicStatusMixin(_Mixed):
    """For ``order.models.Order``: a status, its history and its message are one transaction.

    Oscar saves the status first and tells the listeners afterwards; without this, a crash between
    the two would leave an order that was just paid for without its message.
    """

    def set_status(self, new_status: str) -> None:
        with transaction.atomic():
            super().set_status(new_status)

    set_status.alters_data = True  # type: ignore[attr-defined]
