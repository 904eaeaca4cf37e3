from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from oscar_fulfillment import conf


class Command(BaseCommand):
    help = "Prints the reference of the app's settings as a Markdown table."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write("| key | default | meaning |")
        self.stdout.write("| --- | --- | --- |")
        for row in conf.SETTINGS:
            default = "-" if row.default in ("", {}) else f"`{row.default!r}`"
            self.stdout.write(f"| `{row.name}` | {default} | {row.doc} |")
