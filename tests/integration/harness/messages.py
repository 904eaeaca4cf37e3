"""Order messages as the shop publishes them (version 1)."""

import copy
import uuid

from .lms import DEMO

SCHEMA = "fulfillment.order/1"


def unique(stem):
    """A text nobody else uses, e.g. a user name or an order number."""
    return f"{stem}-{uuid.uuid4().hex[:10]}"


def seat(line_id=11, course=DEMO, mode="verified", user=None, **more):
    """A line that enrols into a course. Keyword arguments replace or add fields of the line."""
    return {
        "id": line_id, "product_class": "Seat", "sku": "8CF08E5", "quantity": 1,
        "title": "Seat in DemoX", "user": user and {"username": user},
        "attributes": {"course_key": course, "certificate_type": mode,
                       "id_verification_required": True, "credit_provider": None},
        **more,
    }


def entitlement(line_id=21, course_uuid="6a5f2c1e-0f0c-4f0f-8a53-1f1f0c3b2d4e", mode="verified", **more):
    """A line of a course entitlement."""
    return {
        "id": line_id, "product_class": "Course Entitlement", "sku": "E1F2A3B", "quantity": 1,
        "title": "Entitlement to DemoX", "user": None,
        "attributes": {"UUID": course_uuid, "certificate_type": mode}, **more,
    }


def order(*lines, number=None, user=None, **more):
    """A `fulfill` message; without lines, one verified seat. Keyword arguments replace fields."""
    number = number or unique("EDX")
    user = user or unique("learner")
    return {
        "schema": SCHEMA, "action": "fulfill", "order_number": number,
        "date_placed": "2026-01-02T03:04:05Z",
        "user": {"username": user, "email": f"{user}@example.com"},
        "tracking": {"ga_client_id": "G1", "lms_ip": "203.0.113.7"},
        "enterprise_customer_uuid": None, "email_opt_in": False,
        "lines": list(lines) or [seat()], **more,
    }


def refund(of, number=None, lines=None, total="149.00", results=None):
    """A `refund` of an order message. results: {line id: what fulfilment returned}."""
    message = copy.deepcopy(of)
    message.update(action="refund", refund_number=number or unique("R"), total=total)
    if lines is not None:
        message["lines"] = [line for line in message["lines"] if line["id"] in lines]
    for line in message["lines"]:
        if results and line["id"] in results:
            line["result"] = results[line["id"]]
    return message


def resubmit(of):
    """A `resubmit` with the whole message."""
    return {**copy.deepcopy(of), "action": "resubmit"}


def resubmit_number(number):
    """A `resubmit` by order number alone, as a person types it."""
    return {"schema": SCHEMA, "action": "resubmit", "order_number": number}
