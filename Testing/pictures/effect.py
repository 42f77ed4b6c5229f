"""Drives the Segment Editor effect through its workflow and writes the pictures of the README and the tutorial.

    python Testing/pictures/effect.py VOLUME LABELS NAMES.json OUTPUT_FOLDER [SEGMENT]

with SAMSegmenter and Testing/host in PYTHONPATH; those in Resources/Screenshots are of ct_torso.nii.gz. Every picture is what the
running code draws: the effect in the test host, Slicer's own views beside it. The labels only tell where a user would place the
prompts, and how good the result is. `panel_350_during.png` and the like show the panel alone, before, during and after a run.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

import slicerhost
from SAMSegmenterLib.imageio import read_labelmap, read_volume
from slicerhost.hands import SliceView
from slicerhost.pictures import panel_picture

VIEWS, SIZE = ("Red", "Yellow", "Green"), (460, 460)
COLORS = {"liver": (0.87, 0.45, 0.36), "kidney_right": (0.68, 0.66, 0.92), "spleen": (0.6, 0.45, 0.75)}
PATIENCE_SECONDS = 120
PANEL_WIDTHS = 350, 500
MODULE = Path(__file__).parents[2] / "SAMSegmenter" / "SAMSegmenter.py"


class Workflow:
    """A user before the effect, who knows where the segment is."""

    def __init__(self, host, volume_path: Path, labels_path: Path, names: dict[str, int], segment: str) -> None:
        self.host, self.segment = host, segment
        self.volume = read_volume(volume_path)
        self.truth = read_labelmap(labels_path).voxels == names[segment]
        self.node = host.make_volume(np.asarray(self.volume.voxels), self.volume.ijk_to_ras, volume_path.name.split(".")[0])
        self.editor = host.make_editor(self.node, (segment, "spleen"))
        for name, color in COLORS.items():
            segments = self.editor.segmentationNode().GetSegmentation()
            shown = segments.GetSegment(segments.GetSegmentIdBySegmentName(name))
            if shown:
                shown.SetColor(color)
        self.id = self.editor.currentSegmentID()
        self.node.GetDisplayNode().SetAutoWindowLevel(False)
        self.node.GetDisplayNode().SetWindowLevel(400, 40)
        self.editor.setActiveEffectByName("SAMSegmenter")
        self.effect = self.editor.activeEffect().self().wiring
        while not self.effect._is_listed:
            self.host.process_events()
        self.views = {name: SliceView(name) for name in VIEWS}
        for view in self.views.values():
            view.fit()

    def slice_at(self, share: float) -> int:
        slices = np.flatnonzero(self.truth.any((1, 2)))
        return int(slices[round(share * (len(slices) - 1))])

    def place(self, x: float, y: float, index: int) -> tuple[float, ...]:
        return tuple(self.volume.to_ras(np.array([x, y, index])))

    def show(self, index: int) -> None:
        rows, columns = np.nonzero(self.truth[index])
        for view in self.views.values():
            view.go_to(self.place(columns.mean(), rows.mean(), index))

    def box(self, index: int) -> None:
        rows, columns = np.nonzero(self.truth[index])
        self.effect._act("tool", "box")
        first, last = self.place(columns.min() - 1, rows.min() - 1, index), self.place(columns.max() + 1, rows.max() + 1, index)
        self.views["Red"].drag(first, last)
        self.wait()

    def correct(self, index: int) -> None:
        """Click where the preview is most wrong on a slice, until little is."""
        self.effect._act("tool", "point")
        for _click in range(3):
            found = self.effect.controller.workbench.preview.slice(self.id, index)
            wrong = (found if found is not None else np.zeros_like(self.truth[index])) ^ self.truth[index]
            x, y = _deepest(wrong)
            inside = bool(self.truth[index, y, x])
            self.views["Red"].click(self.place(x, y, index), modifiers=() if inside else ("Control",))
            self.wait()

    def act(self, name: str) -> None:
        self.effect._act(name)
        self.wait()

    def dice(self) -> float:
        found = self.effect.controller.workbench.preview.mask(self.id)
        return 2 * float((found & self.truth).sum()) / float(found.sum() + self.truth.sum())

    def wait(self) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while self.effect.controller.busy:
            if time.monotonic() > end:
                raise TimeoutError(f"nothing came: {self.effect.panel.message.text}")
            self.host.process_events()
            time.sleep(0.01)
        self.host.process_events()

    def panels(self, folder: Path, when: str) -> None:
        """The panel alone, as wide as columns are."""
        for width in PANEL_WIDTHS:
            panel_picture(self.editor, width=width).save(folder / f"panel_{width}_{when}.png", optimize=True)

    def propagate(self, folder: Path) -> None:
        """With pictures of the panel on the way."""
        self.panels(folder, "before")
        self.effect._act("propagate")
        end = time.monotonic() + PATIENCE_SECONDS
        while not (self.effect.controller.progress and self.effect.controller.progress.done > 5) and time.monotonic() < end:
            self.host.process_events()
            time.sleep(0.01)
        self.panels(folder, "during")
        self.wait()
        self.panels(folder, "after")

    def picture(self, path: Path) -> None:
        import slicer

        self.host.process_events()
        slicer.app.layoutManager().resetThreeDViews()
        self.host.picture(self.editor, (*VIEWS, "3D"), SIZE).save(path, optimize=True)


def _deepest(wrong: np.ndarray) -> tuple[int, int]:
    """The pixel ``(x, y)`` farthest from what is right."""
    depth, left = np.zeros(wrong.shape, int), wrong.copy()
    while left.any():
        depth += left
        inner = np.pad(left, 1)
        left = left & inner[2:, 1:-1] & inner[:-2, 1:-1] & inner[1:-1, 2:] & inner[1:-1, :-2]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(x), int(y)


def main(volume: str, labels: str, names: str, output: str, segment: str = "kidney_right") -> None:
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    known = {name: int(value) for value, name in json.loads(Path(names).read_text(encoding="utf-8")).items()}
    host = slicerhost.start()
    module = host.load_module(MODULE)
    host.finish_startup()
    host.picture(module.widgetRepresentation(), ()).save(folder / "module.png", optimize=True)
    user = Workflow(host, Path(volume), Path(labels), known, segment)
    user.panels(folder, "empty")
    first, second = user.slice_at(0.8), user.slice_at(0.45)
    user.show(first)
    user.box(first)
    user.picture(folder / "effect_prompt.png")
    user.propagate(folder)
    print(f"after one box: Dice {user.dice():.2f}")
    user.picture(folder / "effect_propagated.png")
    user.show(second)
    user.correct(second)
    user.act("propagate")
    print(f"after a correction: Dice {user.dice():.2f}")
    user.picture(folder / "effect_corrected.png")
    user.act("apply")
    user.picture(folder / "effect_applied.png")
    print(user.effect.panel.message.text)
    user.editor.setActiveEffectByName("")
    module.cleanup()
    slicerhost.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
