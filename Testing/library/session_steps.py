"""What a user does with a session on the ball of `phantoms`: choose a window, draw a box, paint a slice, propagate."""

from __future__ import annotations

from typing import Any

import numpy as np

from SAMSegmenterLib.prompts import Box, Keyframe, MaskPrompt
from SAMSegmenterLib.session import Session
from SAMSegmenterLib.window import Window

WINDOW = Window(-160, 240)


def box(index: int) -> Keyframe:
    """Around the ball where it is widest."""
    return Keyframe(index, box=Box(21.5, 21.5, 42.5, 42.5))


def painted(truth: np.ndarray, index: int) -> Keyframe:
    """As the ball is there."""
    return Keyframe(index, mask=MaskPrompt(truth[index]))


def run(session: Session, **how: Any) -> list:
    """Propagate to the end; returns what came, in its order."""
    return list(session.propagate(**how))
