"""Writes a mask into a segment as the Segment Editor's own effects do, so that masking, overwriting and undo hold."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ...image.extent import box_around, span
from ..mrml import box_image, ijk_to_ras_of, indices_between, labelmap_in_box, mask_like

VoxelBox = tuple[slice, ...]
FIRST = slice(0, 1)  # along each axis, of a mask with nothing in it


@dataclass(frozen=True)
class Patch:
    """Bool `voxels` ``(k, j, i)`` within a `box` of a grid of this `shape`; nothing outside of it.

    It holds only what is written into a segment: the rest of a CT would be a hundred times as much.
    """

    shape: tuple[int, ...]
    box: VoxelBox
    voxels: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Patch:
        """Return what a mask ``(k, j, i)`` of the whole grid, bool or of 0 and 1, holds."""
        seen = np.bitwise_or.reduce(mask, axis=0)  # by far the quickest way through a large array
        rows, columns = box_around(seen > 0) or (FIRST, FIRST)
        slices = span(np.asarray(mask[:, rows, columns].any((1, 2)))) or FIRST
        box = slices, rows, columns
        return cls(mask.shape, box, mask[box] > 0)

    def whole(self) -> np.ndarray:
        """Return bool ``(k, j, i)`` on the grid."""
        voxels = np.zeros(self.shape, bool)
        voxels[self.box] = self.voxels
        return voxels

    def within(self, box: VoxelBox) -> np.ndarray:
        """Return what lies in another box, which holds this one: bool, of that box's shape; to be read only."""
        if box == self.box:
            return self.voxels
        voxels = np.zeros([each.stop - each.start for each in box], bool)
        voxels[tuple(slice(mine.start - its.start, mine.stop - its.start) for mine, its in zip(self.box, box, strict=True))] = self.voxels
        return voxels

    def on(self, ijk_to_ras: np.ndarray, like: slicer.vtkOrientedImageData) -> Patch:
        """Return this patch, whose grid lies at `ijk_to_ras`, on the voxels of `like`."""
        shape = tuple(like.GetDimensions()[::-1])
        offset = indices_between(ijk_to_ras, ijk_to_ras_of(like))
        if offset is None or (shape != self.shape or offset.any()):
            return Patch.of(mask_like(self.whole(), ijk_to_ras, like))
        return self


@dataclass(frozen=True)
class Written:
    """The outcome of writing a mask.

    Attributes:
        added: voxels that are in the segment now and were not before.
        removed: voxels that were in the segment before and are not now.
        rejected: voxels that the editor's masking settings have kept from being written.
        contributed: all voxels of the segment that came from this and earlier writes.
        before, after: the segment where it may have changed.
    """

    added: int
    removed: int
    rejected: int
    contributed: Patch
    before: Patch
    after: Patch


def grid_of(effect: Any) -> slicer.vtkOrientedImageData:
    """Return an image, perhaps without voxels, of the geometry that segments are written in."""
    return effect.referenceGeometryImage()


def write_segment(effect: Any, segment: str, mask: Patch, contributed: Patch | None) -> Generator[None, None, Written]:
    """Add `mask` to a segment, and take out what earlier writes had `contributed` and `mask` no longer holds.

    It pauses between its steps, each of which is too short for the user to notice; see `to_end`.

    Args:
        effect: the scripted effect; its `saveStateForUndo` has been called.
        segment: its ID.
        mask: on the grid of `grid_of`.
        contributed: `Written.contributed` of the last write; None or of another shape if there was none on this grid.
    """
    grid, shape = grid_of(effect), mask.shape
    earlier = contributed if contributed and contributed.shape == shape else Patch(shape, mask.box, np.zeros_like(mask.voxels))
    box = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(mask.box, earlier.box, strict=True))
    wanted, mine, before = mask.within(box), earlier.within(box), segment_in_box(effect, segment, grid, box)
    # For bools, a > b is a & ~b in one pass; there are millions of them.
    withdrawn, new = (mine & before) > wanted, wanted > before
    yield
    modes = slicer.qSlicerSegmentEditorAbstractEffect
    _modify(effect, segment, withdrawn, box, grid, modes.ModificationModeRemove)
    _modify(effect, segment, new, box, grid, modes.ModificationModeAdd)
    yield
    after = segment_in_box(effect, segment, grid, box)
    added, removed = after > before, np.count_nonzero(before > after)
    rejected = np.count_nonzero(wanted > after) + np.count_nonzero(withdrawn & after)
    kept = Patch(shape, box, (mine & after) | (added & wanted))
    return Written(int(np.count_nonzero(added)), int(removed), rejected, kept, Patch(shape, box, before), Patch(shape, box, after))


def to_end(writing: Generator[None, None, Written]) -> Written:
    """Return what becomes of a mask that is written without a pause."""
    while True:
        try:
            next(writing)
        except StopIteration as end:
            return end.value


def segment_in_box(effect: Any, segment: str, grid: slicer.vtkOrientedImageData, box: VoxelBox) -> np.ndarray:
    """Return a segment within a box of a grid: bool ``(k, j, i)``."""
    found = effect.parameterSetNode().GetSegmentationNode().GetSegmentation().GetSegment(segment)
    labelmap = found.GetRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName())
    return labelmap_in_box(labelmap, found.GetLabelValue(), grid, box)


def _modify(effect: Any, segment: str, voxels: np.ndarray, box: VoxelBox, grid: slicer.vtkOrientedImageData, mode: int) -> None:
    """Write the voxels of a box, or rather of the smallest one that holds them."""
    if not voxels.any():
        return
    part = Patch.of(voxels)
    outer = tuple(slice(each.start + inner.start, each.start + inner.stop) for each, inner in zip(box, part.box, strict=True))
    image = box_image(part.voxels, outer, grid)
    effect.modifySegmentByLabelmap(effect.parameterSetNode().GetSegmentationNode(), segment, image, mode)
