"""The outbox: rows written in the transaction that decided on a message, claimed by relays.

Claims are leases, held for one round and taken outside of any long transaction, so that nothing
in the shop waits for a broker. Where the database has SKIP LOCKED, relays do not even meet.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from oscar_fulfillment import context, messages, wakeup
from oscar_fulfillment.models import OutboxMessage

if TYPE_CHECKING:
    from oscar_fulfillment.models import Refund


def write(
    order: Any,
    message: dict[str, Any],
    *,
    refund: Refund | None = None,
    message_id: uuid.UUID | None = None,
) -> OutboxMessage:
    """Stores a message in the caller's transaction; raises ``messages.InvalidMessage``."""
    row = OutboxMessage.objects.create(
        message_id=message_id or uuid.uuid4(),
        order=order,
        refund=refund,
        action=message["action"],
        body=messages.encode(message),
        traceparent=context.of(order).get("traceparent", ""),
    )
    wakeup.notify()
    return row


def unsent() -> QuerySet[OutboxMessage]:
    """Every message that no broker has confirmed."""
    return OutboxMessage.objects.filter(sent_at__isnull=True)


def due() -> QuerySet[OutboxMessage]:
    """The messages that a relay may take now."""
    now = timezone.now()
    free = Q(leased_until__isnull=True) | Q(leased_until__lt=now)
    return unsent().filter(free, available_at__lte=now).order_by("id")


def claim(limit: int, lease_seconds: float) -> list[OutboxMessage]:
    """Leases up to ``limit`` messages to the caller, oldest first.

    Without SKIP LOCKED there is no transaction around the two statements: the UPDATE repeats the
    condition, so of two relays that read the same rows one gets them.
    """
    owner = uuid.uuid4().hex
    rows = due()
    skip_locked = connection.features.has_select_for_update_skip_locked
    with transaction.atomic() if skip_locked else nullcontext():
        if skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        ids = list(rows.values_list("pk", flat=True)[:limit])
        if not ids:
            return []
        due().filter(pk__in=ids).order_by().update(
            leased_by=owner, leased_until=timezone.now() + timedelta(seconds=lease_seconds)
        )
    return list(unsent().filter(pk__in=ids, leased_by=owner).order_by("id"))


def mark_sent(message: OutboxMessage) -> None:
    """The broker has confirmed the message."""
    OutboxMessage.objects.filter(pk=message.pk).update(
        sent_at=timezone.now(), leased_until=None, last_error="", attempts=F("attempts") + 1
    )


def mark_failed(message: OutboxMessage, error: str, delay_seconds: float) -> None:
    """The broker has refused this message; it is due again after the delay."""
    OutboxMessage.objects.filter(pk=message.pk).update(
        leased_until=None,
        available_at=timezone.now() + timedelta(seconds=delay_seconds),
        last_error=error[:500],
        attempts=F("attempts") + 1,
    )


def release(messages_held: Iterable[OutboxMessage]) -> None:
    """Gives leases back unspent, so that the next round or another relay takes the rows at once."""
    ids = [message.pk for message in messages_held]
    unsent().filter(pk__in=ids).update(leased_until=None)
