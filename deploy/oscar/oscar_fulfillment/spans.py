"""Spans of time in words."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import ngettext


def in_words(span: timedelta) -> str:
    """With the precision that matters: seconds below two minutes, minutes below two hours …"""
    seconds = max(1, round(span.total_seconds()))
    for size, one, many in (
        (86400, "%d day", "%d days"),
        (3600, "%d hour", "%d hours"),
        (60, "%d minute", "%d minutes"),
    ):
        if seconds >= 2 * size:
            count = round(seconds / size)
            return ngettext(one, many, count) % count
    return ngettext("%d second", "%d seconds", seconds) % seconds
