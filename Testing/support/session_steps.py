"""What a user does with a session on the ball of `phantoms`: choose a window, draw a box, paint a slice, propagate."""

from __future__ import annotations

from typing import Any

import numpy as np

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, MaskPrompt, Point, Scribble
from SAMSegmenterLib.session.session import Session

WINDOW = Window(-160, 240)


def box(index: int) -> Keyframe:
    """Around the ball where it is widest."""
    return Keyframe(index, box=Box(21.5, 21.5, 42.5, 42.5))


def painted(truth: np.ndarray, index: int) -> Keyframe:
    """As the ball is there."""
    return Keyframe(index, mask=MaskPrompt(truth[index]))


def marked(inside: np.ndarray, kind: str) -> Keyframe:
    """A structure `inside` ``(slices, rows, columns)`` marked on its middle slice: "box" around it, "point" near its middle, or "mask"."""
    slices = np.flatnonzero(inside.any((1, 2)))
    index = int(slices[len(slices) // 2])
    y, x = (each.astype(float) for each in np.nonzero(inside[index]))
    if kind == "box":
        return Keyframe(index, box=Box(x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5))
    if kind == "point":
        middle = int(np.hypot(x - x.mean(), y - y.mean()).argmin())
        return Keyframe(index, points=(Point(x[middle], y[middle]),))
    return painted(inside, index)


def run(session: Session, **how: Any) -> list:
    """Propagate to the end; returns what came, in its order."""
    return list(session.propagate(**how))


def random_keyframe(random: np.random.Generator, stack: FrameStack) -> Keyframe:
    """Something that a user may mark somewhere: a box, a painted mask, a line, a stroke or clicks; sometimes nothing."""
    rows, columns = stack.shape
    index = int(random.integers(len(stack)))
    x, y = random.uniform(6, columns - 14), random.uniform(6, rows - 14)
    width, height = random.uniform(4, 12, 2)
    inside = float(x + width / 2), float(y + height / 2)
    painted = np.zeros(stack.shape, bool)
    painted[int(y) : int(y + height), int(x) : int(x + width)] = True
    marks = {
        "box": {"box": Box(float(x), float(y), float(x + width), float(y + height))},
        "mask": {"mask": MaskPrompt(painted)},
        "line": {"line": Line(float(x), float(y), float(x + width), float(y + height))},
        "scribble": {"scribbles": (Scribble((inside, (inside[0] + 2, inside[1] + 1))),)},
        "points": {"points": (Point(*inside), Point(1.0, 2.0, positive=False))},
        "correction": {"points": (Point(*inside),), "prior": MaskPrompt(painted)},
        "nothing": {},
    }
    return Keyframe(index, **marks[str(random.choice(list(marks)))])


def random_step(random: np.random.Generator, session: Session) -> None:
    """Mark, take back, or propagate: to the end, within a range, or until it is stopped on the way."""
    marked = [segment.name for segment in session.prompts.segments if segment.keyframes]
    kinds = ["mark"] if not marked else ["mark", "mark", "unmark", "propagate", "propagate", "propagate", "stop", "undo", "redo"]
    kind = random.choice(kinds)
    if kind == "mark":
        session.set_keyframe(str(random.choice(["first", "second"])), random_keyframe(random, session.stack))
    elif kind == "unmark":
        segment = session.prompts.segment(marked[0])
        session.set_keyframe(segment.name, Keyframe(segment.keyframes[0].slice))
    elif kind in ("undo", "redo"):
        getattr(session, kind)()
    else:
        name = str(random.choice(marked))
        slices = [keyframe.slice for keyframe in session.prompts.segment(name).keyframes]
        reach = max(0, min(slices) - int(random.integers(5))), min(len(session.stack) - 1, max(slices) + int(random.integers(5)))
        steps = session.propagate([name], reach if random.random() < 0.5 else None)
        for _ in range(int(random.integers(1, 12)) if kind == "stop" else 1000):
            next(steps, None)


def findings(session: Session) -> dict[str, Any]:
    """Everything that a session tells of its segments, to be compared."""
    names, slices = [segment.name for segment in session.prompts.segments], range(len(session.stack))
    masks = {(name, index): session.slice_mask(name, index) for name in names for index in slices}
    return {
        "masks": {key: (found.mask.tobytes(), found.trust, found.source) for key, found in masks.items()},
        "trust": {name: session.trust(name) for name in names},
        "review": {name: session.review(name) for name in names},
        "reports": session.reports(),
        "prompts": session.prompts,
    }
