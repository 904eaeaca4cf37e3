"""The staff's queries on PostgreSQL: they start from the few orders that are not complete."""

import uuid

import pytest
from django.db import connection
from oscar.core.loading import get_model

from oscar_fulfillment import queries
from oscar_fulfillment.models import FulfillmentLine, OutboxMessage

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a matter of PostgreSQL"),
]
MANY = 3000
INDEXES = {
    queries.UNSENT: "fulfillment_outbox",
    queries.WAITING: "fulfillment_line_unsettled",
    queries.RETRYING: "reason_code",
    queries.DEAD: "reason_code",
}


def copies(row, **changes):
    """So many rows like this one; a change is a function of the number."""
    made = []
    for number in range(MANY):
        fields = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
        del fields[row._meta.pk.attname]
        fields.update({name: change(number) for name, change in changes.items()})
        made.append(type(row)(**fields))
    return type(row)._default_manager.bulk_create(made)


@pytest.fixture
def years_of_orders(shop):
    """Thousands that are complete, and one in each other state."""
    order = shop.order()
    shop.tell(order, "complete")
    OutboxMessage.objects.update(sent_at=order.date_placed)
    orders = copies(order, number=lambda n: f"OLD-{n}")
    lines = copies(order.lines.get(), order_id=lambda n: orders[n].pk)
    copies(
        FulfillmentLine.objects.get(),
        order_id=lambda n: orders[n].pk,
        line_id=lambda n: lines[n].pk,
    )
    copies(
        OutboxMessage.objects.get(),
        order_id=lambda n: orders[n].pk,
        message_id=lambda n: uuid.uuid4(),
    )
    shop.tell(shop.order(), "dead")
    shop.tell(shop.order(), "retrying")
    shop.order()
    OutboxMessage.objects.update(sent_at=order.date_placed)
    shop.order()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def test_a_state_is_found_by_an_index_among_all_that_is_complete(years_of_orders):
    assert {count.orders for count in queries.counts()} == {1}
    for state, index in INDEXES.items():
        orders = get_model("order", "Order").objects.filter(queries.in_state(state))
        assert index in orders.explain(), state
        assert index in queries._rows(state).explain(), state
