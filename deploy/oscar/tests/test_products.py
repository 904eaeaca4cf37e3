import io

import pytest
from django.core.management import CommandError, call_command
from oscar.core.loading import get_model

from oscar_fulfillment import products
from oscar_fulfillment.models import ApiToken


def test_installing_twice_adds_nothing(shop):
    assert list(products.install()) == []


def test_what_staff_changed_is_kept(shop):
    seat = get_model("catalogue", "ProductClass").objects.get(name="Seat")
    seat.attributes.filter(code="course_key").update(name="Run")
    seat.options.clear()
    list(products.install())
    assert seat.attributes.get(code="course_key").name == "Run"
    assert not seat.options.exists()


def test_every_product_type_of_the_settings_is_installed(shop):
    names = set(get_model("catalogue", "ProductClass").objects.values_list("name", flat=True))
    assert {"Seat", "Course Entitlement", "Enrollment Code", "Donation", "Coupon"} <= names


@pytest.mark.parametrize(
    ("key", "good"),
    [
        ("course-v1:edX+DemoX+2026", True),
        ("edX/DemoX/2026", True),
        ("course-v1:edX+DemoX", False),
        ("DemoX", False),
        ("course-v1:ed X+DemoX+2026", False),
    ],
)
def test_a_course_key_is_checked(shop, key, good):
    problems = products.check_product(shop.product("A", course_key=key))
    assert (problems == []) is good


def test_the_uuid_of_an_entitlement_is_checked(shop):
    product = shop.product("ENT", "Course Entitlement", UUID="not one")
    assert "is not a UUID" in products.check_product(product)[0]


def test_the_command_names_wrong_products(shop):
    shop.product("A", course_key="nonsense")
    out = io.StringIO()
    call_command("fulfillment_install", "--check", stdout=out)
    assert "nonsense" in out.getvalue()
    assert "1 problems" in out.getvalue()


def test_the_modules_section_is_printed(db):
    out = io.StringIO()
    call_command("fulfillment_install", "--modules", stdout=out)
    assert out.getvalue().splitlines()[:3] == [
        "[modules]",
        "Seat = enrollment",
        "Course Entitlement = entitlement",
    ]


def test_tokens_are_made_and_revoked(shop):
    out = io.StringIO()
    call_command("fulfillment_token", "honor", stdout=out, stderr=io.StringIO())
    assert ApiToken.objects.get().digest == ApiToken.hash(out.getvalue().strip())
    call_command("fulfillment_token", "honor", "--revoke", stdout=out)
    assert not ApiToken.objects.exists()
    with pytest.raises(CommandError):
        call_command("fulfillment_token", "nobody")
