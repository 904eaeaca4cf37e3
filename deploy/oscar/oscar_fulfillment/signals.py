"""Signals for a shop's own code. All are sent inside the transaction that made them true.

``refund_requested(sender, refund)``: staff have taken lines back; give the money back here.
``refund_completed(sender, refund)``: every line of the refund is revoked.
``line_completed(sender, order, line)``: the learner has what was bought.
"""

from django.dispatch import Signal

refund_requested = Signal()
refund_completed = Signal()
line_completed = Signal()
