"""Reads a status event: bytes in, a checked ``StatusEvent`` out. No database, no Oscar.

Strict about what is used, indifferent to what is not: a newer worker may add fields and reason
codes, and an older shop goes on. An event of another type or version is recognised as such.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from oscar_fulfillment import statuses
from oscar_fulfillment.reasons import NOT_GIVEN

TYPE_FAMILY = "fulfillment.order.status_changed."
TYPE = f"{TYPE_FAMILY}v1"
OUTCOMES = ("complete", "retrying", "dead", "requeued", "ignored", "invalid")
MAX_SEQUENCE = 2**63 - 1


class InvalidEvent(Exception):
    """Not a readable event; the text names the field. ``event_id`` where it could be read."""

    def __init__(self, problem: str, event_id: str = "") -> None:
        super().__init__(problem)
        self.event_id = event_id


class UnknownVersion(Exception):
    """A well-formed CloudEvent that this version of the app does not understand."""

    def __init__(self, problem: str, event_id: str) -> None:
        super().__init__(problem)
        self.event_id = event_id


@dataclass(frozen=True)
class LineEvent:
    """What an event says of one line."""

    id: int
    status: str
    module: str
    reason: dict[str, Any] | None
    result: dict[str, Any] | None
    raw: dict[str, Any]


@dataclass(frozen=True)
class StatusEvent:
    """One status event; ``status`` is empty when the worker could not read the order message."""

    id: str
    time: datetime
    order_number: str
    action: str
    refund_number: str
    outcome: str
    sequence: int
    generation: int
    attempt: int
    status: str
    final: bool
    next_attempt_at: datetime | None
    lines: tuple[LineEvent, ...]


def parse(body: bytes, routing_key: str = "") -> StatusEvent:
    """The event in a message body. Raises ``InvalidEvent`` or ``UnknownVersion``."""
    document = _decode(body)
    event_id = _text(document, "id", maximum=500)
    if document.get("specversion") != "1.0":
        raise UnknownVersion(f"specversion: {document.get('specversion')!r}"[:200], event_id)
    kind = document.get("type")
    if kind != TYPE:
        raise UnknownVersion(f"type: {kind!r}"[:200], event_id)
    try:
        return _event(document, event_id, routing_key)
    except InvalidEvent as error:
        raise InvalidEvent(str(error), event_id) from error


def _decode(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"not JSON: {error}"[:300]) from error
    if not isinstance(document, dict):
        raise InvalidEvent("message: expected an object")
    return document


def _event(document: dict[str, Any], event_id: str, routing_key: str) -> StatusEvent:
    data = document.get("data")
    if not isinstance(data, dict):
        raise InvalidEvent("data: expected an object")
    lines = data.get("lines")
    if not isinstance(lines, list):
        raise InvalidEvent("data.lines: expected a list")
    status = _text(data, "status", "data.", optional=True)
    final = data.get("final")
    if not isinstance(final, bool):
        raise InvalidEvent("data.final: expected true or false")
    due = _time(data, "next_attempt_at", "data.", optional=True)
    happened = _time(document, "time", "")
    assert happened is not None
    return StatusEvent(
        id=event_id,
        time=happened,
        order_number=_text(data, "order_number", "data."),
        action=_text(data, "action", "data.", optional=True),
        refund_number=_text(data, "refund_number", "data.", optional=True),
        outcome=_outcome(routing_key, status, final, due),
        sequence=_integer(data, "sequence", "data."),
        generation=_integer(data, "generation", "data.", optional=True),
        attempt=_integer(data, "attempt", "data.", optional=True),
        status=status,
        final=final,
        next_attempt_at=due,
        lines=tuple(_line(line, f"data.lines[{i}]") for i, line in enumerate(lines)),
    )


def _line(line: Any, where: str) -> LineEvent:
    if not isinstance(line, dict):
        raise InvalidEvent(f"{where}: expected an object")
    for name in ("reason", "result"):
        if not isinstance(line.get(name), dict | None):
            raise InvalidEvent(f"{where}.{name}: expected an object or null")
    status = _text(line, "status", f"{where}.", optional=True)
    failed = status in (*statuses.LINE_ERRORS, statuses.REVOCATION_ERROR)
    return LineEvent(
        id=_integer(line, "id", f"{where}."),
        status=status,
        module=_text(line, "module", f"{where}.", optional=True)[:64],
        # Whoever looks for failed lines looks for their reason.
        reason=line.get("reason") or ({"code": NOT_GIVEN} if failed else None),
        result=line.get("result"),
        raw=line,
    )


def _outcome(routing_key: str, status: str, final: bool, due: datetime | None) -> str:
    """The routing key's last word; where the key was rewritten, what the body implies."""
    word = routing_key.rsplit(".", 1)[-1]
    if word in OUTCOMES:
        return word
    if not status:
        return "invalid"
    if final:
        return "complete" if status == "Complete" else "dead"
    return "retrying" if due else "requeued"


def _text(
    document: dict[str, Any], name: str, where: str = "", optional: bool = False, maximum: int = 128
) -> str:
    value = document.get(name)
    if value is None and optional:
        return ""
    if not isinstance(value, str) or not value or len(value) > maximum or "\x00" in value:
        raise InvalidEvent(f"{where}{name}: expected a text of 1 to {maximum} characters")
    return value


def _integer(document: dict[str, Any], name: str, where: str, optional: bool = False) -> int:
    value = document.get(name)
    if value is None and optional:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SEQUENCE:
        raise InvalidEvent(f"{where}{name}: expected a number")
    return value


def _time(
    document: dict[str, Any], name: str, where: str, optional: bool = False
) -> datetime | None:
    value = document.get(name)
    if value is None and optional:
        return None
    try:
        parsed = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise InvalidEvent(f"{where}{name}: expected a time")
    return timezone.make_aware(parsed) if timezone.is_naive(parsed) else parsed
