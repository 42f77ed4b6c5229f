"""Peak memory by the number of slices: each run in a process of its own, so that peaks do not mix."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window

SIZE = 256  # pixels of input
SIDE = 512  # pixels of a slice
CACHE_MB = 256


def measure(who: str, slices: int) -> float:
    """Peak memory in MB of propagating one segment through `slices` slices, "ours" or "upstream"."""
    done = subprocess.run([sys.executable, __file__, who, str(slices)], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def volume_mb(slices: int) -> float:
    return slices * SIDE * SIDE * 2 / 2**20


def growth_beyond_volume_and_cache(peaks: dict[int, float]) -> float:
    """How much more the longest run took than the shortest, the volume itself and the cache's bound left out."""
    short, long = min(peaks), max(peaks)
    return peaks[long] - peaks[short] - (volume_mb(long) - volume_mb(short)) - CACHE_MB


def _noise(slices: int) -> FrameStack:
    """A volume made slice by slice, so that making it takes no more memory than it has itself."""
    random, voxels = np.random.default_rng(0), np.empty((slices, SIDE, SIDE), np.int16)
    for index in range(slices):
        voxels[index] = random.normal(60, 40, (SIDE, SIDE))
    return FrameStack(Volume(voxels), window=Window(-60, 240))


def _main(who: str, slices: int) -> None:
    from speed import keyframes, run_ours, run_upstream

    from SAMSegmenterLib.network.options import Options
    from SAMSegmenterLib.session.usage import peak_memory_mb
    from support.networks import random_network
    from support.phantoms import as_model

    network = random_network("t", SIZE)
    stack = _noise(slices)
    if who == "ours":
        options = Options(region=False, early_stop=False, precision="float32", cache_bytes=CACHE_MB * 2**20)
        run_ours(as_model(network), stack, keyframes(1, slices // 2), options, "cpu")
    else:
        run_upstream(network, stack, keyframes(1, slices // 2))
    print(peak_memory_mb())


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
