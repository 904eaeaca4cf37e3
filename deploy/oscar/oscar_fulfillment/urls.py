"""Include under ``fulfillment/`` in the shop's urls."""

from django.urls import path

from oscar_fulfillment.views.api import OrdersView, OrderView
from oscar_fulfillment.views.basket import add_by_sku

app_name = "fulfillment"

urlpatterns = [
    path("basket/add/", add_by_sku, name="basket-add-by-sku"),
    path("api/v1/orders/", OrdersView.as_view(), name="api-orders"),
    path("api/v1/orders/<str:number>/", OrderView.as_view(), name="api-order"),
]
