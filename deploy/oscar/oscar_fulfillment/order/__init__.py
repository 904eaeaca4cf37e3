"""Oscar's order app with the seams of fulfilment put in: list its config instead of Oscar's.

A shop that has forked ``order`` already keeps its fork and adds the classes of
``oscar_fulfillment.seams`` to its own; docs/oscar.md shows both ways.
"""
