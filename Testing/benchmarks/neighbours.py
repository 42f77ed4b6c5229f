"""What finished segments, and segments of the same run, are worth to each other: mean Dice on images with many reference masks.

    python Testing/benchmarks/neighbours.py FOLDER [--model ID_OR_FILE] [--prompts box mask]

The folder holds cases as `samsegmenter evaluate` reads them. Each object is found from one prompt: alone; beside all other
reference masks; and together with all others from their prompts, when a voxel that several claim goes to one of them. Painted
slices are not scored. Objects that lose more than .05 are listed. About twenty minutes for two CTs on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from SAMSegmenterLib.evaluation import users
from SAMSegmenterLib.evaluation.cases import Case, find_cases, find_objects
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.neighbours import Neighbours
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.models.interfaces import Model
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.prompts.focus import windowed
from SAMSegmenterLib.prompts.types import Keyframe, PromptSet, Segment
from SAMSegmenterLib.session.session import Session

WAYS = "alone", "beside the others' reference masks", "together with the others"
LOST = 0.05


def session_of(segments: list[Segment], stack: FrameStack, model: Model, neighbours: Neighbours | None = None) -> Session:
    prompts = PromptSet(tuple(segments), stack.axis)
    session = Session(windowed(stack, prompts), model, device="cpu", prompts=prompts, neighbours=neighbours)
    for _ in session.propagate():
        pass
    return session


def touches(mask: np.ndarray, labels: np.ndarray) -> bool:
    """Whether a voxel of `mask`, bool ``(k, j, i)``, shares a face with one of another object."""
    others = (labels != 0) & ~mask
    for axis in range(3):
        one, other = np.moveaxis(mask, axis, 0), np.moveaxis(others, axis, 0)
        if (one[:-1] & other[1:]).any() or (one[1:] & other[:-1]).any():
            return True
    return False


def scored(found: np.ndarray, truth: np.ndarray, keyframe: Keyframe) -> float:
    counted = np.arange(len(truth)) != (keyframe.slice if keyframe.mask else -1)
    return dice(found[counted], truth[counted])


def measure(case: Case, prompt: str, model: Model) -> None:
    stack, labels, names = case.load()
    objects = find_objects(labels, names)
    truths = {name: labels == label for label, name in objects.items()}
    keyframes = {}
    for name, truth in truths.items():
        index = users.middle_slice(truth)
        keyframes[name] = users.keyframe(prompt, index, truth[index], np.random.default_rng(0))
    segments = [Segment(name, (keyframe,)) for name, keyframe in keyframes.items()]
    together = session_of(segments, stack, model).labelmap()
    table = []
    for number, segment in enumerate(segments, 1):
        name, truth = segment.name, truths[segment.name]
        alone = session_of([segment], stack, model).segment_volume(name)
        beside = session_of([segment], stack, model, Neighbours(stack, [np.where(truth, 0, labels)])).segment_volume(name)
        table.append([scored(found, truth, keyframes[name]) for found in (alone, beside, together == number)])
    report(f"{case.name}, {prompt}", list(truths), np.array(table), np.array([touches(truth, labels) for truth in truths.values()]))


def report(title: str, names: list[str], table: np.ndarray, touching: np.ndarray) -> None:
    print(f"\n{title}: {len(names)} objects, {(~touching).sum()} of them without a touching neighbour")
    for way, dices in zip(WAYS, table.T, strict=True):
        print(f"| {way} | {dices.mean():.3f} | {dices[~touching].mean() if not touching.all() else np.nan:.3f} |")
    for way, dices in zip(WAYS[1:], table.T[1:], strict=True):
        lost = [
            f"{name} {one:.2f} to {other:.2f}" for name, one, other in zip(names, table[:, 0], dices, strict=True) if one - other > LOST
        ]
        print(f"lose {way}: {', '.join(lost) or 'none'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--prompts", nargs="+", choices=users.PROMPTS, default=["box", "mask"])
    given = parser.parse_args()
    model = load_model(given.model)
    for case in find_cases(given.folder):
        for prompt in given.prompts:
            measure(case, prompt, model)


if __name__ == "__main__":
    main()
