from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from oscar_fulfillment.broker import BrokerDown
from oscar_fulfillment.daemon import StopSignal
from oscar_fulfillment.relay import Relay


class Command(BaseCommand):
    help = "Publishes the outbox to RabbitMQ. Runs until SIGTERM; several may run side by side."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="publish what is due, say how many, and end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = StopSignal()
        stop.install()
        relay = Relay(stop)
        if not options["once"]:
            relay.run()
            return
        try:
            sent = relay.run_once()
        except BrokerDown as error:
            raise CommandError(f"broker away: {error}") from error
        self.stdout.write(f"{sent} published")
