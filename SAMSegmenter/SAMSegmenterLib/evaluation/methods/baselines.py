"""Methods to be better than: what Slicer offers for the same painted slices, and the least that anybody could do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import ndimage

from ...image.extent import box_around, widened
from ...image.stack import FrameStack
from ...network.region import Extent
from ...prompts.types import Keyframe
from .base import Method, Unsuited
from .slicer_filters import fill_between_slices, grow_from_seeds

GAP_MM = 3.0  # left undecided between the painted object and the background seeds around it
AROUND = 0.5  # of the object's longer side: how far the box around it lies away, in the slices
OBJECT, BACKGROUND = 1, 2


class Copy:
    """The nearest painted slice, copied: the lower one of two equally near, and to the whole reach beyond the outermost ones."""

    name = "copy"

    def segment(self, stack: FrameStack, keyframes: Sequence[Keyframe], reach: tuple[int, int]) -> np.ndarray:
        """Return a mask, see `Method.segment`."""
        painted = _painted(keyframes, self.name)
        mask = np.zeros((len(stack), *stack.shape), bool)
        for index in range(reach[0], reach[1] + 1):
            mask[index] = painted[_nearest(painted, index)]
        return mask


class Interpolate:
    """Slicer's "Fill between slices": morphological contour interpolation. Beyond the outermost painted slices there is nothing."""

    name = "interpolate"

    def segment(self, stack: FrameStack, keyframes: Sequence[Keyframe], reach: tuple[int, int]) -> np.ndarray:
        """Return a mask, see `Method.segment`."""
        painted = _painted(keyframes, self.name)
        first, last = min(painted), max(painted)
        mask = np.zeros((len(stack), *stack.shape), bool)
        for index, each in painted.items():
            mask[index] = each
        if len(painted) > 1:
            rows, columns = _box(painted.values(), (1, 1))  # the filter's time goes by the size of what it is given
            mask[first : last + 1, rows, columns] = fill_between_slices(mask[first : last + 1, rows, columns])
        return mask


class Grow:
    """Slicer's "Grow from seeds" (fast grow-cut) on the volume's own intensities.

    Seeds are what one painted segment gives: the object where it is painted; background on the painted slices from `GAP_MM`
    outside of it, and on all faces of a box around it. The box lies `AROUND` of the object's longer side away from the
    painted masks in the slices, and the whole longer side beyond the outermost painted slices: a user who has painted the
    object knows about how large it is, but not where it ends. Where reach or slice end before the box does, it has no face.
    """

    name = "grow"

    def segment(self, stack: FrameStack, keyframes: Sequence[Keyframe], reach: tuple[int, int]) -> np.ndarray:
        """Return a mask, see `Method.segment`."""
        painted = _painted(keyframes, self.name)
        (x_mm, y_mm), z_mm = stack.spacing_mm, stack.slice_spacing_mm
        extents = [Extent.of_mask(each) for each in painted.values()]
        side_mm = max(extent.side_mm(stack) for extent in extents if extent)
        rows, columns = _box(painted.values(), (AROUND * side_mm / y_mm, AROUND * side_mm / x_mm))
        beyond = max(1, round(side_mm / z_mm))
        slices = slice(max(reach[0], min(painted) - beyond), min(reach[1], max(painted) + beyond) + 1)
        box = slices, rows, columns
        seeds = np.zeros([part.stop - part.start for part in box], np.uint8)
        _seed_faces(seeds, box, ((reach[0], reach[1] + 1), (0, stack.shape[0]), (0, stack.shape[1])))
        for index, each in painted.items():
            seeds[index - slices.start] = _seeds_on_slice(each[rows, columns], (y_mm, x_mm))
        intensities = np.stack([stack.grey(index)[rows, columns] for index in range(slices.start, slices.stop)])
        intensities = np.nan_to_num(intensities, nan=float(stack.volume.padding.low) - stack.window.level)
        mask = np.zeros((len(stack), *stack.shape), bool)
        mask[box] = grow_from_seeds(intensities, seeds, (z_mm, y_mm, x_mm)) == OBJECT
        return mask


BASELINES: tuple[type[Method], ...] = (Copy, Interpolate, Grow)


def _painted(keyframes: Iterable[Keyframe], name: str) -> dict[int, np.ndarray]:
    """Return the painted masks by slice, in slice order."""
    painted = {each.slice: each.mask.mask for each in keyframes if each.mask}
    if not painted:
        raise Unsuited(f"{name}: starts from painted slices only; there is none.")
    return dict(sorted(painted.items()))


def _nearest(slices: Iterable[int], index: int) -> int:
    return min(slices, key=lambda other: abs(other - index))


def _box(masks: Iterable[np.ndarray], around: Sequence[float]) -> tuple[slice, slice]:
    """Return the rows and columns that show all masks, with so many pixels, at least one, around them where the slice has them."""
    everything = np.any(list(masks), axis=0)
    pixels = [max(1, round(each)) for each in around]
    box = box_around(everything)
    assert box is not None  # no painted mask is empty
    rows, columns = map(widened, box, pixels, everything.shape)
    return rows, columns


def _seeds_on_slice(mask: np.ndarray, spacing_mm: tuple[float, float]) -> np.ndarray:
    away_mm = ndimage.distance_transform_edt(~mask, spacing_mm)
    return np.where(mask, OBJECT, np.where(away_mm > GAP_MM, BACKGROUND, 0)).astype(np.uint8)


def _seed_faces(seeds: np.ndarray, box: Sequence[slice], available: Sequence[tuple[int, int]]) -> None:
    """Set background seeds on the outermost voxels of the `box`, except where these are the outermost available ones."""
    for axis, (part, (first, end)) in enumerate(zip(box, available, strict=True)):
        layers = np.moveaxis(seeds, axis, 0)
        if part.start > first:
            layers[0] = BACKGROUND
        if part.stop < end:
            layers[-1] = BACKGROUND
