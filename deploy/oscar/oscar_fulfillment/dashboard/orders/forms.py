from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from oscar.apps.dashboard.orders import forms as oscar_forms

from oscar_fulfillment import queries, reasons


class FulfillmentSearchMixin(forms.Form):
    """For ``OrderSearchForm``: by where fulfilment stands, and by why it failed."""

    fulfillment_state = forms.ChoiceField(
        label=_("Fulfillment"), required=False, choices=[("", "---------"), *queries.STATES]
    )
    fulfillment_reason = forms.ChoiceField(label=_("Reason"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["fulfillment_reason"].choices = [  # type: ignore[attr-defined]
            ("", "---------"),
            *reasons.choices(),
        ]


class OrderSearchForm(FulfillmentSearchMixin, oscar_forms.OrderSearchForm):
    pass
