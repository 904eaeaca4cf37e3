"""Refunds: Oscar has payment events, but nothing that says which lines were taken back."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

from oscar_fulfillment import statuses
from oscar_fulfillment.reasons import in_words


class Refund(models.Model):
    """A staff decision to take lines of one order back. Its number is ``<order number>-R<n>``."""

    STATUSES = [(status, status) for status in statuses.REFUND_PIPELINE]

    number = models.CharField(max_length=128, unique=True)
    order = models.ForeignKey(
        "order.Order", on_delete=models.CASCADE, related_name="fulfillment_refunds"
    )
    status = models.CharField(
        max_length=32, choices=STATUSES, default=statuses.REFUND_OPEN, db_index=True
    )
    total = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=12)
    comment = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    last_published_at = models.DateTimeField(null=True, blank=True)
    last_event_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.number

    def set_status(self, new_status: str) -> bool:
        """Moves along the refund pipeline; False when it does not allow the move."""
        if new_status == self.status:
            return True
        if new_status not in statuses.REFUND_PIPELINE[self.status]:
            return False
        self.status = new_status
        self.save(update_fields=["status"])
        return True


class RefundLine(models.Model):
    """One order line of a refund. A line is taken back whole, and once."""

    refund = models.ForeignKey(Refund, on_delete=models.CASCADE, related_name="lines")
    line = models.OneToOneField(
        "order.Line", on_delete=models.CASCADE, related_name="fulfillment_refund"
    )
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    status = models.CharField(max_length=32, choices=Refund.STATUSES, default=statuses.REFUND_OPEN)
    reason_code = models.CharField(max_length=32, blank=True)
    reason_message = models.CharField(max_length=500, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    final = models.BooleanField(default=False)
    sequence = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["line_id"]

    def __str__(self) -> str:
        return f"{self.refund_id}: line {self.line_id}"

    @property
    def reason(self) -> str:
        """Why the revocation failed, in plain words; empty when it did not."""
        return in_words(self.reason_code, self.reason_message, self.http_status)

    def set_reason(self, reason: dict[str, Any] | None) -> None:
        """Stores an event's ``reason``, or clears it."""
        reason = reason or {}
        status = reason.get("http_status")
        self.reason_code = str(reason.get("code") or "")[:32]
        self.reason_message = str(reason.get("message") or "")[:500]
        self.http_status = status if isinstance(status, int) and 0 < status < 1000 else None
