"""What statistics and overlapping segments cost: memory and time of composing and writing a segmentation.

    PYTHONPATH=SAMSegmenter python Testing/benchmarks/writing.py [--rounds 3] [--axis k]

Twelve segments that overlap, on 221 of 800 slices of 512 x 512 pixels each, whose passes are made up, so that nothing is computed but
what is measured. Each run is a process of its own; the kinds of runs take turns, and the least of each kind counts. Wanted: `--overlap` in
at most 1.3 times the memory and 1.5 times the time of the run without it, `--stats` in at most 10 MB more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COUNT, SLICES, SIDE, RADIUS = 12, 800, 512, 110
CELLS = 96  # of the network's masks
KINDS = {"plain": (), "stats": ("stats",), "overlap": ("overlap",), "overlap, stats": ("overlap", "stats")}


def measure(options: tuple[str, ...], axis: str) -> dict[str, float]:
    """Return the seconds, the CPU seconds and the peak memory in MB of one run in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--run", axis, *options], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def made_up_run(axis: str):
    """Return a run whose segments are balls that overlap, as if it had been propagated."""
    from SAMSegmenterLib.image.stack import FrameStack
    from SAMSegmenterLib.image.volume import Volume
    from SAMSegmenterLib.image.window import Window
    from SAMSegmenterLib.models.loading import load_model
    from SAMSegmenterLib.prompts.types import Box, Keyframe, PromptSet, Segment
    from SAMSegmenterLib.session.run import Run
    from SAMSegmenterLib.session.session import Session

    shape = {"k": (SLICES, SIDE, SIDE), "j": (SIDE, SLICES, SIDE), "i": (SIDE, SIDE, SLICES)}[axis]
    voxels = np.empty(shape, np.int16)
    for slice_ in voxels:
        slice_[:] = np.arange(shape[1])[:, None]
    stack, middle = FrameStack(Volume(voxels), axis, Window(0, 512)), SLICES // 2
    segments = tuple(Segment(f"ball {n}", (Keyframe(middle + 4 * n, box=Box(90 + 4 * n, 130, 310 + 4 * n, 350)),)) for n in range(COUNT))
    session = Session(stack, load_model(), device="cpu", prompts=PromptSet(segments, axis))
    for number, segment in enumerate(segments):
        _fill(session, segment, middle + 4 * number, 200 + 4 * number)
    return Run(session, "auto")


def _fill(session, segment, middle: int, column: int) -> None:
    """Give a segment a ball around (`column`, 240) of slice `middle`, found by a pass either way."""
    from SAMSegmenterLib.evidence.appearance import Appearance
    from SAMSegmenterLib.image.view import View
    from SAMSegmenterLib.keyframes.seed import Seed
    from SAMSegmenterLib.network.slice_result import SliceResult
    from SAMSegmenterLib.propagation.track import Track
    from SAMSegmenterLib.propagation.trust import Finding

    view = View(column - 140, 100, 280, 280, CELLS)
    y, x = (np.mgrid[:CELLS, :CELLS] + 0.5) * view.width / CELLS - view.width / 2

    def result(offset: int) -> SliceResult:
        logits = np.clip(RADIUS**2 - offset**2 - x**2 - y**2, -2000, 2000) / 16
        return SliceResult(middle + offset, view, logits.astype(np.int8), 5.0, 0.9)

    seed = Seed(result(0), result(0).mask(session.stack.shape), Appearance(30_000, 100.0, 10.0))
    session.composition.begin(segment, middle, seed)
    for direction in (-1, 1):
        track = Track(seed, direction, middle + direction * RADIUS, None, view, None, seed.mask)
        track.results += [result(direction * n) for n in range(1, RADIUS + 1)]
        track.findings += [Finding(Appearance(30_000, 100.0, 10.0), 5.0, 0.9, 1.0, "", 0.9) for _ in range(RADIUS)]
        track.judge(may_end=False, least_trust=0.6)
        session.composition.tracks[segment.name, middle, direction] = track


def _run(axis: str, options: list[str]) -> None:
    from SAMSegmenterLib.cli.options import write_text
    from SAMSegmenterLib.cli.running import write
    from SAMSegmenterLib.session.usage import peak_memory_mb

    run = made_up_run(axis)
    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.perf_counter(), time.process_time()
        write(run, Path(folder, "out.seg.nrrd"), overlap="overlap" in options)
        if "stats" in options:
            write_text(Path(folder, "stats.json"), json.dumps(run.stats(), indent=2))
        took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        print(json.dumps({**took, "mb": peak_memory_mb(), "file_mb": Path(folder, "out.seg.nrrd").stat().st_size / 2**20}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--axis", default="k", choices="ijk")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        _run(given.run[0], given.run[1:])
        return
    runs = {kind: [] for kind in KINDS}
    for _ in range(given.rounds):
        for kind, options in KINDS.items():
            runs[kind].append(measure(options, given.axis))
    least = {kind: {what: min(each[what] for each in found) for what in found[0]} for kind, found in runs.items()}
    plain = least["plain"]
    print("| run | seconds | CPU seconds | peak MB | file MB | time | CPU time | memory |\n|---|---|---|---|---|---|---|---|")
    for kind, found in least.items():
        ratios = " | ".join(f"{found[what] / plain[what]:.2f}x" for what in ("seconds", "cpu", "mb"))
        print(f"| {kind} | {found['seconds']:.1f} | {found['cpu']:.1f} | {found['mb']:.0f} | {found['file_mb']:.1f} | {ratios} |")
    added = least["stats"]["mb"] - plain["mb"], least["overlap, stats"]["mb"] - least["overlap"]["mb"]
    print(f"\n--stats adds {added[0]:.1f} MB, with --overlap {added[1]:.1f} MB")


if __name__ == "__main__":
    main()
