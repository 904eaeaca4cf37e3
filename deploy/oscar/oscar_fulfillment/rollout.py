"""Which of the two workflows an order takes: the table staff edit, and chance by order number.

The draw depends on the order number alone, so an order keeps its answer, and raising a percentage
only ever adds orders. An order is never split: it takes the new path when all of its lines may.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from oscar_fulfillment import conf
from oscar_fulfillment.models import FulfillmentOrder, RolloutRule

MODE_ATTRIBUTES = ("certificate_type", "seat_type")


def draw(order_number: str) -> int:
    """A number from 0 to 99 that belongs to the order for good."""
    return int.from_bytes(hashlib.sha256(order_number.encode()).digest()[:8], "big") % 100


def takes_new_path(order: Any, line_messages: Iterable[dict[str, Any]]) -> bool:
    """Whether fulfilld gets this order. An order that was published once stays on the path."""
    if not conf.get("ROLLOUT") or FulfillmentOrder.objects.filter(order=order).exists():
        return True
    rules = {(str(rule.kind), rule.value): rule for rule in RolloutRule.objects.all()}
    number = draw(order.number)
    return all(_line_is_new(rules, number, line) for line in line_messages)


def _line_is_new(
    rules: dict[tuple[str, str], RolloutRule], number: int, line: dict[str, Any]
) -> bool:
    """A rule for the SKU is nearer than one for the mode; without either the line is old."""
    rule = rules.get((str(RolloutRule.Kind.SKU), line.get("sku") or ""))
    rule = rule or rules.get((str(RolloutRule.Kind.MODE), mode_of(line)))
    if rule is None:
        return False
    chosen = number < rule.percentage
    return chosen == (rule.workflow == RolloutRule.Workflow.NEW)


def mode_of(line: dict[str, Any]) -> str:
    """The course mode that fulfilld will ask for, as far as the table needs to know it."""
    attributes = line.get("attributes") or {}
    mode = next((attributes[name] for name in MODE_ATTRIBUTES if attributes.get(name)), "audit")
    if mode == "professional" and not attributes.get("id_verification_required"):
        return "no-id-professional"
    return str(mode)
