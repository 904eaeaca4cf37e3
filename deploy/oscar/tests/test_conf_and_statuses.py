import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection

from oscar_fulfillment import conf, statuses

# Django's own checks ask the database what it can do.
pytestmark = pytest.mark.django_db


def test_the_sandbox_passes_the_checks():
    assert not [problem for problem in run_checks() if problem.id.startswith("oscar_fulfillment")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"AMPQ_URLS": "x"}, "is not a setting"),
        ({"RELAY_BATCH": "100"}, "must be int"),
        ({"RELAY_BATCH": True}, "must be int"),
        ({"DRY_RUN": 1}, "must be bool"),
    ],
)
def test_a_wrong_setting_is_reported(settings, given, words):
    settings.OSCAR_FULFILLMENT = given
    (problem,) = conf.problems()
    assert words in problem
    assert [check.id for check in run_checks() if check.id == "oscar_fulfillment.E001"]


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("OSCAR_INITIAL_LINE_STATUS", "Pending", "oscar_fulfillment.E003"),
        ("OSCAR_INITIAL_ORDER_STATUS", "Being processed", "oscar_fulfillment.E003"),
        ("OSCAR_ORDER_STATUS_CASCADE", {"Complete": "Shipped"}, "oscar_fulfillment.E004"),
    ],
)
def test_a_status_that_would_stand_in_the_way_is_reported(settings, name, value, check_id):
    setattr(settings, name, value)
    assert check_id in [problem.id for problem in run_checks()]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a matter of SQLite")
@pytest.mark.parametrize("mode", [None, "DEFERRED"])
def test_a_sqlite_that_fails_when_two_write_is_reported(monkeypatch, mode):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"transaction_mode": mode})
    assert "oscar_fulfillment.W001" in [problem.id for problem in run_checks()]


def test_addresses_may_be_a_list_or_a_text(settings):
    settings.OSCAR_FULFILLMENT = {"AMQP_URLS": "amqp://a, amqp://b"}
    assert conf.amqp_urls() == ["amqp://a", "amqp://b"]
    settings.OSCAR_FULFILLMENT = {"AMQP_URLS": ["amqp://a"]}
    assert conf.amqp_urls() == ["amqp://a"]


def test_a_shop_adds_and_removes_product_types(settings):
    settings.OSCAR_FULFILLMENT = {
        "PRODUCT_TYPES": {"Donation": None, "Book": {"module": "webhook"}}
    }
    types = conf.product_types()
    assert "Donation" not in types
    assert types["Book"] == {"module": "webhook"}
    assert types["Seat"]["module"] == "enrollment"


def test_the_migrations_make_the_models(settings):
    settings.MIGRATION_MODULES = {}
    call_command("makemigrations", "oscar_fulfillment", check=True, dry_run=True, verbosity=0)


def test_any_error_may_become_any_other_and_open():
    for error in statuses.LINE_ERRORS:
        others = set(statuses.LINE_ERRORS) - {error}
        assert others | {statuses.OPEN, statuses.COMPLETE} <= set(statuses.LINE_PIPELINE[error])


def test_complete_is_final_but_for_a_refund():
    assert statuses.LINE_PIPELINE[statuses.COMPLETE] == (statuses.REFUNDED,)
    assert statuses.ORDER_PIPELINE[statuses.COMPLETE] == ()


@pytest.mark.parametrize(
    ("lines", "order"),
    [
        (["Open"], "Open"),
        (["Complete", "Open"], "Open"),
        (["Complete", "Fulfillment Network Error"], "Fulfillment Error"),
        (["Complete", "Refunded"], "Complete"),
        (["Refunded"], "Complete"),
        ([], "Open"),
    ],
)
def test_the_order_follows_its_lines(lines, order):
    assert statuses.order_status_of(lines) == order


@pytest.mark.parametrize(
    ("lines", "refund"),
    [
        (["Open"], "Open"),
        (["Complete", "Open"], "Open"),
        (["Complete", "Revocation Error"], "Revocation Error"),
        (["Complete", "Complete"], "Complete"),
    ],
)
def test_the_refund_follows_its_lines(lines, refund):
    assert statuses.refund_status_of(lines) == refund
