"""From a line of Oscar to the ``attributes`` of a line of the message, one class per product type.

A shop's own product type needs a class only when its module wants attributes: subclass
``LineAttributes``, implement ``attributes()``, and name it in the setting ``PRODUCT_TYPES``.
"""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from oscar_fulfillment import conf


class LineAttributes:
    """Fills no attribute at all: right for products whose goods are made in the shop."""

    def attributes(self, line: Any) -> dict[str, Any]:
        """The ``attributes`` object of the message for an order line whose product exists."""
        return {}

    @staticmethod
    def value(line: Any, code: str) -> Any:
        """A product attribute as plain data: an option's name, not the option; None when unset."""
        value = getattr(line.product.attr, code, None)
        return getattr(value, "option", value)

    def text(self, line: Any, code: str) -> str | None:
        """A product attribute as text; None when unset or empty."""
        value = self.value(line, code)
        return str(value) if value not in (None, "") else None


class SeatAttributes(LineAttributes):
    """A seat in a course run."""

    def attributes(self, line: Any) -> dict[str, Any]:
        verified = self.value(line, "id_verification_required")
        return {
            "course_key": self.text(line, "course_key"),
            "certificate_type": self.text(line, "certificate_type"),
            "id_verification_required": None if verified is None else bool(verified),
            "credit_provider": self.text(line, "credit_provider"),
        }


class EntitlementAttributes(LineAttributes):
    """The right to enrol in any run of a course."""

    def attributes(self, line: Any) -> dict[str, Any]:
        return {
            "UUID": self.text(line, "UUID"),
            "certificate_type": self.text(line, "certificate_type"),
        }


def builder_for(product_class: str) -> LineAttributes:
    """The builder of a product class, as the settings name it."""
    path = conf.product_types()[product_class].get("attributes")
    builder: LineAttributes = import_string(path)() if path else LineAttributes()
    return builder
