from oscar.apps.order.processing import EventHandler as OscarEventHandler

from oscar_fulfillment.seams import FulfillmentHandlerMixin


class EventHandler(FulfillmentHandlerMixin, OscarEventHandler):
    """Oscar's handler whose shipping event for courses is a message to fulfilld."""
