"""A fresh Oscar shop gets the app by docs/oscar.md to the letter, and sells a course."""

import json
import os
import re
import shlex
import shutil
import signal
import types
import urllib.request

import pytest

from tests import fresh_shop
from tests.conftest import REPOSITORY
from tests.processes import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.fulfilld,
    pytest.mark.skipif(
        not os.environ.get("FULFILLD_BIN") or not os.environ.get("FULFILLD_LMS_BIN"),
        reason="FULFILLD_BIN and FULFILLD_LMS_BIN name the built programs",
    ),
    pytest.mark.skipif(not shutil.which("redis-server"), reason="Redis is not installed"),
]
PAGE = (REPOSITORY / "docs" / "oscar.md").read_text("utf-8")

# A course and an order, as a script of the shop would make them.
SELL = """
from decimal import Decimal
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from oscar.core.loading import get_class, get_model

user = get_user_model().objects.create_user("honor", "honor@example.com", "secret-pass-1")
service = get_user_model().objects.create_user("service", "service@example.com", "secret-pass-1")
service.user_permissions.add(Permission.objects.get(codename="place_free_order"))
partner = get_model("partner", "Partner").objects.create(name="Courses")

def sell(sku, mode, price):
    product = get_model("catalogue", "Product")(
        title=sku, product_class=get_model("catalogue", "ProductClass").objects.get(name="Seat")
    )
    product.attr.course_key = "course-v1:edX+DemoX+2026"
    product.attr.certificate_type = get_model("catalogue", "AttributeOption").objects.get(
        group__name="Course mode", option=mode
    )
    product.save()
    get_model("partner", "StockRecord").objects.create(
        product=product, partner=partner, partner_sku=sku, price=Decimal(price)
    )
    return product

sell("DEMOX-AUDIT", "audit", "0.00")
basket = get_model("basket", "Basket").objects.create(owner=user)
basket.strategy = get_class("partner.strategy", "Selector")().strategy()
basket.add_product(sell("DEMOX-VERIFIED", "verified", "49.00"))
shipping = get_class("shipping.methods", "NoShippingRequired")()
charge = shipping.calculate(basket)
total = get_class("checkout.calculators", "OrderTotalCalculator")().calculate(
    basket, charge, surcharges=None
)
order = get_class("order.utils", "OrderCreator")().place_order(
    basket=basket, total=total, shipping_method=shipping, shipping_charge=charge, user=user,
    order_number="EDX-1"
)
print("order is", order.status)
"""
STATUSES = """
import json
from oscar.core.loading import get_model
print(json.dumps({o.number: [o.status, o.shipping_events.count()]
                  for o in get_model("order", "Order").objects.all()}))
"""


@pytest.fixture
def world(rabbitmq, tmp_path):
    """fulfilld, Redis and the LMS on a virtual host of their own, with the names of the page."""
    from harness.daemon import Daemon
    from harness.lms import Lms
    from harness.redis import Redis

    rabbitmq.api("PUT", "/vhosts/oscar", {})
    rabbitmq.rabbitmqctl("set_permissions", "-p", "oscar", "guest", ".*", ".*", ".*")
    redis = Redis(tmp_path / "redis").start()
    lms = Lms(tmp_path / "lms").start()
    broker = types.SimpleNamespace(
        uri=rabbitmq.uri.replace("/%2F", "/oscar"), management_uri=rabbitmq.management_uri
    )
    daemon = Daemon(tmp_path / "fulfilld", broker, redis, lms)
    daemon.use_token(lms, keep_api_key=True).start()
    yield lms
    daemon.destroy()
    lms.destroy()
    redis.destroy()
    rabbitmq.api("DELETE", "/vhosts/oscar")


@pytest.fixture
def shop(rabbitmq, world, tmp_path):
    """The fresh shop, with the app installed as the page says, up to step 6."""
    password_file = tmp_path / "amqp-password"
    password_file.write_text("shop-pass-1\n")
    rabbitmq.rabbitmqctl("add_user", "shop", "shop-pass-1")
    steps = fresh_shop.steps(PAGE)
    (permissions,) = (text for text in steps[5].inline if text.startswith("rabbitmqctl "))
    rabbitmq.rabbitmqctl(*shlex.split(permissions)[1:])
    shop = fresh_shop.FreshShop(tmp_path, REPOSITORY / "deploy" / "oscar")
    shop.become_an_oscar_shop()
    shop.install(PAGE, [f"amqp://127.0.0.1:{rabbitmq.port}/oscar"], password_file)
    commands = steps[6].commands()
    assert [command[0] for command in commands] == [
        "check",
        "migrate",
        "collectstatic",
        "fulfillment_install",
        "fulfillment_install",
    ]
    for command in commands:
        said = shop.manage(*command, *(["--noinput"] if command[0] == "collectstatic" else []))
        assert command != ["check"] or "no issues" in said, "not even a warning is left"
    assert "Seat = enrollment" in said, "the last one prints the [modules] section"
    yield shop
    rabbitmq.rabbitmqctl("delete_user", "shop")


def test_a_fresh_shop_follows_the_page_and_sells_a_course(shop, world):
    steps = fresh_shop.steps(PAGE)
    assert "order is Open" in shop.manage(program=SELL)
    services = [shop.start(*command) for command in steps[7].commands()]
    assert len(services) == 2
    try:
        number = place_by_rest(shop)
        wanted = {"EDX-1": ["Complete", 1], number: ["Complete", 1]}

        def arrived():
            said = shop.manage(program=STATUSES)
            return json.loads(said[said.index("{") :]) == wanted

        wait_until(arrived, f"both orders to be complete: {wanted}", deadline_seconds=90)
        for service in services:
            service.send_signal(signal.SIGTERM)
            assert service.wait(30) == 0
    finally:
        for service in services:
            service.kill()
            service.wait()
    assert world.enrollment("honor", "course-v1:edX+DemoX+2026")["is_active"]
    for command in steps[8].commands():
        shop.manage(*command)


def place_by_rest(shop):
    """The free course for the same learner, with the token and the request of the page."""
    from harness.ports import free_port

    (command,) = re.findall(r"\./manage\.py (fulfillment_token service)", PAGE)
    token = shop.manage(*command.split()).split()[-1]
    body = re.search(r"-d '(\{.*\})' https://shop\.example\.org(/\S+)", PAGE)
    port = free_port()
    server = shop.start("runserver", "--noreload", f"127.0.0.1:{port}")
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{body.group(2)}",
        body.group(1).encode(),
        {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": "1f0c",
        },
    )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"), "the shop to answer")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 201
            return json.load(answer)["order_number"]
    finally:
        server.terminate()
        server.wait(30)


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return answer.status == 200
    except OSError:
        return False
