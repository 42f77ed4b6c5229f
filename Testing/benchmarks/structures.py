"""Many structures of a volume, from a mask of each on its middle slice: whole processes, of this build and an earlier one by turns.

Each process runs on one thread, so that its CPU seconds can be compared on a machine that has other work. Linux and macOS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SAMSegmenterLib.imageio import read_labelmap

HERE = Path(__file__).parents[2]
ROUNDS = 3
PROGRAM = "from SAMSegmenterLib.cli.main import main; main()"


@dataclass(frozen=True)
class Cost:
    """What a process cost: seconds by the clock and of the processor, and the most memory that it held, in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float

    @classmethod
    def least(cls, costs: list[Cost]) -> Cost:
        return cls(*(min(values) for values in zip(*((each.wall_s, each.cpu_s, each.peak_mb) for each in costs), strict=True)))


@dataclass(frozen=True)
class Structures:
    """One comparison: how many structures, what they cost before and now, and how many voxels differ."""

    count: int
    before: Cost
    now: Cost
    different: int


def compare_structures(volume: Path, labels: Path, before: Path) -> Iterator[Structures]:
    """Compare this build with the one whose checkout is the folder `before`: all labels of a labelmap, then the largest alone."""
    marked = _marked(labels)
    for chosen in (marked, marked[:1]):
        with tempfile.TemporaryDirectory() as folder:
            prompts = Path(folder, "prompts.json")
            prompts.write_text(json.dumps({"version": 1, "segments": chosen}))
            costs: dict[Path, list[Cost]] = {before: [], HERE: []}
            results = {build: Path(folder, f"{number}.nrrd") for number, build in enumerate(costs)}
            for _ in range(ROUNDS):
                for build in costs:
                    costs[build].append(_run(build, [volume, "--prompts", prompts, "--output", results[build]]))
            one, other = (read_labelmap(results[build]).voxels for build in costs)
        yield Structures(len(chosen), Cost.least(costs[before]), Cost.least(costs[HERE]), int(np.count_nonzero(one != other)))


def _marked(labels: Path) -> list[dict]:
    """Return a keyframe of each label on the middle one of its slices along k, as a prompt file has it; the largest label first."""
    voxels = read_labelmap(labels).voxels
    sizes = {int(label): int(count) for label, count in zip(*np.unique(voxels[voxels > 0], return_counts=True), strict=True)}
    segments = []
    for label in sorted(sizes, key=lambda each: -sizes[each]):
        slices = np.flatnonzero((voxels == label).any((1, 2)))
        mask = {"file": str(labels.resolve()), "value": label}
        segments.append({"name": f"label {label}", "keyframes": [{"slice": int(slices[len(slices) // 2]), "mask": mask}]})
    return segments


def _run(build: Path, arguments: list) -> Cost:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(build / "SAMSegmenter")}
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "propagate", *map(str, arguments)], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{build}: propagate ended with {process.returncode}.")
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
