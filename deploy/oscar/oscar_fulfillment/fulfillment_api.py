"""``fulfill(order)``, ``resubmit(order)`` and ``refund(order, …)``: what a shop's code calls.

Each decides under a lock on the order, writes its message to the outbox in the same transaction,
and says what it did. None talks to a broker, and none raises for an order it will not publish.
"""

from __future__ import annotations

import enum
import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from oscar_fulfillment import conf, messages, outbox, rollout, states, statuses
from oscar_fulfillment.models import (
    DryRunRecord,
    FulfillmentLine,
    FulfillmentOrder,
    OutboxMessage,
    Refund,
    RefundLine,
)
from oscar_fulfillment.reasons import NOT_WRITTEN

logger = logging.getLogger("oscar_fulfillment")

NOT_PAYABLE = "not_payable"
OLD_WORKFLOW = "old_workflow"
DRY_RUN = "dry_run"
INVALID_MESSAGE = "invalid_message"
ALREADY_REFUNDED = "already_refunded"
NOT_A_COURSE_LINE = "not_a_course_line"


class Outcome(enum.Enum):
    """What became of a request."""

    ACCEPTED = "accepted"
    NOTHING_TO_DO = "nothing to do"
    REFUSED = "refused"


@dataclass(frozen=True)
class Status:
    """The answer of every function here; ``reason`` is a code, ``detail`` a sentence."""

    outcome: Outcome
    reason: str = ""
    detail: str = ""
    messages: tuple[OutboxMessage, ...] = ()
    refund: Refund | None = None

    @property
    def accepted(self) -> bool:
        """A message was written and will be published."""
        return self.outcome is Outcome.ACCEPTED

    @property
    def leaves_to_old_path(self) -> bool:
        """The shop's previous workflow is to take the order."""
        return self.reason in (OLD_WORKFLOW, DRY_RUN)


def _refused(reason: str, detail: str) -> Status:
    return Status(Outcome.REFUSED, reason, detail)


def _nothing(detail: str) -> Status:
    return Status(Outcome.NOTHING_TO_DO, detail=detail)


def fulfill(order: Any, *, line_ids: Collection[int] | None = None, request: Any = None) -> Status:
    """Publishes the lines of a payable order that were never published.

    With ``line_ids`` only those, for partial shipments; they then form a work item of their own.
    A line that was published before is left alone: ``resubmit()`` is for that.
    """
    with transaction.atomic():
        order = states.lock(order)
        if order.status not in conf.get("FULFILLABLE_STATUSES"):
            return _refused(NOT_PAYABLE, f"The order is {order.status!r}.")
        lines = [
            line
            for line in _course_lines(order)
            if (line_ids is None or line.pk in line_ids) and _is_new(line)
        ]
        if not lines:
            return _nothing("No line that was not published before.")
        return _publish_item(order, lines, "fulfill", uuid.uuid4())


def resubmit(order: Any, *, user: Any = None, force: bool = False) -> Status:
    """Publishes what failed or went silent once more, as the whole message it was.

    Harmless when repeated: while a message waits in the outbox, or was published less than
    ``RESUBMIT_GUARD`` seconds ago, there is nothing to do unless ``force`` is set. A line that was
    never published is published now.
    """
    with transaction.atomic():
        order = states.lock(order)
        if order.status not in conf.get("FULFILLABLE_STATUSES"):
            if order.status == statuses.COMPLETE:
                return _nothing("The order is complete.")
            return _refused(NOT_PAYABLE, f"The order is {order.status!r}.")
        items, fresh = _unfinished_items(order)
        if not items and not fresh:
            return _nothing("Every line is finished.")
        if not force and _was_just_published(order):
            return _nothing("The order was published a moment ago and is on its way.")
        work = [(lines, "resubmit", item) for item, lines in items.items()]
        if fresh:
            work.append((fresh, "fulfill", uuid.uuid4()))
        answers = [(_publish_item(order, *one), one[0]) for one in work]
        return _after_resubmission(order, answers, user)


def _after_resubmission(order: Any, answers: list[tuple[Status, list[Any]]], user: Any) -> Status:
    """Opens the lines whose message was written; the others keep what stands in the way."""
    accepted = [message for answer, _ in answers for message in answer.messages]
    if not accepted:
        return answers[0][0]
    sent = [line for answer, lines in answers if answer.accepted for line in lines]
    for line in sent:
        if line.status in statuses.LINE_ERRORS:
            states.move_line(line, statuses.OPEN)
    FulfillmentLine.objects.filter(line__in=sent, line__status=statuses.OPEN).update(
        final=False, next_attempt_at=None
    )
    states.settle_order(order, reopen=True)
    states.note(order, "Fulfillment was resubmitted.", user=user)
    return Status(Outcome.ACCEPTED, messages=tuple(accepted))


def refund(
    order: Any,
    lines: Collection[Any],
    *,
    user: Any = None,
    total: Decimal | None = None,
    comment: str = "",
) -> Status:
    """Takes lines of an order back: makes the refund, its number, and the message that revokes.

    ``total`` is the money given back, by default what the lines cost; 0.00 leaves the learners
    enrolled, by fulfilld's contract. Moving the money is the shop's payment code's task: it may
    listen to ``signals.refund_requested``, which is sent in the transaction.
    """
    with transaction.atomic():
        order = states.lock(order)
        if order.status not in (*conf.get("FULFILLABLE_STATUSES"), statuses.COMPLETE):
            return _refused(NOT_PAYABLE, f"The order is {order.status!r}.")
        chosen = [line for line in order.lines.all() if line.pk in {one.pk for one in lines}]
        if not chosen:
            return _nothing("No line was chosen.")
        if not all(messages.is_fulfilled_here(line) for line in chosen):
            return _refused(NOT_A_COURSE_LINE, "A line is not one that fulfilld fulfils.")
        if RefundLine.objects.filter(line__in=chosen).exists():
            return _refused(ALREADY_REFUNDED, "A line has been refunded already.")
        if conf.get("ROLLOUT") and not FulfillmentOrder.objects.filter(order=order).exists():
            return _refused(OLD_WORKFLOW, "The order is the old workflow's.")
        return _write_refund(order, chosen, user, total, comment)


def _write_refund(
    order: Any, lines: list[Any], user: Any, total: Decimal | None, comment: str
) -> Status:
    from oscar_fulfillment.signals import refund_requested

    refused = None
    with transaction.atomic():
        prices = {line.pk: line.line_price_incl_tax for line in lines}
        made = Refund.objects.create(
            number=f"{order.number}-R{Refund.objects.filter(order=order).count() + 1}",
            order=order,
            total=sum(prices.values(), Decimal("0.00")) if total is None else total,
            currency=order.currency,
            comment=comment,
            created_by=user,
        )
        for line in lines:
            RefundLine.objects.create(refund=made, line=line, amount=prices[line.pk])
        status = publish_refund(made, "refund")
        if not status.accepted:
            body = messages.refund(made) if status.reason == DRY_RUN else None
            transaction.set_rollback(True)
            refused = status
        else:
            refund_requested.send(sender=Refund, refund=made)
            titles = ", ".join(line.title for line in lines)
            states.note(order, f"Refund {made.number} was requested: {titles}.", user=user)
    if refused is not None:
        if body is not None:
            # The refund is rolled back; what it would have said is kept.
            DryRunRecord.objects.create(order=order, action="refund", body=messages.encode(body))
        return refused
    return Status(Outcome.ACCEPTED, messages=status.messages, refund=made)


def resubmit_refund(made: Refund, *, user: Any = None, force: bool = False) -> Status:
    """Publishes a refund whose revocation failed or went silent once more."""
    with transaction.atomic():
        order = states.lock(made.order)
        made = Refund.objects.get(pk=made.pk)
        if made.status == statuses.COMPLETE:
            return _nothing("The refund is complete.")
        if not force and _was_just_published(order, made):
            return _nothing("The refund was published a moment ago and is on its way.")
        status = publish_refund(made, "resubmit")
        if status.accepted:
            made.lines.exclude(status=statuses.COMPLETE).update(
                status=statuses.REFUND_OPEN, final=False, next_attempt_at=None
            )
            made.set_status(statuses.REFUND_OPEN)
            states.note(order, f"Refund {made.number} was resubmitted.", user=user)
        return status


def publish_refund(made: Refund, action: str) -> Status:
    """Writes a refund's message to the outbox; the caller holds the lock on the order."""
    try:
        message = messages.refund(made, action)
        if conf.get("DRY_RUN"):
            messages.encode(message)
            return _refused(DRY_RUN, "A dry run: recorded, not published.")
        row = outbox.write(made.order, message, refund=made)
    except messages.InvalidMessage as error:
        return _refused(INVALID_MESSAGE, str(error))
    made.last_published_at = timezone.now()
    made.save(update_fields=["last_published_at"])
    return Status(Outcome.ACCEPTED, messages=(row,), refund=made)


def _course_lines(order: Any) -> list[Any]:
    lines = order.lines.select_related("product", "fulfillment", "fulfillment_refund")
    return [line for line in lines if messages.is_fulfilled_here(line)]


def _is_new(line: Any) -> bool:
    known = getattr(line, "fulfillment", None)
    return (
        (known is None or not known.was_published)
        and getattr(line, "fulfillment_refund", None) is None
        and line.status not in statuses.LINE_FINISHED
    )


def _unfinished_items(order: Any) -> tuple[dict[uuid.UUID, list[Any]], list[Any]]:
    """Items with an unfinished line, whole but for refunded lines; and lines never published."""
    items: dict[uuid.UUID, list[Any]] = {}
    fresh = []
    for line in _course_lines(order):
        if _is_new(line):
            fresh.append(line)
        elif getattr(line, "fulfillment_refund", None) is None and hasattr(line, "fulfillment"):
            items.setdefault(line.fulfillment.item, []).append(line)
    unfinished = {
        item: lines
        for item, lines in items.items()
        if any(line.status not in statuses.LINE_FINISHED for line in lines)
    }
    return unfinished, fresh


def _was_just_published(order: Any, made: Refund | None = None) -> bool:
    rows = OutboxMessage.objects.filter(order=order, refund=made)
    if rows.filter(sent_at__isnull=True).exists():
        return True
    since = timezone.now() - timedelta(seconds=conf.get("RESUBMIT_GUARD"))
    return bool(rows.filter(sent_at__gte=since).exists())


def _publish_item(order: Any, lines: list[Any], action: str, item: uuid.UUID) -> Status:
    """Writes one work item to the outbox, or says why not; the order is locked."""
    try:
        message = messages.fulfill(order, lines, action)
        text = messages.encode(message)
    except DatabaseError:
        raise
    except Exception as error:
        # A product that is set up wrongly, or a shop's own builder that fails, must not cost a
        # customer the order: staff see it on the order, and mend and resubmit.
        return _could_not_build(order, lines, error)
    if not rollout.takes_new_path(order, message["lines"]):
        return _refused(OLD_WORKFLOW, "The rollout table leaves the order to the old workflow.")
    if conf.get("DRY_RUN"):
        DryRunRecord.objects.create(order=order, action=action, body=text)
        return _refused(DRY_RUN, "A dry run: recorded, not published.")
    row = outbox.write(order, message)
    _remember_published(order, lines, message["lines"], item)
    return Status(Outcome.ACCEPTED, messages=(row,))


def _remember_published(
    order: Any, lines: list[Any], written: list[dict[str, Any]], item: uuid.UUID
) -> None:
    FulfillmentOrder.objects.update_or_create(
        order=order, defaults={"last_published_at": timezone.now()}
    )
    for line, message in zip(lines, written, strict=True):
        FulfillmentLine.objects.update_or_create(
            line=line,
            defaults={
                "order": order,
                "item": item,
                "product_class": message["product_class"],
                "message": message,
                "final": line.status in statuses.LINE_FINISHED,
            },
        )


def _remember_unbuilt(order: Any, lines: list[Any], detail: str) -> None:
    """Puts the lines among those that failed for good, where staff look."""
    FulfillmentOrder.objects.get_or_create(order=order)
    for line in lines:
        states.move_line(line, statuses.CONFIGURATION_ERROR)
        row, _ = FulfillmentLine.objects.get_or_create(
            line=line,
            defaults={
                "order": order,
                "item": uuid.uuid4(),
                "product_class": messages.product_class_of(line),
            },
        )
        row.set_reason({"code": NOT_WRITTEN, "message": detail})
        row.final = True
        row.next_attempt_at = None
        row.save()


def _could_not_build(order: Any, lines: list[Any], error: Exception) -> Status:
    if not isinstance(error, messages.InvalidMessage):
        logger.exception("order %s: the message could not be built", order.number)
    detail = f"{error}"[:500] or type(error).__name__
    states.note(order, f"The order could not be published: {detail}", kind="Error")
    if not conf.get("ROLLOUT") and not conf.get("DRY_RUN"):
        _remember_unbuilt(order, lines, detail)
        states.settle_order(order)
    return _refused(INVALID_MESSAGE, detail)
