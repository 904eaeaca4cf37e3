"""Messages that are to be published: written with the order, sent by a relay."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class OutboxMessage(models.Model):
    """One message, from the transaction that decided on it to the broker's confirm.

    ``message_id`` and ``body`` never change: a relay that dies between the confirm and its mark
    publishes the same message once more, and the worker takes it for what it is.
    """

    class Action(models.TextChoices):
        FULFILL = "fulfill"
        REFUND = "refund"
        RESUBMIT = "resubmit"

    message_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    order = models.ForeignKey(
        "order.Order", on_delete=models.CASCADE, related_name="fulfillment_messages"
    )
    refund = models.ForeignKey(
        "oscar_fulfillment.Refund",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="messages",
    )
    action = models.CharField(max_length=16, choices=Action.choices)
    body = models.TextField(help_text="The JSON text exactly as it is published.")
    traceparent = models.CharField(max_length=128, blank=True)

    created_at = models.DateTimeField(default=timezone.now)
    available_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(null=True, blank=True)
    leased_by = models.CharField(max_length=64, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["available_at", "id"],
                name="fulfillment_outbox_due",
                condition=models.Q(sent_at__isnull=True),
            ),
            models.Index(fields=["sent_at"], name="fulfillment_outbox_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.message_id}"

    @property
    def routing_key(self) -> str:
        """The key fulfilld's topic exchange routes by; what the message *is* stands in its body."""
        return f"order.{self.action}"
