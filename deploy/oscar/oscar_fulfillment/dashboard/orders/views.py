"""Oscar's order views, each with a mixin that a shop's own fork can use as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from oscar.apps.dashboard.orders import views as oscar_views

from oscar_fulfillment import fulfillment_api, panel, queries, reasons
from oscar_fulfillment.dashboard.orders.forms import OrderSearchForm
from oscar_fulfillment.dashboard.refunds import report

if TYPE_CHECKING:
    _Mixed = Any
else:
    _Mixed = object

RESUBMIT = "oscar_fulfillment.resubmit_fulfillment"


class FulfillmentDetailMixin(_Mixed):
    """For ``OrderDetailView``: the panel, and "Resubmit fulfillment"."""

    template_name = "oscar_fulfillment/dashboard/order_detail.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        context["fulfillment"] = panel.of(self.object)
        context["may_resubmit"] = self.request.user.has_perm(RESUBMIT)
        context["may_refund"] = self.request.user.has_perm("oscar_fulfillment.add_refund")
        return context

    def resubmit_fulfillment(self, request: HttpRequest, order: Any) -> HttpResponse:
        if not request.user.has_perm(RESUBMIT):
            return self.reload_page(error=_("You may not resubmit orders."))
        status = fulfillment_api.resubmit(order, user=request.user)
        report(request, status, _("The order was resubmitted."))
        return self.reload_page(fragment="fulfillment")


class FulfillmentListMixin(_Mixed):
    """For ``OrderListView``: filters by state and reason, and the bulk action."""

    template_name = "oscar_fulfillment/dashboard/order_list.html"

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        if not self.form.is_valid():
            return rows
        state = self.form.cleaned_data.get("fulfillment_state")
        reason = self.form.cleaned_data.get("fulfillment_reason")
        if state:
            rows = rows.filter(queries.in_state(state))
        if reason:
            rows = rows.filter(queries.with_reason(reason))
        return rows

    def get_search_filter_descriptions(self) -> list[Any]:
        found: list[Any] = super().get_search_filter_descriptions()
        data = getattr(self.form, "cleaned_data", None) or {}
        if data.get("fulfillment_state"):
            found.append(dict(queries.STATES)[data["fulfillment_state"]])
        if data.get("fulfillment_reason"):
            found.append(reasons.in_words(data["fulfillment_reason"]))
        return found

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        context["may_resubmit"] = self.request.user.has_perm(RESUBMIT)
        notes = panel.summaries(context["orders"])
        for order in context["orders"]:
            order.fulfillment_summary = notes.get(order.pk)
        context["fulfillment_counts"] = queries.counts()
        # What the filter bar has no field for must survive its use.
        shown = {"fulfillment_state", "fulfillment_reason", "date_from", "date_to", "page"}
        context["other_filters"] = [
            (key, value) for key, value in self.request.GET.items() if key not in shown and value
        ]
        return context

    def resubmit_fulfillment(self, request: HttpRequest, orders: Any) -> None:
        """The bulk action; Oscar goes back to the list afterwards."""
        if not request.user.has_perm(RESUBMIT):
            messages.error(request, _("You may not resubmit orders."))
            return
        counts = dict.fromkeys(fulfillment_api.Outcome, 0)
        # All of them first: resubmitting changes what the list's filters select.
        for order in list(orders):
            counts[fulfillment_api.resubmit(order, user=request.user).outcome] += 1
        self._report(request, counts)

    @staticmethod
    def _report(request: HttpRequest, counts: dict[Any, int]) -> None:
        outcomes = fulfillment_api.Outcome
        done = counts[outcomes.ACCEPTED]
        if done:
            text = ngettext("%d order was resubmitted.", "%d orders were resubmitted.", done)
            messages.success(request, text % done)
        idle = counts[outcomes.NOTHING_TO_DO]
        if idle:
            text = ngettext("%d order needed nothing.", "%d orders needed nothing.", idle)
            messages.info(request, text % idle)
        if counts[outcomes.REFUSED]:
            text = _("%d could not be resubmitted; their pages say why.")
            messages.error(request, text % counts[outcomes.REFUSED])


class OrderDetailView(FulfillmentDetailMixin, oscar_views.OrderDetailView):
    order_actions = (*oscar_views.OrderDetailView.order_actions, "resubmit_fulfillment")


class OrderListView(FulfillmentListMixin, oscar_views.OrderListView):
    form_class = OrderSearchForm
    actions = (*oscar_views.OrderListView.actions, "resubmit_fulfillment")
