"""The fulfilment panel of an order, as data for a template: lines, words, history, refunds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from oscar_fulfillment import learners, messages, reasons, statuses
from oscar_fulfillment.models import FulfillmentEvent, FulfillmentLine, OutboxMessage, Refund
from oscar_fulfillment.spans import in_words


@dataclass(frozen=True)
class LineView:
    """One line of the panel; ``tone`` is a Bootstrap colour."""

    line: Any
    learner: str
    is_buyer: bool
    status: str
    tone: str
    reason: str
    attempts: int
    next_attempt_at: datetime | None
    dead: bool
    result: dict[str, Any] | None


@dataclass(frozen=True)
class Entry:
    """One thing that happened, in words: a status event (``kind`` event) or a message of ours."""

    kind: str
    at: datetime
    tone: str
    label: str
    remark: str
    words: list[str]


@dataclass(frozen=True)
class Panel:
    """All the panel shows; ``lines`` is empty for orders that are none of fulfilld's business."""

    summary: Summary | None
    lines: list[LineView]
    history: list[Entry]
    refunds: list[Refund]
    can_resubmit: bool
    can_refund: bool


def of(order: Any) -> Panel:
    """The panel of one order."""
    rows = order.lines.select_related("product", "fulfillment", "fulfillment_refund")
    rows = rows.prefetch_related("attributes__option")
    buyer = learners.as_message_user(order.user)["username"] if order.user else ""
    lines = [line for line in rows if messages.is_fulfilled_here(line)]
    titles = {line.pk: line.title for line in lines}
    open_lines = [line for line in lines if getattr(line, "fulfillment_refund", None) is None]
    return Panel(
        summary=summaries([order]).get(order.pk),
        lines=[_line(line, buyer) for line in lines],
        history=_history(order, titles),
        refunds=list(Refund.objects.filter(order=order).prefetch_related("lines__line")),
        can_resubmit=any(line.status not in statuses.LINE_FINISHED for line in open_lines),
        can_refund=bool(open_lines),
    )


def _line(line: Any, buyer: str) -> LineView:
    known: FulfillmentLine | None = getattr(line, "fulfillment", None)
    user = (known.message.get("user") or {}) if known else {}
    named = str(user.get("username") or learners.named_on(line) or "")
    return LineView(
        line=line,
        learner=named or buyer,
        is_buyer=not named,
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
    words = reasons.in_words(known.reason_code, known.reason_message, known.http_status)
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
# When it was sent, and while it waits for that.
MESSAGE_LABELS = {
    "fulfill": (
        gettext_lazy("Published to the worker"),
        gettext_lazy("Message waits to be published"),
    ),
    "resubmit": (
        gettext_lazy("Resubmission published to the worker"),
        gettext_lazy("Resubmission waits to be published"),
    ),
    "refund": (
        gettext_lazy("Refund published to the worker"),
        gettext_lazy("Refund waits to be published"),
    ),
}
NOTABLE_DELAY = timedelta(minutes=1)
HISTORY_LABELS = {
    "complete": gettext_lazy("Complete"),
    "retrying": gettext_lazy("Failed, will be retried"),
    "dead": gettext_lazy("Failed for good"),
    "requeued": gettext_lazy("Started again by a person"),
    "ignored": gettext_lazy("Asked again, nothing to do"),
    "invalid": gettext_lazy("The message could not be read"),
}


def _history(order: Any, titles: dict[int, str]) -> list[Entry]:
    """All that happened to an order, the latest first."""
    events = FulfillmentEvent.objects.filter(order=order).select_related("refund")
    entries = [_event_entry(event, titles) for event in events.order_by("-sequence", "-id")]
    entries += [_message_entry(row) for row in OutboxMessage.objects.filter(order=order)]
    # Stable: events of one moment stay in the order of their sequences.
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


def _event_entry(event: FulfillmentEvent, titles: dict[int, str]) -> Entry:
    words = []
    for line in event.lines:
        reason = line.get("reason") or {}
        status = reason.get("http_status")
        text = reasons.in_words(
            str(reason.get("code") or ""),
            str(reason.get("message") or ""),
            status if isinstance(status, int) else None,
        )
        title = titles.get(line.get("id"), f"#{line.get('id')}")
        happened = line.get("status") or "?"
        if event.refund and happened in statuses.LINE_FINISHED:
            happened = _("revoked")
        words.append(f"{title}: {happened}" + (f" — {text}" if text else ""))
    remarks = [_("attempt %(attempt)d of round %(round)d")]
    if event.refund:
        remarks.append(_("refund %(refund)s"))
    if event.stale:
        remarks.append(_("arrived late"))
    about = {
        "attempt": event.attempt,
        "round": event.generation,
        "refund": event.refund.number if event.refund else "",
    }
    return Entry(
        "event",
        event.happened_at,
        HISTORY_TONES.get(event.outcome, "secondary"),
        _event_label(event),
        ", ".join(remarks) % about,
        words,
    )


def _event_label(event: FulfillmentEvent) -> str:
    if event.refund and event.outcome == "complete":
        return _("Revoked")
    return str(HISTORY_LABELS.get(event.outcome, event.outcome))


def _message_entry(message: OutboxMessage) -> Entry:
    """At the time when it was written, so that it stands before what came of it."""
    sent, waits = MESSAGE_LABELS[message.action]
    if not message.sent_at:
        words = [message.last_error] if message.last_error else []
        return Entry("message", message.created_at, "info", str(waits), "", words)
    delay = message.sent_at - message.created_at
    remark = _("%(span)s later") % {"span": in_words(delay)} if delay >= NOTABLE_DELAY else ""
    return Entry("message", message.created_at, "secondary", str(sent), remark, [])


@dataclass(frozen=True)
class Summary:
    """Where one order stands, for a row of a list; ``tone`` is a Bootstrap colour."""

    tone: str
    state: str
    reason: str
    attempts: int
    next_attempt_at: datetime | None


_SEVERITY = {"danger": 4, "warning": 3, "info": 2, "success": 1, "secondary": 0}


def summaries(orders: Iterable[Any]) -> dict[int, Summary]:
    """Order id → where it stands: the worst line speaks for its order."""
    ids = [order.pk for order in orders]
    unsent = set(
        OutboxMessage.objects.filter(order__in=ids, sent_at__isnull=True).values_list(
            "order_id", flat=True
        )
    )
    found: dict[int, Summary] = {}
    rows = FulfillmentLine.objects.filter(order__in=ids).select_related("line")
    for row in rows.order_by("line_id"):
        tone = _tone(row.line.status, row.final)
        known = found.get(row.order_id)
        if known is None or _SEVERITY[tone] > _SEVERITY[known.tone]:
            found[row.order_id] = _summary(row, tone, row.order_id in unsent)
    return found


def _summary(row: FulfillmentLine, tone: str, unsent: bool) -> Summary:
    return Summary(
        tone=tone,
        state=_state(row.line.status, row.final, unsent),
        reason=reasons.in_words(row.reason_code, row.reason_message, row.http_status)
        if tone in ("danger", "warning")
        else "",
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at if tone == "warning" else None,
    )


def _state(status: str, final: bool, unsent: bool) -> str:
    """The state of the overview's tiles, as words for one order."""
    if status in statuses.LINE_FINISHED:
        return _("Complete") if status == statuses.COMPLETE else _("Refunded")
    if status in statuses.LINE_ERRORS:
        return _("Failed for good") if final else _("Waiting for a retry")
    return _("Not published yet") if unsent else _("Waiting for the worker")
