"""Draws the report's plots as SVG, which takes its colours from the page: ``.m0`` to ``.m7`` are the methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

COLORS = 8
WIDTH, LEFT, RIGHT, FOOT = 380, 102, 24, 24
ROW, TALL, RADIUS = 30, 170, 3.5
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Dots:
    """One method's row of a strip plot.

    Attributes:
        name: of the method.
        color: number of its colour.
        values: one for each object.
        titles: of the values, shown when one is pointed at.
        middle: marked by a line; NaN for none.
        spread: ends of a bar around it; none if they are NaN.
    """

    name: str
    color: int
    values: Sequence[float]
    titles: Sequence[str]
    middle: float = math.nan
    spread: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class Curve:
    """One method's line through ``(x, y)`` points in the order of x."""

    name: str
    color: int
    points: Sequence[tuple[float, float]]


def strip_plot(rows: Sequence[Dots], label: str, ticks: Sequence[tuple[float, str]], scale: Scale = float) -> str:
    """Return a plot of every value as a dot, in a row for each method.

    Args:
        label: of the plot, for screen readers.
        ticks: values and what is written below them; the first and the last one are the ends of the axis.
        scale: what the axis is proportional to.
    """
    low, high = scale(ticks[0][0]), scale(ticks[-1][0])

    def x(value: float) -> float:
        """Return where a value lies along the plot."""
        part = (scale(min(max(value, ticks[0][0]), ticks[-1][0])) - low) / (high - low)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    height = ROW * len(rows)
    parts = [_line(x(value), 0, x(value), height, "grid") for value, _ in ticks]
    parts += [_text(x(value), height + 16, text, "middle") for value, text in ticks]
    for number, row in enumerate(rows):
        parts += _row(row, (number + 0.5) * ROW, x)
    return _svg(parts, height + FOOT, label)


def _row(row: Dots, y: float, x: Scale) -> list[str]:
    parts = [_text(LEFT - 10, y + 4, row.name, "end", "name")]
    for number, (value, title) in enumerate(zip(row.values, row.titles, strict=True)):
        height = y + ((number * 0.618) % 1 - 0.5) * ROW * 0.6  # spread evenly, so that equal values can be told apart
        circle = f'<circle class="dot m{row.color % COLORS}" cx="{x(value):.1f}" cy="{height:.1f}" r="{RADIUS}">'
        parts.append(f"{circle}<title>{escape(title)}</title></circle>")
    if not math.isnan(row.middle):
        parts.append(_line(x(row.middle), y - ROW * 0.4, x(row.middle), y + ROW * 0.4, f"mean m{row.color % COLORS}"))
    if not any(map(math.isnan, row.spread)):
        parts.append(_line(x(row.spread[0]), y, x(row.spread[1]), y, f"mean m{row.color % COLORS}"))
    return parts


def line_plot(curves: Sequence[Curve], label: str, unit: str) -> str:
    """Return a plot of values between 0 and 1 over a distance that starts at 1.

    Args:
        label: of the plot, for screen readers.
        unit: of the distance, written below its axis.
    """
    furthest = max((point[0] for curve in curves for point in curve.points), default=1)

    def x(value: float) -> float:
        """Return where a distance lies along the plot."""
        return 34 + (value - 1) / max(furthest - 1, 1) * (WIDTH - 34 - RIGHT)

    def y(value: float) -> float:
        """Return how far down a value lies."""
        return 8 + (1 - value) * (TALL - 8)

    parts = [_line(34, y(n / 5), WIDTH - RIGHT, y(n / 5), "grid") for n in range(6)]
    parts += [_text(28, y(n / 5) + 4, f"{n / 5:.1f}", "end") for n in range(6)]
    parts += [_text(x(value), TALL + 18, f"{value:g}", "middle") for value in _whole_ticks(furthest)]
    parts.append(_text((34 + WIDTH) / 2, TALL + 36, unit, "middle"))
    for curve in curves:
        places = " ".join(f"{x(each):.1f},{y(value):.1f}" for each, value in curve.points)
        color = f"m{curve.color % COLORS}"
        parts.append(f'<polyline class="curve {color}" style="fill: none" points="{places}"><title>{escape(curve.name)}</title></polyline>')
    return _svg(parts, TALL + 42, label)


def _whole_ticks(furthest: float) -> list[int]:
    """Return about six whole numbers from 1 to `furthest`."""
    step = max(1, math.ceil((furthest - 1) / 5))
    return list(range(1, int(furthest) + 1, step))


def _svg(parts: Sequence[str], height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
