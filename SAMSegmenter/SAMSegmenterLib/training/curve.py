"""Draws the log of a training run."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from ..files import replacing

OVERLAPS = ("painted", "box", "click", "1 click", "tracked", "tracked far")
SMOOTHED = 9  # lines of the log


def read_log(log: Path) -> list[dict[str, float]]:
    """Return the lines of a log; none if there is no file. A line that was broken off, as by a full disk, is skipped."""
    entries = []
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        with suppress(ValueError):
            entries.append(json.loads(line))
    return entries


def draw_curve(log: Path, picture: Path) -> None:
    """Draw the mean overlap with the truth over the minutes trained, by kind of prompt; needs at least one line in `log`."""
    entries = read_log(log)
    if not entries:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5))
    axes = figure.add_subplot()
    for name in OVERLAPS:
        known = [(entry["minutes"], entry[name]) for entry in entries if name in entry]
        if known:
            axes.plot([minute for minute, _ in known], _smooth([value for _, value in known]), marker=".", label=name)
    axes.set(xlabel="minutes", ylabel="mean intersection over union, synthetic", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(picture) as path:
        figure.savefig(path, dpi=120)


def _smooth(values: list[float]) -> list[float]:
    """Return the mean of each value and its neighbours."""
    half = SMOOTHED // 2
    return [sum(part) / len(part) for n in range(len(values)) for part in [values[max(0, n - half) : n + half + 1]]]
