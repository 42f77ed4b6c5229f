"""Writing a mask into a segment as the Segment Editor's own effects do, so that masking, overwriting and undo hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ..mrml import array_of, mask_of


@dataclass(frozen=True)
class Written:
    """What became of a mask.

    Attributes:
        added: voxels that are in the segment now and were not before.
        removed: voxels that were in the segment and are not any more.
        rejected: voxels that the editor's masking settings have kept from being written.
        contributed: bool ``(k, j, i)``, all voxels of the segment that came from this and earlier writes.
    """

    added: int
    removed: int
    rejected: int
    contributed: np.ndarray


def write_segment(effect: Any, segment: str, mask: np.ndarray, contributed: np.ndarray | None) -> Written:
    """Add `mask` to a segment, and take out what earlier writes had `contributed` and `mask` no longer holds.

    Args:
        effect: the scripted effect; its `saveStateForUndo` has been called.
        segment: its ID.
        mask: bool ``(k, j, i)`` on the grid of the effect's modifier labelmap.
        contributed: `Written.contributed` of the last write; None or another shape if there was none on this grid.
    """
    mine = contributed if contributed is not None and contributed.shape == mask.shape else np.zeros_like(mask)
    before = segment_mask(effect, segment)
    withdrawn = mine & ~mask & before
    if withdrawn.any():
        _modify(effect, segment, withdrawn, slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeRemove)
    if (mask & ~before).any():
        _modify(effect, segment, mask & ~before, slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeAdd)
    after = segment_mask(effect, segment)
    added, removed = after & ~before, before & ~after
    rejected = int((mask & ~after).sum() + (withdrawn & after).sum())
    return Written(int(added.sum()), int(removed.sum()), rejected, (mine & after) | (added & mask))


def segment_mask(effect: Any, segment: str) -> np.ndarray:
    """A segment on the grid of the effect's modifier labelmap: bool ``(k, j, i)``."""
    image = slicer.vtkOrientedImageData()
    effect.parameterSetNode().GetSegmentationNode().GetBinaryLabelmapRepresentation(segment, image)
    return mask_of(image, effect.modifierLabelmap())


def _modify(effect: Any, segment: str, voxels: np.ndarray, mode: int) -> None:
    grid = effect.defaultModifierLabelmap()
    array_of(grid)[:] = voxels
    grid.GetPointData().GetScalars().Modified()
    grid.Modified()
    effect.modifySegmentByLabelmap(effect.parameterSetNode().GetSegmentationNode(), segment, grid, mode)
