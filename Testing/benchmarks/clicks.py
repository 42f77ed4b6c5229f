"""How long a slice model takes from a click to the mask, once it has looked at the slice; SAM beside its own package.

    python Testing/benchmarks/clicks.py [--threads 2] [--rounds 15]

with SAMSegmenter and Testing/library in PYTHONPATH. Random weights: times do not depend on them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from segment_anything import SamPredictor

from SAMSegmenterLib.models.families import mobile_sam, sam, sam2, sam_med2d
from SAMSegmenterLib.models.interfaces import SliceModel
from support.layouts import SAM2_1_TINY, filled, mobile_sam_shapes, sam2_shapes, sam_med2d_shapes, sam_shapes

SLICE = (512, 512)
CLICK, INSIDE = np.array([[250.0, 200.0]]), np.array([1])
WANTED_MS = 60  # SAM ViT-B on two cores


def milliseconds(calls: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Times of each call, the calls taking turns, so that a busy machine is busy for all."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 2):
        for call, found in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if number >= 2:  # the first ones warm up
                found.append(1000 * (time.perf_counter() - start))
    return times


def sam_beside_its_package(pixels: np.ndarray, rounds: int) -> None:
    network = sam.build("vit_b", 1024, filled(sam_shapes("vit_b")), "random weights")
    model, predictor = sam.slice_model(network, 1024, "sam"), SamPredictor(network)
    predictor.set_image(np.repeat(pixels[..., None], 3, -1))
    seen = model.embed(pixels)
    calls = [lambda: model.masks(seen, CLICK, INSIDE), lambda: predictor.predict(CLICK, INSIDE)]
    ours, theirs = (statistics.median(times) for times in milliseconds(calls, rounds))
    print(f"| SAM ViT-B | {ours:.0f} | {theirs:.0f} | **{theirs / ours:.2f}x** | {WANTED_MS} |", flush=True)


def alone(name: str, model: SliceModel, pixels: np.ndarray, rounds: int) -> None:
    seen = model.embed(pixels)
    (times,) = milliseconds([lambda: model.masks(seen, CLICK, INSIDE)], rounds)
    print(f"| {name} | {statistics.median(times):.0f} | | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    pixels = np.random.default_rng(0).integers(0, 256, SLICE, dtype=np.uint8)
    print(f"{given.threads} threads, torch {torch.__version__}, a click on a slice of {SLICE[0]} x {SLICE[1]}\n")
    print("| click to mask | ours, ms | its package, ms | ratio | wanted, ms |\n|---|---|---|---|---|")
    sam_beside_its_package(pixels, given.rounds)
    mobile = mobile_sam.build("vit_t", 1024, mobile_sam.clean(filled(mobile_sam_shapes())), "random weights")
    alone("MobileSAM", mobile_sam.slice_model(mobile, 1024), pixels, given.rounds)
    med2d = sam_med2d.build("vit_b", 256, filled(sam_med2d_shapes()), "random weights")
    alone("SAM-Med2D, 256 px", sam_med2d.slice_model(med2d, 256), pixels, given.rounds)
    tiny = sam2.build(SAM2_1_TINY, 1024, filled(sam2_shapes()), "random weights")
    alone("SAM 2.1 tiny", sam2.slice_model(tiny, 1024), pixels, given.rounds)


if __name__ == "__main__":
    main()
