"""What a person sees: one line that is kept up to date, and the table at the end."""

import collections
import shutil
import time

from account import reasons
from tally import percentile

LINE_EVERY_S = 2.0   # where there is no terminal
UPDATE_EVERY_S = 0.2


class Progress:
    """On a terminal one line that is written over; elsewhere a line every two seconds."""

    def __init__(self, out):
        self.out = out
        self.is_terminal = out.isatty()
        self.next_s = 0.0

    def show(self, text, force=False):
        now_s = time.monotonic()
        if now_s < self.next_s and not force:
            return
        self.next_s = now_s + (UPDATE_EVERY_S if self.is_terminal else LINE_EVERY_S)
        if self.is_terminal:
            self.out.write("\r" + text[:shutil.get_terminal_size().columns - 1] + "\033[K")
        else:
            self.out.write(text + "\n")
        self.out.flush()

    def end(self):
        if self.is_terminal:
            self.out.write("\n")


def progress_text(tally, total, waiting, lms_is_well):
    """Fits into 80 columns up to 20,000 orders."""
    return (f"orders in {tally.orders_in:,}/{total:,} | complete {tally.count('complete'):,}"
            f" | to retry {waiting:,} | dead {tally.count('dead'):,}"
            f"{'' if lms_is_well else ' | LMS 503'}")


def table(tally, stats, outage_at_s):
    """The closing table as lines of text."""
    rows = [("status", "reason", "orders")]
    rows += sorted(by_status_and_reason(tally))
    lines = [f"  {status:<20} {reason:<22} {count:>9}" for status, reason, count in rows]
    begin_s, end_s = min(tally.published_at.values()), max(tally.final_at.values(), default=0.0)
    before = sum(1 for at in tally.final_at.values() if at <= outage_at_s)
    undisturbed = tally.undisturbed()
    return lines + [
        "",
        rate_line("orders/s", before, outage_at_s - begin_s, "before the LMS failed"),
        rate_line("", len(tally.final_at), end_s - begin_s, "over the whole day, the outage and all waiting included"),
        latency_line("publish to final", tally.latencies(undisturbed),
                     f"{len(undisturbed):,} orders at the first try"),
        latency_line("", tally.latencies(tally.final_at), f"all {len(tally.final_at):,} orders"),
        f"  at the LMS           {stats['enrollments']:>10,}  enrollments and {stats['entitlements']:,} entitlements,"
        f" repeated: {stats['repeated_enrolls'] + stats['repeated_entitlements']}",
    ]


def rate_line(label, count, elapsed_s, what):
    return f"  {label:<20} {count / max(elapsed_s, 0.001):>10,.0f}  {what}"


def latency_line(label, latencies, what):
    p50, p99 = percentile(latencies, 0.50), percentile(latencies, 0.99)
    return f"  {label:<20} {p50 * 1000:>7,.0f} ms  p50, {p99 * 1000:,.0f} ms p99: {what}"


def by_status_and_reason(tally):
    """(order status, reason, orders) for each that occurs."""
    counts = collections.Counter(
        (final["status"], ", ".join(sorted(map(str, reasons(final)))) or "-") for final in tally.final.values())
    return [(status, reason, f"{count:,}") for (status, reason), count in counts.items()]
