"""``/fulfillment/basket/add/?sku=…``: a marketing site's link that starts the checkout."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from oscar.core.loading import get_model

from oscar_fulfillment import learners, placing

MAX_SKUS = 20


@require_safe
def add_by_sku(request: HttpRequest) -> HttpResponse:
    """Puts the products into the basket, each once, and goes to the checkout.

    ``sku`` may be repeated; ``learner`` names who is to get them. Following the link twice does
    not buy twice. Nothing is bought here: placing the order is the buyer's own POST.
    """
    basket: Any = request.basket  # type: ignore[attr-defined]
    skus = request.GET.getlist("sku")[:MAX_SKUS]
    if not skus:
        messages.error(request, _("The link names no product."))
        return redirect("basket:summary")
    learner = request.GET.get("learner", "").strip()
    try:
        options = _learner_option(request, learner)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("basket:summary")
    added = [_add(request, basket, sku, options) for sku in skus]
    return redirect("checkout:index" if all(added) else "basket:summary")


def _learner_option(request: HttpRequest, learner: str) -> list[dict[str, Any]]:
    if not learner:
        return []
    if not request.user.is_authenticated:
        # Otherwise the link would tell anybody who has an account here.
        raise ValidationError(_("Please sign in to buy for somebody else."))
    learners.check(learner, request.user)
    option = get_model("catalogue", "Option").objects.get(code=learners.OPTION_CODE)
    return [{"option": option, "value": learner}]


def _add(request: HttpRequest, basket: Any, sku: str, options: list[dict[str, Any]]) -> bool:
    record = placing.find_by_sku(sku)
    if record is None:
        messages.error(request, _("There is no product “%(sku)s”.") % {"sku": sku[:64]})
        return False
    info = basket.strategy.fetch_for_product(record.product)
    allowed, why = info.availability.is_purchase_permitted(1)
    if not allowed:
        messages.error(request, f"{record.product.get_title()}: {why}")
        return False
    if not basket.line_quantity(record.product, record, options):
        basket.add_product(record.product, 1, options=options)
        basket.reset_offer_applications()
    return True
