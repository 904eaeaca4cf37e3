"""From an order of Oscar to a message ``fulfillment.order/1``.

Decides what a message says; when one is written is ``fulfillment_api``'s business, and how it
travels the relay's. No function here writes to the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timezone
from typing import TYPE_CHECKING, Any

from oscar_fulfillment import conf, context, learners, schemas
from oscar_fulfillment.builders import builder_for

if TYPE_CHECKING:
    from oscar_fulfillment.models import Refund

SCHEMA = "fulfillment.order/1"
MAX_BODY_BYTES = 1024 * 1024


class InvalidMessage(Exception):
    """The message would be refused by the worker; the text names the field."""


def product_class_of(line: Any) -> str:
    """The name of a line's product class; that of its last message when the product is gone."""
    if line.product is not None:
        return str(line.product.get_product_class().name)
    known = getattr(line, "fulfillment", None)
    return known.product_class if known else ""


def is_fulfilled_here(line: Any) -> bool:
    """Whether fulfilld has a module for the line's product class, by the shop's settings."""
    return product_class_of(line) in conf.product_types()


def line_message(line: Any) -> dict[str, Any]:
    """One order line as the message writes it."""
    known = getattr(line, "fulfillment", None)
    if line.product is None and known is not None:
        return dict(known.message)
    product_class = product_class_of(line)
    username = learners.named_on(line)
    return {
        "id": line.pk,
        "product_class": product_class,
        "sku": line.partner_sku,
        "quantity": line.quantity,
        "title": line.title,
        "user": learner(username, known) if username else None,
        "attributes": builder_for(product_class).attributes(line),
    }


def learner(username: str, known: Any) -> dict[str, Any]:
    """The learner of a line. Checked when the order was placed; who left since keeps the line."""
    from django.core.exceptions import ValidationError

    try:
        return learners.check(username, None)
    except ValidationError:
        before = known.message.get("user") if known else None
        return before or {"username": username}


def fulfill(order: Any, lines: Iterable[Any], action: str = "fulfill") -> dict[str, Any]:
    """The message that fulfils, or with ``action='resubmit'`` resubmits, these lines."""
    return _message(order, action, [line_message(line) for line in lines])


def refund(refund: Refund, action: str = "refund") -> dict[str, Any]:
    """The message that revokes the lines of a refund, with what fulfilment returned for each."""
    lines = []
    for refund_line in refund.lines.select_related("line__product", "line__fulfillment"):
        known = getattr(refund_line.line, "fulfillment", None)
        lines.append({**line_message(refund_line.line), "result": known.result if known else None})
    return {
        **_message(refund.order, action, lines),
        "refund_number": refund.number,
        "total": f"{refund.total:.2f}",
    }


def _message(order: Any, action: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    extra = context.of(order)
    placed = order.date_placed.astimezone(timezone.utc)
    return {
        "schema": SCHEMA,
        "action": action,
        "order_number": order.number,
        "date_placed": placed.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "user": learners.as_message_user(order.user) if order.user else None,
        "tracking": extra.get("tracking") or {},
        "enterprise_customer_uuid": extra.get("enterprise_customer_uuid"),
        "email_opt_in": bool(extra.get("email_opt_in", False)),
        "lines": lines,
    }


def encode(message: dict[str, Any]) -> str:
    """The message as JSON text, validated; raises InvalidMessage."""
    try:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError) as error:
        raise InvalidMessage(f"message: {error}"[:500]) from error
    problem = schemas.first_problem("order-1", message)
    if problem:
        raise InvalidMessage(problem)
    if size > MAX_BODY_BYTES:
        raise InvalidMessage(f"message: {size} bytes, more than {MAX_BODY_BYTES}")
    return text
