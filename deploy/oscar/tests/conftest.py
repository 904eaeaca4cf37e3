"""Fixtures: course products, orders placed as Oscar places them, a private broker."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from decimal import Decimal
from pathlib import Path

import pika
import pytest
from django.contrib.auth import get_user_model
from oscar.core.loading import get_class, get_model

from oscar_fulfillment import events, products

REPOSITORY = Path(__file__).resolve().parents[3]
# The project's own harness: private RabbitMQ, Redis, fulfilld and stand-in LMS.
sys.path.insert(0, str(REPOSITORY / "tests" / "integration"))
_sequence = itertools.count(1_767_323_049_000_000)
_numbers = itertools.count(1)


@pytest.fixture
def shop(db, settings, tmp_path):
    """The product types installed, a partner, two users; wake-ups stay in the test's own folder."""
    settings.OSCAR_FULFILLMENT = {
        **settings.OSCAR_FULFILLMENT,
        "WAKEUP_DIR": str(tmp_path / "wake"),
    }
    list(products.install())
    return Shop()


class Shop:
    """Makes products and orders, and speaks with fulfilld's voice."""

    def __init__(self):
        self.partner = get_model("partner", "Partner").objects.create(name="Courses")
        self.honor = self.user("honor")
        self.staff = get_user_model().objects.create_superuser(
            "admin", "admin@example.com", "secret-pass-1"
        )

    def user(self, name):
        return get_user_model().objects.create_user(name, f"{name}@example.com", "secret-pass-1")

    def product(self, sku="SEAT-1", product_class="Seat", price="49.00", stock=None, **attributes):
        if product_class == "Seat":
            attributes = {
                "course_key": "course-v1:edX+DemoX+2026",
                "certificate_type": "verified",
                "id_verification_required": True,
                **attributes,
            }
        kind, _ = get_model("catalogue", "ProductClass").objects.get_or_create(
            name=product_class, defaults={"requires_shipping": False, "track_stock": False}
        )
        if stock is not None:
            kind.track_stock = True
            kind.save()
        product = get_model("catalogue", "Product")(title=f"Course {sku}", product_class=kind)
        for code, value in attributes.items():
            if code in ("certificate_type", "seat_type") and value is not None:
                value = get_model("catalogue", "AttributeOption").objects.get(
                    group__name="Course mode", option=value
                )
            setattr(product.attr, code, value)
        product.save()
        get_model("partner", "StockRecord").objects.create(
            product=product,
            partner=self.partner,
            partner_sku=sku,
            price=Decimal(price),
            num_in_stock=stock,
        )
        return product

    def basket(self, items, user=None):
        """A basket; an item is a product, or a product with a learner's name."""
        basket = get_model("basket", "Basket").objects.create(owner=user or self.honor)
        basket.strategy = get_class("partner.strategy", "Selector")().strategy()
        option = get_model("catalogue", "Option").objects.get(code="learner")
        for item in items:
            product, learner = item if isinstance(item, tuple) else (item, None)
            basket.add_product(
                product, options=[{"option": option, "value": learner}] if learner else []
            )
        return basket

    def order(self, *items, user=None, guest=False, **kwargs):
        """Places an order through Oscar's OrderCreator, as a script would."""
        basket = self.basket(items or [self.product(f"SKU-{next(_numbers)}")], user)
        shipping = get_class("shipping.methods", "NoShippingRequired")()
        charge = shipping.calculate(basket)
        total = get_class("checkout.calculators", "OrderTotalCalculator")().calculate(
            basket, charge, surcharges=None
        )
        if guest:
            kwargs.setdefault("guest_email", "guest@example.com")
        order = get_class("order.utils", "OrderCreator")().place_order(
            basket=basket,
            total=total,
            shipping_method=shipping,
            shipping_charge=charge,
            user=None if guest else (user or self.honor),
            order_number=kwargs.pop("order_number", f"EDX-{next(_numbers)}"),
            **kwargs,
        )
        basket.submit()
        return order

    @staticmethod
    def event(order, outcome, statuses=None, **data):
        """A status event as a dictionary; ``statuses`` is one for all lines, or one for each."""
        lines = list(order.lines.order_by("pk"))
        default = "Complete" if outcome == "complete" else "Fulfillment Server Error"
        if statuses is None or isinstance(statuses, str):
            statuses = [statuses or default] * len(lines)
        reason = data.pop(
            "reason", {"code": "server_error", "message": "Oops!", "http_status": 500}
        )
        result = data.pop("result", None)
        sequence = data.pop("sequence", None) or next(_sequence)
        done = all(status in ("Complete", "Refunded") for status in statuses)
        refund = data.get("refund_number")
        return {
            "specversion": "1.0",
            "id": data.pop("id", f"{order.number}/{sequence}/{outcome}"),
            "source": "fulfilld/fulfillment",
            "type": "fulfillment.order.status_changed.v1",
            "subject": order.number,
            "time": "2026-01-02T03:04:09.123Z",
            "datacontenttype": "application/json",
            "data": {
                "order_number": order.number,
                "action": "refund" if refund else "fulfill",
                "refund_number": None,
                "sequence": sequence,
                "generation": 1,
                "attempt": 1,
                "status": "Complete"
                if done
                else ("Revocation Error" if refund else "Fulfillment Error"),
                "final": outcome in ("complete", "dead"),
                "next_attempt_at": "2030-01-02T03:04:19Z" if outcome == "retrying" else None,
                "lines": [
                    {
                        "id": line.pk,
                        "sku": line.partner_sku,
                        "status": status,
                        "module": "enrollment",
                        "reason": None if status in ("Complete", "Refunded") else reason,
                        "result": result,
                    }
                    for line, status in zip(lines, statuses, strict=True)
                ],
                **data,
            },
        }

    def tell(self, order, outcome, statuses=None, **data):
        """Has the consumer's handler apply an event; returns its answer."""
        event = self.event(order, outcome, statuses, **data)
        key = f"order.{event['data']['action']}.{outcome}"
        return events.handle(json.dumps(event).encode(), key)


def statuses_of(order):
    """The order's status and those of its lines, from the database."""
    order.refresh_from_db()
    return order.status, [line.status for line in order.lines.order_by("pk")]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One browser for the session; tests are skipped where there is none."""
    from tests import browser

    if not browser.is_installed():
        pytest.skip("Chromium and its driver are not installed")
    driver = browser.start(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, live_server):
    """The browser on the shop's pages, logged in as nobody."""
    from tests.browser import Browser

    chromium.delete_all_cookies()
    return Browser(chromium, live_server.url)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory):
    """A private RabbitMQ node for the session; tests are skipped where there is no RabbitMQ."""
    if not Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists():
        pytest.skip("RabbitMQ is not installed")
    from harness.rabbitmq import RabbitMQ

    node = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    node.start()
    yield node
    node.destroy()


@pytest.fixture
def broker(rabbitmq, settings):
    """fulfilld's exchanges and queues on the node, under a prefix of the test's own."""
    prefix = f"test{next(_numbers)}"
    settings.OSCAR_FULFILLMENT = {
        **settings.OSCAR_FULFILLMENT,
        "AMQP_URLS": [rabbitmq.uri],
        "AMQP_PREFIX": prefix,
        "RELAY_POLL": 0.2,
    }
    broker = Broker(rabbitmq, prefix)
    yield broker
    broker.close()
    rabbitmq.delete_prefix(prefix)


class Broker:
    """What fulfilld would see and say, through pika."""

    def __init__(self, node, prefix):
        self.node = node
        self.prefix = prefix
        self._connection = node.connect()
        self.channel = self._connection.channel()
        for name, key in (("orders", "order.#"), ("events", "order.#")):
            full = f"{prefix}.{name}"
            self.channel.exchange_declare(full, "topic", durable=True)
            self.channel.queue_declare(full, durable=True, arguments={"x-queue-type": "quorum"})
            self.channel.queue_bind(full, full, key)
        self.channel.confirm_delivery()

    def close(self):
        # A test may have had the broker close every connection.
        with contextlib.suppress(pika.exceptions.AMQPError):
            self._connection.close()

    def received(self):
        """Takes every order message: pairs of message id and decoded body."""
        found = []
        while True:
            method, properties, body = self.channel.basic_get(
                f"{self.prefix}.orders", auto_ack=True
            )
            if method is None:
                return found
            found.append((properties.message_id, json.loads(body)))

    def send_event(self, event, key="order.fulfill.complete"):
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.channel.basic_publish(f"{self.prefix}.events", key, body, mandatory=True)

    def event_consumers(self):
        return self.channel.queue_declare(
            f"{self.prefix}.events", passive=True
        ).method.consumer_count

    def waiting_events(self):
        """Events that are neither taken nor acknowledged, on a queue without consumers."""
        return self.channel.queue_declare(
            f"{self.prefix}.events", passive=True
        ).method.message_count
