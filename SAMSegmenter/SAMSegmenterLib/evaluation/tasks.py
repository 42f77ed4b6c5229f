"""Defines what is tried: tasks, their keys, and sets of tasks that belong together.

A task's key says what the user does::

    mask  box  point  points  points+negatives  box+point    on the middle slice of the object
    mask-3  box-3 ...                                        on three slices, at 15, 50 and 85 % of the object
    box@edge  box@largest                                    on its first slice, or on its largest
    box>up  box>down                                         only towards higher or lower slices
    box~10%                                                  each edge of the box off by up to 10 % of its side
    S1 ... S6                                                COSMOS-1050K's modes on single slices, with the mask a user would be given
    S1-oracle ... S6-oracle                                  the same with the best of all masks offered, which nobody could choose
    rounds  rounds-mask                                      corrected until it is good: by clicks, or by painting slices
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ..image.extent import dice
from ..image.stack import FrameStack
from ..prompts import focus
from ..prompts.types import Keyframe, PromptSet, Segment
from . import users
from .cases import Target
from .methods.base import Chooser, Method, Unsuited
from .metrics import SurfaceDistances, jaccard, over_propagation, over_segmentation, retention

MOST_ROUNDS = 10
ENOUGH = {"interactions_to_80": 0.8, "interactions_to_90": 0.9}
LEAST_PIXELS = 50  # of an object on a single slice, as in COSMOS-1050K
COSMOS = {"S1": "", "S2": "point", "S3": "points", "S4": "points+negatives", "S5": "box", "S6": "box+point"}
DIRECTIONS = ("both", "up", "down")


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of an attempt, see `records.Record`. `mask`, bool ``(slices, rows, columns)``, is None for single slices."""

    scores: dict[str, float]
    retention: tuple[float, ...] = ()
    mask: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Propagation:
    """Prompts on one or three slices; the mask of the volume is scored.

    Attributes:
        prompt: one of `users.PROMPTS`.
        start: one of `users.STARTS`.
        direction: "both", "up" (towards higher slices) or "down".
        jitter: by how many percent of its sides the box is off at most.
    """

    prompt: str
    start: str = "centre"
    direction: str = "both"
    jitter: int = 0

    @property
    def key(self) -> str:
        """Return the task's key."""
        start = {"centre": "", "several": "-3"}.get(self.start, f"@{self.start}")
        direction = "" if self.direction == "both" else f">{self.direction}"
        return self.prompt + start + direction + (f"~{self.jitter}%" if self.jitter else "")

    def keyframes(self, target: Target, random: np.random.Generator) -> list[Keyframe]:
        """Return what the user marks."""
        slices = users.STARTS[self.start](target.mask)
        return [users.keyframe(self.prompt, index, target.mask[index], random, self.jitter / 100) for index in slices]

    def attempt(self, method: Method, stack: FrameStack, target: Target, random: np.random.Generator) -> Outcome:
        """Mark the object, run the method, and return the scores.

        Raises:
            Unsuited: the method has no use for the prompts.
        """
        keyframes = self.keyframes(target, random)
        stack, marked = windowed(stack, keyframes), [keyframe.slice for keyframe in keyframes]
        reach = marked[0] if self.direction == "up" else 0, marked[-1] if self.direction == "down" else len(stack) - 1
        start = time.perf_counter()
        mask = method.segment(stack, keyframes, reach)
        seconds = time.perf_counter() - start
        scores = {**score(mask, target.mask, stack, keyframes, reach), "seconds": seconds}
        first, within = reach[0], slice(reach[0], reach[1] + 1)
        return Outcome(scores, retention(mask[within], target.mask[within], [index - first for index in marked]), mask)


@dataclass(frozen=True)
class SingleSlices:
    """A mode of COSMOS-1050K on single slices, at 15, 50 and 85 % of those that show the object large enough; scores are their means.

    Attributes:
        mode: one of `COSMOS`.
        oracle: score the best of all masks offered, instead of the one that a user would be given.
    """

    mode: str
    oracle: bool = False

    @property
    def key(self) -> str:
        """Return the task's key."""
        return self.mode + ("-oracle" if self.oracle else "")

    def attempt(self, method: Method, stack: FrameStack, target: Target, random: np.random.Generator) -> Outcome:
        """Ask for masks on each slice, and return the scores of those that are taken.

        Raises:
            Unsuited: the method does not offer masks on a slice, or has no use for the prompts.
        """
        if not isinstance(method, Chooser):
            raise Unsuited(f"{method.name}: offers no masks on single slices.")
        large = target.mask.sum((1, 2)) >= LEAST_PIXELS
        slices = users.several_slices(target.mask & large[:, None, None])
        start = time.perf_counter()
        taken = [self._taken(method, stack, index, target.mask[index], random) for index in slices]
        seconds, truths = time.perf_counter() - start, [target.mask[index] for index in slices]
        scores = {
            "dice": _mean([dice(mask, truth) for mask, truth in zip(taken, truths, strict=True)]),
            "jaccard": _mean([jaccard(mask, truth) for mask, truth in zip(taken, truths, strict=True)]),
            "slices": len(slices),
        }
        # no time for an oracle: it is asked after others, and may be answered from a cache
        return Outcome(scores if self.oracle else {**scores, "seconds": seconds})

    def _taken(self, method: Chooser, stack: FrameStack, index: int, truth: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if self.mode == "S1":
            offered = method.everything(stack, index)
        else:
            keyframe = users.keyframe(COSMOS[self.mode], index, truth, random)
            offered = method.offer(windowed(stack, [keyframe]), keyframe)
        if not self.oracle:
            return offered[0] if offered else np.zeros_like(truth)
        return max(offered, key=lambda mask: dice(mask, truth), default=np.zeros_like(truth))


@dataclass(frozen=True)
class Rounds:
    """A user who corrects the worst slice until the mask is good, by at most `MOST_ROUNDS` interactions in all.

    Every slice counts, the marked ones too: it is what the user ends up with.

    Attributes:
        prompt: "point": the first and each further one is a click; "mask": a painted slice.
    """

    prompt: str

    @property
    def key(self) -> str:
        """Return the task's key."""
        return "rounds" if self.prompt == "point" else f"rounds-{self.prompt}"

    def attempt(self, method: Method, stack: FrameStack, target: Target, random: np.random.Generator) -> Outcome:
        """Mark the middle slice, correct until Dice is 0.9, and return the scores of the last mask.

        Besides, ``dice_after_N`` is Dice after N interactions.

        Raises:
            Unsuited: the method has no use for the prompts.
        """
        truth, reach = target.mask, (0, len(stack) - 1)
        middle = users.middle_slice(truth)
        keyframes = {middle: users.keyframe(self.prompt, middle, truth[middle], random)}
        stack = windowed(stack, keyframes.values())
        seconds, course = 0.0, []
        while True:
            start = time.perf_counter()
            mask = method.segment(stack, list(keyframes.values()), reach)
            seconds += time.perf_counter() - start
            course.append(dice(mask, truth))
            index = users.worst_slice(mask, truth)
            # what is wrong beyond the object cannot be marked
            hopeless = np.array_equal(mask[index], truth[index])
            if course[-1] >= max(ENOUGH.values()) or len(course) == MOST_ROUNDS or hopeless:
                break
            keyframes[index] = self._correction(keyframes.get(index), index, mask[index], truth[index], random)
        scores = score(mask, truth, stack, list(keyframes.values()), reach, painted_count=True)
        after = {f"dice_after_{n}": value for n, value in enumerate(course, 1)}
        reached = {name: next((n for n, value in enumerate(course, 1) if value >= enough), math.nan) for name, enough in ENOUGH.items()}
        return Outcome({**scores, **reached, **after, "seconds": seconds}, retention(mask, truth, list(keyframes)), mask)

    def _correction(
        self, before: Keyframe | None, index: int, found: np.ndarray, truth: np.ndarray, random: np.random.Generator
    ) -> Keyframe:
        if self.prompt == "mask":
            return users.keyframe("mask", index, truth, random)
        return users.corrected(before, index, found, truth, random)


Task = Propagation | SingleSlices | Rounds


def windowed(stack: FrameStack, keyframes: Iterable[Keyframe]) -> FrameStack:
    """Return the stack again with the window that suits what is marked, as a user gets it."""
    return focus.windowed(stack, PromptSet((Segment("object", tuple(keyframes)),), stack.axis))


def score(
    found: np.ndarray,
    truth: np.ndarray,
    stack: FrameStack,
    keyframes: Sequence[Keyframe],
    reach: tuple[int, int],
    painted_count: bool = False,
) -> dict[str, float]:
    """Return the scores of a mask, by name.

    All slices within reach count, also those without the object, but not those that the user painted, unless `painted_count`.
    A surface that was not found at all is as far away as the volume is large.

    Args:
        found, truth: bool ``(slices, rows, columns)``.
        keyframes: what was marked.
        reach: first and last slice that the mask may lie on, inclusive.
    """
    painted = [keyframe.slice for keyframe in keyframes if keyframe.mask]
    others = [keyframe.slice for keyframe in keyframes if not keyframe.mask]
    scored = np.zeros(len(truth), bool)
    scored[reach[0] : reach[1] + 1] = True
    if not painted_count:
        scored[painted] = False
    found = found.copy()
    # else the mask would have a surface where reach ends
    found[: reach[0]], found[reach[1] + 1 :] = truth[: reach[0]], truth[reach[1] + 1 :]
    x_mm, y_mm = stack.spacing_mm
    spacing_mm = stack.slice_spacing_mm, y_mm, x_mm
    diagonal_mm = float(np.linalg.norm(np.multiply(truth.shape, spacing_mm)))
    distances = SurfaceDistances.between(found, truth, spacing_mm, scored)
    hd95_mm = distances.hd95_mm()
    return {
        "dice": dice(found[scored], truth[scored]) if scored.any() else math.nan,
        "jaccard": jaccard(found[scored], truth[scored]) if scored.any() else math.nan,
        "hd95_mm": hd95_mm if math.isnan(hd95_mm) else min(hd95_mm, diagonal_mm),
        "nsd": distances.surface_dice(),
        "over_propagation": over_propagation(found, truth),
        "prompt_over_segmentation": over_segmentation(found, truth, others),
        "slices": float(np.count_nonzero(truth[scored].any((1, 2)))),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


# ---------------------------------------------------------------- sets of tasks

MAIN = Propagation("mask", "several"), Propagation("mask"), Propagation("box"), Propagation("point")
GRID = tuple(
    Propagation(prompt, start, direction)
    for start in users.STARTS
    for prompt in ("point", "points", "box", "mask")
    for direction in DIRECTIONS
    if (start, direction) != ("edge", "down")  # there is nothing below the first slice
)
JITTER = tuple(Propagation("box", jitter=percent) for percent in (0, 5, 10, 20, 30))
PRESETS: dict[str, tuple[Task, ...]] = {
    "main": MAIN,
    "cosmos": tuple(SingleSlices(mode, oracle) for mode in COSMOS for oracle in (False, True)),
    "grid": GRID,
    "jitter": JITTER,
    "rounds": (Rounds("point"), Rounds("mask")),
}


def parse_task(key: str) -> Task:
    """Return the task of a key.

    Raises:
        InputError: there is no such task.
    """
    special = {task.key: task for name in ("cosmos", "rounds") for task in PRESETS[name]}
    if key in special:
        return special[key]
    parts = re.fullmatch(r"([a-z+]+?)(-3|@[a-z]+)?(?:>([a-z]+))?(?:~(\d{1,2})%)?", key)
    if parts:
        prompt, place, direction, jitter = parts.groups()
        start = {"-3": "several", None: "centre"}.get(place, (place or "")[1:])
        task = Propagation(prompt, start, direction or "both", int(jitter or 0))
        known = prompt in users.PROMPTS and start in users.STARTS and task.direction in DIRECTIONS
        if known and task.key == key and task.jitter < 50 and ("box" in prompt or not jitter):
            return task
    examples = "mask-3, mask, box, point, box@edge, box>up, box~10%, S1 to S6, S1-oracle, rounds"
    raise InputError(f"there is no task {key!r}; choose {', '.join(PRESETS)}, or tasks such as {examples}.")


def parse_tasks(names: Iterable[str]) -> list[Task]:
    """Return the tasks of the names of presets and of keys, each once.

    Raises:
        InputError: a name is neither.
    """
    tasks = [task for name in names for task in (PRESETS[name] if name in PRESETS else (parse_task(name),))]
    return list(dict.fromkeys(tasks))
