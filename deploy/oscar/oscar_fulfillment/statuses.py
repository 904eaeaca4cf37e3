"""The state machines of orders, lines and refunds: names, legal moves, and what follows from what.

Pure data without Django, so that a shop's settings module can import it. The pipelines are given
to Oscar through ``oscar_fulfillment.defaults``; docs/oscar.md draws them.
"""

from __future__ import annotations

from collections.abc import Iterable

PENDING = "Pending"
PAYMENT_ERROR = "Payment Error"
OPEN = "Open"
FULFILLMENT_ERROR = "Fulfillment Error"
COMPLETE = "Complete"

CONFIGURATION_ERROR = "Fulfillment Configuration Error"
NETWORK_ERROR = "Fulfillment Network Error"
TIMEOUT_ERROR = "Fulfillment Timeout Error"
SERVER_ERROR = "Fulfillment Server Error"
REFUNDED = "Refunded"

REVOCATION_ERROR = "Revocation Error"

LINE_ERRORS = (CONFIGURATION_ERROR, NETWORK_ERROR, TIMEOUT_ERROR, SERVER_ERROR)
LINE_FINISHED = (COMPLETE, REFUNDED)
LINE_STATUSES = (OPEN, *LINE_ERRORS, *LINE_FINISHED)

ORDER_PIPELINE: dict[str, tuple[str, ...]] = {
    PENDING: (OPEN, PAYMENT_ERROR),
    PAYMENT_ERROR: (OPEN,),
    OPEN: (COMPLETE, FULFILLMENT_ERROR),
    FULFILLMENT_ERROR: (OPEN, COMPLETE),
    COMPLETE: (),
}

# Any error may follow any other, and Open follows an error when a person resubmits. Complete is
# final but for a refund.
LINE_PIPELINE: dict[str, tuple[str, ...]] = {
    OPEN: (COMPLETE, *LINE_ERRORS, REFUNDED),
    **{
        error: (
            OPEN,
            COMPLETE,
            *(other for other in LINE_ERRORS if other != error),
            REFUNDED,
        )
        for error in LINE_ERRORS
    },
    COMPLETE: (REFUNDED,),
    REFUNDED: (),
}

REFUND_OPEN = "Open"
REFUND_PIPELINE: dict[str, tuple[str, ...]] = {
    REFUND_OPEN: (COMPLETE, REVOCATION_ERROR),
    REVOCATION_ERROR: (REFUND_OPEN, COMPLETE),
    COMPLETE: (),
}


def order_status_of(line_statuses: Iterable[str]) -> str:
    """The status of an order (of the pipeline above) that follows from those of its lines."""
    statuses = set(line_statuses)
    if statuses and statuses <= set(LINE_FINISHED):
        return COMPLETE
    if statuses & set(LINE_ERRORS):
        return FULFILLMENT_ERROR
    return OPEN


def refund_status_of(line_statuses: Iterable[str]) -> str:
    """The status of a refund that follows from those of its lines."""
    statuses = set(line_statuses)
    if statuses == {COMPLETE}:
        return COMPLETE
    if REVOCATION_ERROR in statuses:
        return REVOCATION_ERROR
    return REFUND_OPEN
