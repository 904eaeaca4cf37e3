"""The app itself: checks of its settings, and the one signal it listens to."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register


class FulfillmentConfig(AppConfig):
    name = "oscar_fulfillment"
    label = "oscar_fulfillment"
    verbose_name = "Fulfillment"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from oscar_fulfillment import receivers

        receivers.connect()
        register(check_settings)


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """System check: the settings dictionary and the state machine that Oscar really has."""
    from oscar.core.loading import get_model

    from oscar_fulfillment import conf, statuses

    found: list[CheckMessage] = [
        Error(text, id="oscar_fulfillment.E001") for text in conf.problems()
    ]
    for model, wanted in (
        (get_model("order", "Order"), statuses.ORDER_PIPELINE),
        (get_model("order", "Line"), statuses.LINE_PIPELINE),
    ):
        for status, followers in wanted.items():
            missing = set(followers) - set(model.pipeline.get(status, ()))
            if missing:
                found.append(
                    Error(
                        f"The {model.__name__.lower()} status pipeline does not let "
                        f"{status!r} become {', '.join(sorted(missing))}.",
                        hint="Put `from oscar_fulfillment.defaults import *` at the end of the "
                        "settings, or merge oscar_fulfillment.statuses into your own pipelines.",
                        id="oscar_fulfillment.E002",
                    )
                )
    return found + _status_problems() + _database_problems()


def _status_problems() -> list[CheckMessage]:
    """Statuses that Oscar gives by itself, and that would keep orders from being fulfilled."""
    from django.conf import settings

    from oscar_fulfillment import conf, statuses

    found: list[CheckMessage] = []
    initial = getattr(settings, "OSCAR_INITIAL_LINE_STATUS", "")
    if initial != statuses.OPEN:
        found.append(
            Error(
                f"OSCAR_INITIAL_LINE_STATUS is {initial!r}: a line must begin as 'Open'.",
                hint="Put `from oscar_fulfillment.defaults import *` at the end of the settings.",
                id="oscar_fulfillment.E003",
            )
        )
    initial = getattr(settings, "OSCAR_INITIAL_ORDER_STATUS", "")
    if initial not in (statuses.PENDING, *conf.get("FULFILLABLE_STATUSES")):
        found.append(
            Error(
                f"OSCAR_INITIAL_ORDER_STATUS is {initial!r}: an order must begin as 'Open', or as "
                "'Pending' when it waits for its payment.",
                hint="Put `from oscar_fulfillment.defaults import *` at the end of the settings.",
                id="oscar_fulfillment.E003",
            )
        )
    cascade = getattr(settings, "OSCAR_ORDER_STATUS_CASCADE", {})
    ours = sorted(set(cascade) & set(statuses.ORDER_PIPELINE) - {statuses.PENDING})
    if ours:
        found.append(
            Error(
                f"OSCAR_ORDER_STATUS_CASCADE gives lines the status of their order for "
                f"{', '.join(ours)}: an order that failed would overwrite the lines that are done.",
                hint="Take these statuses out of the cascade.",
                id="oscar_fulfillment.E004",
            )
        )
    return found


def _database_problems() -> list[CheckMessage]:
    """SQLite, set so that the web server fails when a relay or a consumer writes beside it."""
    from django.db import connection

    options = connection.settings_dict.get("OPTIONS", {})
    mode = str(options.get("transaction_mode", "")).upper()
    if connection.vendor != "sqlite" or mode in ("IMMEDIATE", "EXCLUSIVE"):
        return []
    return [
        Warning(
            "SQLite answers 'database is locked' at once when a request that has read begins to "
            "write while the relay or the consumer writes.",
            hint='Set DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", '
            '"timeout": 20} (Django 5.1 or later), or use PostgreSQL.',
            id="oscar_fulfillment.W001",
        )
    ]
