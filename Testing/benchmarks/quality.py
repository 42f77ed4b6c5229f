"""What the choices inside propagation are worth, on real volumes with reference masks, with the network that ships.

    python Testing/benchmarks/quality.py ../shared/data

The folder holds ct_torso.nii.gz and the DICOM folder ct_abdomen_dicom, each with ..._labels.nii.gz. Mean Dice over all
objects with at least 6 slices and 60 pixels; painted slices are not scored. About twenty minutes on two CPU cores.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.imageio import read_labelmap, read_volume
from SAMSegmenterLib.models.interfaces import Model
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.network.slice_result import SliceResult
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, PromptSet, Segment
from SAMSegmenterLib.propagation.engine import Engine
from SAMSegmenterLib.propagation.fusion import fuse
from SAMSegmenterLib.session.session import Session

LEAST_SLICES, LEAST_PIXELS = 6, 60
BEYOND = 15  # slices behind an object's end that a pass may still spoil
KEYFRAMES_AT = (0.15, 0.5, 0.85)
PAINTED_AT = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
Fusion = Callable[[SliceResult, SliceResult, float, tuple[int, int]], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One object of one volume: its mask ``(k, j, i)`` and the slices that it is on."""

    stack: FrameStack
    mask: np.ndarray
    slices: np.ndarray


@cache
def model() -> Model:
    return load_model()


def cases(folder: Path, name: str) -> list[Case]:
    """All objects of ct_torso or ct_abdomen_dicom that are large enough to score."""
    source = folder / name
    volume = read_volume(source if source.is_dir() else folder / f"{name}.nii.gz")
    labels = read_labelmap(folder / f"{name}_labels.nii.gz").voxels
    found = []
    for value in np.unique(labels[labels > 0]):
        mask = labels == value
        pixels = mask.sum((1, 2))
        if (pixels > 0).sum() >= LEAST_SLICES and pixels.max() >= LEAST_PIXELS:
            found.append(Case(FrameStack(volume), mask, np.flatnonzero(pixels)))
    return found


def from_one_slice(case: Case, options: Options, kind: str, part: float = 0.5) -> float:
    """Dice of what one mask or box on the slice at a `part` of the object gives; passes may go `BEYOND` its ends."""
    marked = int(case.slices[min(int(part * len(case.slices)), len(case.slices) - 1)])
    first, last = max(0, case.slices[0] - BEYOND), min(len(case.stack) - 1, case.slices[-1] + BEYOND)
    rows, columns = np.nonzero(case.mask[marked])
    box = Box(columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5)
    keyframe = Keyframe(marked, mask=MaskPrompt(case.mask[marked])) if kind == "mask" else Keyframe(marked, box=box)
    session = Session(case.stack, model(), options, "cpu", PromptSet((Segment("object", (keyframe,)),)))
    for _ in session.propagate(slices=(int(first), int(last))):
        pass
    truth, found = case.mask.copy(), session.segment_volume("object")
    if kind == "mask":
        truth[marked] = found[marked] = False
    return 2 * (truth & found).sum() / max(1, truth.sum() + found.sum())


def between_keyframes(case: Case) -> Iterator[tuple[SliceResult, SliceResult, float, np.ndarray]]:
    """Both passes' results, the nearness and the truth for every slice between the painted ones."""
    marks = sorted({int(case.slices[round((len(case.slices) - 1) * part)]) for part in KEYFRAMES_AT})
    engine = Engine(model(), case.stack, Options(precision="float32", early_stop=False), torch.device("cpu"))
    seeds = {index: engine.seed(Keyframe(index, mask=MaskPrompt(case.mask[index]))) for index in marks if case.mask[index].any()}
    marks = list(seeds)
    for below, above in pairwise(marks):
        forward, backward = engine.track(seeds[below], 1, above - 1), engine.track(seeds[above], -1, below + 1)
        while not (forward.finished and backward.finished):
            for _ in engine.advance([forward, backward]):
                pass
        for index in range(below + 1, above):
            yield forward.result(index), backward.result(index), (index - below) / (above - below), case.mask[index]


def _probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -10, 10)))


FUSIONS: dict[str, Fusion] = {
    "one pass only": lambda one, other, near, shape: one.logits(shape),
    "the nearer pass": lambda one, other, near, shape: (one if near < 0.5 else other).logits(shape),
    "mean of logits": lambda one, other, near, shape: one.logits(shape) + other.logits(shape),
    "mean of logits by distance": lambda one, other, near, shape: (1 - near) * one.logits(shape) + near * other.logits(shape),
    "mean of probabilities by distance": lambda one, other, near, shape: (
        (1 - near) * _probability(one.logits(shape)) + near * _probability(other.logits(shape)) - 0.5
    ),
    "... and expected quality (used)": lambda one, other, near, shape: fuse(
        one.logits(shape), other.logits(shape), near, (one.quality, other.quality)
    ),
}


def fusion_table(groups: dict[str, list[Case]]) -> None:
    print(f"\nSlices between painted ones (at 15, 50 and 85 %), mean Dice\n| fusion | {' | '.join(groups)} |")
    pairs = {name: [list(between_keyframes(case)) for case in found] for name, found in groups.items()}
    for title, fusion in FUSIONS.items():
        print(f"| {title} | " + " | ".join(f"{_mean_dice(each, fusion):.3f}" for each in pairs.values()) + " |", flush=True)


def _mean_dice(objects: list[list], fusion: Fusion) -> float:
    scores = []
    for slices in filter(None, objects):
        masks = [(fusion(one, other, near, truth.shape) > 0, truth) for one, other, near, truth in slices]
        total = sum(int(found.sum()) + int(truth.sum()) for found, truth in masks)
        scores.append(2 * sum(int((found & truth).sum()) for found, truth in masks) / total)
    return float(np.mean(scores))


def options_table(groups: dict[str, list[Case]]) -> None:
    used = Options(precision="float32")
    variants = {
        "as used": used,
        "region never moves": replace(used, follow="fixed"),
        "restart when the region moves": replace(used, follow="restart"),
        "no early stop": replace(used, early_stop=False),
        "2 memories instead of 6 (fast)": replace(used, recent=2),
        "whole slices": replace(used, region=False),
    }
    print(f"\nFrom one slice, {BEYOND} slices beyond the ends, mean Dice by mask / box\n| options | {' | '.join(groups)} |")
    for title, options in variants.items():
        cells = []
        for found in groups.values():
            means = (np.mean([from_one_slice(case, options, kind) for case in found]) for kind in ("mask", "box"))
            cells.append(" / ".join(f"{mean:.3f}" for mean in means))
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


def slices_table(groups: dict[str, list[Case]]) -> None:
    print(f"\nFrom a mask on one slice, mean Dice by where in the object it is\n| part | {' | '.join(groups)} |")
    for part in PAINTED_AT:
        means = (np.mean([from_one_slice(case, Options(precision="float32"), "mask", part) for case in found]) for found in groups.values())
        print(f"| {part:.2f} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |", flush=True)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    groups = {name: cases(Path(sys.argv[1]), name) for name in ("ct_torso", "ct_abdomen_dicom")}
    print(", ".join(f"{name}: {len(found)} objects" for name, found in groups.items()))
    fusion_table(groups)
    options_table(groups)
    slices_table(groups)


if __name__ == "__main__":
    main()
