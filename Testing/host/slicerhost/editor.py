"""The Segment Editor: copies of the effects, one of them active, on the logic that Slicer itself uses."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtWidgets import QWidget

from .effect_base import qSlicerSegmentEditorEffectFactory
from .faults import complain
from .observing import Observations, ViewEvents
from .panel import EditorPanel
from .pythonqt import native

UNDO_STATES = 10


@native
class qMRMLSegmentEditorWidget(EditorPanel):
    """What the module SegmentEditor shows, and what it does when the scene is closed."""

    _active: Any = None
    _node: Any = None
    _geometry = ""
    _shown: tuple[Any, Any] = (None, None)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._effects: list[Any] = []
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetVerbose(True)
        self._logic.SetMaximumNumberOfUndoStates(UNDO_STATES)
        self._node_observations, self._scene_observations = Observations(), Observations()
        self._views = ViewEvents(self.activeEffect)

    def logic(self):
        return self._logic

    def mrmlScene(self):
        return self._logic.GetMRMLScene()

    def setMRMLScene(self, scene: Any) -> None:
        self._logic.SetMRMLScene(scene)
        self._scene_observations.clear()
        if scene is None:
            return
        events = slicer.vtkMRMLScene
        self._scene_observations.add(scene, events.StartCloseEvent, self._leave_scene)
        self._scene_observations.add(scene, events.EndCloseEvent, self._end_close)
        self._scene_observations.add(scene, events.EndImportEvent, self._end_import)
        interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        if interaction:
            self._scene_observations.add(interaction, interaction.InteractionModeChangedEvent, self._interaction_changed)
        slicer.app.layoutManager().connect("layoutChanged(int)", self._layout_changed)
        self.updateEffectList()
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self):
        return self._node

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        if node is self._node:
            return
        self._node_observations.clear()
        self._node = node
        self._logic.SetSegmentEditorNode(node)
        for effect in self._effects:
            effect.setParameterSetNode(node)
            if node:
                effect.setMRMLDefaults()
        if node:
            self._node_observations.add(node, "ModifiedEvent", self.updateWidgetFromMRML)
            self._node_observations.add(node, node.EffectParameterModified, self._parameter_changed)
        self.updateWidgetFromMRML()

    def segmentationNode(self):
        return self._node.GetSegmentationNode() if self._node else None

    def setSegmentationNode(self, node: Any) -> None:
        if self._node:
            self._node.SetAndObserveSegmentationNode(node)

    def sourceVolumeNode(self):
        return self._node.GetSourceVolumeNode() if self._node else None

    def setSourceVolumeNode(self, node: Any) -> None:
        self._logic.SetSourceVolumeNode(node)

    def currentSegmentID(self) -> str:
        return (self._node.GetSelectedSegmentID() or "") if self._node else ""

    def setCurrentSegmentID(self, segment: str) -> None:
        self._logic.SetCurrentSegmentID(segment)

    def availableEffectNames(self) -> tuple[str, ...]:
        return tuple(each.name for each in self._effects)

    def effectByName(self, name: str):
        return next((each for each in self._effects if each.name == name), None)

    def activeEffect(self):
        return self._active

    def setActiveEffect(self, effect: Any) -> None:
        self.setActiveEffectByName(effect.name if effect else "")

    def setActiveEffectByName(self, name: str) -> None:
        if self._node is None:
            complain("no effect can be activated; the editor has no segment editor node.")
        else:
            self._node.SetActiveEffectName(name)

    def saveStateForUndo(self) -> None:
        self._logic.SaveStateForUndo()

    def undo(self) -> None:
        self._logic.Undo()
        self.updateWidgetFromMRML()

    def redo(self) -> None:
        self._logic.Redo()
        self.updateWidgetFromMRML()

    def updateEffectList(self) -> None:
        """Copy the effects that were registered since the last time."""
        known = self.availableEffectNames()
        for prototype in qSlicerSegmentEditorEffectFactory.instance().registeredEffects():
            effect = prototype.clone() if prototype.name not in known else None
            if effect is None:
                continue
            effect.attach(self)
            if self._node:
                effect.setMRMLDefaults()
            effect.setupOptionsFrame()
            effect.optionsFrame().setVisible(False)
            self._effects.append(effect)
            self.add_effect(effect)

    def cleanup(self) -> None:
        """The destructor of C++: whatever the effects hold on to must go now."""
        self.removeViewObservations()
        for observations in (self._node_observations, self._scene_observations):
            observations.clear()
        slicer.app.layoutManager().disconnect("layoutChanged(int)", self._layout_changed)
        for effect in self._effects:
            effect.cleanup()
        self._active, self._node = None, None
        self._logic.SetSegmentEditorNode(None)
        self._effects.clear()

    def updateWidgetFromMRML(self) -> None:
        scene = self.mrmlScene()
        if scene is None or scene.IsClosing() or scene.IsBatchProcessing():
            return
        if self._node:
            self._update_nodes()
            self._update_active_effect()
        self.show_state()

    def _update_nodes(self) -> None:
        segmentation, volume = self.segmentationNode(), self.sourceVolumeNode()
        before, self._shown = self._shown, (segmentation, volume)
        if segmentation is not None and segmentation is not before[0]:
            self._take_segmentation(segmentation)
            volume = self.sourceVolumeNode()
            self._shown = segmentation, volume
        if volume is not before[1]:
            slicer.app.show_volume(volume)
            for effect in self._effects:
                effect.sourceVolumeNodeChanged()
                effect.masterVolumeNodeChanged()
        geometry = self._logic.GetReferenceImageGeometryString() if segmentation and volume else ""
        if geometry != self._geometry:
            self._geometry = geometry
            for effect in self._effects:
                effect.referenceGeometryChanged()

    def _take_segmentation(self, segmentation: Any) -> None:
        volume = segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())
        if volume is not None:
            self._node.SetAndObserveSourceVolumeNode(volume)
        segmentation.CreateDefaultDisplayNodes()
        for event in ("SegmentAdded", "SegmentRemoved", "SegmentModified"):
            self._node_observations.add(segmentation, getattr(slicer.vtkSegmentation, event), self._segments_changed)
        if segmentation.GetSegmentation().GetNumberOfSegments():
            self._logic.SelectFirstSegment(False)

    def _segments_changed(self) -> None:
        """A segment that is gone is no longer selected; the only one there is becomes it."""
        segmentation = self.segmentationNode()
        if segmentation is None or segmentation is not self._shown[0] or self.mrmlScene().IsClosing():
            return
        segments = segmentation.GetSegmentation()
        if not self.currentSegmentID() or segments.GetSegmentIndex(self.currentSegmentID()) < 0:
            first = segments.GetNthSegmentID(0) if segments.GetNumberOfSegments() else ""
            self.setCurrentSegmentID(first)
        self.show_state()

    def _update_active_effect(self) -> None:
        wanted = self.effectByName(self._node.GetActiveEffectName() or "")
        if wanted is self._active:
            return
        if self._active:
            self._active.deactivate()
        if wanted and not self._logic.SetSourceRepresentationToBinaryLabelMap():
            wanted = None
        if wanted:
            self._views.observe()
            self.mrmlScene().GetNodeByID("vtkMRMLInteractionNodeSingleton").SwitchToViewTransformMode()
            wanted.activate()
            self._views.show_cursors(wanted)
        else:
            self.removeViewObservations()
        self._active = wanted
        self.show_effect(wanted)

    def removeViewObservations(self) -> None:
        self._views.clear()

    def _parameter_changed(self) -> None:
        for effect in self._effects:
            effect.updateGUIFromMRML()

    def _interaction_changed(self) -> None:
        if self._active:
            self._active.interactionNodeModified(self.mrmlScene().GetNodeByID("vtkMRMLInteractionNodeSingleton"))

    def _layout_changed(self) -> None:
        for effect in self._effects:
            effect.layoutChanged()

    def _leave_scene(self) -> None:
        self.setSegmentationNode(None)
        self.removeViewObservations()

    def _end_import(self) -> None:
        """After a scene was loaded nothing is edited, whatever the node says that came with it."""
        if self._node:
            self._node.SetAndObserveSegmentationNode(None)
            self._node.SetActiveEffectName("")
        self.updateWidgetFromMRML()

    def _end_close(self) -> None:
        """The module SegmentEditor takes its node again, which is a new one unless it is a singleton."""
        if self._node and self._node.GetScene() is None:
            if self._active:
                self._active.deactivate()
                self._active = None
            self.setMRMLSegmentEditorNode(None)
        self._shown = None, None
        self.updateWidgetFromMRML()
