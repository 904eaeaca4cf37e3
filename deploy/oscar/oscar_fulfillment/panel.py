"""The fulfilment panel of an order, as data for a template: lines, words, history, refunds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from oscar_fulfillment import messages, statuses
from oscar_fulfillment.models import FulfillmentEvent, FulfillmentLine, OutboxMessage, Refund
from oscar_fulfillment.reasons import in_words


@dataclass(frozen=True)
class LineView:
    """One line of the panel; ``tone`` is a Bootstrap colour."""

    line: Any
    learner: str
    status: str
    tone: str
    reason: str
    attempts: int
    next_attempt_at: datetime | None
    dead: bool
    result: dict[str, Any] | None


@dataclass(frozen=True)
class HistoryView:
    """One status event, in words."""

    event: FulfillmentEvent
    tone: str
    words: list[str]


@dataclass(frozen=True)
class Panel:
    """All the panel shows; ``lines`` is empty for orders that are none of fulfilld's business."""

    lines: list[LineView]
    history: list[HistoryView]
    messages: list[OutboxMessage]
    refunds: list[Refund]
    can_resubmit: bool
    can_refund: bool


def of(order: Any) -> Panel:
    """The panel of one order."""
    rows = order.lines.select_related("product", "fulfillment", "fulfillment_refund")
    lines = [line for line in rows if messages.is_fulfilled_here(line)]
    titles = {line.pk: line.title for line in lines}
    events = FulfillmentEvent.objects.filter(order=order).select_related("refund")
    open_lines = [line for line in lines if getattr(line, "fulfillment_refund", None) is None]
    return Panel(
        lines=[_line(line) for line in lines],
        history=[_history(event, titles) for event in events.order_by("-sequence", "-id")],
        messages=list(OutboxMessage.objects.filter(order=order).order_by("-id")),
        refunds=list(Refund.objects.filter(order=order).prefetch_related("lines__line")),
        can_resubmit=any(line.status not in statuses.LINE_FINISHED for line in open_lines),
        can_refund=bool(open_lines),
    )


def _line(line: Any) -> LineView:
    known: FulfillmentLine | None = getattr(line, "fulfillment", None)
    user = (known.message.get("user") or {}) if known else {}
    return LineView(
        line=line,
        learner=str(user.get("username") or ""),
        status=line.status,
        tone=_tone(line.status, bool(known and known.final)),
        reason=_reason(known),
        attempts=known.attempts if known else 0,
        next_attempt_at=known.next_attempt_at if known else None,
        dead=bool(known and known.is_dead),
        result=known.result if known else None,
    )


def _reason(known: FulfillmentLine | None) -> str:
    if known is None:
        return _("Not published yet")
    words = in_words(known.reason_code, known.reason_message, known.http_status)
    if known.line.status == statuses.OPEN:
        return _("Waiting for the worker") if not words else _("Tried again; before: ") + words
    return words


def _tone(status: str, final: bool) -> str:
    if status == statuses.COMPLETE:
        return "success"
    if status == statuses.REFUNDED:
        return "secondary"
    if status in statuses.LINE_ERRORS:
        return "danger" if final else "warning"
    return "info"


HISTORY_TONES = {
    "complete": "success",
    "retrying": "warning",
    "dead": "danger",
    "requeued": "info",
    "ignored": "secondary",
    "invalid": "danger",
}


def _history(event: FulfillmentEvent, titles: dict[int, str]) -> HistoryView:
    words = []
    for line in event.lines:
        reason = line.get("reason") or {}
        status = reason.get("http_status")
        text = in_words(
            str(reason.get("code") or ""),
            str(reason.get("message") or ""),
            status if isinstance(status, int) else None,
        )
        title = titles.get(line.get("id"), f"#{line.get('id')}")
        words.append(f"{title}: {line.get('status') or '?'}" + (f" — {text}" if text else ""))
    return HistoryView(event, HISTORY_TONES.get(event.outcome, "secondary"), words)


def summaries(orders: Iterable[Any]) -> dict[int, tuple[str, str]]:
    """Order id → tone and words for a list of orders: the worst line speaks for its order."""
    worst: dict[int, tuple[int, str, str]] = {}
    severity = {"danger": 3, "warning": 2, "info": 1}
    rows = FulfillmentLine.objects.filter(order__in=list(orders)).select_related("line")
    for row in rows:
        tone = _tone(row.line.status, row.final)
        rank = severity.get(tone, 0)
        if rank > worst.get(row.order_id, (-1, "", ""))[0]:
            words = in_words(row.reason_code) if rank >= 2 else row.line.status
            worst[row.order_id] = (rank, tone, words or row.line.status)
    return {order_id: (tone, words) for order_id, (_rank, tone, words) in worst.items()}
