"""The overview page: one look says whether learners get what they bought."""

from __future__ import annotations

from typing import Any

from django.views.generic import TemplateView

from oscar_fulfillment import queries
from oscar_fulfillment.dashboard import chart

RANGES = {"24h": 24, "7d": 168, "30d": 720}


class OverviewView(TemplateView):
    template_name = "oscar_fulfillment/dashboard/overview.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        chosen = self.request.GET.get("range", "24h")
        chosen = chosen if chosen in RANGES else "24h"
        return super().get_context_data(
            counts=queries.counts(),
            reasons=queries.by_reason(),
            trouble=queries.trouble(),
            chart=chart.draw(queries.over_time(RANGES[chosen])),
            ranges=list(RANGES),
            chosen=chosen,
            **kwargs,
        )
