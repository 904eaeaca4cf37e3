from typing import Any

from django import forms
from oscar.apps.basket import forms as oscar_forms

from oscar_fulfillment import learners


class LearnerFormMixin(forms.Form):
    """For ``AddToBasketForm``: the learner a buyer names must pass the shop's check."""

    basket: Any

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        username = cleaned.get(learners.OPTION_CODE)
        if not username:
            return cleaned
        if not self.basket.owner:
            self.add_error(learners.OPTION_CODE, "Please sign in to buy for somebody else.")
            return cleaned
        try:
            learners.check(username, self.basket.owner)
        except forms.ValidationError as error:
            self.add_error(learners.OPTION_CODE, error)
        return cleaned


class AddToBasketForm(LearnerFormMixin, oscar_forms.AddToBasketForm):
    pass


class SimpleAddToBasketForm(LearnerFormMixin, oscar_forms.SimpleAddToBasketForm):
    pass
