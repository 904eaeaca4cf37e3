"""The overview page: one look says whether learners get what they bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.generic import TemplateView

from oscar_fulfillment import panel, queries
from oscar_fulfillment.dashboard import chart

RANGES = {"24h": 24, "7d": 168, "30d": 720}


class OverviewView(TemplateView):
    template_name = "oscar_fulfillment/dashboard/overview.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        chosen = self.request.GET.get("range", "24h")
        chosen = chosen if chosen in RANGES else "24h"
        counts = queries.counts()
        oldest = queries.oldest()
        notes = panel.summaries(oldest)
        return super().get_context_data(
            counts=counts,
            verdict=_verdict(counts),
            pace=queries.pace(),
            oldest=[(order, notes.get(order.pk)) for order in oldest],
            reasons=queries.by_reason(),
            trouble=queries.trouble(),
            chart=chart.draw(queries.over_time(RANGES[chosen])),
            ranges=list(RANGES),
            chosen=chosen,
            **kwargs,
        )


@dataclass(frozen=True)
class Verdict:
    """The page in one sentence; ``state`` is the filter that lists the orders it speaks of."""

    tone: str
    words: str
    state: str


def _verdict(counts: list[queries.StateCount]) -> Verdict:
    """The worst that is true comes first: what needs a person, then what mends itself."""
    orders = {count.state: count.orders for count in counts}
    dead, retrying = orders[queries.DEAD], orders[queries.RETRYING]
    if dead:
        words = ngettext(
            "%d order failed for good and needs a person.",
            "%d orders failed for good and need a person.",
            dead,
        )
        return Verdict("danger", words % dead, queries.DEAD)
    if retrying:
        words = ngettext(
            "%d order waits for a retry. It comes back by itself; nobody has to do anything.",
            "%d orders wait for a retry. They come back by themselves; nobody has to do anything.",
            retrying,
        )
        return Verdict("warning", words % retrying, queries.RETRYING)
    on_the_way = orders[queries.WAITING]
    if on_the_way:
        words = ngettext("%d order is on its way.", "%d orders are on their way.", on_the_way)
        return Verdict("info", words % on_the_way, queries.WAITING)
    return Verdict("success", _("Every learner has what was bought. Nothing waits."), "")
