"""How far a pass can be trusted: when it has left its object, and a score for every slice.

Trust is the chance that a slice's Dice is above .4: a logistic regression on what can be seen of the slices of 622 passes through
synthetic scenes, each from a true mask to some slices beyond the object's end. Its rank correlation with Dice is .86 there, and .73
(torso, 3 mm) and .89 (abdomen, 1 x 1 x 2 mm) on the passes of 69 organs and bones of two CT volumes. Mean Dice of the latter through
whole volumes, nothing refined: .56 / .66 if they never stop, .61 / .66 with this limit, .67 / .67 if all stop where the object ends.
``Testing/benchmarks/quality.py`` measures the stop rule anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DOUBTFUL_SLICES = 2  # in a row, before a pass believes that its object has ended; one may be noise
VANISHED = 0.02  # of the keyframe's area: less than this is a speck
LEAST_TRUST = 0.33
BELIEF = 5.4  # in a slice that nothing speaks against
WEIGHT_OF_SCORE, WEIGHT_OF_QUALITY = 0.26, 3.6
WEIGHT_OF_LOSS, WEIGHT_OF_GROWTH, WEIGHT_OF_LEAK = 0.6, 1.45, 2.4  # of logarithms of areas, in parts of the keyframe's, and the one before
WEIGHT_OF_CHANGE = 0.7  # of a spread of the keyframe's intensities
LARGEST_SCORE, LARGEST_CHANGE, LARGEST_GROWTH, LARGEST_LEAK = 10.0, 5.0, 3.0, 2.0
LEAST_SPREAD = 4.0  # grey levels; in a flatter object, noise alone would count as change


@dataclass(frozen=True)
class Appearance:
    """An object on one slice: its `area` in pixels, and median `intensity` and `spread` in grey levels."""

    area: int
    intensity: float
    spread: float

    @classmethod
    def of(cls, mask: np.ndarray, frame: np.ndarray) -> Appearance:
        """Of a bool mask ``(rows, columns)`` on a uint8 frame ``(rows, columns[, 3])``."""
        inside = frame[mask]
        if not len(inside):
            return cls(0, 0.0, 0.0)
        grey = inside.mean(-1) if inside.ndim == 2 else inside
        low, middle, high = np.percentile(grey, [16, 50, 84])
        return cls(len(inside), float(middle), float((high - low) / 2))

    def change(self, other: Appearance) -> float:
        """How far `other`'s intensity lies from this one's, in this one's spreads."""
        return abs(other.intensity - self.intensity) / max(self.spread, LEAST_SPREAD)


@dataclass(frozen=True)
class Finding:
    """What a pass noted on one slice.

    Attributes:
        appearance: of the mask.
        score: object score logit.
        quality: intersection over union that the network expects, 0..1.
        doubt: why the object may not be here; empty where nothing speaks against it.
        trust: 0..1.
    """

    appearance: Appearance
    score: float
    quality: float
    doubt: str
    trust: float


def examine(keyframe: Appearance, before: Appearance, here: Appearance, score: float, quality: float) -> Finding:
    """Judge one slice of a pass against its keyframe and the slice before."""
    quality = min(max(quality, 0.0), 1.0)
    if score < 0:
        return Finding(here, score, quality, f"object score {score:.1f} below 0", 0.0)
    if here.area < VANISHED * keyframe.area:
        return Finding(here, score, quality, f"area fell to {here.area / keyframe.area:.0%} of the keyframe's", 0.0)
    against = _against(keyframe, before, here, score, quality)
    trust = 1 / (1 + math.exp(sum(against.values()) - BELIEF))
    doubt = f"{max(against, key=against.get)}, trust {trust:.2f}" if trust < LEAST_TRUST else ""
    return Finding(here, score, quality, doubt, trust)


def _against(keyframe: Appearance, before: Appearance, here: Appearance, score: float, quality: float) -> dict[str, float]:
    """What speaks against a slice, in words, and how much."""
    growth, leak = (math.log((here.area + 1) / (each.area + 1)) for each in (keyframe, before))
    change = keyframe.change(here)
    return {
        f"object score {score:.1f}": WEIGHT_OF_SCORE * (LARGEST_SCORE - min(score, LARGEST_SCORE)),
        f"expected overlap {quality:.2f}": WEIGHT_OF_QUALITY * (1 - quality),
        f"area fell to {math.exp(growth):.0%} of the keyframe's": WEIGHT_OF_LOSS * min(max(-growth, 0), LARGEST_GROWTH),
        f"area grew to {math.exp(growth):.1f} times the keyframe's": WEIGHT_OF_GROWTH * min(max(growth, 0), LARGEST_GROWTH),
        f"area grew {math.exp(leak):.1f}-fold from one slice to the next": WEIGHT_OF_LEAK * min(max(leak, 0), LARGEST_LEAK),
        f"intensity changed by {change:.1f} spreads": WEIGHT_OF_CHANGE * min(change, LARGEST_CHANGE),
    }


def reason_to_stop(findings: Sequence[Finding]) -> str:
    """Why a pass should end before its last few slices; empty while it should go on."""
    recent = findings[-DOUBTFUL_SLICES:]
    if len(recent) < DOUBTFUL_SLICES or not all(finding.doubt for finding in recent):
        return ""
    return recent[0].doubt


def review_order(trust: Mapping[int, float], count: int) -> list[int]:
    """The slices most worth checking: the least trusted first, none next to one already named."""
    named: list[int] = []
    for index in sorted(trust, key=lambda n: (trust[n], n)):
        if len(named) < count and all(abs(index - other) > 2 for other in named):
            named.append(index)
    return named
