"""The rollout table, edited by staff."""

from __future__ import annotations

from typing import Any

from django.urls import reverse_lazy
from django.views.generic import CreateView, DeleteView, ListView, UpdateView

from oscar_fulfillment import conf
from oscar_fulfillment.models import RolloutRule

FIELDS = ["kind", "value", "workflow", "percentage", "note"]
DONE = reverse_lazy("fulfillment-dashboard:fulfillment-rollout")


class RuleListView(ListView):
    model = RolloutRule
    template_name = "oscar_fulfillment/dashboard/rollout_list.html"
    context_object_name = "rules"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            rollout_on=conf.get("ROLLOUT"), dry_run=conf.get("DRY_RUN"), **kwargs
        )


class RuleAddView(CreateView):
    model = RolloutRule
    fields = FIELDS
    template_name = "oscar_fulfillment/dashboard/rollout_form.html"
    success_url = DONE


class RuleEditView(UpdateView):
    model = RolloutRule
    fields = FIELDS
    template_name = "oscar_fulfillment/dashboard/rollout_form.html"
    success_url = DONE


class RuleDeleteView(DeleteView):
    model = RolloutRule
    template_name = "oscar_fulfillment/dashboard/rollout_delete.html"
    success_url = DONE
