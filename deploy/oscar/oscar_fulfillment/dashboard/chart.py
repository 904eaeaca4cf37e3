"""The overview's chart: bars as numbers for an inline SVG, so that no script is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import formats, timezone

from oscar_fulfillment.queries import Bucket

WIDTH, HEIGHT = 960, 220
LEFT, BOTTOM, TOP = 44, 26, 10
SERIES = ("complete", "retrying", "dead")


@dataclass(frozen=True)
class Rect:
    """One piece of a bar, in the SVG's own units."""

    series: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Label:
    """A text at a place."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Chart:
    """All that the template draws."""

    width: int
    height: int
    left: int
    middle: int
    rects: list[Rect]
    marks: list[Label]
    grid: list[Label]
    empty: bool


def draw(buckets: list[Bucket]) -> Chart:
    """Stacked bars, the good ones at the bottom; three grid lines; about eight time marks."""
    highest = max((b.complete + b.retrying + b.dead for b in buckets), default=0)
    top = _round_up(max(highest, 4))
    plot = HEIGHT - BOTTOM - TOP
    step = (WIDTH - LEFT) / max(len(buckets), 1)
    rects, marks = [], []
    every = max(1, round(len(buckets) / 8))
    hourly = len(buckets) > 1 and (buckets[1].start - buckets[0].start).total_seconds() <= 3600
    for position, bucket in enumerate(buckets):
        x = LEFT + position * step
        label = _time(bucket.start, hourly)
        rects += _bar(bucket, x + step * 0.12, step * 0.76, plot / top, label)
        if position % every == 0:
            marks.append(Label(round(x + step / 2, 1), HEIGHT - 8, label))
    grid = [
        Label(LEFT - 6, round(TOP + plot * (1 - part), 1), str(round(top * part)))
        for part in (0, 0.5, 1)
    ]
    return Chart(WIDTH, HEIGHT, LEFT, (WIDTH + LEFT) // 2, rects, marks, grid, highest == 0)


def _bar(bucket: Bucket, x: float, width: float, scale: float, label: str) -> list[Rect]:
    y = float(HEIGHT - BOTTOM)
    pieces = []
    for series in SERIES:
        count = getattr(bucket, series)
        if count:
            height = count * scale
            y -= height
            pieces.append(
                Rect(
                    series,
                    round(x, 1),
                    round(y, 1),
                    round(width, 1),
                    round(height, 1),
                    f"{label}: {count} {series}",
                )
            )
    return pieces


def _round_up(value: int) -> int:
    """The next of 4, 6, 8, 10, 20, 40 … so that half of it is a whole number too."""
    size = 1
    while True:
        for factor in (4, 6, 8, 10, 20):
            if value <= factor * size:
                return factor * size
        size *= 10


def _time(value: Any, hourly: bool) -> str:
    local = timezone.localtime(value)
    return formats.date_format(local, "H:i" if hourly else "j M")
