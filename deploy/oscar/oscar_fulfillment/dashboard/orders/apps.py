from oscar.apps.dashboard.orders.apps import OrdersDashboardConfig as OscarOrdersDashboardConfig


class OrdersDashboardConfig(OscarOrdersDashboardConfig):
    """Lists our two views by itself: Oscar would look for them in a fork of the whole dashboard."""

    name = "oscar_fulfillment.dashboard.orders"

    def ready(self) -> None:
        super().ready()
        from oscar_fulfillment.dashboard.orders.views import OrderDetailView, OrderListView

        self.order_list_view = OrderListView
        self.order_detail_view = OrderDetailView
