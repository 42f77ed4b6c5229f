"""A MRML scene with the logics that Slicer has at start-up."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from .observing import Observations

LOGICS = {
    "Colors": "vtkMRMLColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
}
LISTED = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLMarkupsNode", "vtkMRMLModelNode", "vtkMRMLTransformNode")
"""Classes of nodes that the subject hierarchy shows."""


def make_scene(folder: str) -> tuple[Any, Any]:
    """A scene as the application sets it up, with a folder for what it unpacks, and the logic of the application."""
    scene, logic = slicer.vtkMRMLScene(), slicer.vtkSlicerApplicationLogic()
    cache, files = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(folder)
    files.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(files)
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.GetColorLogic().AddDefaultColorNodes()
    logic.SetSliceLogics(vtk.vtkCollection())
    logic.SetViewLogics(vtk.vtkCollection())
    for factory in (slicer.vtkMRMLSliceViewDisplayableManagerFactory, slicer.vtkMRMLThreeDViewDisplayableManagerFactory):
        factory.GetInstance().SetMRMLApplicationLogic(logic)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return scene, logic


def module_logics(scene: Any, application: Any) -> dict[str, Any]:
    made = {}
    for name, cls in LOGICS.items():
        made[name] = logic = getattr(slicer, cls)()
        logic.SetMRMLScene(scene)
        logic.SetMRMLApplicationLogic(application)
        application.SetModuleLogic(name, logic)
    return made


class SubjectHierarchy:
    """An item for every node that users see; in Slicer the plugins of the subject hierarchy do that."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._observations = Observations()
        self._observations.add(scene, scene.NodeAddedEvent, self._add_items)

    def close(self) -> None:
        self._observations.clear()

    def _node(self):
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)

    def _add_items(self) -> None:
        if self._scene.IsClosing() or self._scene.IsImporting():
            return
        items = self._node()
        for kind in LISTED:
            for node in slicer.util.getNodesByClass(kind, self._scene):
                if not node.GetHideFromEditors() and not items.GetItemByDataNode(node):
                    items.CreateItem(items.GetSceneItemID(), node)
