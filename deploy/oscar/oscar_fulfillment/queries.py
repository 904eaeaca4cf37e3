"""How staff sort orders: waiting, retrying, dead, by reason, over time. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
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

WAITING, RETRYING, DEAD, UNSENT = "waiting", "retrying", "dead", "unsent"
STATES = [
    (UNSENT, _("Not published yet")),
    (WAITING, _("Waiting for the worker")),
    (RETRYING, _("Waiting for a retry")),
    (DEAD, _("Failed for good")),
]
# Bootstrap's names for the colours of the pages.
TONES = {UNSENT: "secondary", WAITING: "info", RETRYING: "warning", DEAD: "danger"}


def _lines(state: str) -> QuerySet[FulfillmentLine]:
    """The lines that put an order into a state; a refunded line puts it into none."""
    rows = FulfillmentLine.objects.filter(line__fulfillment_refund__isnull=True)
    if state == WAITING:
        return rows.filter(line__status=statuses.OPEN)
    return rows.filter(line__status__in=statuses.LINE_ERRORS, final=state == DEAD)


def in_state(state: str) -> Any:
    """A filter over orders."""
    if state == UNSENT:
        return Exists(OutboxMessage.objects.filter(order=OuterRef("pk"), sent_at__isnull=True))
    return Exists(_lines(state).filter(order=OuterRef("pk")))


def with_reason(code: str) -> Any:
    """A filter over orders: a line stands in an error for this reason."""
    return Exists(
        FulfillmentLine.objects.filter(
            order=OuterRef("pk"), reason_code=code, line__status__in=statuses.LINE_ERRORS
        )
    )


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
    orders = get_model("order", "Order").objects
    found = []
    for state, label in STATES:
        row = orders.filter(in_state(state)).aggregate(n=Count("pk"), oldest=Min("date_placed"))
        found.append(StateCount(state, label, TONES[state], row["n"], row["oldest"]))
    return found


def by_reason() -> list[dict[str, Any]]:
    """Unfinished failures by reason: code, words, orders retrying and dead, most first."""
    rows = (
        FulfillmentLine.objects.filter(
            line__status__in=statuses.LINE_ERRORS, line__fulfillment_refund__isnull=True
        )
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
            "words": REASONS.get(row["reason_code"], row["reason_code"] or _("No reason known")),
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
    return Pace(
        rows.count(), _in_words(took[len(took) // 2]), _in_words(took[len(took) * 95 // 100])
    )


def _in_words(time: timedelta) -> str:
    """A span with the precision that matters: seconds below two minutes, and so on."""
    seconds = max(1, round(time.total_seconds()))
    for size, one, many in (
        (86400, "%d day", "%d days"),
        (3600, "%d hour", "%d hours"),
        (60, "%d minute", "%d minutes"),
    ):
        if seconds >= 2 * size:
            count = round(seconds / size)
            return ngettext(one, many, count) % count
    return ngettext("%d second", "%d seconds", seconds) % seconds


def oldest(limit: int = 8) -> list[Any]:
    """The unfinished orders that have waited longest, oldest first."""
    unfinished = FulfillmentLine.objects.filter(
        order=OuterRef("pk"),
        line__fulfillment_refund__isnull=True,
        line__status__in=(statuses.OPEN, *statuses.LINE_ERRORS),
    )
    orders = get_model("order", "Order").objects.filter(Exists(unfinished))
    return list(orders.select_related("user").order_by("date_placed")[:limit])


def trouble() -> dict[str, int]:
    """What an operator should look at, beside orders."""
    return {
        "kept_events": ProcessedEvent.objects.exclude(
            answer__in=(ProcessedEvent.Answer.APPLIED, ProcessedEvent.Answer.STALE)
        ).count(),
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
