"""Oscar's order models; the status of an order changes in a transaction of its own."""

from oscar.apps.order.abstract_models import AbstractOrder

from oscar_fulfillment.seams import AtomicStatusMixin


class Order(AtomicStatusMixin, AbstractOrder):
    pass


from oscar.apps.order.models import *  # noqa: E402, F403
