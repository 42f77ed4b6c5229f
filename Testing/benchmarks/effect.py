"""How long Slicer and its user wait for the Segment Editor effect, measured in the test host.

    python Testing/benchmarks/effect.py [VOLUME]     (default: the built-in phantom)

with SAMSegmenter and Testing/host in PYTHONPATH; with those of another build, it measures that one. The event loop of the host holds
Python's lock as Slicer's does. A wait is one turn of it, by the clock and by what the process has computed meanwhile ("cpu"): on a
machine that does nothing else they are the same.
"""

from __future__ import annotations

import gc
import importlib.machinery
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEventLoop, QTimer

import slicerhost
from SAMSegmenterLib.phantom import make_phantom
from slicerhost.hands import SliceView

try:
    from slicerhost import lock
except ImportError:  # an older host: that of this build serves as well
    sys.path.append(str(Path(__file__).parents[1] / "host" / "slicerhost"))
    import lock

PATIENCE_SECONDS = 300
IDLE_SECONDS = 10
LISTED_WAITS = 5
CT_SHAPE = (224, 404, 488)
ORGANS = {"liver": (0.4, 0.45, 0.6, 0.22), "spleen": (0.7, 0.6, 0.65, 0.1)}  # centre and radius, as shares of the volume's sides


def main() -> None:
    host = slicerhost.start()
    calls = _Uninterrupted()
    registration = _register()
    import slicer

    if len(sys.argv) > 1:
        from SAMSegmenterLib.imageio import read_volume

        volume = read_volume(Path(sys.argv[1]))
    else:
        volume, _, _ = make_phantom()
    node = host.make_volume(np.asarray(volume.voxels), volume.ijk_to_ras, "volume")
    print(registration)
    start = time.perf_counter()
    editor = host.make_editor(node, ("liver",))
    print(f"editor with the effect's panel: {_ms(time.perf_counter() - start)}, torch imported: {'torch' in sys.modules}")
    gc.collect()  # Slicer has collected what was made until here; the host does so in its first turn, which is measured
    begin, start = time.thread_time(), time.perf_counter()
    editor.setActiveEffectByName("SAMSegmenter")
    print(f"activation: {_ms(time.perf_counter() - start)}, cpu {_ms(time.thread_time() - begin)}")
    bench = _Bench(host, editor, volume)
    waits, spent_on = bench.loading(calls)
    print(f"torch and network loaded meanwhile: {_longest(waits, 3)}; torch's own library alone: {calls.taken_by('torch._C')}")
    print(*spent_on, sep="\n")
    print(f"first preview: {bench.seconds_to_preview(0):.1f} s")
    fresh = [1000 * bench.seconds_to_preview(step) for step in range(1, 8)]
    again = [1000 * bench.seconds_to_preview(7) for _ in range(7)]
    print(f"click to preview, another slice: median {statistics.median(fresh):.0f} ms, most {max(fresh):.0f} ms")
    print(f"click to preview, same slice:    median {statistics.median(again):.0f} ms, most {max(again):.0f} ms")
    waits, seconds, slices = bench.propagate()
    print(f"propagation: {slices} slices in {seconds:.2f} s, {_longest(waits, 1)}")
    print(f"idle with the effect active: {100 * bench.idle():.2f} % of a core")
    editor.setActiveEffectByName("")
    print(f"idle without it: {100 * bench.idle():.2f} % of a core")
    print(f"apply, two organs of {' x '.join(map(str, CT_SHAPE[::-1]))}: {_apply(host)}")
    print("faults:", host.exceptions or "none")
    slicer.mrmlScene.Clear(0)
    slicerhost.stop()


def _register() -> str:
    before, begin = set(sys.modules), time.process_time()
    import SAMSegmenter

    SAMSegmenter.register_effect()
    spent = time.process_time() - begin
    added = {name for name in set(sys.modules) - before if name.startswith("SAMSegmenter")}
    return f"registration: {_ms(spent)} cpu, {len(added)} modules beside those of the phantom"


class _Uninterrupted:
    """The calls from now on that keep Python's lock to their end: libraries that Python loads, and garbage that it collects.

    The host collects on the main thread alone, Slicer on whichever thread asks for memory.
    """

    def __init__(self) -> None:
        self._calls: list[tuple[float, str, float, float]] = []  # processor's time in seconds, name, begin and end by the clock
        loader = importlib.machinery.ExtensionFileLoader
        loader.create_module, loader.exec_module = self._timed(loader.create_module), self._timed(loader.exec_module)
        gc.callbacks.append(self._collected)

    def _timed(self, load):
        def timed(loader, of):
            begin = self._now()
            try:
                return load(loader, of)
            finally:
                self._note(loader.name, begin)

        return timed

    def _collected(self, phase: str, _) -> None:
        if phase == "start":
            self._collecting = self._now()
        else:
            self._note("garbage", self._collecting)

    def _now(self) -> tuple[float, float]:
        return time.thread_time(), time.perf_counter()

    def _note(self, name: str, begin: tuple[float, float]) -> None:
        end = self._now()
        self._calls.append((end[0] - begin[0], name, begin[1], end[1]))

    def taken_by(self, name: str) -> str:
        """How long the longest call of that name took, in words."""
        seconds, _, begin, end = max(call for call in self._calls if call[1] == name)
        return f"{_ms(end - begin)} (cpu {_ms(seconds)})"

    def longest(self, begin: float, end: float) -> str:
        """The longest call that ran between two moments, in words."""
        seconds, name, *_ = max((call for call in self._calls if begin < call[3] and call[2] < end), default=(0.0, "nothing"))
        return f"{name} {_ms(seconds)}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _longest(waits: list[tuple[float, float]], count: int) -> str:
    clock, computed = (sorted(each, reverse=True)[:count] for each in zip(*waits, strict=True))
    shown = [", ".join(f"{1000 * each:.0f}" for each in kind) for kind in (clock, computed)]
    return f"longest waits {shown[0]} ms (cpu {shown[1]} ms)"


def _wiring(editor):
    effect = editor.activeEffect().self()
    return getattr(effect, "wiring", effect)


def _apply(host) -> str:
    """What the event loop waits for while previews of two organs become part of their segments in a large CT."""
    k, j, i = np.ogrid[: CT_SHAPE[0], : CT_SHAPE[1], : CT_SHAPE[2]]
    voxels = np.broadcast_to((i % 50).astype(np.int16), CT_SHAPE).copy()
    node = host.make_volume(voxels, np.diag([0.8, 0.8, 2.0, 1.0]), "CT")
    editor = host.make_editor(node, tuple(ORGANS))
    editor.setActiveEffectByName("SAMSegmenter")
    wiring, view = _wiring(editor), SliceView("Red")
    host.process_events()
    view.fit()
    wiring._act("setting", "LivePreview", 0)
    wiring._act("tool", "point")
    view.click((200, 200))
    segments = editor.segmentationNode().GetSegmentation()
    preview = wiring.controller.workbench.preview
    for name, (x, y, z, radius) in ORGANS.items():
        distances = [((axis - at * n) / n) ** 2 for axis, at, n in zip((k, j, i), (z, y, x), CT_SHAPE, strict=True)]
        organ = sum(distances) < radius**2
        for index in np.flatnonzero(organ.any((1, 2))):
            preview.write(segments.GetSegmentIdBySegmentName(name), int(index), organ[index])
    preview.flush()
    host.process_events()
    begin, computed, waits = time.perf_counter(), time.process_time(), []
    wiring.panel.actions["apply"].click()
    waits.append((time.perf_counter() - begin, time.process_time() - computed))
    busy = getattr(wiring.controller, "applier", None)
    waits += lock.gaps_until(host, lambda: not (busy and busy.is_writing), PATIENCE_SECONDS)
    total = f"{_ms(time.perf_counter() - begin)}, cpu {_ms(time.process_time() - computed)} in all"
    return f"{_longest(waits, 3)}, {total}; {wiring.panel.message.text!r}"


class _Bench:
    def __init__(self, host, editor, volume) -> None:
        from SAMSegmenterLib import worker

        self.worker, self.host, self.wiring, self.volume = worker, host, _wiring(editor), volume
        self.view = SliceView("Red")
        self.view.fit()
        self.middle = (np.array(volume.shape_ijk) - 1) / 2

    def place(self, step: int, right: float = 0.0, back: float = 0.0) -> tuple:
        offset = np.array([right, back, step]) * (self.volume.shape_ijk[0] / 8, self.volume.shape_ijk[1] / 8, 1)
        return tuple(self.volume.to_ras(self.middle + offset))

    def loading(self, calls: _Uninterrupted) -> tuple[list[tuple[float, float]], list[str]]:
        """The waits, and what the longest of them were spent on."""
        moments = []

        def is_loaded() -> bool:
            moments.append((time.perf_counter(), time.thread_time()))
            return "torch" in sys.modules and not self.worker._unfinished

        waits = lock.gaps_until(self.host, is_loaded, PATIENCE_SECONDS)
        turns = sorted(zip(waits, moments[:-1], moments[1:], strict=True), reverse=True)[:LISTED_WAITS]
        return waits, [
            f"  {_ms(wait[0])}: {_ms(end[1] - begin[1])} cpu of the window's thread; longest call {calls.longest(begin[0], end[0])} cpu"
            for wait, begin, end in turns
        ]

    def seconds_to_preview(self, step: int) -> float:
        """From letting the mouse go at the end of a box until its slice shows the preview."""
        self.wiring.controller.clear()
        self.view.go_to(self.place(step))
        self.wiring._act("tool", "box")
        self.view.press(self.place(step, -1, -1))
        self.view.move(self.place(step, 1, 1))
        start = time.perf_counter()
        self.view.release(self.place(step, 1, 1))
        lock.gaps_until(self.host, lambda: self.wiring.controller.has_preview, PATIENCE_SECONDS)
        return time.perf_counter() - start

    def propagate(self) -> tuple[list[tuple[float, float]], float, int]:
        start = time.perf_counter()
        self.wiring._act("propagate")
        waits = lock.gaps_until(self.host, lambda: not self.wiring.controller.busy, PATIENCE_SECONDS)
        progress = self.wiring.controller.progress
        return waits, time.perf_counter() - start, progress.done if progress else 0

    def idle(self) -> float:
        """The share of a core that is computed with while nothing happens: the loop sleeps, and only timers wake it."""
        lock.gaps_until(self.host, lambda: not (self.wiring.controller.busy or self.worker._unfinished), PATIENCE_SECONDS)
        loop, end = QEventLoop(), QTimer()
        end.setSingleShot(True)
        end.connect("timeout()", loop.quit)
        begin = time.process_time()
        end.start(1000 * IDLE_SECONDS)
        loop.exec()
        return (time.process_time() - begin) / IDLE_SECONDS


if __name__ == "__main__":
    main()
