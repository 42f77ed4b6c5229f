"""How far a pass can be trusted: when it has left its object, and a score for every slice.

Trust is the chance that a slice's Dice is above .4: a logistic regression on what can be seen of the slices of 320 passes through
synthetic scenes, each from a true mask to some slices beyond the object's end. Its rank correlation with Dice is .88 there, and .76
(torso, 3 mm) and .85 (abdomen, 1 x 1 x 2 mm) on the passes of 69 organs and bones of two CT volumes. Mean Dice of the latter through
whole volumes, nothing refined: .63 / .78 if they never stop, .67 / .78 with this limit, .74 / .79 if all stop where the object ends.
``Testing/benchmarks/quality.py`` measures the stop rule anew.

Where the logit of trust falls by `FALL` from what it was next to the keyframe, a slice is doubted, too: mean Dice of a mask, a box or a
point on one slice rose by .011 to .013 (torso) and by -.001 to .001 (abdomen), on synthetic scenes by less than .001.

From a keyframe smaller than `SMALL`, growth counts less. Mean Dice of a mask painted on an object's first or last slice, often of ten
pixels, rose from .14 and .23 to .21 and .27 (torso) and by .003 and .004 (abdomen), a tenth from its ends from .43 and .51 to .48 and .54
and by .002 to .005, on its middle slice by .002 and .003; of passes alone in synthetic scenes, from first and last slices, from .28 to
.34.

Where several slices are painted, the limit is the object's own: between them it is known to be there, and beyond them it is doubted
where it is trusted less than anywhere between. By ``samsegmenter evaluate --protocol mask-3``, mean Dice rose from .829 to .851 (torso)
and stayed at .846 (abdomen); on synthetic scenes it rose from .950 to .956.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..evidence.appearance import Appearance

DOUBTFUL_SLICES = 2  # in a row, before a pass believes that its object has ended; one may be noise
VANISHED = 0.02  # of the keyframe's area: less than this is a speck
LEAST_TRUST, ENOUGH_TRUST = 0.6, 0.9  # below the one every slice is doubted, above the other none
NEAR, FALL = 3, 3.0  # slices next to a keyframe, where the object surely is; how far the logit of its trust may fall from there
SUREST = 0.999  # trust is not told apart beyond
BELIEF = 5.75  # in a slice that nothing speaks against
WEIGHT_OF_SCORE, WEIGHT_OF_QUALITY, WEIGHT_OF_CARRIED = 0.5, 1.5, 6.7
WEIGHT_OF_GROWTH, WEIGHT_OF_CHANGE = 1.6, 0.7  # of the logarithm of areas; of a spread of the keyframe's intensities
LARGEST_SCORE, LARGEST_GROWTH, LARGEST_CHANGE = 10.0, 3.0, 5.0
SMALL = 400  # pixels; from a smaller keyframe, such as the tip of an object, it is natural to grow


@dataclass(frozen=True)
class Finding:
    """What a pass noted on one slice.

    Attributes:
        appearance: of the mask.
        score: object score logit.
        quality: intersection over union that the network expects, 0..1.
        carried: the largest of the labels carried along from the keyframe by patches, 0..1; 1 if there are none.
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
        """Why a pass ends before this slice; empty if it is trusted enough."""
        if self.trust >= least_trust:
            return ""
        return f"the next slice is not trusted ({100 * self.trust:.0f} %, {100 * least_trust:.0f} % needed): {self.against}"


def examine(keyframe: Appearance, here: Appearance, score: float, quality: float, carried: float) -> Finding:
    """Judge one slice of a pass against its keyframe."""
    quality = min(max(quality, 0.0), 1.0)
    if score < 0:
        return Finding(here, score, quality, carried, "the network does not see the object there", 0.0)
    if here.area < VANISHED * keyframe.area:
        return Finding(here, score, quality, carried, f"area fell to {100 * here.area / keyframe.area:.0f} % of the keyframe's", 0.0)
    against = _against(keyframe, here, score, quality, carried)
    trust = 1 / (1 + math.exp(sum(against.values()) - BELIEF))
    return Finding(here, score, quality, carried, max(against, key=lambda words: against[words]), trust)


def _against(keyframe: Appearance, here: Appearance, score: float, quality: float, carried: float) -> dict[str, float]:
    """What speaks against a slice, in words, and how much."""
    growth, change = math.log((here.area + SMALL) / (keyframe.area + SMALL)), keyframe.change(here)
    times = here.area / max(keyframe.area, 1)
    return {
        "the network is not sure that it sees the object there": WEIGHT_OF_SCORE * (LARGEST_SCORE - min(score, LARGEST_SCORE)),
        f"the network expects an overlap of {100 * quality:.0f} % only": WEIGHT_OF_QUALITY * (1 - quality),
        "there is nothing like it on the slice before": WEIGHT_OF_CARRIED * (1 - carried),
        f"area grew to {times:.1f} times the keyframe's": WEIGHT_OF_GROWTH * min(max(growth, 0), LARGEST_GROWTH),
        f"intensity changed by {change:.1f} times the keyframe's spread": WEIGHT_OF_CHANGE * min(change, LARGEST_CHANGE),
    }


def least_trust(between: Iterable[Finding]) -> float:
    """How far an object has to be trusted beyond its keyframes, after what passes have found `between` them."""
    lowest = min((finding.trust for finding in between), default=LEAST_TRUST)
    return min(max(lowest, LEAST_TRUST), ENOUGH_TRUST)


def limit(findings: Sequence[Finding], least_trust: float) -> float:
    """The trust below which a pass is doubted: `least_trust`, or more where it was far surer next to its keyframe."""
    trust = min((finding.trust for finding in findings[:NEAR]), default=0.0)
    trust = min(max(trust, 1 - SUREST), SUREST)
    fallen = 1 / (1 + math.exp(FALL) * (1 - trust) / trust)
    return max(least_trust, min(fallen, ENOUGH_TRUST))


def ending(findings: Iterable[Finding], least_trust: float) -> int | None:
    """How many slices a pass found its object on before it must have ended; None while it may go on."""
    doubted = 0
    for number, finding in enumerate(findings, 1):
        doubted = doubted + 1 if finding.trust < least_trust else 0
        if doubted == DOUBTFUL_SLICES:
            return number - DOUBTFUL_SLICES
    return None


def review_order(trust: Mapping[int, float], count: int) -> list[int]:
    """The slices most worth checking: the least trusted first, none next to one already named."""
    named: list[int] = []
    for index in sorted(trust, key=lambda n: (trust[n], n)):
        if len(named) < count and all(abs(index - other) > 2 for other in named):
            named.append(index)
    return named
