"""Who a line is for: the buyer, or the learner the buyer named, checked."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from oscar.core.loading import get_class

from oscar_fulfillment import conf

# Code of the catalogue option that `fulfillment_install` adds to seats and entitlements.
OPTION_CODE = "learner"


def username_of(user: Any) -> str:
    """The default of the setting ``USERNAME``: shop and LMS share their user names."""
    return str(user.get_username())


def check_shop_user(username: str, buyer: Any) -> dict[str, str]:
    """The default of the setting ``LEARNER_CHECK``: the learner has an active account here."""
    model = get_user_model()
    user = model._default_manager.filter(**{model.USERNAME_FIELD: username}).first()
    if user is None or not user.is_active:
        raise ValidationError(
            _("There is no learner called “%(name)s”."), params={"name": username}
        )
    return as_message_user(user)


def as_message_user(user: Any) -> dict[str, str]:
    """A shop user as the message writes one."""
    return {
        "username": conf.get_callable("USERNAME")(user),
        "email": str(getattr(user, "email", "") or ""),
    }


def check(username: str, buyer: Any) -> dict[str, str]:
    """The learner a buyer named, as the message writes one; raises ValidationError."""
    found: dict[str, str] = conf.get_callable("LEARNER_CHECK")(username.strip(), buyer)
    return found


def named_on(line: Any) -> str | None:
    """The user name given on an order line or a basket line; None: the line is the buyer's own."""
    for attribute in line.attributes.all():
        if attribute.option is not None and attribute.option.code == OPTION_CODE:
            return str(attribute.value).strip() or None if attribute.value else None
    return None


def check_order(order: Any) -> None:
    """Refuses an order for learners who do not pass the check; its transaction rolls back."""
    unable_to_place_order = get_class("order.exceptions", "UnableToPlaceOrder")
    for line in order.lines.all():
        username = named_on(line)
        if username:
            try:
                check(username, order.user)
            except ValidationError as error:
                raise unable_to_place_order(" ".join(error.messages)) from error
