"""The whole way: shop, RabbitMQ, the real fulfilld, Redis, the stand-in LMS, and back."""

import contextlib
import io
import json
import os
import shutil
import sys

import pytest
from django.core.management import call_command
from oscar.core.loading import get_model

from oscar_fulfillment import consumer, events, fulfillment_api, schemas
from oscar_fulfillment.consumer import EventConsumer
from oscar_fulfillment.models import OutboxMessage
from oscar_fulfillment.relay import Relay
from tests.conftest import statuses_of
from tests.processes import command, wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.fulfilld,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not os.environ.get("FULFILLD_BIN") or not os.environ.get("FULFILLD_LMS_BIN"),
        reason="FULFILLD_BIN and FULFILLD_LMS_BIN name the built programs",
    ),
    pytest.mark.skipif(not shutil.which("redis-server"), reason="Redis is not installed"),
]


@pytest.fixture
def world(shop, settings, rabbitmq, tmp_path, monkeypatch):
    """fulfilld, Redis and the LMS, with the shop connected to them."""
    from harness.daemon import Daemon
    from harness.lms import Lms
    from harness.redis import Redis

    prefix = "shop" + tmp_path.name[-8:].replace("_", "")
    settings.OSCAR_FULFILLMENT = {
        **settings.OSCAR_FULFILLMENT,
        "AMQP_URLS": [rabbitmq.uri],
        "AMQP_PREFIX": prefix,
        "RESUBMIT_GUARD": 0,
    }
    redis = Redis(tmp_path / "redis").start()
    lms = Lms(tmp_path / "lms").start()
    daemon = Daemon(tmp_path / "fulfilld", rabbitmq, redis, lms, prefix)
    daemon.use_token(lms, keep_api_key=True).start()
    monkeypatch.setattr(events, "handle", checked(events.handle))
    monkeypatch.setattr(consumer, "IDLE_SECONDS", 0.1)
    yield World(lms, daemon, rabbitmq)
    daemon.destroy()
    lms.destroy()
    redis.destroy()
    rabbitmq.delete_prefix(prefix)


def checked(handle):
    """Every event that the real fulfilld sends is what the schema says."""

    def handle_checked(body, routing_key=""):
        problem = schemas.first_problem("status-1", json.loads(body))
        assert problem is None, (problem, body)
        return handle(body, routing_key)

    return handle_checked


class World:
    def __init__(self, lms, daemon, rabbitmq):
        self.lms = lms
        self.daemon = daemon
        self.rabbitmq = rabbitmq

    def until(self, order, status, lines=None):
        """Relays and consumes until the order has come to where it should."""

        def arrived():
            Relay().run_once()
            EventConsumer().run(until_idle=True)
            found = statuses_of(order)
            return found[0] == status and (lines is None or found[1] == lines)

        try:
            wait_until(arrived, f"order {status} {lines or ''}")
        except AssertionError:
            print(statuses_of(order), [n.message for n in order.notes.all()], file=sys.stderr)
            raise


def enrolled(world, course="course-v1:edX+DemoX+2026"):
    found = world.lms.enrollment("honor", course)
    return bool(found and found["is_active"]) and found["mode"]


def test_a_learner_is_enrolled_and_the_order_complete(shop, world):
    order = shop.order()
    world.until(order, "Complete")
    assert enrolled(world) == "verified"
    assert order.shipping_events.count() == 1


def test_an_lms_that_is_away_is_waited_for_and_the_panel_says_so(shop, world):
    world.lms.outage(status=503)
    order = shop.order()
    world.until(order, "Fulfillment Error", ["Fulfillment Server Error"])
    known = order.fulfillment_lines.get()
    assert known.reason_code == "server_error"
    assert known.next_attempt_at is not None
    assert not known.final
    world.lms.recover()
    world.until(order, "Complete")
    assert enrolled(world) == "verified"


def test_an_unknown_course_is_dead_until_it_is_mended_and_resubmitted(shop, world):
    product = shop.product(course_key="course-v1:edX+GhostX+2026")
    order = shop.order(product)
    world.until(order, "Fulfillment Error")
    known = order.fulfillment_lines.get()
    assert known.reason_code == "course_unavailable"
    assert known.is_dead
    product.attr.course_key = "course-v1:edX+DemoX+2026"
    product.save()
    assert fulfillment_api.resubmit(order).accepted
    world.until(order, "Complete")
    assert enrolled(world) == "verified"


def test_a_refund_takes_the_course_away_again(shop, world):
    order = shop.order()
    world.until(order, "Complete")
    made = fulfillment_api.refund(order, order.lines.all()).refund
    world.until(order, "Complete", ["Refunded"])
    made.refresh_from_db()
    assert made.status == "Complete"
    assert not enrolled(world)


def test_an_entitlement_is_bought_and_revoked_by_its_uuid(shop, world):
    course = "6a5f2c1e-0f0c-4f0f-8a53-1f1f0c3b2d4e"
    product = shop.product("ENT", "Course Entitlement", UUID=course, certificate_type="verified")
    order = shop.order(product)
    world.until(order, "Complete")
    uuid = order.fulfillment_lines.get().result["uuid"]
    assert order.lines.get().attributes.get(type="course_entitlement").value == uuid
    fulfillment_api.refund(order, order.lines.all())
    world.until(order, "Complete", ["Refunded"])


def test_a_refund_that_overtakes_the_fulfilment_wins(shop, world):
    order = shop.order()
    fulfillment_api.refund(order, order.lines.all())
    first = OutboxMessage.objects.get(action="fulfill")
    OutboxMessage.objects.filter(pk=first.pk).update(available_at="2100-01-01T00:00:00Z")
    world.until(order, "Complete", ["Refunded"])
    OutboxMessage.objects.filter(pk=first.pk).update(available_at="2000-01-01T00:00:00Z")
    Relay().run_once()
    wait_until(
        lambda: EventConsumer().run(until_idle=True) > 0, "the event of the overtaken message"
    )
    assert statuses_of(order) == ("Complete", ["Refunded"])
    assert not enrolled(world)


def test_lines_of_several_kinds_and_learners_go_each_their_way(shop, world):
    shop.user("ada")
    order = shop.order(
        shop.product("A"),
        (shop.product("B", certificate_type="audit"), "ada"),
        shop.product("D", "Donation", price="10.00"),
        shop.product("X", course_key="course-v1:edX+GhostX+2026"),
    )
    world.until(
        order,
        "Fulfillment Error",
        ["Complete", "Complete", "Complete", "Fulfillment Server Error"],
    )
    assert world.lms.enrollment("ada", "course-v1:edX+DemoX+2026")["mode"] == "audit"
    for line in order.lines.exclude(status="Fulfillment Server Error"):
        assert line.shipping_event_quantities.count() == 1


class Restartable:
    """A command that can be killed at any moment and started again."""

    def __init__(self, stack, name):
        self._stack, self._name = stack, name
        self.start()

    def start(self):
        self._process = self._stack.enter_context(command(self._name))

    def kill_and_start(self):
        self._process.kill()
        self.start()


def test_every_order_ends_well_whatever_is_killed_on_the_way(shop, world, settings):
    settings.OSCAR_FULFILLMENT = {**settings.OSCAR_FULFILLMENT, "RELAY_LEASE": 2}
    products = [shop.product("A"), shop.product("B", "Donation", price="10.00")]
    with contextlib.ExitStack() as stack:
        relay = Restartable(stack, "fulfillment_relay")
        consumer = Restartable(stack, "fulfillment_events")
        for number in range(16):
            # Each order has a learner of its own, so that a repeated enrolment shows.
            shop.order(*products, user=shop.user(f"learner{number}"))
            if number % 4 == 1:
                relay.kill_and_start()
            if number % 4 == 2:
                consumer.kill_and_start()
            if number == 7:
                world.rabbitmq.close_connections()
            if number == 11:
                world.daemon.kill()
                world.daemon.start()
        orders = get_model("order", "Order").objects
        wait_until(
            lambda: orders.filter(status="Complete").count() == 16,
            "all orders to be complete",
            deadline_seconds=150,
        )
    for line in get_model("order", "Line").objects.all():
        assert line.status == "Complete"
        assert line.shipping_event_quantities.count() == 1
    for number in range(16):
        found = world.lms.enrollment(f"learner{number}", "course-v1:edX+DemoX+2026")
        assert found["is_active"]
    assert world.lms.stats()["repeated_enrolls"] == 0


def test_all_that_the_sandbox_sells_is_fulfilled_but_the_unknown_course(shop, world):
    out = io.StringIO()
    call_command("make_shop", "--lms-seed", stdout=out)
    world.lms.configure(**json.loads(out.getvalue()))
    call_command("make_shop", stdout=out)
    orders = {}
    for record in get_model("partner", "StockRecord").objects.filter(partner__code="courses"):
        orders[record.partner_sku] = shop.order(record.product, user=shop.user(record.partner_sku))
    assert len(orders) == 9
    ghost = orders.pop("GHOSTX-VERIFIED")
    for order in orders.values():
        world.until(order, "Complete")
    world.until(ghost, "Fulfillment Error")
    assert ghost.fulfillment_lines.get().reason_code == "course_unavailable"
