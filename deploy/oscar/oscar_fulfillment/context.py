"""What a message says beside the order itself: tracking, opt-in, enterprise, trace.

Read from the request that places the order, kept with the order, so that a resubmission weeks
later says the same.
"""

from __future__ import annotations

import re
from typing import Any

from oscar_fulfillment import conf

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
_GA_COOKIE = re.compile(r"^GA\d\.\d+\.(\d+\.\d+)$")


def from_request(order: Any, request: Any) -> dict[str, Any]:
    """The default of the setting ``ORDER_CONTEXT``.

    The address is the connection's own: behind a proxy, name a callable that knows which header
    the proxy sets. Google's cookie gives the client id that the LMS reports to.
    """
    if request is None:
        return {}
    tracking: dict[str, str] = {}
    match = _GA_COOKIE.match(request.COOKIES.get("_ga", ""))
    if match:
        tracking["ga_client_id"] = match.group(1)
    if request.META.get("REMOTE_ADDR"):
        tracking["lms_ip"] = request.META["REMOTE_ADDR"]
    found: dict[str, Any] = {"tracking": tracking}
    traceparent = request.META.get("HTTP_TRACEPARENT", "")
    if _TRACEPARENT.match(traceparent):
        found["traceparent"] = traceparent
    return found


def remember(order: Any, request: Any) -> None:
    """Keeps the context of an order that is being placed, payable already or not."""
    from oscar_fulfillment.models import FulfillmentContext

    found = conf.get_callable("ORDER_CONTEXT")(order, request)
    FulfillmentContext.objects.update_or_create(order=order, defaults={"data": found})


def of(order: Any) -> dict[str, Any]:
    """The context that was kept for an order; empty when nothing was."""
    from oscar_fulfillment.models import FulfillmentContext

    row = FulfillmentContext.objects.filter(order=order).first()
    return row.data if row else {}
