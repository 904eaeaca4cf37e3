"""The product types of a course shop, as definitions: classes, attributes, options, validation.

``manage.py fulfillment_install`` writes them into the catalogue and may be run again at any time:
it adds what is missing and changes nothing that staff have edited. ``check_product()`` says what is
wrong with one product; the dashboard's product form is covered by Oscar's own checks of required
attributes and types.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from oscar.core.loading import get_model

from oscar_fulfillment import learners, states

MODES = (
    "audit",
    "honor",
    "verified",
    "professional",
    "no-id-professional",
    "credit",
    "masters",
    "executive-education",
)
MODE_GROUP = "Course mode"

_COURSE_KEY = re.compile(r"^(course-v1:[^/+\s]+\+[^/+\s]+\+[^/+\s]+|[^/+\s]+/[^/+\s]+/[^/+\s]+)$")


def check_course_key(value: Any) -> None:
    """A course run's key, in the new or the old notation."""
    if not _COURSE_KEY.match(str(value)):
        raise ValidationError(f"“{value}” is not a course key like course-v1:Org+Course+Run.")


def check_uuid(value: Any) -> None:
    """A UUID in its usual notation."""
    try:
        uuid.UUID(str(value))
    except ValueError:
        raise ValidationError(f"“{value}” is not a UUID.") from None


@dataclass(frozen=True)
class Attribute:
    """One product attribute; ``type`` is Oscar's name of it."""

    code: str
    name: str
    type: str = "text"
    required: bool = False
    check: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class ProductType:
    """One product class."""

    name: str
    attributes: tuple[Attribute, ...] = ()
    for_others: bool = False
    """Whether a buyer may name another learner."""


_MODE = Attribute("certificate_type", "Course mode", "option")

PRODUCT_TYPES: tuple[ProductType, ...] = (
    ProductType(
        "Seat",
        (
            Attribute("course_key", "Course key", required=True, check=check_course_key),
            _MODE,
            Attribute("id_verification_required", "ID verification required", "boolean"),
            Attribute("credit_provider", "Credit provider"),
        ),
        for_others=True,
    ),
    ProductType(
        "Course Entitlement",
        (Attribute("UUID", "UUID of the course", required=True, check=check_uuid), _MODE),
        for_others=True,
    ),
    ProductType(
        "Enrollment Code",
        (
            Attribute("course_key", "Course key", required=True, check=check_course_key),
            Attribute("seat_type", "Mode of the seats", "option"),
        ),
    ),
    ProductType("Donation"),
    ProductType("Coupon", (Attribute("note", "Note for staff"),)),
)

_BY_NAME = {kind.name: kind for kind in PRODUCT_TYPES}


@transaction.atomic
def install() -> Iterator[str]:
    """Writes every definition; yields a line for each thing that was made."""
    group, created = get_model("catalogue", "AttributeOptionGroup").objects.get_or_create(
        name=MODE_GROUP
    )
    made = [f"option group {MODE_GROUP}"] if created else []
    for mode in MODES:
        _, created = group.options.get_or_create(option=mode)
        made += [f"course mode {mode}"] if created else []
    learner = _learner_option()
    states.shipping_event_type()
    for kind in PRODUCT_TYPES:
        product_class, created = get_model("catalogue", "ProductClass").objects.get_or_create(
            name=kind.name, defaults={"requires_shipping": False, "track_stock": False}
        )
        made += [f"product class {kind.name}"] if created else []
        if created and kind.for_others:
            product_class.options.add(learner)
        for attribute in kind.attributes:
            _, created = product_class.attributes.get_or_create(
                code=attribute.code,
                defaults={
                    "name": attribute.name,
                    "type": attribute.type,
                    "required": attribute.required,
                    "option_group": group if attribute.type == "option" else None,
                },
            )
            made += [f"attribute {kind.name}.{attribute.code}"] if created else []
    return iter(made)


def _learner_option() -> Any:
    option, _ = get_model("catalogue", "Option").objects.get_or_create(
        code=learners.OPTION_CODE,
        defaults={
            "name": "Learner",
            "type": "text",
            "required": False,
            "help_text": "User name of the learner, when you buy for somebody else.",
        },
    )
    return option


def check_product(product: Any) -> list[str]:
    """What is wrong with a product of one of the types above, as sentences."""
    kind = _BY_NAME.get(product.get_product_class().name)
    found = []
    for attribute in kind.attributes if kind else ():
        value = getattr(product.attr, attribute.code, None)
        if value in (None, ""):
            if attribute.required:
                found.append(f"{attribute.name} is missing.")
        elif attribute.check is not None:
            try:
                attribute.check(value)
            except ValidationError as error:
                found.extend(error.messages)
    return found
