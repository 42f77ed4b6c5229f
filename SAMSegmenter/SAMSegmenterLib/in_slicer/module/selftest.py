"""Tests whether segmenting works on this computer, and how fast: the built-in phantom, from two boxes to two organs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...phantom import make_phantom, phantom_prompts
from ...session.background import RunProgress

SHAPE_IJK, SPACING_MM = (96, 96, 40), (2.5, 2.5, 6.0)
LEAST_DICE = 0.8  # it reaches 0.92 and more; far below, something is broken


@dataclass(frozen=True)
class SelfTestResult:
    """The result of a self-test.

    Attributes:
        dice: how well each organ was found, 0 to 1.
        slices: that were segmented, over both organs.
        seconds: that these took, without loading the model.
        device: where the network ran, in words.
        precision: such as "float32".
        warnings: where the run departed from what was asked, in words.
    """

    dice: dict[str, float]
    slices: int
    seconds: float
    device: str
    precision: str
    warnings: list[str]

    @property
    def works(self) -> bool:
        """Return whether every organ was found well enough."""
        return bool(self.dice) and min(self.dice.values()) >= LEAST_DICE

    @property
    def ms_per_slice(self) -> float:
        """Return the mean time for a slice, in ms."""
        return 1000 * self.seconds / max(self.slices, 1)


def self_test(cancelled: Callable[[], bool], device: str = "auto") -> Iterator[RunProgress | SelfTestResult]:
    """Segment the phantom with the included model: a job for a worker, where torch is imported first.

    Args:
        cancelled: asked between slices; there is no outcome if it was true.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        CheckpointError: the file of the model is missing or damaged.
        InputError: there is no such device.
        ImportError: a package that is needed is missing or does not load.
    """
    from ...image.extent import dice
    from ...models.loading import load_model
    from ...session.run import Run

    volume, labels, names = make_phantom(shape_ijk=SHAPE_IJK, spacing_mm=SPACING_MM)
    session = Run.of(volume, phantom_prompts(labels, names), load_model(), "auto", device, None).session
    start, found = time.perf_counter(), set()
    for mask in session.propagate(cancel=cancelled):
        found.add((mask.segment, mask.slice))
        yield RunProgress(len(found), len(found) + session.remaining(), time.perf_counter() - start)
    if cancelled():
        return
    seconds, stats = time.perf_counter() - start, session.stats()
    organs = [segment.name for segment in session.prompts.segments]
    scores = {name: dice(session.segment_volume(name), labels == names.index(name) + 1) for name in organs}
    yield SelfTestResult(scores, len(found), seconds, str(stats["device"]), str(stats["precision"]), list(stats["warnings"]))
