"""How staff sort orders: waiting, retrying, dead, by reason, over time. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from oscar.core.loading import get_model

from oscar_fulfillment import statuses
from oscar_fulfillment.models import (
    FulfillmentEvent,
    FulfillmentLine,
    OutboxMessage,
    ProcessedEvent,
    Refund,
)
from oscar_fulfillment.reasons import REASONS
from oscar_fulfillment.spans import in_words

WAITING, RETRYING, DEAD, UNSENT = "waiting", "retrying", "dead", "unsent"
STATES = [
    (UNSENT, _("Not published yet")),
    (WAITING, _("Waiting for the worker")),
    (RETRYING, _("Waiting for a retry")),
    (DEAD, _("Failed for good")),
]
# Bootstrap's names for the colours of the pages.
TONES = {UNSENT: "secondary", WAITING: "info", RETRYING: "warning", DEAD: "danger"}


# Nearly every order is complete, so each query starts from what is not: all below are answered from
# the indexes on ``final``, ``reason_code`` and ``sent_at``, however many orders there are.


def _open() -> QuerySet[FulfillmentLine]:
    """Lines that the worker has yet to say something about, those to be refunded left out."""
    return FulfillmentLine.objects.filter(
        final=False, line__status=statuses.OPEN, line__fulfillment_refund__isnull=True
    )


def _failed() -> QuerySet[FulfillmentLine]:
    """Lines in an error, those to be refunded left out. A line in an error has a reason."""
    return FulfillmentLine.objects.filter(
        reason_code__gt="",
        line__status__in=statuses.LINE_ERRORS,
        line__fulfillment_refund__isnull=True,
    )


def _rows(state: str) -> QuerySet[Any]:
    """What puts an order into a state: its messages, or its lines."""
    unsent = OutboxMessage.objects.filter(sent_at__isnull=True)
    if state == UNSENT:
        return unsent
    if state == WAITING:
        return _open().exclude(order__in=unsent.values("order"))
    return _failed().filter(final=state == DEAD)


def in_state(state: str) -> Q:
    """A filter over orders."""
    return Q(pk__in=_rows(state).values("order"))


def with_reason(code: str) -> Q:
    """A filter over orders: a line stands in an error for this reason."""
    rows = FulfillmentLine.objects.filter(reason_code=code, line__status__in=statuses.LINE_ERRORS)
    return Q(pk__in=rows.values("order"))


@dataclass(frozen=True)
class StateCount:
    """One tile of the overview: orders in a state, and since when the oldest is."""

    state: str
    label: Any
    tone: str
    orders: int
    oldest: datetime | None


def counts() -> list[StateCount]:
    """A tile for each state."""
    found = []
    for state, label in STATES:
        row = _rows(state).aggregate(
            n=Count("order", distinct=True), oldest=Min("order__date_placed")
        )
        found.append(StateCount(state, label, TONES[state], row["n"], row["oldest"]))
    return found


def by_reason() -> list[dict[str, Any]]:
    """Unfinished failures by reason: code, words, orders retrying and dead, most first."""
    rows = (
        _failed()
        .values("reason_code")
        .annotate(
            retrying=Count("order", distinct=True, filter=Q(final=False)),
            dead=Count("order", distinct=True, filter=Q(final=True)),
            total=Count("order", distinct=True),
        )
        .order_by("-total", "reason_code")
    )
    most = max((row["retrying"] + row["dead"] for row in rows), default=1)
    return [
        {
            **row,
            "retrying_percent": row["retrying"] * 100 // most,
            "dead_percent": row["dead"] * 100 // most,
            "words": REASONS.get(row["reason_code"], row["reason_code"]),
        }
        for row in rows
    ]


@dataclass(frozen=True)
class Pace:
    """How fast the orders of the last day were completed, placement to completion."""

    completed: int
    half_words: str
    most_words: str


def pace(hours: int = 24, sample: int = 2000) -> Pace:
    """Completions of the last hours; the times are those of the last ``sample`` of them."""
    rows = FulfillmentEvent.objects.filter(
        outcome="complete",
        stale=False,
        refund__isnull=True,
        happened_at__gte=timezone.now() - timedelta(hours=hours),
    )
    took = sorted(
        max(happened - placed, timedelta(0))
        for happened, placed in rows.order_by("-happened_at").values_list(
            "happened_at", "order__date_placed"
        )[:sample]
    )
    if not took:
        return Pace(0, "", "")
    return Pace(rows.count(), in_words(took[len(took) // 2]), in_words(took[len(took) * 95 // 100]))


def oldest(limit: int = 8) -> list[Any]:
    """The unfinished orders that have waited longest, oldest first."""
    orders = get_model("order", "Order").objects.select_related("user").order_by("date_placed")
    found = {
        order
        for rows in (_open(), _failed())
        for order in orders.filter(pk__in=rows.values("order"))[:limit]
    }
    return sorted(found, key=lambda order: order.date_placed)[:limit]


def trouble() -> dict[str, int]:
    """What an operator should look at, beside orders."""
    return {
        "kept_events": ProcessedEvent.objects.filter(answer__in=ProcessedEvent.KEPT).count(),
        "refunds_failed": Refund.objects.filter(status=statuses.REVOCATION_ERROR).count(),
        "outbox_errors": OutboxMessage.objects.filter(sent_at__isnull=True)
        .exclude(last_error="")
        .count(),
    }


@dataclass(frozen=True)
class Bucket:
    """One bar of the chart: order events that ended well, that wait, that failed for good."""

    start: datetime
    complete: int
    retrying: int
    dead: int


def over_time(hours: int) -> list[Bucket]:
    """Order events of the last hours, in bars of an hour, or of a day from three days on."""
    daily = hours > 72
    now = timezone.localtime()
    step = timedelta(days=1) if daily else timedelta(hours=1)
    start = now.replace(minute=0, second=0, microsecond=0)
    start = start.replace(hour=0) if daily else start
    bars = hours // 24 if daily else hours
    starts = [start - step * back for back in range(bars - 1, -1, -1)]
    rows = (
        FulfillmentEvent.objects.filter(happened_at__gte=starts[0], stale=False)
        .filter(refund__isnull=True)
        .annotate(bar=TruncDay("happened_at") if daily else TruncHour("happened_at"))
        .values("bar", "outcome")
        .annotate(n=Count("pk"))
        .order_by()
    )
    found = {(row["bar"], row["outcome"]): row["n"] for row in rows}
    return [
        Bucket(
            at,
            *(found.get((at, outcome), 0) for outcome in ("complete", "retrying", "dead")),
        )
        for at in starts
    ]
