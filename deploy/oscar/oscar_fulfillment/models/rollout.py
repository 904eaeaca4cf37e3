"""Incremental rollout: the table staff edit, and what a dry run would have published."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models


class RolloutRule(models.Model):
    """Sends a share of the orders of one SKU or course mode along one of the two workflows."""

    class Kind(models.TextChoices):
        SKU = "sku", "SKU"
        MODE = "mode", "Course mode"

    class Workflow(models.TextChoices):
        OLD = "old", "Old"
        NEW = "new", "New"

    kind = models.CharField(max_length=8, choices=Kind.choices)
    value = models.CharField(max_length=128, help_text="The SKU, or the mode (verified, audit …).")
    workflow = models.CharField(max_length=8, choices=Workflow.choices, default=Workflow.NEW)
    percentage = models.PositiveSmallIntegerField(
        default=100,
        validators=[MaxValueValidator(100)],
        help_text="Share of the orders, chosen by order number; the others take the other path.",
    )
    note = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["kind", "value"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "value"], name="fulfillment_rollout_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}: {self.workflow} {self.percentage} %"


class DryRunRecord(models.Model):
    """A message that would have been published, had ``DRY_RUN`` been off."""

    order = models.ForeignKey(
        "order.Order", on_delete=models.CASCADE, related_name="fulfillment_dry_runs"
    )
    action = models.CharField(max_length=16)
    body = models.TextField()
    problem = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.action} of order {self.order_id}"
