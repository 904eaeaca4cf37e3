from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from oscar_fulfillment import events
from oscar_fulfillment.broker import BrokerDown
from oscar_fulfillment.consumer import EventConsumer
from oscar_fulfillment.daemon import StopSignal
from oscar_fulfillment.models import ProcessedEvent


class Command(BaseCommand):
    help = "Applies fulfilld's status events to orders. Runs until SIGTERM; several may run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="end when the queue is empty for a second"
        )
        parser.add_argument(
            "--replay",
            action="store_true",
            help="apply once more what was kept as failed, unknown order or unknown version",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["replay"]:
            self._replay()
            return
        stop = StopSignal()
        stop.install()
        try:
            taken = EventConsumer(stop).run(until_idle=options["once"])
        except BrokerDown as error:
            raise CommandError(f"broker away: {error}") from error
        if options["once"]:
            self.stdout.write(f"{taken} taken")

    def _replay(self) -> None:
        answers = ProcessedEvent.Answer
        kept = (answers.FAILED, answers.UNKNOWN_ORDER, answers.UNKNOWN_VERSION)
        for row in ProcessedEvent.objects.filter(answer__in=kept).order_by("pk"):
            self.stdout.write(f"{row.event_id}: {events.replay(row)}")
