"""The app itself: checks of its settings, and the one signal it listens to."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register


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
                        hint="Put `from oscar_fulfillment.defaults import *` after oscar.defaults, "
                        "or merge oscar_fulfillment.statuses into your own pipelines.",
                        id="oscar_fulfillment.E002",
                    )
                )
    return found
