from __future__ import annotations

import time
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from oscar_fulfillment import conf, reconcile

BAR_WIDTH = 30


class Command(BaseCommand):
    help = "Finds orders and refunds without a final status and resubmits them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument(
            "--older-than",
            type=float,
            metavar="SECONDS",
            default=None,
            help="no news for this long (default: the setting RECONCILE_AFTER)",
        )
        parser.add_argument("--limit", type=int, default=None, help="stop after this many")

    def handle(self, *args: Any, **options: Any) -> None:
        age = options["older_than"]
        findings = list(reconcile.find(conf.get("RECONCILE_AFTER") if age is None else age))
        findings = findings[: options["limit"]]
        counts: Counter[str] = Counter()
        for position, finding in enumerate(findings, 1):
            if options["dry_run"]:
                counts["would be resubmitted"] += 1
                self.stdout.write(f"{finding.number}: {finding.why}")
                continue
            status = finding.mend()
            counts[status.outcome.value] += 1
            if not status.accepted and options["verbosity"] > 1:
                self.stdout.write(f"{finding.number}: {status.reason} {status.detail}")
            self._progress(position, len(findings))
        found = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
        self.stdout.write(f"{len(findings)} without an end" + (f": {found}" if found else ""))

    def _progress(self, done: int, total: int) -> None:
        """A bar on a terminal, a few times a second; nothing in a log."""
        if not self.stderr.isatty():
            return
        now = time.monotonic()
        if done < total and now - getattr(self, "_drawn", 0.0) < 0.2:
            return
        self._drawn = now
        filled = BAR_WIDTH * done // total
        bar = "#" * filled + "." * (BAR_WIDTH - filled)
        self.stderr.write(f"\r[{bar}] {done}/{total}", ending="\n" if done == total else "")
        self.stderr.flush()
