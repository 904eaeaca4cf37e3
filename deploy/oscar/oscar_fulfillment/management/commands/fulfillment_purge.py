from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from oscar_fulfillment import conf
from oscar_fulfillment.models import ApiRequest, DryRunRecord, OutboxMessage, ProcessedEvent


class Command(BaseCommand):
    help = "Deletes sent messages, processed events and the like that are older than KEEP_DAYS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        days = conf.get("KEEP_DAYS") if options["days"] is None else options["days"]
        limit = timezone.now() - timedelta(days=days)
        answers = ProcessedEvent.Answer
        rows = {
            "sent messages": OutboxMessage.objects.filter(sent_at__lt=limit),
            "processed events": ProcessedEvent.objects.filter(
                received_at__lt=limit, answer__in=(answers.APPLIED, answers.STALE)
            ),
            "dry-run records": DryRunRecord.objects.filter(created_at__lt=limit),
            "API requests": ApiRequest.objects.filter(created_at__lt=limit),
        }
        for what, query in rows.items():
            self.stdout.write(f"{query.delete()[0]} {what}")
