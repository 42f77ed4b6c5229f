"""Judges how far a pass can be trusted: gives each slice a trust, and finds where the pass has left its object.

Trust is the chance that the Dice of a slice is above .4, by a logistic regression on passes through synthetic scenes. Three rules
make a slice doubtful:

- Its trust is below a fixed limit, or has fallen far below what it was next to the keyframe.
- Where several slices are painted, the limit is the object's own: between them it is known to be there, and beyond them a slice
  is doubted where it is trusted less than any slice between.
- Growth counts against a slice, but less if the keyframe is small, like the tip of an object.

See "Trust" in docs/figures.md for the data that the weights were fitted to, and for what each rule is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..evidence.appearance import Appearance

DOUBTFUL_SLICES = 2  # in a row, before a pass believes that its object has ended; one may be noise
VANISHED = 0.02  # of the keyframe's area: less than this is a speck
LEAST_TRUST, ENOUGH_TRUST = 0.6, 0.9  # a slice is always doubted below the first, and never above the second
NEAR, FALL = 3, 3.0  # slices next to a keyframe, where the object surely is; how far the logit of its trust may fall from there
SUREST = 0.999  # trust beyond this counts as this
BELIEF = 5.75  # logit of the trust in a slice that nothing speaks against
WEIGHT_OF_SCORE, WEIGHT_OF_QUALITY, WEIGHT_OF_CARRIED = 0.5, 1.5, 6.7
WEIGHT_OF_GROWTH, WEIGHT_OF_CHANGE = 1.6, 0.7  # of the logarithm of areas; of a spread of the keyframe's intensities
LARGEST_SCORE, LARGEST_GROWTH, LARGEST_CHANGE = 10.0, 3.0, 5.0
SMALL_KEYFRAME = 400  # pixels; from a smaller keyframe, such as the tip of an object, it is natural to grow


@dataclass(frozen=True)
class Finding:
    """The evidence for and against a pass's result on one slice.

    Attributes:
        appearance: of the mask.
        score: the network's logit that the object is there.
        quality: the intersection over union that the network expects, 0..1.
        carried: the largest of the labels carried from the keyframe by patches, 0..1; 1 if none are carried.
        against: what speaks most against the object being here, in words.
        trust: 0..1.
    """

    appearance: Appearance
    score: float
    quality: float
    carried: float
    against: str
    trust: float

    def doubt(self, least_trust: float) -> str:
        """Return why a pass ends before this slice, in words; empty if the slice is trusted enough."""
        if self.trust >= least_trust:
            return ""
        return f"the next slice is not trusted ({100 * self.trust:.0f} %, {100 * least_trust:.0f} % needed): {self.against}"


def examine(keyframe: Appearance, here: Appearance, score: float, quality: float, carried: float) -> Finding:
    """Return the finding on one slice of a pass, judged against its keyframe.

    Args:
        keyframe: how the object looks there.
        here: how it looks on the slice.
        score, quality, carried: see `Finding`.
    """
    quality = min(max(quality, 0.0), 1.0)
    if score < 0:
        return Finding(here, score, quality, carried, "the network does not see the object there", 0.0)
    if here.area < VANISHED * keyframe.area:
        return Finding(here, score, quality, carried, f"area fell to {100 * here.area / keyframe.area:.0f} % of the keyframe's", 0.0)
    against = _against(keyframe, here, score, quality, carried)
    trust = 1 / (1 + math.exp(sum(against.values()) - BELIEF))
    return Finding(here, score, quality, carried, max(against, key=lambda words: against[words]), trust)


def _against(keyframe: Appearance, here: Appearance, score: float, quality: float, carried: float) -> dict[str, float]:
    """Return all that speaks against a slice, in words, and how much each counts in the logit of trust."""
    growth, change = math.log((here.area + SMALL_KEYFRAME) / (keyframe.area + SMALL_KEYFRAME)), keyframe.change(here)
    times = here.area / max(keyframe.area, 1)
    return {
        "the network is not sure that it sees the object there": WEIGHT_OF_SCORE * (LARGEST_SCORE - min(score, LARGEST_SCORE)),
        f"the network expects an overlap of {100 * quality:.0f} % only": WEIGHT_OF_QUALITY * (1 - quality),
        "there is nothing like it on the slice before": WEIGHT_OF_CARRIED * (1 - carried),
        f"area grew to {times:.1f} times the keyframe's": WEIGHT_OF_GROWTH * min(max(growth, 0), LARGEST_GROWTH),
        f"intensity changed by {change:.1f} times the keyframe's spread": WEIGHT_OF_CHANGE * min(change, LARGEST_CHANGE),
    }


def least_trust(between: Iterable[Finding]) -> float:
    """Return how far an object has to be trusted beyond its keyframes, 0..1, given the findings `between` them."""
    lowest = min((finding.trust for finding in between), default=LEAST_TRUST)
    return min(max(lowest, LEAST_TRUST), ENOUGH_TRUST)


def limit(findings: Sequence[Finding], least_trust: float) -> float:
    """Return the trust below which a slice is doubted: `least_trust`, or more where the pass was far surer next to its keyframe."""
    trust = min((finding.trust for finding in findings[:NEAR]), default=0.0)
    trust = min(max(trust, 1 - SUREST), SUREST)
    fallen = 1 / (1 + math.exp(FALL) * (1 - trust) / trust)
    return max(least_trust, min(fallen, ENOUGH_TRUST))


def ending(findings: Iterable[Finding], least_trust: float) -> int | None:
    """Return on how many slices a pass found its object before it ended; None while it may go on."""
    doubted = 0
    for number, finding in enumerate(findings, 1):
        doubted = doubted + 1 if finding.trust < least_trust else 0
        if doubted == DOUBTFUL_SLICES:
            return number - DOUBTFUL_SLICES
    return None


def review_order(trust: Mapping[int, float], count: int) -> list[int]:
    """Return the indices of the slices most worth checking: the least trusted first, none next to one already named.

    Args:
        trust: 0..1, by slice index.
        count: the largest number of them.
    """
    named: list[int] = []
    for index in sorted(trust, key=lambda n: (trust[n], n)):
        if len(named) < count and all(abs(index - other) > 2 for other in named):
            named.append(index)
    return named
