"""Times as staff say them: "2 minutes ago", "in 40 seconds"."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.translation import gettext as _

from oscar_fulfillment.spans import in_words

register = template.Library()


@register.filter
def ago(at: datetime) -> str:
    """How long ago a moment was."""
    return _("%(span)s ago") % {"span": in_words(timezone.now() - at)}


@register.filter
def ahead(at: datetime) -> str:
    """When a moment will be; one that is over is about to happen."""
    left = at - timezone.now()
    if left <= timedelta(0):
        return _("any moment")
    return _("in %(span)s") % {"span": in_words(left)}
