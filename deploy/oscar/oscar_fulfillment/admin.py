"""The admin: for operators to look at what is kept; nothing here is edited by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from oscar_fulfillment import models


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(models.ProcessedEvent)
class ProcessedEventAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "answer", "event_id", "detail")
    list_filter = ("answer", "received_at")
    search_fields = ("event_id",)


@admin.register(models.OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "action", "order", "sent_at", "attempts", "last_error")
    list_filter = ("action", "sent_at")
    search_fields = ("order__number",)
    list_select_related = ("order",)


@admin.register(models.DryRunRecord)
class DryRunRecordAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "action", "order", "problem")
    search_fields = ("order__number",)
    list_select_related = ("order",)


@admin.register(models.RolloutRule)
class RolloutRuleAdmin(admin.ModelAdmin):
    list_display = ("kind", "value", "workflow", "percentage", "note")
