from oscar.apps.order.utils import OrderCreator as OscarOrderCreator

from oscar_fulfillment.seams import OutboxOrderCreatorMixin


class OrderCreator(OutboxOrderCreatorMixin, OscarOrderCreator):
    """Oscar's creator; order and message commit together, whoever calls it."""
