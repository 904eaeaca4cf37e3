"""The sweeper: finds orders that should have an end by now and have none, and asks again.

It covers what no transaction can: an order written around ``OrderCreator``, a message that an
operator purged, a worker's memory that was lost. Asking again is safe, because a resubmission of
work that is queued, waiting or running is ignored by the worker, and lines that are done stay done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from oscar.core.loading import get_model

from oscar_fulfillment import conf, fulfillment_api, statuses
from oscar_fulfillment.models import FulfillmentLine, OutboxMessage, Refund, RefundLine

NEVER_PUBLISHED = "never published"
NO_NEWS = "no news"


@dataclass(frozen=True)
class Finding:
    """One order or refund to be asked about again."""

    why: str
    order: Any
    refund: Refund | None = None

    @property
    def number(self) -> str:
        """Of the refund, where it is about one."""
        return str(self.refund.number if self.refund else self.order.number)

    def mend(self) -> fulfillment_api.Status:
        """Resubmits it, unless a look under the lock finds it on its way."""
        if self.refund is not None:
            return fulfillment_api.resubmit_refund(self.refund)
        if self.why == NEVER_PUBLISHED:
            return fulfillment_api.fulfill(self.order)
        return fulfillment_api.resubmit(self.order)


def find(older_than_seconds: float) -> Iterator[Finding]:
    """Everything without an end and without news for that long, oldest first."""
    limit = timezone.now() - timedelta(seconds=older_than_seconds)
    for order in never_published(limit).iterator():
        yield Finding(NEVER_PUBLISHED, order)
    for order in silent_orders(limit).iterator():
        yield Finding(NO_NEWS, order)
    for refund in silent_refunds(limit).select_related("order").iterator():
        yield Finding(NO_NEWS, refund.order, refund)


def never_published(limit: datetime) -> QuerySet[Any]:
    """Payable orders with a course line for which no message was ever written."""
    lines = (
        get_model("order", "Line")
        .objects.filter(
            order=OuterRef("pk"), fulfillment__isnull=True, fulfillment_refund__isnull=True
        )
        .exclude(status__in=statuses.LINE_FINISHED)
    )
    names = list(conf.product_types())
    ours = Q(product__product_class__name__in=names) | Q(
        product__parent__product_class__name__in=names
    )
    return (
        get_model("order", "Order")
        .objects.filter(
            status__in=conf.get("FULFILLABLE_STATUSES"),
            date_placed__lt=limit,
            date_placed__gt=timezone.now() - timedelta(seconds=conf.get("RECONCILE_WINDOW")),
        )
        .filter(Exists(lines.filter(ours)))
        .order_by("date_placed")
    )


def silent_orders(limit: datetime) -> QuerySet[Any]:
    """Published orders with a line that is neither finished nor dead, and nothing heard since."""
    waiting = FulfillmentLine.objects.filter(
        order=OuterRef("pk"), final=False, line__fulfillment_refund__isnull=True
    ).exclude(line__status__in=statuses.LINE_FINISHED)
    overdue = waiting.filter(Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lt=limit))
    return (
        get_model("order", "Order")
        .objects.filter(
            Exists(overdue),
            Q(fulfillment__last_event_at__isnull=True) | Q(fulfillment__last_event_at__lt=limit),
            fulfillment__last_published_at__lt=limit,
            status__in=conf.get("FULFILLABLE_STATUSES"),
        )
        .exclude(Exists(_unsent(order=OuterRef("pk"), refund=None)))
        .order_by("fulfillment__last_published_at")
    )


def silent_refunds(limit: datetime) -> QuerySet[Refund]:
    """The same for refunds."""
    waiting = RefundLine.objects.filter(refund=OuterRef("pk"), final=False).exclude(
        status=statuses.COMPLETE
    )
    overdue = waiting.filter(Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lt=limit))
    return (
        Refund.objects.filter(
            Exists(overdue),
            Q(last_event_at__isnull=True) | Q(last_event_at__lt=limit),
            last_published_at__lt=limit,
        )
        .exclude(Exists(_unsent(refund=OuterRef("pk"))))
        .order_by("last_published_at")
    )


def _unsent(**conditions: Any) -> QuerySet[OutboxMessage]:
    """The relay's business, not the sweeper's."""
    return OutboxMessage.objects.filter(sent_at__isnull=True, **conditions)
