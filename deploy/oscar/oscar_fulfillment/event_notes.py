"""Order notes in plain words: what staff read about a status event, and nothing they need not.

A note is written when something changed for a line, not for each of forty like attempts; all
attempts are in the history.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from oscar_fulfillment import statuses
from oscar_fulfillment.event_format import LineEvent, StatusEvent
from oscar_fulfillment.models import Refund
from oscar_fulfillment.reasons import in_words


def notes(
    event: StatusEvent, changed: Iterable[tuple[Any, LineEvent]], revoked: Iterable[Refund]
) -> list[tuple[str, str]]:
    """The notes for an event, as pairs of text and Oscar's note type."""
    found = [
        _line_note(event, line, line_event)
        for line, line_event in changed
        if line_event.status != statuses.OPEN or event.outcome == "requeued"
    ]
    if event.outcome == "invalid":
        found.append(
            (
                _(
                    "fulfilld could not read a message about this order; "
                    "it is kept for an operator."
                ),
                "Error",
            )
        )
    found += [
        (
            _("A line was completed after its refund; refund %(number)s was published again.")
            % {"number": refund.number},
            "Warning",
        )
        for refund in revoked
    ]
    return found


def _line_note(event: StatusEvent, line: Any, line_event: LineEvent) -> tuple[str, str]:
    title = line.title
    if event.outcome == "requeued" and line_event.status not in statuses.LINE_FINISHED:
        return _("%(title)s: tried again on a person's word.") % {"title": title}, "System"
    if event.refund_number:
        if line_event.status in (statuses.COMPLETE, statuses.REFUNDED):
            return _("%(title)s: revoked.") % {"title": title}, "System"
    elif line_event.status == statuses.COMPLETE:
        return _("%(title)s: fulfilled.") % {"title": title}, "System"
    elif line_event.status == statuses.REFUNDED:
        return _("%(title)s: not fulfilled, a refund came first.") % {"title": title}, "System"
    return _failure(event, title, line_event)


def _failure(event: StatusEvent, title: str, line_event: LineEvent) -> tuple[str, str]:
    reason = line_event.reason or {}
    status = reason.get("http_status")
    words = in_words(
        str(reason.get("code") or ""),
        str(reason.get("message") or ""),
        status if isinstance(status, int) else None,
    )
    words = words or line_event.status or _("not done")
    if event.final:
        return _("%(title)s: %(why)s; will not be retried.") % {
            "title": title,
            "why": words,
        }, "Error"
    if event.next_attempt_at:
        when = date_format(event.next_attempt_at, "DATETIME_FORMAT")
        text = _("%(title)s: %(why)s; next attempt at %(when)s.")
        return text % {"title": title, "why": words, "when": when}, "Warning"
    return _("%(title)s: %(why)s.") % {"title": title, "why": words}, "Warning"
