"""Refunds: the list, the form on an order, and asking again for a failed revocation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import FormView, ListView, View
from oscar.apps.dashboard.orders.views import get_order_for_user_or_404

from oscar_fulfillment import fulfillment_api
from oscar_fulfillment import messages as order_messages
from oscar_fulfillment.models import Refund


def report(request: HttpRequest, status: fulfillment_api.Status, done: str) -> None:
    """Tells staff what became of a request."""
    if status.accepted:
        messages.success(request, done)
    elif status.outcome is fulfillment_api.Outcome.NOTHING_TO_DO:
        messages.info(request, _("Nothing to do: %(why)s") % {"why": status.detail})
    else:
        messages.error(request, _("Refused: %(why)s") % {"why": status.detail})


class RefundForm(forms.Form):
    """Which lines to take back, and the money that goes with them."""

    lines = forms.MultipleChoiceField(
        label=gettext_lazy("Lines"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose at least one line.")},
    )
    total = forms.DecimalField(
        label=gettext_lazy("Amount given back"),
        required=False,
        min_value=Decimal("0.00"),
        max_digits=12,
        decimal_places=2,
        help_text=gettext_lazy("Empty: what the lines cost. With 0.00 the learners stay enrolled."),
    )
    comment = forms.CharField(label=gettext_lazy("Comment"), required=False, max_length=500)

    def __init__(self, *args: Any, order: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order = order
        self.open_lines = [
            line
            for line in order.lines.select_related("product", "fulfillment", "fulfillment_refund")
            if order_messages.is_fulfilled_here(line)
            and getattr(line, "fulfillment_refund", None) is None
        ]
        # A single line is the one that is meant.
        only = self.open_lines if len(self.open_lines) == 1 else []
        self.fields["lines"].initial = [str(line.pk) for line in only]
        self.fields["lines"].choices = [  # type: ignore[attr-defined]
            (str(line.pk), f"{line.title} — {line.line_price_incl_tax} {order.currency}")
            for line in self.open_lines
        ]


class RefundCreateView(FormView):
    template_name = "oscar_fulfillment/dashboard/refund_form.html"
    form_class = RefundForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        self.order = get_order_for_user_or_404(request.user, kwargs["number"])
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "order": self.order}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(order=self.order, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        chosen = set(form.cleaned_data["lines"])
        status = fulfillment_api.refund(
            self.order,
            [line for line in form.open_lines if str(line.pk) in chosen],
            user=self.request.user,
            total=form.cleaned_data["total"],
            comment=form.cleaned_data["comment"],
        )
        done = _("Refund %(number)s is on its way.")
        report(
            self.request, status, done % {"number": status.refund.number if status.refund else ""}
        )
        return redirect("dashboard:order-detail", number=self.order.number)


class RefundListView(ListView):
    template_name = "oscar_fulfillment/dashboard/refund_list.html"
    context_object_name = "refunds"
    paginate_by = 25

    def get_queryset(self) -> Any:
        rows = Refund.objects.select_related("order", "created_by").prefetch_related("lines__line")
        status = self.request.GET.get("status")
        return rows.filter(status=status) if status else rows

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            statuses=[status for status, _label in Refund.STATUSES],
            chosen=self.request.GET.get("status", ""),
            **kwargs,
        )


class RefundResubmitView(View):
    http_method_names = ["post"]

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        made = get_object_or_404(Refund, number=number)
        status = fulfillment_api.resubmit_refund(made, user=request.user)
        report(request, status, _("Refund %(number)s was resubmitted.") % {"number": number})
        return redirect("dashboard:order-detail", number=made.order.number)
