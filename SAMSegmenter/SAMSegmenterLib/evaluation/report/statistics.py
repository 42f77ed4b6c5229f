"""Summarises many records. The unit is the patient: objects of one volume are alike, and more of them prove less."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..records import Record

RESAMPLINGS = 2000


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval; NaN without values."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})" if not math.isnan(self.mean) else "-"


def bootstrap_mean(values: Mapping[str, Sequence[float]], seed: int = 0, resamplings: int = RESAMPLINGS) -> Interval:
    """Return the mean over all values, with a bootstrap interval: cases are drawn first, then as many of their values.

    Args:
        values: by case; NaN is left out. With one case the interval speaks of its objects only.
    """
    kept = [np.array(each, float)[~np.isnan(each)] for each in values.values()]
    kept = [each for each in kept if len(each)]
    if not kept:
        return Interval(math.nan, math.nan, math.nan)
    random, flat = np.random.default_rng(seed), np.concatenate(kept)
    counts = np.array([len(each) for each in kept])
    firsts = np.cumsum(counts) - counts  # places of the cases' values in `flat`
    means = []
    for _ in range(resamplings):
        cases = random.integers(len(kept), size=len(kept))
        first, count = (np.repeat(each[cases], counts[cases]) for each in (firsts, counts))
        means.append(flat[first + random.integers(count)].mean())
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(flat.mean()), float(low), float(high))


def by_case(records: Iterable[Record], score: str) -> dict[str, list[float]]:
    """Return the values of one score, by case; records that failed or lack it are left out."""
    values = defaultdict(list)
    for record in records:
        if not math.isnan(record.scores.get(score, math.nan)):
            values[record.case].append(record.scores[score])
    return dict(values)


def share_above(records: Iterable[Record], task: str, method: str, others: Iterable[str] | None = None, score: str = "dice") -> float:
    """Return the part, 0..1, of the objects on which `method` scores higher than every one of `others` at the same task.

    Args:
        others: methods; all the other ones if not given. An object counts if at least one of them has a score there.

    Returns:
        NaN if there is nothing to compare.
    """
    table: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for record in records:
        if record.task == task and not math.isnan(record.scores.get(score, math.nan)):
            table[record.case, record.label][record.method] = record.scores[score]
    wins = []
    for scores in table.values():
        rivals = [value for name, value in scores.items() if name != method and (others is None or name in others)]
        if method in scores and rivals:
            wins.append(scores[method] > max(rivals))
    return float(np.mean(wins)) if wins else math.nan


def median(records: Iterable[Record], score: str) -> float:
    """Return the median of one score over all records that have it; NaN if none has."""
    values = [value for each in by_case(records, score).values() for value in each]
    return float(np.median(values)) if values else math.nan


def _count(records: Iterable[Record], score: str) -> int:
    return sum(len(each) for each in by_case(records, score).values())


@dataclass(frozen=True)
class Row:
    """One row of the main table: all objects, one task, one method.

    Attributes:
        objects: how many have a score.
        failed: how many attempts failed.
        dice: mean over the objects.
        by_case: mean Dice of each case.
        nsd: mean normalised surface Dice.
        hd95_mm: median.
        over_propagation: median.
        seconds: median.
        above_others: part of the objects with a higher Dice than all other methods; NaN if there are none.
        corrected: whether the task has rounds; else what follows is NaN and 0.
        interactions_to_80, interactions_to_90: median, over the objects that reached it.
        reached_80, reached_90: how many these are.
    """

    task: str
    method: str
    objects: int
    failed: int
    dice: Interval
    by_case: dict[str, float]
    nsd: float
    hd95_mm: float
    over_propagation: float
    seconds: float
    above_others: float
    corrected: bool
    interactions_to_80: float
    interactions_to_90: float
    reached_80: int
    reached_90: int

    def interactions(self, percent: int) -> str:
        """Return the median number of interactions to a Dice of 80 or 90 percent, and on how many objects, in words.

        Empty for tasks without rounds.
        """
        took, reached = (getattr(self, f"{name}_{percent}") for name in ("interactions_to", "reached"))
        return f"{took:g} ({reached})" if reached else "(0)" if self.corrected else ""


def table(records: Sequence[Record]) -> list[Row]:
    """Return a row for each task and method, in the order in which they first come."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.task:
            groups[record.task, record.method].append(record)
    order = {task: number for number, task in enumerate(dict.fromkeys(task for task, _ in groups))}
    return [_row(records, key, groups[key]) for key in sorted(groups, key=lambda key: order[key[0]])]


def _row(records: Sequence[Record], key: tuple[str, str], group: list[Record]) -> Row:
    task, method = key
    dices, surfaces = by_case(group, "dice"), by_case(group, "nsd")
    return Row(
        task,
        method,
        objects=_count(group, "dice"),
        failed=sum(bool(record.error) for record in group),
        dice=bootstrap_mean(dices),
        by_case={case: float(np.mean(each)) for case, each in dices.items()},
        nsd=bootstrap_mean(surfaces, resamplings=1).mean,
        hd95_mm=median(group, "hd95_mm"),
        over_propagation=median(group, "over_propagation"),
        seconds=median(group, "seconds"),
        above_others=share_above(records, task, method),
        corrected=any("interactions_to_80" in record.scores for record in group),
        interactions_to_80=median(group, "interactions_to_80"),
        interactions_to_90=median(group, "interactions_to_90"),
        reached_80=_count(group, "interactions_to_80"),
        reached_90=_count(group, "interactions_to_90"),
    )
