"""Runs in Slicer: the extension as it is installed, from a box in a slice view to a segment and back."""

import time
import unittest

import numpy as np
import slicer
import vtk

from SAMSegmenterLib.in_slicer.module import requirements, samples
from SAMSegmenterLib.phantom import make_phantom

EFFECT = "SAMSegmenter"
LIVER = 1  # its label in the phantom
LEAST_DICE = 0.8
PATIENCE_S = 300


class SAMSegmenterTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def test_effect_is_offered(self):
        assert self.open_editor().effectByName(EFFECT) is not None

    @unittest.skipIf(requirements.missing(), "packages are missing; install them in the module's panel")
    def test_a_box_becomes_an_organ_and_undo_takes_it_back(self):
        (volume,) = samples.load_phantom()
        editor = self.open_editor(volume, "liver")
        editor.setActiveEffectByName(EFFECT)
        effect = editor.activeEffect()
        effect.setParameter("Tool", "box")
        truth = make_phantom()[1] == LIVER
        self.draw_box(truth, volume)
        controller = effect.self().wiring.controller
        controller.propagate()
        self.wait_while(lambda: controller.busy)
        controller.apply()
        controller.applier.finish()  # it writes between two turns of the event loop
        found = self.segment(editor, volume)
        assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > LEAST_DICE  # Dice
        editor.undo()
        assert not self.segment(editor, volume).any()
        editor.setActiveEffectByName("")

    # ------------------------------------------------------------------ steps

    def open_editor(self, volume=None, segment=""):
        """A Segment Editor; with a volume, one that is about to fill an empty segment."""
        editor = slicer.qMRMLSegmentEditorWidget()
        self.addCleanup(editor.setActiveEffectByName, "")
        editor.setMRMLScene(slicer.mrmlScene)
        editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        if volume:
            segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
            segmentation.CreateDefaultDisplayNodes()
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
            segmentation.GetSegmentation().AddEmptySegment(segment, segment)
            editor.setSegmentationNode(segmentation)
            editor.setSourceVolumeNode(volume)
            editor.setCurrentSegmentID(segment)
        return editor

    def draw_box(self, truth, volume):
        """Drag a box around the organ on its middle slice, in the red slice view."""
        slices = np.flatnonzero(truth.any(axis=(1, 2)))
        k = int(slices[len(slices) // 2])
        rows, columns = np.nonzero(truth[k])
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        corners = [
            matrix.MultiplyPoint((float(i), float(j), float(k), 1.0))
            for i, j in ((columns.min() - 1, rows.min() - 1), (columns.max() + 1, rows.max() + 1))
        ]
        view = slicer.app.layoutManager().sliceWidget("Red")
        node, interactor = view.mrmlSliceNode(), view.sliceView().interactor()
        node.JumpSlice(*corners[0][:3])
        to_view = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), to_view)
        start, end = ([round(value) for value in to_view.MultiplyPoint(corner)[:2]] for corner in corners)
        commands = vtk.vtkCommand
        steps = ((start, commands.LeftButtonPressEvent), (end, commands.MouseMoveEvent), (end, commands.LeftButtonReleaseEvent))
        for place, event in steps:
            interactor.SetEventPosition(*place)
            interactor.InvokeEvent(event)

    def segment(self, editor, volume):
        """The segment as a bool ``(k, j, i)`` array on the volume's grid."""
        return slicer.util.arrayFromSegmentBinaryLabelmap(editor.segmentationNode(), "liver", volume) > 0

    def wait_while(self, condition):
        """As the user does: without a moment's sleep here, in which threads would get on that otherwise do not."""
        give_up = time.monotonic() + PATIENCE_S
        while condition():
            assert time.monotonic() < give_up, "it takes too long"
            slicer.app.processEvents()
