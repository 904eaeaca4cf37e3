from typing import Any

from django.urls import path
from django.utils.translation import gettext_lazy as _
from oscar.core.application import OscarDashboardConfig

VIEW = ["is_staff", "oscar_fulfillment.view_fulfillmentorder"]
REFUND = ["is_staff", "oscar_fulfillment.add_refund"]
ROLLOUT = ["is_staff", "oscar_fulfillment.change_rolloutrule"]


class FulfillmentDashboardConfig(OscarDashboardConfig):
    """Include ``urls`` under ``dashboard/fulfillment/`` in the shop's urls."""

    name = "oscar_fulfillment.dashboard"
    label = "fulfillment_dashboard"
    verbose_name = _("Fulfillment dashboard")
    namespace = "fulfillment-dashboard"

    default_permissions = VIEW
    permissions_map = {
        "fulfillment-overview": VIEW,
        "fulfillment-refunds": ["is_staff", "oscar_fulfillment.view_refund"],
        "fulfillment-refund": REFUND,
        "fulfillment-refund-resubmit": REFUND,
        "fulfillment-rollout": ["is_staff", "oscar_fulfillment.view_rolloutrule"],
        "fulfillment-rollout-add": ["is_staff", "oscar_fulfillment.add_rolloutrule"],
        "fulfillment-rollout-edit": ROLLOUT,
        "fulfillment-rollout-delete": ["is_staff", "oscar_fulfillment.delete_rolloutrule"],
    }

    def get_urls(self) -> list[Any]:
        from oscar_fulfillment.dashboard import refunds, rollout, views

        return self.post_process_urls(
            [
                path("", views.OverviewView.as_view(), name="fulfillment-overview"),
                path("refunds/", refunds.RefundListView.as_view(), name="fulfillment-refunds"),
                path(
                    "orders/<str:number>/refund/",
                    refunds.RefundCreateView.as_view(),
                    name="fulfillment-refund",
                ),
                path(
                    "refunds/<str:number>/resubmit/",
                    refunds.RefundResubmitView.as_view(),
                    name="fulfillment-refund-resubmit",
                ),
                path("rollout/", rollout.RuleListView.as_view(), name="fulfillment-rollout"),
                path("rollout/add/", rollout.RuleAddView.as_view(), name="fulfillment-rollout-add"),
                path(
                    "rollout/<int:pk>/",
                    rollout.RuleEditView.as_view(),
                    name="fulfillment-rollout-edit",
                ),
                path(
                    "rollout/<int:pk>/delete/",
                    rollout.RuleDeleteView.as_view(),
                    name="fulfillment-rollout-delete",
                ),
            ]
        )
