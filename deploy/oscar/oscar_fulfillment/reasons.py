"""Reason codes in plain words, for notes and for the dashboard."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

# The shop's own; all others are the worker's.
NOT_WRITTEN, NOT_GIVEN = "not_written", "not_given"

# code → what it means to staff. The worker's own words, where it has any, are added to it.
REASONS: dict[str, object] = {
    "server_error": gettext_lazy("The LMS had an internal error"),
    "timeout": gettext_lazy("The LMS did not answer in time"),
    "network": gettext_lazy("The LMS could not be reached"),
    "throttled": gettext_lazy("The LMS asked for a slower pace"),
    "bad_response": gettext_lazy("The LMS gave an answer that makes no sense"),
    "redirect": gettext_lazy("The LMS redirected the request; its address is set up wrongly"),
    "credentials": gettext_lazy("The LMS refused the worker's credentials"),
    "bad_request": gettext_lazy("The LMS found the request wrong"),
    "conflict": gettext_lazy("The LMS was busy with the same learner"),
    "course_unavailable": gettext_lazy("The LMS does not know the course"),
    "mode_unavailable": gettext_lazy("The course does not offer this mode, or no longer"),
    "enrollment_rejected": gettext_lazy("The LMS refused the enrolment (closed or full course?)"),
    "user_unknown": gettext_lazy("The LMS does not know the learner"),
    "forbidden": gettext_lazy("The LMS forbids this learner the course"),
    "no_module": gettext_lazy("The worker has no module for this kind of product"),
    "missing_attribute": gettext_lazy("The product is set up incompletely"),
    "no_user": gettext_lazy("The order names no learner"),
    "invalid_message": gettext_lazy("The worker could not read the message"),
    "unknown_order": gettext_lazy("The worker does not know the order any more"),
    "crashed": gettext_lazy("The worker crashed over this order more than once"),
    "module_error": gettext_lazy("The worker's module failed"),
    NOT_WRITTEN: gettext_lazy("The shop could not write the message to the worker"),
    NOT_GIVEN: gettext_lazy("No reason was given"),
}


def choices() -> list[tuple[str, str]]:
    """For filters: codes and their words."""
    return [(code, str(words)) for code, words in REASONS.items()]


def in_words(code: str, message: str = "", http_status: int | None = None) -> str:
    """One sentence about a failure, without its final full stop; empty when there was none."""
    if not code:
        return ""
    text = str(REASONS.get(code, code.replace("_", " ")))
    if http_status:
        text += _(" (it answered %(status)s)") % {"status": http_status}
    if message:
        text += f": {message}"
    return text
