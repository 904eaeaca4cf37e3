"""Every setting of the app, in one table: name, default, type, meaning.

A shop overrides them in one dictionary, ``OSCAR_FULFILLMENT = {"AMQP_URLS": [...]}``. The rest of
the package asks ``conf.get("NAME")``; an unknown or wrongly typed key is reported by Django's
system checks, so that a typing error never silently means "the default".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

DICT_NAME = "OSCAR_FULFILLMENT"

DEFAULT_PRODUCT_TYPES: dict[str, dict[str, str]] = {
    "Seat": {
        "module": "enrollment",
        "attributes": "oscar_fulfillment.builders.SeatAttributes",
    },
    "Course Entitlement": {
        "module": "entitlement",
        "attributes": "oscar_fulfillment.builders.EntitlementAttributes",
    },
    "Coupon": {"module": "none"},
    "Donation": {"module": "none"},
    "Enrollment Code": {"module": "none"},
}


@dataclass(frozen=True)
class Setting:
    """One row of the table; ``types`` is what ``isinstance`` accepts."""

    name: str
    default: Any
    types: tuple[type, ...]
    doc: str


SETTINGS: tuple[Setting, ...] = (
    # Broker
    Setting(
        "AMQP_URLS",
        ("amqp://guest:guest@127.0.0.1:5672/%2F",),
        (str, list, tuple),
        "The nodes of one RabbitMQ cluster, tried in turn; `amqps://` for TLS.",
    ),
    Setting("AMQP_USERNAME", "", (str,), "User name, when it should not stand in the URL."),
    Setting("AMQP_PASSWORD_FILE", "", (str, Path), "File whose first line is the password."),
    Setting("AMQP_TLS_CA_FILE", "", (str, Path), "CA for `amqps://`; empty: the system's."),
    Setting("AMQP_TLS_CERT_FILE", "", (str, Path), "Client certificate."),
    Setting("AMQP_TLS_KEY_FILE", "", (str, Path), "Key of the client certificate."),
    Setting("AMQP_PREFIX", "fulfillment", (str,), "Same as fulfilld's `amqp.prefix`."),
    Setting("AMQP_HEARTBEAT", 30, (int,), "Seconds."),
    # Orders
    Setting(
        "PRODUCT_TYPES",
        {},
        (dict,),
        "Product class → `{'module': …, 'attributes': dotted path}`, added to the built-in ones; "
        "`None` takes a built-in one away. Lines of other classes are left alone.",
    ),
    Setting(
        "FULFILLABLE_STATUSES",
        ("Open", "Fulfillment Error"),
        (list, tuple),
        "Order statuses in which an order is paid for and may be published.",
    ),
    Setting(
        "SHIPPING_EVENT",
        "Shipped",
        (str,),
        "Name of the shipping event type that stands for fulfilment.",
    ),
    Setting(
        "ORDER_CONTEXT",
        "oscar_fulfillment.context.from_request",
        (str,),
        "Callable `(order, request) -> dict` for `tracking`, `email_opt_in`, "
        "`enterprise_customer_uuid` and `traceparent`.",
    ),
    Setting(
        "USERNAME",
        "oscar_fulfillment.learners.username_of",
        (str,),
        "Callable `(user) -> str`: the shop user's name in the LMS.",
    ),
    Setting(
        "LEARNER_CHECK",
        "oscar_fulfillment.learners.check_shop_user",
        (str,),
        "Callable `(username, buyer) -> {'username', 'email'}` for a line bought for somebody "
        "else; raises ValidationError to refuse.",
    ),
    # Relay and consumer
    Setting("RELAY_BATCH", 100, (int,), "Messages one relay claims at a time."),
    Setting("RELAY_LEASE", 60, (int,), "Seconds after which a dead relay's claims are free again."),
    Setting("RELAY_POLL", 5, (int, float), "Seconds between looks when no wake-up comes."),
    Setting("RELAY_MAX_BACKOFF", 60, (int, float), "Longest pause between attempts, in seconds."),
    Setting(
        "WAKEUP_DIR",
        "",
        (str, Path),
        "Folder of the relays' wake-up sockets where the database has no LISTEN; empty: a folder "
        "of the user's own below the system's temporary folder.",
    ),
    Setting("EVENTS_PREFETCH", 32, (int,), "Unacknowledged status events one consumer holds."),
    # Staff, sweeper, housekeeping
    Setting(
        "RESUBMIT_GUARD",
        60,
        (int, float),
        "Seconds in which a second resubmission of the same order does nothing.",
    ),
    Setting(
        "RECONCILE_AFTER",
        3600,
        (int, float),
        "Seconds without news after which the sweeper resubmits an unfinished order.",
    ),
    Setting(
        "RECONCILE_WINDOW",
        14 * 86400,
        (int, float),
        "Seconds that the sweeper looks back for orders that were never published; older ones are "
        "history, of the time before the app.",
    ),
    Setting("KEEP_DAYS", 90, (int,), "Days that sent messages and processed events are kept."),
    # Rollout
    Setting(
        "ROLLOUT",
        False,
        (bool,),
        "With True the rollout table decides and orders outside it are left to the old path; "
        "with False every order takes the new one.",
    ),
    Setting("DRY_RUN", False, (bool,), "Record what would be published, and publish nothing."),
    # REST
    Setting("API_MAX_BODY", 65536, (int,), "Largest request body of the REST endpoint, bytes."),
)

_BY_NAME = {row.name: row for row in SETTINGS}


def get(name: str) -> Any:
    """The shop's value of a setting, else its default."""
    row = _BY_NAME[name]
    return getattr(settings, DICT_NAME, {}).get(name, row.default)


def get_callable(name: str) -> Callable[..., Any]:
    """The callable whose dotted path the setting holds."""
    hook: Callable[..., Any] = import_string(get(name))
    return hook


def amqp_urls() -> list[str]:
    """The broker's addresses as a list, whichever way they were written."""
    value = get("AMQP_URLS")
    parts = value.split(",") if isinstance(value, str) else value
    return [part.strip() for part in parts if part.strip()]


def product_types() -> dict[str, dict[str, str]]:
    """Product class name → its module and attribute builder, the shop's own included."""
    merged: dict[str, Any] = {**DEFAULT_PRODUCT_TYPES, **get("PRODUCT_TYPES")}
    return {name: row for name, row in merged.items() if row is not None}


def problems() -> list[str]:
    """What is wrong with the shop's dictionary, as sentences; used by the system check."""
    given = getattr(settings, DICT_NAME, {})
    found = []
    for name, value in given.items():
        row = _BY_NAME.get(name)
        if row is None:
            found.append(f"{DICT_NAME}[{name!r}] is not a setting of this app.")
        elif not isinstance(value, row.types) or (
            isinstance(value, bool) and bool not in row.types
        ):
            allowed = " or ".join(kind.__name__ for kind in row.types)
            found.append(f"{DICT_NAME}[{name!r}] must be {allowed}, not {type(value).__name__}.")
    return found
