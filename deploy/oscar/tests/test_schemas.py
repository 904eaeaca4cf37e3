import copy
import json

import pytest

from oscar_fulfillment import schemas
from tests.conftest import REPOSITORY

ORDER = {
    "schema": "fulfillment.order/1",
    "action": "fulfill",
    "order_number": "EDX-100001",
    "date_placed": "2026-01-02T03:04:05Z",
    "user": {"username": "honor", "email": "honor@example.com"},
    "tracking": {"ga_client_id": "G1", "lms_ip": "127.0.0.1"},
    "enterprise_customer_uuid": None,
    "email_opt_in": False,
    "lines": [
        {
            "id": 11,
            "product_class": "Seat",
            "sku": "8CF08E5",
            "quantity": 1,
            "title": "Seat in DemoX",
            "user": None,
            "attributes": {
                "course_key": "course-v1:edX+DemoX+2026",
                "certificate_type": "verified",
                "id_verification_required": True,
                "credit_provider": None,
            },
        }
    ],
}


@pytest.mark.parametrize("name", ["order-1", "status-1"])
def test_the_package_ships_the_projects_own_schemas_byte_for_byte(name):
    project = REPOSITORY / "docs" / "schemas" / f"{name}.schema.json"
    packaged = REPOSITORY / "deploy/oscar/oscar_fulfillment/schemas" / f"{name}.schema.json"
    assert project.read_bytes() == packaged.read_bytes()


@pytest.mark.parametrize("name", ["order-1", "status-1"])
def test_each_schema_is_a_valid_schema(name):
    schemas.validator(name).check_schema(schemas.validator(name).schema)


def test_the_example_of_the_contract_is_valid():
    assert schemas.first_problem("order-1", ORDER) is None


def test_a_bare_resubmission_is_valid():
    message = {"schema": "fulfillment.order/1", "action": "resubmit", "order_number": "EDX-1"}
    assert schemas.first_problem("order-1", message) is None


def changed(path, value):
    message = copy.deepcopy(ORDER)
    target = message
    for part in path[:-1]:
        target = target[part]
    if value is KeyError:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return message


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("schema",), "fulfillment.order/2", "schema"),
        (("action",), "cancel", "action"),
        (("order_number",), "", "order_number"),
        (("order_number",), 7, "order_number"),
        (("lines",), [], "lines"),
        (("lines",), KeyError, "message"),
        (("action",), "refund", "message"),
        (("date_placed",), "yesterday", "date_placed"),
        (("email_opt_in",), "yes", "email_opt_in"),
        (("lines", 0, "id"), "11", "lines[0].id"),
        (("lines", 0, "product_class"), KeyError, "lines[0]"),
        (("lines", 0, "quantity"), -1, "lines[0].quantity"),
        (("lines", 0, "attributes", "course_key"), 5, "lines[0].attributes.course_key"),
        (
            ("lines", 0, "attributes", "id_verification_required"),
            "true",
            "lines[0].attributes.id_verification_required",
        ),
    ],
)
def test_a_wrong_message_is_refused_by_field(path, value, field):
    assert schemas.first_problem("order-1", changed(path, value)).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("something_new",), {"x": 1}),
        (("lines", 0, "attributes", "course_key"), None),
        (("lines", 0, "attributes", "shop_specific"), [1, 2]),
        (("date_placed",), "2026-01-02T05:04:05.25+02:00"),
        (("lines", 0, "quantity"), 0),
        (("user",), None),
    ],
)
def test_what_the_contract_allows_is_valid(path, value):
    assert schemas.first_problem("order-1", changed(path, value)) is None


def test_the_example_event_is_valid(shop):
    order = shop.order()
    for outcome in ("complete", "retrying", "dead"):
        event = json.loads(json.dumps(shop.event(order, outcome)))
        assert schemas.first_problem("status-1", event) is None
