"""The settings of a training run, and how they change during it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

LENGTHS = (3, 6, 10, 16)  # slices of a sequence
SHARES = (0.2, 0.3, 0.28, 0.22)  # how often each, once the network can follow anything
RASTERS = (24, 128)  # pixels that a scanner has for a view: from small organs on thick pixels to large ones on fine pixels


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run.

    Attributes:
        minutes: how long to train; the learning rate follows the clock, whatever the speed of the machine.
        size: pixels of the input.
        frames: slices in a step, over all its sequences.
        objects: followed in each sequence; twice as many are prompted on single slices.
        stills: part of the steps that look at single slices: they teach to answer prompts, at many times the rate of sequences.
        rate: highest learning rate (AdamW); it rises over `rise` steps, and falls to the part `last` of that.
        decay: of weights.
        average: of weights over steps (exponential), which is what is kept.
        labelmaps: part of the steps that look at real label maps, if there are any.
        patients: part of the steps that look at images of patients, if there are any.
        corrected: part of the sequences whose masks are corrected before they are remembered, as the engine does.
        scratch: the network starts from nothing: single slices first, memories of true masks.
        seed: of everything random.
    """

    minutes: float = 25
    size: int = 128
    frames: int = 16
    objects: int = 3
    stills: float = 0.4
    rate: float = 6e-4
    rise: int = 100
    last: float = 0.02
    decay: float = 0.03
    average: float = 0.999
    labelmaps: float = 0.5
    patients: float = 0.15
    corrected: float = 0.8
    scratch: bool = False
    seed: int = 0

    def rate_at(self, step: int, progress: float) -> float:
        """Return the learning rate at a step, when the part `progress`, 0..1, of the time has passed."""
        fall = self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * progress))
        return self.rate * min(1, (step + 1) / self.rise) * fall

    def taught_at(self, progress: float) -> float:
        """Return the part, 0..1, of the memories that are made of true masks."""
        start = 1.0 if self.scratch else 0.1
        return max(0.05, start * (1 - progress / 0.4))

    def length_at(self, progress: float, chance: random.Random) -> int:
        """Return the number of slices of a step's sequences."""
        longest = min(len(LENGTHS), int(progress * 10)) if self.scratch else len(LENGTHS)
        if longest == 0 or chance.random() < self.stills:
            return 1
        return chance.choices(LENGTHS[:longest], SHARES[:longest])[0]

    def objects_of(self, length: int) -> int:
        """Return the number of objects in a sequence of that many slices."""
        return self.objects * 2 if length == 1 else self.objects

    def raster(self, chance: random.Random) -> int:
        """Return the number of pixels that the scanner has along a view."""
        low, high = RASTERS
        return round(math.exp(chance.uniform(math.log(low), math.log(high))))
