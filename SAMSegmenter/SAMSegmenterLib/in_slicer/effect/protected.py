"""The segments that the editor protects from being changed, as neighbours of those that are looked for."""

from __future__ import annotations

import numpy as np
import slicer

from ...image.neighbours import Neighbours
from ..mrml import labels_like
from .editor_state import Editing
from .source_frames import SourceFrames

AREA = slicer.vtkMRMLSegmentationNode
BINARY = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()


class Protected:
    """The segments outside of which the user lets the editor work: *Editable area: outside all segments*, or *outside all visible ones*.

    Nothing of what is looked for can be written there, so it is not looked for there. Their voxels are copied, as another thread
    reads them while the user goes on; once, as long as they do not change.
    """

    def __init__(self, editing: Editing) -> None:
        self._editing = editing
        self._known: tuple = ()
        self._neighbours: Neighbours | None = None

    def beside(self, frames: SourceFrames) -> Neighbours | None:
        """Return the protected segments on these frames; None if there are none, or if one slice is followed through time."""
        segments = [] if frames.times else self._segments()
        known = frames.stack, *((segment, labelmap.GetMTime()) for segment, labelmap, _ in segments)
        if known != self._known:
            self._known, self._neighbours = known, _neighbours(segments, frames) if segments else None
        return self._neighbours

    def _segments(self) -> list[tuple[str, slicer.vtkOrientedImageData, int]]:
        """Return the IDs, labelmaps and label values of protected segments that hold anything."""
        node, mode = self._editing.segmentation_node, self._editing.effect.parameterSetNode().GetMaskMode()
        if mode not in (AREA.EditAllowedOutsideAllSegments, AREA.EditAllowedOutsideVisibleSegments):
            return []
        found, display = [], node.GetDisplayNode()
        for segment in node.GetSegmentation().GetSegmentIDs():
            each = node.GetSegmentation().GetSegment(segment)
            labelmap = each.GetRepresentation(BINARY)
            counts = mode == AREA.EditAllowedOutsideAllSegments or display.GetSegmentVisibility(segment)
            if counts and labelmap and labelmap.GetNumberOfPoints() and labelmap.GetPointData().GetScalars():
                found.append((segment, labelmap, each.GetLabelValue()))
        return found


def _neighbours(segments: list[tuple[str, slicer.vtkOrientedImageData, int]], frames: SourceFrames) -> Neighbours:
    """Return segments as labels on the grid of frames; those that share a labelmap do not overlap, and share a layer."""
    labelmaps = list({id(labelmap): labelmap for _, labelmap, _ in segments}.values())
    own = {segment: [value if labelmap is each else 0 for each in labelmaps] for segment, labelmap, value in segments}
    layers = []
    for each in labelmaps:
        labels = labels_like(each, frames.image)
        counted = np.zeros(int(labels.max()) + 1, bool)
        counted[[value for _, labelmap, value in segments if labelmap is each and value < len(counted)]] = True
        layers.append(labels if counted[1:].all() else np.where(counted[labels], labels, 0))
    return Neighbours(frames.stack, layers, own)
