"""A small effect that the tests of the host load: a click adds a block of voxels to the segment."""

import qt
import slicer
import vtk
from SegmentEditorEffects import *  # noqa: F403
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from vtk.util.numpy_support import vtk_to_numpy

EVENTS = ("activate", "deactivate", "sourceVolumeNodeChanged", "referenceGeometryChanged", "layoutChanged", "cleanup")


class SegmentEditorEffect(AbstractScriptedSegmentEditorEffect):
    def __init__(self, scriptedEffect):
        scriptedEffect.name = "Block"
        scriptedEffect.title = "Add a block"
        super().__init__(scriptedEffect)
        self.heard = []
        self.answer = True
        for name in EVENTS:
            setattr(self, name, lambda name=name: self.heard.append(name))

    def clone(self):
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        copy = effects.qSlicerSegmentEditorScriptedEffect(None)
        copy.setPythonSource(__file__.replace("\\", "/"))
        return copy

    def icon(self):
        return qt.QIcon()

    def helpText(self):
        return "Click to add a block.\nIts corner is where you click."

    def setupOptionsFrame(self):
        self.sizeBox = qt.QSpinBox()
        self.sizeBox.minimum = 1
        self.sizeBox.connect("valueChanged(int)", self.updateMRMLFromGUI)
        self.scriptedEffect.addLabeledOptionsWidget("Size:", self.sizeBox)

    def setMRMLDefaults(self):
        self.scriptedEffect.setParameterDefault("Size", 2)

    def updateGUIFromMRML(self):
        self.heard.append("updateGUIFromMRML")
        blocked = self.sizeBox.blockSignals(True)
        self.sizeBox.value = self.scriptedEffect.integerParameter("Size")
        self.sizeBox.blockSignals(blocked)

    def updateMRMLFromGUI(self):
        self.scriptedEffect.setParameter("Size", self.sizeBox.value)

    def processViewNodeEvents(self, callerViewNode, eventId, viewWidget):
        self.heard.append(f"moved {callerViewNode.GetName()}")

    def processInteractionEvents(self, callerInteractor, eventId, viewWidget):
        self.heard.append(eventId)
        if viewWidget.className() != "qMRMLSliceWidget" or eventId != vtk.vtkCommand.LeftButtonPressEvent:
            return False
        labelmap = self.scriptedEffect.defaultModifierLabelmap()
        transform = self.scriptedEffect.parameterSetNode().GetSegmentationNode().GetParentTransformNode()
        i, j, k = self.xyToIjk(callerInteractor.GetEventPosition(), viewWidget, labelmap, transform)
        size = self.scriptedEffect.integerParameter("Size")
        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
        voxels[k : k + size, j : j + size, i : i + size] = 1
        self.scriptedEffect.saveStateForUndo()
        mode = slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeAdd
        self.scriptedEffect.modifySelectedSegmentByLabelmap(labelmap, mode)
        return self.answer
