"""For shops that subclass ``checkout.views.PaymentDetailsView``: free orders skip the gateway."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Mixed = Any
else:
    _Mixed = object


class FreeOrderMixin(_Mixed):
    """Put it before the class that talks to the gateway.

    Oscar already skips the payment *page* of a free order; ``handle_payment`` is called all the
    same, and few gateways take kindly to an amount of zero.
    """

    def handle_payment(self, order_number: str, total: Any, **kwargs: Any) -> None:
        if total.incl_tax == Decimal("0.00"):
            return
        super().handle_payment(order_number, total, **kwargs)
