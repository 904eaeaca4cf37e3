"""Places an order for a free product without a checkout: for the REST endpoint and for scripts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from oscar.core.loading import get_class, get_model

from oscar_fulfillment import learners


class CannotPlace(Exception):
    """The order cannot be placed; ``code`` is for programs, the text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def find_by_sku(sku: str) -> Any:
    """The stock record of a SKU with a product that may be bought; None when there is none."""
    records = get_model("partner", "StockRecord").objects.select_related("product")
    for record in records.filter(partner_sku=sku, product__is_public=True).order_by("pk"):
        if not record.product.is_parent:
            return record
    return None


@transaction.atomic
def place_free_order(buyer: Any, sku: str, *, learner: str = "", request: Any = None) -> Any:
    """Places an order for one piece of a free product and returns it, fulfilment under way.

    ``learner`` is the user name of somebody else who is to get it. Raises ``CannotPlace``.
    """
    record = find_by_sku(sku)
    if record is None:
        raise CannotPlace("unknown_sku", "No product with this SKU is for sale.")
    basket = get_model("basket", "Basket").objects.create(owner=buyer)
    basket.strategy = get_class("partner.strategy", "Selector")().strategy(
        request=request, user=buyer
    )
    allowed, why = basket.strategy.fetch_for_product(
        record.product
    ).availability.is_purchase_permitted(1)
    if not allowed:
        raise CannotPlace("not_available", str(why))
    basket.add_product(record.product, 1, options=_options(buyer, learner))
    get_class("offer.applicator", "Applicator")().apply(basket, buyer, request)
    shipping = get_class("shipping.methods", "NoShippingRequired")()
    if basket.is_shipping_required():
        raise CannotPlace("needs_shipping", "The product is shipped, so it needs a checkout.")
    charge = shipping.calculate(basket)
    total = get_class("checkout.calculators", "OrderTotalCalculator")(request).calculate(
        basket, charge, surcharges=None
    )
    if total.incl_tax != Decimal("0.00"):
        raise CannotPlace("not_free", "The product is not free.")
    return _place(basket, buyer, total, shipping, charge, request)


def _options(buyer: Any, learner: str) -> list[dict[str, Any]]:
    if not learner:
        return []
    try:
        learners.check(learner, buyer)
    except ValidationError as error:
        raise CannotPlace("unknown_learner", " ".join(error.messages)) from error
    option = get_model("catalogue", "Option").objects.filter(code=learners.OPTION_CODE).first()
    if option is None:
        raise CannotPlace("not_installed", "Run `manage.py fulfillment_install` first.")
    return [{"option": option, "value": learner}]


def _place(basket: Any, buyer: Any, total: Any, shipping: Any, charge: Any, request: Any) -> Any:
    unable_to_place_order = get_class("order.exceptions", "UnableToPlaceOrder")
    # Oscar makes numbers; everywhere else an order's number is text.
    number = str(get_class("order.utils", "OrderNumberGenerator")().order_number(basket))
    try:
        order = get_class("order.utils", "OrderCreator")().place_order(
            basket=basket,
            total=total,
            shipping_method=shipping,
            shipping_charge=charge,
            user=buyer,
            order_number=number,
            request=request,
        )
    except unable_to_place_order as error:
        raise CannotPlace("not_placed", str(error)) from error
    basket.submit()
    return order
