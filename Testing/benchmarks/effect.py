"""How quickly the Segment Editor effect answers, measured in the test host: panel, preview, and the longest stall of the window.

    python Testing/benchmarks/effect.py [VOLUME]     (default: the built-in phantom)

A stall is the longest time between two turns of the event loop while a propagation runs on the worker.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np

import slicerhost
from SAMSegmenterLib.phantom import make_phantom
from slicerhost.hands import SliceView

TURN_SECONDS = 0.005
PATIENCE_SECONDS = 300


def main() -> None:
    host = slicerhost.start()
    import slicer

    import SAMSegmenter

    SAMSegmenter.register_effect()
    if len(sys.argv) > 1:
        from SAMSegmenterLib.imageio import read_volume

        volume = read_volume(Path(sys.argv[1]))
    else:
        volume, _, _ = make_phantom()
    node = host.make_volume(np.asarray(volume.voxels), volume.ijk_to_ras, "volume")
    start = time.perf_counter()
    editor = host.make_editor(node, ("liver",))
    made = time.perf_counter() - start
    print(f"editor with the effect's panel: {1000 * made:.0f} ms, torch imported: {'torch' in sys.modules}")
    editor.setActiveEffectByName("SAMSegmenter")
    bench = _Bench(host, editor, volume)
    print(f"activated, first preview (torch and network are loaded): {bench.seconds_to_preview(0):.1f} s")
    fresh = [1000 * bench.seconds_to_preview(step) for step in range(1, 8)]
    again = [1000 * bench.seconds_to_preview(7) for _ in range(7)]
    print(f"click to preview, another slice: median {statistics.median(fresh):.0f} ms, most {max(fresh):.0f} ms")
    print(f"click to preview, same slice:    median {statistics.median(again):.0f} ms, most {max(again):.0f} ms")
    stall, seconds, slices = bench.propagate()
    print(f"propagation: {slices} slices in {seconds:.2f} s, longest stall of the window {1000 * stall:.0f} ms")
    start = time.perf_counter()
    bench.effect.controller.apply()
    print(f"apply: {1000 * (time.perf_counter() - start):.0f} ms")
    print("faults:", host.exceptions or "none")
    slicer.mrmlScene.Clear(0)
    slicerhost.stop()


class _Bench:
    def __init__(self, host, editor, volume) -> None:
        self.host, self.effect, self.volume = host, editor.activeEffect().self(), volume
        self.view = SliceView("Red")
        self.view.fit()
        self.middle = (np.array(volume.shape_ijk) - 1) / 2

    def place(self, step: int, right: float = 0.0, back: float = 0.0) -> tuple:
        offset = np.array([right, back, step]) * (self.volume.shape_ijk[0] / 8, self.volume.shape_ijk[1] / 8, 1)
        return tuple(self.volume.to_ras(self.middle + offset))

    def seconds_to_preview(self, step: int) -> float:
        """From letting the mouse go at the end of a box until its slice shows the preview."""
        self.effect.controller.clear()
        self.view.go_to(self.place(step))
        self.effect._act("tool", "box")
        self.view.press(self.place(step, -1, -1))
        self.view.move(self.place(step, 1, 1))
        start = time.perf_counter()
        self.view.release(self.place(step, 1, 1))
        self.until(lambda: self.effect.controller.has_preview)
        return time.perf_counter() - start

    def propagate(self) -> tuple[float, float, int]:
        start = time.perf_counter()
        self.effect._act("propagate")
        stall = self.until(lambda: not self.effect.controller.busy)
        progress = self.effect.controller.progress
        return stall, time.perf_counter() - start, progress.done if progress else 0

    def until(self, done) -> float:
        """Turn the event loop until `done()`; the longest turn."""
        longest, end = 0.0, time.perf_counter() + PATIENCE_SECONDS
        while not done():
            turn = time.perf_counter()
            self.host.process_events()
            longest = max(longest, time.perf_counter() - turn)
            time.sleep(TURN_SECONDS)
            if time.perf_counter() > end:
                raise TimeoutError(f"nothing came: {self.effect.panel.message.text}")
        return longest


if __name__ == "__main__":
    main()
