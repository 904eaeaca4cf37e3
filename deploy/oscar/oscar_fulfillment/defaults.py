"""What a shop's settings module imports at its end: ``from … import *``."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from oscar.defaults import OSCAR_DASHBOARD_NAVIGATION as _OSCAR_NAVIGATION

from oscar_fulfillment import statuses as _statuses

OSCAR_INITIAL_ORDER_STATUS = _statuses.OPEN
OSCAR_INITIAL_LINE_STATUS = _statuses.OPEN
OSCAR_ORDER_STATUS_PIPELINE = _statuses.ORDER_PIPELINE
OSCAR_LINE_STATUS_PIPELINE = _statuses.LINE_PIPELINE
# Lines have a life of their own; an order's status follows from them, never the other way.
OSCAR_ORDER_STATUS_CASCADE: dict[str, str] = {}

# For shops that have a menu of their own. Under "Fulfilment" Oscar's has orders and partners.
FULFILLMENT_NAVIGATION = {
    "label": _("Course fulfillment"),
    "icon": "fas fa-graduation-cap",
    "children": [
        {"label": _("Overview"), "url_name": "fulfillment-dashboard:fulfillment-overview"},
        {"label": _("Refunds"), "url_name": "fulfillment-dashboard:fulfillment-refunds"},
        {"label": _("Rollout"), "url_name": "fulfillment-dashboard:fulfillment-rollout"},
    ],
}
OSCAR_DASHBOARD_NAVIGATION = [*_OSCAR_NAVIGATION, FULFILLMENT_NAVIGATION]
