"""The app's tables, one module per concern; Django finds them all through this package."""

from oscar_fulfillment.models.api import ApiRequest, ApiToken
from oscar_fulfillment.models.events import FulfillmentEvent, ProcessedEvent
from oscar_fulfillment.models.outbox import OutboxMessage
from oscar_fulfillment.models.refunds import Refund, RefundLine
from oscar_fulfillment.models.rollout import DryRunRecord, RolloutRule
from oscar_fulfillment.models.state import FulfillmentContext, FulfillmentLine, FulfillmentOrder

__all__ = [
    "ApiRequest",
    "ApiToken",
    "DryRunRecord",
    "FulfillmentContext",
    "FulfillmentEvent",
    "FulfillmentLine",
    "FulfillmentOrder",
    "OutboxMessage",
    "ProcessedEvent",
    "Refund",
    "RefundLine",
    "RolloutRule",
]
