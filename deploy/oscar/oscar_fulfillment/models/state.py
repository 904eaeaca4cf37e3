"""What the shop knows of an order's fulfilment, beside Oscar's own order and line."""

from __future__ import annotations

from typing import Any

from django.db import models

from oscar_fulfillment import statuses


class FulfillmentContext(models.Model):
    """What the message of an order needs and Oscar's order does not hold; kept at placement."""

    order = models.OneToOneField(
        "order.Order", on_delete=models.CASCADE, related_name="fulfillment_context"
    )
    data = models.JSONField(
        default=dict, help_text="tracking, email_opt_in, enterprise_customer_uuid, traceparent"
    )

    def __str__(self) -> str:
        return f"context of order {self.order_id}"


class FulfillmentOrder(models.Model):
    """Says that an order takes the new path, and when it was last spoken of.

    An order without this row is the old path's, or was never published.
    """

    order = models.OneToOneField(
        "order.Order", on_delete=models.CASCADE, related_name="fulfillment"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_published_at = models.DateTimeField(null=True, blank=True, db_index=True)
    last_event_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        permissions = [
            ("resubmit_fulfillment", "Can resubmit the fulfillment of orders"),
            ("place_free_order", "Can place orders for free products through the REST endpoint"),
        ]

    def __str__(self) -> str:
        return f"fulfillment of order {self.order_id}"


class FulfillmentLine(models.Model):
    """The last that the worker said of one line, and the line as it was published."""

    line = models.OneToOneField("order.Line", on_delete=models.CASCADE, related_name="fulfillment")
    order = models.ForeignKey(
        "order.Order", on_delete=models.CASCADE, related_name="fulfillment_lines"
    )
    item = models.UUIDField(
        help_text="The lines that were published together: a resubmission names the same ones."
    )
    product_class = models.CharField(max_length=128)
    message = models.JSONField(
        default=dict, help_text="The line as published; kept for when the product is gone."
    )
    module = models.CharField(max_length=64, blank=True)
    reason_code = models.CharField(max_length=32, blank=True, db_index=True)
    reason_message = models.CharField(max_length=500, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    generation = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True, db_index=True)
    final = models.BooleanField(default=False)
    sequence = models.BigIntegerField(
        default=0, help_text="Of the last event applied; older ones are dropped."
    )
    result = models.JSONField(null=True, blank=True, help_text="What a revocation needs.")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["line_id"]
        indexes = [
            models.Index(
                fields=["order"],
                name="fulfillment_line_unsettled",
                condition=models.Q(final=False),
            ),
        ]

    def __str__(self) -> str:
        return f"fulfillment of line {self.line_id}"

    @property
    def was_published(self) -> bool:
        """False when no message with this line could ever be written: the worker knows nothing."""
        return bool(self.message or self.sequence)

    @property
    def is_dead(self) -> bool:
        """Failed, and the worker will not try again by itself."""
        return self.final and self.line.status in statuses.LINE_ERRORS

    def set_reason(self, reason: dict[str, Any] | None) -> None:
        """Stores an event's ``reason``, or clears it."""
        reason = reason or {}
        status = reason.get("http_status")
        self.reason_code = str(reason.get("code") or "")[:32]
        self.reason_message = str(reason.get("message") or "")[:500]
        self.http_status = status if isinstance(status, int) and 0 < status < 1000 else None
