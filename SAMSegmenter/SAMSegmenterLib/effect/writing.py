"""Writing a mask into a segment as the Segment Editor's own effects do, so that masking, overwriting and undo hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ..mrml import array_of, mask_of
from ..volume import box_around


@dataclass(frozen=True)
class Contribution:
    """What of a segment was written into it: bool `voxels` ``(k, j, i)`` within a `box` of a grid of this `shape`."""

    shape: tuple[int, ...]
    box: tuple[slice, ...]
    voxels: np.ndarray

    def whole(self) -> np.ndarray:
        """Bool ``(k, j, i)`` on the grid."""
        voxels = np.zeros(self.shape, bool)
        voxels[self.box] = self.voxels
        return voxels


@dataclass(frozen=True)
class Written:
    """What became of a mask.

    Attributes:
        added: voxels that are in the segment now and were not before.
        removed: voxels that were in the segment and are not any more.
        rejected: voxels that the editor's masking settings have kept from being written.
        contributed: all voxels of the segment that came from this and earlier writes.
    """

    added: int
    removed: int
    rejected: int
    contributed: Contribution


def write_segment(effect: Any, segment: str, mask: np.ndarray, contributed: Contribution | None) -> Written:
    """Add `mask` to a segment, and take out what earlier writes had `contributed` and `mask` no longer holds.

    Args:
        effect: the scripted effect; its `saveStateForUndo` has been called.
        segment: its ID.
        mask: bool ``(k, j, i)`` on the grid of the effect's modifier labelmap.
        contributed: `Written.contributed` of the last write; None or of another shape if there was none on this grid.
    """
    shape = mask.shape
    mine = contributed.whole() if contributed and contributed.shape == shape else np.zeros_like(mask)
    box = box_around(mask | mine)  # all else of a CT is a hundred times as much
    mask, mine, before = mask[box], mine[box], _segment_mask(effect, segment, box)
    withdrawn, new = mine & ~mask & before, mask & ~before
    if withdrawn.any():
        _modify(effect, segment, withdrawn, box, slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeRemove)
    if new.any():
        _modify(effect, segment, new, box, slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeAdd)
    after = _segment_mask(effect, segment, box)
    added, removed = after & ~before, before & ~after
    rejected = int((mask & ~after).sum() + (withdrawn & after).sum())
    return Written(int(added.sum()), int(removed.sum()), rejected, Contribution(shape, box, (mine & after) | (added & mask)))


def _segment_mask(effect: Any, segment: str, box: tuple[slice, ...]) -> np.ndarray:
    """A segment within a box of the grid of the effect's modifier labelmap: bool ``(k, j, i)``."""
    image = slicer.vtkOrientedImageData()
    effect.parameterSetNode().GetSegmentationNode().GetBinaryLabelmapRepresentation(segment, image)
    return mask_of(image, effect.modifierLabelmap())[box].copy()


def _modify(effect: Any, segment: str, voxels: np.ndarray, box: tuple[slice, ...], mode: int) -> None:
    grid = effect.defaultModifierLabelmap()
    array_of(grid)[:] = 0
    array_of(grid)[box] = voxels
    grid.GetPointData().GetScalars().Modified()
    grid.Modified()
    effect.modifySegmentByLabelmap(effect.parameterSetNode().GetSegmentationNode(), segment, grid, mode)
