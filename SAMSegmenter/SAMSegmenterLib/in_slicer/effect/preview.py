"""Shows in all views what was found but is in no segment yet, by a segmentation of its own that is never saved."""

from __future__ import annotations

import time

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

from ...image.stack import AXES, FrameStack
from ..mrml import array_of, new_image
from .sequence import Times
from .writing import Patch

MOST_OUTLINES = 100  # slices outlined in 3-D views; of more, every second one, third one, ...
OUTLINE_SECONDS = 1.0  # between changes of the 3-D views while slices keep coming
FILL, OUTLINE_PIXELS = 0.3, 3  # paler inside and thicker at the edge than a segment, so that it is not taken for one


class Preview:
    """Masks on the grid of a stack, by segment ID.

    Args:
        segmentation_node: whose segments the masks may become part of; gives names, colours and the transform.
        stack: the slices that the masks lie on.
        times: the sequence, if the stack is a slice through time; what is shown then is the mask of the item that is shown.
    """

    def __init__(self, segmentation_node: slicer.vtkMRMLSegmentationNode, stack: FrameStack, times: Times | None = None) -> None:
        self.stack, self._of, self._times = stack, segmentation_node, times
        self._masks: dict[str, np.ndarray] = {}
        self._images: dict[str, slicer.vtkOrientedImageData] = {}
        self._known: dict[str, set[int]] = {}  # slices that something was written on
        self._pending: set[str] = set()
        self._offered: set[str] = set()  # those of them whose writing was undone
        self._visible = True
        self._models: dict[str, slicer.vtkMRMLModelNode] = {}
        self._changed: set[str] = set()
        self._behind: set[str] = set()
        self._outlined = 0.0
        self._node: slicer.vtkMRMLSegmentationNode | None = None

    @property
    def segments(self) -> list[str]:
        """Return the IDs of the segments with masks."""
        return list(self._masks)

    @property
    def pending(self) -> list[str]:
        """Return those of `segments` that are shown: something was written since they were last settled."""
        return [segment for segment in self._masks if segment in self._pending]

    @property
    def offered(self) -> set[str]:
        """Return those of `pending` whose writing was undone: they are shown, and not written again unasked."""
        return self._offered & self._pending

    def slices(self, segment: str) -> list[int]:
        """Return the slices of a segment that something was written on, in order."""
        return sorted(self._known.get(segment, ()))

    def mask(self, segment: str) -> np.ndarray:
        """Return a segment's mask, bool ``(k, j, i)`` on the stack's grid."""
        return self._masks[segment] > 0

    def patch(self, segment: str) -> Patch:
        """Return the part of a segment's mask, on the stack's grid, that holds anything."""
        known, masks = self.slices(segment), self._masks[segment]
        axis = 0 if self._times else 2 - AXES.index(self.stack.axis)
        part = [slice(None)] * 3
        part[axis] = slice(known[0], known[-1] + 1) if known else slice(0, 1)
        inner = Patch.of(masks[tuple(part)])
        first = [each.start or 0 for each in part]
        box = tuple(slice(each.start + low, each.stop + low) for each, low in zip(inner.box, first, strict=True))
        return Patch(masks.shape, box, inner.voxels)

    def slice(self, segment: str, index: int) -> np.ndarray | None:
        """Return a segment's mask on a slice, bool ``(rows, columns)``; None if nothing was ever written there."""
        if index not in self._known.get(segment, ()):
            return None
        return self.stack.place(self._masks[segment], index) > 0

    def write(self, segment: str, index: int, mask: np.ndarray | None) -> None:
        """Write a mask ``(rows, columns)`` to a slice, or clear it with None; it is seen after `flush`."""
        if mask is None and segment not in self._masks:
            return
        self._begin(segment)
        self.stack.place(self._masks[segment], index)[:] = 0 if mask is None else mask
        if mask is None:
            self._known[segment].discard(index)
        else:
            self._known[segment].add(index)
        self._changed.add(segment)
        self._pending.add(segment)
        self._offered.discard(segment)

    def settle(self, segment: str) -> None:
        """Hide a segment, but keep it: it is dealt with until something is written again."""
        self._pending.discard(segment)
        self.show(self._visible)

    def offer(self, segment: str) -> None:
        """Show a segment again whose writing was undone."""
        self._pending.add(segment)
        self._offered.add(segment)
        self.show(self._visible)

    def flush(self, outlines: bool = True) -> None:
        """Show everything that was written in the views; in 3-D views only now and then, unless `outlines`."""
        for segment in self._changed:
            if self._times:
                array_of(self._images[segment])[0] = self._masks[segment][self._times.item]
            self._images[segment].GetPointData().GetScalars().Modified()
            self._images[segment].Modified()
        if self._changed:
            self.show(self._visible)
        self._behind |= self._changed
        self._changed.clear()
        if outlines or time.perf_counter() - self._outlined > OUTLINE_SECONDS:
            for segment in self._behind:
                self._models[segment].SetAndObservePolyData(_lines(self._shown_outlines(segment)))
            self._behind.clear()
            self._outlined = time.perf_counter()

    def follow(self) -> None:
        """Show the masks of the item that is shown now."""
        self._changed |= set(self._masks)
        self.flush()

    def follow_transform(self) -> None:
        """Move the preview under the segmentation's present transform."""
        parent = self._of.GetTransformNodeID()
        for node in self._nodes():
            if node.GetTransformNodeID() != parent:
                node.SetAndObserveTransformNodeID(parent)

    def drop(self, segment: str) -> None:
        """Drop a segment's mask."""
        if segment in self._masks:
            self._node.GetSegmentation().RemoveSegment(segment)
            _take_out(self._models.pop(segment))
            del self._images[segment], self._known[segment], self._masks[segment]
            for states in (self._changed, self._behind, self._pending, self._offered):
                states.discard(segment)

    def show(self, visible: bool = True) -> None:
        """Show or hide all that is pending, keeping it."""
        self._visible = visible
        if self._node:
            self._node.GetDisplayNode().SetVisibility(visible)
        for segment, model in self._models.items():
            pending = segment in self._pending
            self._node.GetDisplayNode().SetSegmentVisibility(segment, pending)
            model.GetDisplayNode().SetVisibility(visible and pending)

    def remove(self) -> None:
        """Take everything out of the scene."""
        for node in self._nodes():
            _take_out(node)
        self._images, self._masks, self._known, self._models, self._node = {}, {}, {}, {}, None
        for states in (self._changed, self._behind, self._pending, self._offered):
            states.clear()

    def _nodes(self) -> list[slicer.vtkMRMLDisplayableNode]:
        return [*filter(None, [self._node]), *self._models.values()]

    def _shown_outlines(self, segment: str) -> list[np.ndarray]:
        """Return the outlines, in local RAS, of as many slices as 3-D views draw without effort."""
        known = self.slices(segment)
        if self._times:
            known = [index for index in known if index == self._times.item]
        step = max(1, -(-len(known) // MOST_OUTLINES))
        return [self.stack.to_ras(index, edges(self.slice(segment, index))) for index in known[::step]]

    def _begin(self, segment: str) -> None:
        if segment in self._masks:
            return
        if self._node is None:
            self._node = self._new_node("vtkMRMLSegmentationNode")
            display = self._node.GetDisplayNode()
            display.SetOpacity2DFill(FILL)
            display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
        frames, rows, columns = self.stack.volume.voxels.shape[:3]
        image = new_image((1 if self._times else frames, rows, columns), self.stack.volume.ijk_to_ras)
        self._masks[segment] = np.zeros((frames, rows, columns), np.uint8) if self._times else array_of(image)
        original = self._of.GetSegmentation().GetSegment(segment)
        shown = slicer.vtkSegment()
        shown.SetName(_("{segment} (preview)").format(segment=original.GetName()))
        shown.SetColor(original.GetColor())
        shown.AddRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName(), image)
        self._node.GetSegmentation().AddSegment(shown, segment)
        self._images[segment], self._known[segment] = image, set()
        model = self._models[segment] = self._new_node("vtkMRMLModelNode")
        model.GetDisplayNode().SetColor(original.GetColor())
        model.GetDisplayNode().SetVisibility2D(False)
        model.GetDisplayNode().SetLighting(False)  # lines have no surface that could be lit

    def _new_node(self, kind: str) -> slicer.vtkMRMLNode:
        node = slicer.mrmlScene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetName(_("SAMSegmenter preview"))
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        node = slicer.mrmlScene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(False)
        node.SetAndObserveTransformNodeID(self._of.GetTransformNodeID())
        return node


def _take_out(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Remove a node with its display node, which the scene would keep."""
    for each in (node.GetDisplayNode(), node):
        if each and slicer.mrmlScene.IsNodePresent(each):
            slicer.mrmlScene.RemoveNode(each)


def edges(mask: np.ndarray) -> np.ndarray:
    """Return the pixel edges between inside and outside of a mask: float ``(n, 2, 2)``, two ends ``(x, y)`` in slice pixels each."""
    padded = np.pad(np.asarray(mask, bool), 1)
    found = []
    rows, columns = np.nonzero(padded[:, 1:] != padded[:, :-1])  # between a pixel and the next one in its row
    found.append(np.stack([columns - 0.5, rows - 1.5, columns - 0.5, rows - 0.5], 1))
    rows, columns = np.nonzero(padded[1:] != padded[:-1])
    found.append(np.stack([columns - 1.5, rows - 0.5, columns - 0.5, rows - 0.5], 1))
    return np.concatenate(found).reshape(-1, 2, 2)


def _lines(outlines) -> vtk.vtkPolyData:
    """Return pairs of positions, arrays ``(n, 2, 3)``, as lines."""
    points = np.concatenate([np.zeros((0, 2, 3)), *outlines]).astype(np.float32).reshape(-1, 3)
    data, vtk_points, cells = vtk.vtkPolyData(), vtk.vtkPoints(), vtk.vtkCellArray()
    vtk_points.SetData(numpy_to_vtk(points, deep=True))
    offsets = np.arange(0, len(points) + 1, 2, dtype=np.int64)
    ends = np.arange(len(points), dtype=np.int64)
    cells.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(ends, deep=True))
    data.SetPoints(vtk_points)
    data.SetLines(cells)
    return data
