"""Status events: the inbox that makes their handling idempotent, and the history staff read."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class ProcessedEvent(models.Model):
    """The inbox: one row per event that was taken from the queue, and what became of it."""

    class Answer(models.TextChoices):
        APPLIED = "applied"
        STALE = "stale", "older than what is known"
        UNKNOWN_ORDER = "unknown_order", "no such order or refund in this shop"
        UNKNOWN_VERSION = "unknown_version", "not a version this app understands"
        INVALID = "invalid", "not a readable event"
        FAILED = "failed", "could not be applied"

    KEPT = (Answer.UNKNOWN_ORDER, Answer.UNKNOWN_VERSION, Answer.INVALID, Answer.FAILED)

    key = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the event's id.")
    event_id = models.CharField(max_length=500, blank=True)
    routing_key = models.CharField(max_length=255, blank=True)
    received_at = models.DateTimeField(default=timezone.now, db_index=True)
    answer = models.CharField(max_length=16, choices=Answer.choices, db_index=True)
    detail = models.CharField(max_length=500, blank=True)
    body = models.TextField(blank=True, help_text="Kept when the event was not applied.")

    def __str__(self) -> str:
        return f"{self.event_id or self.key}: {self.answer}"


class FulfillmentEvent(models.Model):
    """One status event of an order, as history: what happened when, line by line."""

    order = models.ForeignKey(
        "order.Order", on_delete=models.CASCADE, related_name="fulfillment_events"
    )
    refund = models.ForeignKey(
        "oscar_fulfillment.Refund",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="events",
    )
    event_id = models.CharField(max_length=500)
    action = models.CharField(max_length=16, blank=True)
    outcome = models.CharField(max_length=16, blank=True, db_index=True)
    status = models.CharField(max_length=64, blank=True)
    final = models.BooleanField(default=False)
    sequence = models.BigIntegerField()
    generation = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    happened_at = models.DateTimeField(db_index=True)
    lines = models.JSONField(default=list)
    stale = models.BooleanField(default=False, help_text="Arrived after something newer.")

    class Meta:
        ordering = ["sequence", "id"]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.outcome}"
