"""The effect under a user's hands: what the tests of the effect do, in words."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import slicer
import vtk

import slicerhost
from SAMSegmenterLib.phantom import make_phantom
from slicerhost.hands import SliceView, mouse_click, press_shortcut

NAME, PATIENCE_S = "SAMSegmenter", 30
BALL, DISC, BACKGROUND = 150, 300, 0
SPACING_MM = (2.0, 2.0, 3.0)


# ---------------------------------------------------------------- images


def two_balls(shape_kji: tuple[int, int, int] = (24, 48, 48)) -> tuple[np.ndarray, np.ndarray]:
    """Two balls of different brightness that do not touch, int16 ``(k, j, i)``, and their labels 1 and 2."""
    depth, height, width = shape_kji
    k, j, i = np.ogrid[:depth, :height, :width]
    labels = np.zeros(shape_kji, np.uint8)
    for label, (x, y, z, radius) in enumerate(((0.33, 0.4, 0.5, 0.19), (0.72, 0.65, 0.45, 0.15)), start=1):
        squares = ((i - x * width) / width) ** 2 + ((j - y * height) / height) ** 2 + ((k - z * depth) / depth * 0.7) ** 2
        labels[squares <= radius**2] = label
    noise = np.random.default_rng(0).integers(-5, 6, shape_kji)
    return (np.choose(labels, (BACKGROUND, BALL, DISC)) + noise).astype(np.int16), labels


@lru_cache(maxsize=2)
def torso(shape_ijk: tuple[int, int, int] = (48, 48, 24), spacing_mm: tuple[float, float, float] = (4.0, 4.0, 8.0)):
    """The phantom with its labels (1 is the liver, 4 the spleen)."""
    volume, labels, _names = make_phantom(shape_ijk=shape_ijk, spacing_mm=spacing_mm)
    return volume, labels


def lps(spacing_mm: tuple[float, float, float] = SPACING_MM, origin: tuple[float, float, float] = (40, 50, -30)) -> np.ndarray:
    """From voxels to RAS as CT has it: to the patient's left, back and head."""
    matrix = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    matrix[:3, 3] = origin
    return matrix


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(one.sum() + other.sum(), 1))


# ---------------------------------------------------------------- the user


@dataclass
class Work:
    """A user before an editor in which the effect is active.

    Attributes:
        host, editor: see `slicerhost`.
        volume: the source volume's node.
        truth: labels ``(k, j, i)`` of the volume; 1 is what "liver" shall become, 2 what "spleen" shall.
        view: the slice view that the user works in.
        ids: of the segments, by name, as far as they were asked for.
    """

    host: slicerhost.host.Host
    editor: Any
    volume: Any
    truth: np.ndarray
    view: SliceView
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def effect(self) -> Any:
        return self.editor.effectByName(NAME).self().wiring

    @property
    def controller(self) -> Any:
        return self.effect.controller

    @property
    def panel(self) -> Any:
        return self.effect.panel

    @property
    def segmentation(self) -> Any:
        return self.editor.segmentationNode()

    @property
    def message(self) -> str:
        return self.panel.message.text

    @property
    def warned(self) -> bool:
        """Whether the message is about something that went wrong."""
        return bool(self.panel.message.styleSheet)

    @property
    def details(self) -> str:
        return self.effect.messages.shown.details

    @property
    def marks(self) -> tuple:
        return self.controller.marks.all

    @property
    def plane(self) -> Any:
        """Of the selected segment's marks."""
        return self.controller.marks.plane_of(self.controller.segment)

    def parameter(self, name: str) -> str:
        return self.editor.mrmlSegmentEditorNode().GetAttribute(f"{NAME}.{name}")

    def id(self, name: str) -> str:
        """Return the ID of a segment; of one that is gone, the ID that it had."""
        found = self.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name) if self.segmentation else ""
        if found:
            self.ids[name] = found
        return found or self.ids.get(name, name)

    def name_of(self, segment: str) -> str:
        return next((name for name, known in self.ids.items() if known == segment), segment)

    # Controls

    def press(self, name: str) -> None:
        """Press a button of the panel with the mouse; it has to be enabled."""
        button = self.panel.actions[name]
        assert button.enabled, f"{name} is disabled; the panel says: {self.message}"
        mouse_click(button)
        self.wait_for(lambda: not self.controller.applier.is_writing)

    def take(self, tool: str) -> None:
        button = self.panel.tools[tool]
        mouse_click(button) if self.editor.activeEffect() else button.click()

    def choose(self, combo: Any, value: str) -> None:
        index = combo.findData(value)
        assert index >= 0
        combo.setCurrentIndex(index)

    def key(self, key: str) -> bool:
        pressed = press_shortcut(key, self.effect.scriptedEffect.optionsFrame())
        self.wait_for(lambda: not self.controller.applier.is_writing)
        return pressed

    def select(self, segment: str) -> None:
        self.editor.setCurrentSegmentID(self.id(segment))

    def switch_away(self) -> None:
        self.editor.setActiveEffectByName("")

    def switch_back(self) -> None:
        self.editor.setActiveEffectByName(NAME)
        self.settle()

    def settle(self) -> None:
        """Until the effect has come fully into view."""
        self.wait_for(lambda: self.effect._is_listed or not self.editor.activeEffect())

    # Places

    def ras(self, *ijk: float) -> np.ndarray:
        """Where a voxel of the volume is in the world."""
        matrix = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(self.volume))
        place = (matrix @ (*ijk, 1.0))[:3]
        transform = self.volume.GetParentTransformNode()
        if transform:
            to_world = vtk.vtkGeneralTransform()
            transform.GetTransformToWorld(to_world)
            place = np.array(to_world.TransformPoint(*place))
        return place

    def middle(self, label: int = 1) -> tuple[int, int, int]:
        """A voxel ``(i, j, k)`` about the centre of an object."""
        k, j, i = (int(np.rint(each.mean())) for each in np.nonzero(self.truth == label))
        return i, j, k

    def corners(self, k: int, label: int = 1, margin: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Two opposite corners of an object's box on an axial slice, in the world."""
        rows, columns = np.nonzero(self.truth[k] == label)
        first = self.ras(columns.min() - margin, rows.min() - margin, k)
        return first, self.ras(columns.max() + margin, rows.max() + margin, k)

    # Hands

    def go_to(self, k: int) -> None:
        """Show an axial slice."""
        self.view.go_to(self.ras(*self.middle()[:2], k))

    def draw_box(self, k: int | None = None, label: int = 1) -> None:
        """Around an object on an axial slice; the middle one if not given."""
        k = self.middle(label)[2] if k is None else k
        self.take("box")
        self.go_to(k)
        self.view.drag(*self.corners(k, label))

    def click(self, *ijk: float, modifiers: tuple[str, ...] = ()) -> None:
        """A point at a voxel, on its axial slice."""
        self.take("point")
        self.view.go_to(self.ras(*ijk))
        self.view.click(self.ras(*ijk), modifiers)

    # Time

    def wait(self) -> None:
        """Until nothing is running and everything is shown."""
        self.wait_for(lambda: not self.controller.busy)
        self.host.process_events()

    def wait_for(self, happened: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < give_up, f"nothing came in {PATIENCE_S} s; the panel says: {self.message}"
            self.host.process_events()
            time.sleep(0.002)

    def propagate_and_pause(self, network: Any, slices: int) -> None:
        """Propagate by a `QuickNetwork`, until so many slices are found."""
        network.pause_after(slices)
        self.press("propagate")
        self.wait_for(lambda: network.is_paused)
        self.wait_for(lambda: (self.controller.progress.done if self.controller.progress else 0) == slices)

    def propagate(self) -> None:
        self.press("propagate")
        self.wait()

    def segment_by_box(self, k: int | None = None, label: int = 1) -> None:
        """From a box to the whole segment, not applied yet."""
        self.draw_box(k, label)
        self.propagate()

    # What is there

    def segment(self, name: str = "liver") -> np.ndarray:
        """A segment on the volume's voxels, bool ``(k, j, i)``."""
        shape = slicer.util.arrayFromVolume(self.volume).shape[:3]
        if not self.segmentation.GetSegmentation().GetSegment(self.id(name)):
            return np.zeros(shape, bool)
        return slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentation, self.id(name), self.volume) > 0

    def paint(self, mask: np.ndarray, name: str = "liver") -> None:
        """Have a segment be this, as if painted by hand."""
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), self.segmentation, self.id(name), self.volume)

    def preview(self, name: str = "liver") -> np.ndarray:
        """What is shown but not applied yet, bool ``(k, j, i)`` on the stack's voxels."""
        preview, segment = self.controller.workbench.preview, self.id(name)
        shape = slicer_shape(self.volume)
        return preview.mask(segment).copy() if preview and segment in preview.segments else np.zeros(shape, bool)

    def preview_nodes(self) -> list[Any]:
        nodes = [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]
        return [each for each in nodes if "preview" in (each.GetName() or "")]

    def segments(self) -> dict[str, bytes]:
        """Return every segment's voxels by its name, to be compared."""
        segments = self.segmentation.GetSegmentation()
        names = [segments.GetNthSegment(n).GetName() for n in range(segments.GetNumberOfSegments())]
        return {name: np.packbits(self.segment(name)).tobytes() for name in names}

    def keyframes(self) -> list[int]:
        return [index for index, _what in self.controller.prompting.keyframes()]

    def listed(self, table: Any) -> list[str]:
        return [table.item(row).text() for row in range(table.count)]


def slicer_shape(volume: Any) -> tuple[int, ...]:
    return tuple(volume.GetImageData().GetDimensions()[::-1])


def _ijk_to_ras(volume: Any) -> Any:
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def fingerprint(volume: Any) -> str:
    """Of a volume's voxels and place."""
    digest = hashlib.sha256(np.ascontiguousarray(slicer.util.arrayFromVolume(volume)).tobytes())
    digest.update(slicer.util.arrayFromVTKMatrix(_ijk_to_ras(volume)).tobytes())
    return digest.hexdigest()


def assert_works_again(work: Work) -> None:
    """From a box to the applied segment, as if nothing had happened."""
    work.press("clear")
    work.segment_by_box()
    work.press("apply")
    np.testing.assert_array_equal(work.segment("liver"), work.truth == 1)


def another_volume(work: Work) -> Any:
    """The two balls, upside down in j."""
    voxels, _truth = two_balls()
    return work.host.make_volume(voxels[:, ::-1], lps(), "another")


def start_anew(work: Work) -> None:
    """Load the image again into an empty scene, and begin to edit, as the module SegmentEditor would."""
    voxels, _truth = two_balls()
    work.volume = work.host.make_volume(voxels, lps(), "image")
    if work.editor.mrmlSegmentEditorNode() is None:
        work.editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    work.editor.setSegmentationNode(work.host.make_segmentation(work.volume, ("liver", "spleen")))
    work.editor.setSourceVolumeNode(work.volume)
    work.select("liver")
    work.switch_away()
    work.switch_back()
    work.view.fit()


def in_another_process(program: str) -> subprocess.CompletedProcess:
    """What a program prints that can import whatever this one can."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environment)
