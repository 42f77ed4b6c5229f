"""The image where prompts point: its intensities, and the window that suits them."""

from __future__ import annotations

import numpy as np

from ..image.stack import FrameStack
from ..image.window import automatic_window
from .types import Keyframe, PromptSet

NEAR_PIXELS = 2  # around a point or a stroke: within a small object that was clicked


def windowed(stack: FrameStack, prompts: PromptSet) -> FrameStack:
    """Return a stack of the same slices through the window that suits the intensities near the prompts.

    Raises:
        InputError: the volume is constant, so that nothing can be told apart.
    """
    return stack.windowed(automatic_window(stack.volume, intensities_near(prompts, stack)))


def intensities_near(prompts: PromptSet, stack: FrameStack) -> np.ndarray:
    """Return the intensities where the prompts say that segments are, for `window.automatic_window`.

    They come from painted masks; otherwise from the inner half of boxes, the middle of lines, and a few pixels around positive points and
    strokes. Padding is left out. They are flat, in the volume's own units and type; empty without prompts.
    """
    found = [stack.volume.voxels[:0].reshape(-1)]
    for keyframe in (each for segment in prompts.segments for each in segment.keyframes):
        near = _near(keyframe, stack.shape) if keyframe.mask is None else keyframe.mask.mask
        found.append(stack.intensities(keyframe.slice)[near & stack.measured(keyframe.slice)].reshape(-1))
    return np.concatenate(found)


def _near(keyframe: Keyframe, shape: tuple[int, int]) -> np.ndarray:
    """Return where a keyframe's prompts place the core of the segment, bool ``(rows, columns)``, without its edge."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    near = np.zeros(shape, bool)
    if keyframe.box:
        box = keyframe.box
        middle_x, middle_y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        # at least the middle pixel
        half_x, half_y = max((box.x1 - box.x0) / 4, 0.5), max((box.y1 - box.y0) / 4, 0.5)
        near |= (abs(x - middle_x) <= half_x) & (abs(y - middle_y) <= half_y)
    strokes: list[tuple[tuple[float, float], ...]] = [((p.x, p.y),) for p in keyframe.points if p.positive]
    strokes += [s.path for s in keyframe.scribbles if s.positive]
    if keyframe.line:
        ends = np.array([(keyframe.line.x0, keyframe.line.y0), (keyframe.line.x1, keyframe.line.y1)])
        strokes.append((0.75 * ends[0] + 0.25 * ends[1], 0.25 * ends[0] + 0.75 * ends[1]))
    for column, row in _pixels_along(strokes):
        near[max(row - NEAR_PIXELS, 0) : row + NEAR_PIXELS + 1, max(column - NEAR_PIXELS, 0) : column + NEAR_PIXELS + 1] = True
    return near


def _pixels_along(paths: list) -> np.ndarray:
    """Return the pixels ``(n, 2)`` that paths of positions ``(x, y)`` touch, each at least once."""
    touched = [np.zeros((0, 2), int)]
    for path in paths:
        xy = np.array(path, float)
        lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
        places = np.linspace(0, lengths[-1], int(np.ceil(lengths[-1])) + 1)
        touched.append(np.rint(np.stack([np.interp(places, lengths, xy[:, n]) for n in range(2)], 1)).astype(int))
    return np.concatenate(touched)
