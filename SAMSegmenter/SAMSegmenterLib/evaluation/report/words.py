"""The report's names of tasks, and its explanation of how it is measured."""

from __future__ import annotations

import re
from collections.abc import Sequence

TITLES = {
    "mask-3": "Masks on 3 slices",
    "mask": "Mask on 1 slice",
    "box": "Box on 1 slice",
    "point": "Point on 1 slice",
    "rounds": "Corrected by clicks",
    "rounds-mask": "Corrected by painting",
}
# Explanations of kinds of tasks, by a pattern of their keys.
NOTES = {
    "^rounds": "Where the user corrects, at most ten times or until Dice is .9, the marked slices count, too.",
    "^S[1-6]": "<b>S1</b> to <b>S6</b> are COSMOS-1050K's modes on single slices: everything; a point; five points; five more outside; "
    "a box; a box and a point. <b>oracle</b> takes the best of all masks offered, which nobody could choose.",
    "[@>~]|-3": "<b>@edge</b> and <b>@largest</b> mark the object's first or largest slice instead of the middle one, <b>-3</b> three; "
    "<b>&gt;up</b> and <b>&gt;down</b> go to higher or lower slices only, and only these count; with <b>~10%</b> each edge of the box "
    "is off by up to so much of its side.",
}


def title(task: str) -> str:
    """Return a task's name in words, or its key if it has none."""
    return TITLES.get(task, task)


def explanation(tasks: Sequence[str]) -> str:
    """Return how it is measured, as HTML."""
    notes = "".join(f" {note}" for kind, note in NOTES.items() if any(re.search(kind, task) for task in tasks if task != "mask-3"))
    return (
        "<h2>How it is measured</h2><p>Every method is given the same marks, made from the reference by a simulated user, and may go "
        "through the whole volume. All slices count, also those where the object is not; painted slices do not. The interval is a "
        "bootstrap over cases and then their objects; with a single case it speaks of its objects only. <b>copy</b> repeats the nearest "
        "painted slice to the ends of the volume, <b>interpolate</b> and <b>grow</b> are the filters behind 3D Slicer's "
        "<i>Fill between slices</i> and <i>Grow from seeds</i>, <b>upstream</b> is SAM 2's own video predictor with the same weights."
        f"{notes}</p>"
    )
