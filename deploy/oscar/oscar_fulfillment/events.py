"""Applies status events to orders: the inbox, the lock, the order of events, what follows.

Every event gets an answer, whatever it is, and none stops the consumer; only a database that is
away does. All that one event changes is one transaction, the inbox row included, so that a crash
anywhere leaves either all of it or nothing, and a redelivery finds out which.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.utils import timezone
from oscar.core.loading import get_model

from oscar_fulfillment import event_format, event_notes, fulfillment_api, states, statuses
from oscar_fulfillment.daemon import logger
from oscar_fulfillment.event_format import InvalidEvent, LineEvent, StatusEvent, UnknownVersion
from oscar_fulfillment.models import (
    FulfillmentEvent,
    FulfillmentLine,
    FulfillmentOrder,
    ProcessedEvent,
    Refund,
    RefundLine,
)
from oscar_fulfillment.signals import line_completed, refund_completed

Answer = ProcessedEvent.Answer
DUPLICATE = "duplicate"


class _Unknown(Exception):
    """No such order or refund in this shop."""


@dataclass
class _Change:
    """What an event did to an order, gathered for the note and for what follows."""

    newer: bool = False
    completed: list[Any] = field(default_factory=list)
    notable: list[tuple[Any, LineEvent]] = field(default_factory=list)
    revoke_again: list[Refund] = field(default_factory=list)
    unknown_lines: list[int] = field(default_factory=list)


def handle(body: bytes, routing_key: str = "") -> str:
    """Takes one message of the events queue and returns its answer.

    Raises only when the database is away or asks for a retry: the message then stays with the
    broker. When the handling of one event fails for any other reason, the event is kept in the
    inbox as *failed* and ``fulfillment_events --replay`` tries it again once the cause is mended.
    """
    try:
        event = event_format.parse(body, routing_key)
    except InvalidEvent as error:
        return _keep(str(Answer.INVALID), error.event_id, routing_key, str(error), body)
    except UnknownVersion as error:
        return _keep(str(Answer.UNKNOWN_VERSION), error.event_id, routing_key, str(error), body)
    try:
        return _apply_once(event, routing_key)
    except _Unknown as error:
        return _keep(str(Answer.UNKNOWN_ORDER), event.id, routing_key, str(error), body)
    except (InterfaceError, OperationalError):
        raise
    except Exception as error:
        logger.exception("events: event %s could not be applied", event.id)
        problem = f"{type(error).__name__}: {error}"
        return _keep(str(Answer.FAILED), event.id, routing_key, problem, body)


def replay(row: ProcessedEvent) -> str:
    """Applies an event that was kept; its row is replaced by the new answer."""
    with transaction.atomic():
        row.delete()
        return handle(row.body.encode("utf-8", "surrogateescape"), row.routing_key)


def _keep(answer: str, event_id: str, routing_key: str, detail: str, body: bytes) -> str:
    """Records an event that changed nothing, with its body for a person to look at."""
    text = body.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    key = _key(event_id.encode() if event_id else body)
    row, created = ProcessedEvent.objects.get_or_create(
        key=key,
        defaults={
            "event_id": event_id,
            "routing_key": routing_key.replace("\x00", "")[:255],
            "answer": answer,
            "detail": detail.replace("\x00", "")[:500],
            "body": text,
        },
    )
    if created:
        logger.warning("events: %s kept as %s: %s", event_id or row.key[:12], answer, detail)
        return answer
    return DUPLICATE


def _key(identity: bytes) -> str:
    return hashlib.sha256(identity).hexdigest()


def _apply_once(event: StatusEvent, routing_key: str) -> str:
    with transaction.atomic():
        try:
            # First of all a write: it takes SQLite's lock at once, and on PostgreSQL it makes a
            # second consumer with the same event wait for this one.
            with transaction.atomic():
                row = ProcessedEvent.objects.create(
                    key=_key(event.id.encode()),
                    event_id=event.id,
                    routing_key=routing_key[:255],
                    answer=Answer.APPLIED,
                )
        except IntegrityError:
            again = _take_over(event)
            if again is None:
                return DUPLICATE
            row = again
        change = _apply(event)
        if not change.newer and event.lines:
            row.answer = Answer.STALE
        if change.unknown_lines:
            row.detail = f"lines that are not of the order: {change.unknown_lines}"[:500]
        if row.answer != Answer.APPLIED or row.detail:
            row.save(update_fields=["answer", "detail"])
        return str(row.answer)


def _take_over(event: StatusEvent) -> ProcessedEvent | None:
    """The inbox row of an event that came before and was only kept: its repeat is applied."""
    rows = ProcessedEvent.objects.select_for_update().filter(key=_key(event.id.encode()))
    row = rows.filter(answer__in=ProcessedEvent.KEPT).first()
    if row is not None:
        row.answer, row.detail, row.body = str(Answer.APPLIED), "", ""
        row.save(update_fields=["answer", "detail", "body"])
    return row


def _apply(event: StatusEvent) -> _Change:
    order_model = get_model("order", "Order")
    order = order_model.objects.select_for_update().filter(number=event.order_number).first()
    if order is None:
        raise _Unknown(f"order {event.order_number}")
    made = None
    if event.refund_number:
        made = Refund.objects.filter(order=order, number=event.refund_number).first()
        if made is None:
            raise _Unknown(f"refund {event.refund_number}")
    change = _Change()
    if made is not None:
        _apply_refund(event, order, made, change)
    else:
        _apply_fulfillment(event, order, change)
    states.settle_order(order, reopen=event.outcome == "requeued")
    for refund in change.revoke_again:
        fulfillment_api.publish_refund(refund, "refund")
    _write_history(event, order, made, stale=bool(event.lines) and not change.newer)
    for text, kind in event_notes.notes(event, change.notable, change.revoke_again):
        states.note(order, text, kind)
    return change


def _write_history(event: StatusEvent, order: Any, made: Refund | None, stale: bool) -> None:
    FulfillmentEvent.objects.create(
        order=order,
        refund=made,
        event_id=event.id,
        action=event.action[:16],
        outcome=event.outcome,
        status=event.status[:64],
        final=event.final,
        sequence=event.sequence,
        generation=min(event.generation, 2**31 - 1),
        attempt=min(event.attempt, 2**31 - 1),
        next_attempt_at=event.next_attempt_at,
        happened_at=event.time,
        lines=[line.raw for line in event.lines],
        stale=stale,
    )
    now = timezone.now()
    if made is not None:
        Refund.objects.filter(pk=made.pk).update(last_event_at=now)
    else:
        FulfillmentOrder.objects.filter(order=order).update(last_event_at=now)


def _apply_fulfillment(event: StatusEvent, order: Any, change: _Change) -> None:
    known = {row.line_id: row for row in _rows(order)}
    for line_event in event.lines:
        row = known.get(line_event.id) or _adopt(order, line_event)
        if row is None:
            change.unknown_lines.append(line_event.id)
        elif event.sequence > row.sequence:
            change.newer = True
            _apply_line(event, line_event, row, change)
    if change.completed:
        states.ship(order, change.completed)
        for line in change.completed:
            line_completed.send(sender=FulfillmentLine, order=order, line=line)


def _rows(order: Any) -> Any:
    return FulfillmentLine.objects.filter(order=order).select_related(
        "line__product", "line__stockrecord", "line__fulfillment_refund__refund"
    )


def _adopt(order: Any, line_event: LineEvent) -> FulfillmentLine | None:
    """A line that was published by other means, an operator's hand for instance."""
    import uuid

    from oscar_fulfillment import messages

    line = order.lines.filter(pk=line_event.id).first()
    if line is None:
        return None
    FulfillmentOrder.objects.get_or_create(order=order)
    return FulfillmentLine.objects.create(
        order=order, line=line, item=uuid.uuid4(), product_class=messages.product_class_of(line)
    )


def _apply_line(
    event: StatusEvent, line_event: LineEvent, row: FulfillmentLine, change: _Change
) -> None:
    line = row.line
    before = (line.status, row.reason_code, row.final)
    row.sequence = event.sequence
    row.generation = min(event.generation, 2**31 - 1)
    row.attempts = min(event.attempt, 2**31 - 1)
    row.module = line_event.module or row.module
    if line_event.result is not None:
        row.result = line_event.result
        uuid = line_event.result.get("uuid")
        if isinstance(uuid, str) and line_event.status == statuses.COMPLETE:
            states.store_entitlement(line, uuid)
    finished = line.status in statuses.LINE_FINISHED
    if line_event.status == statuses.COMPLETE:
        _collect_revocation(event, row, change)
    if not finished:
        row.set_reason(line_event.reason)
        row.next_attempt_at = event.next_attempt_at
        row.final = event.final and line_event.status != statuses.OPEN
        if _move(event, line_event, row):
            change.completed.append(line)
    row.save()
    if before != (line.status, row.reason_code, row.final):
        change.notable.append((line, line_event))


def _move(event: StatusEvent, line_event: LineEvent, row: FulfillmentLine) -> bool:
    """Moves the line to where the event says; True when that completed it."""
    target = line_event.status
    if target in statuses.LINE_ERRORS and event.outcome == "requeued":
        target = statuses.OPEN
    if target in statuses.LINE_FINISHED:
        row.next_attempt_at = None
        row.final = True
    moved = states.move_line(row.line, target)
    if moved and target == statuses.REFUNDED:
        states.give_stock_back(row.order, row.line)
    return moved and target == statuses.COMPLETE


def _collect_revocation(event: StatusEvent, row: FulfillmentLine, change: _Change) -> None:
    """A ``Complete`` for a line that was refunded earlier: its refund is to be published again.

    Sequences grow over all that happens to an order, so a refund with a larger one came after
    this completion and has revoked it.
    """
    refund_line = getattr(row.line, "fulfillment_refund", None)
    if refund_line is None or refund_line.sequence > event.sequence:
        return
    if refund_line.refund not in change.revoke_again:
        change.revoke_again.append(refund_line.refund)


def _apply_refund(event: StatusEvent, order: Any, made: Refund, change: _Change) -> None:
    rows = {row.line_id: row for row in made.lines.select_related("line__stockrecord")}
    for line_event in event.lines:
        row = rows.get(line_event.id)
        if row is None:
            change.unknown_lines.append(line_event.id)
        elif event.sequence > row.sequence:
            change.newer = True
            _apply_refund_line(event, line_event, row, change)
    if not change.newer:
        return
    status = statuses.refund_status_of(made.lines.values_list("status", flat=True))
    before = made.status
    if made.set_status(status) and status == statuses.COMPLETE != before:
        refund_completed.send(sender=Refund, refund=made)


def _apply_refund_line(
    event: StatusEvent, line_event: LineEvent, row: RefundLine, change: _Change
) -> None:
    before = (row.status, row.reason_code, row.final)
    row.sequence = event.sequence
    row.attempts = min(event.attempt, 2**31 - 1)
    if row.status != statuses.COMPLETE:
        row.set_reason(line_event.reason)
        row.next_attempt_at = event.next_attempt_at
        row.final = event.final and line_event.status != statuses.OPEN
        if line_event.status in (statuses.COMPLETE, statuses.REFUNDED):
            row.status = statuses.COMPLETE
            row.final = True
            row.next_attempt_at = None
            if states.move_line(row.line, statuses.REFUNDED):
                states.give_stock_back(row.refund.order, row.line)
        elif event.outcome == "requeued" or line_event.status == statuses.OPEN:
            row.status = statuses.REFUND_OPEN
        elif line_event.status:
            row.status = statuses.REVOCATION_ERROR
    row.save()
    if before != (row.status, row.reason_code, row.final):
        change.notable.append((row.line, line_event))
