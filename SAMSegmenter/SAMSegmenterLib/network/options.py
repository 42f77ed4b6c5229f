"""The settings of a propagation: every approximation has a switch, and strict mode uses none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .region import MARGIN

Follow = Literal["carry", "restart", "fixed"]


@dataclass(frozen=True)
class Options:
    """Settings of a session.

    Attributes:
        region: look at a square around the object instead of the whole slice.
        follow: what happens when the object moves away from the region: a new region takes the memories over, shifted and
            scaled ("carry"); or drops them, so that the last mask becomes the prompt ("restart"); or the region never
            moves ("fixed").
        margin: side of the region, in multiples of the object's longer side.
        size: side of the network's input in pixels; None chooses it by the region's extent.
        precision: of matrix products; "auto" times those that the device has.
        recent: number of slices that each slice attends to besides the keyframe, at most 6; fewer is faster.
        early_stop: end a pass where the object ends.
        search: ask small networks in many ways what a box or click means, and take the answer that fits best; see `keyframes.search`.
        refine: correct masks within passes, and refine gaps after them, by the object's intensities on its keyframes; see
            `propagation.corrector` and `propagation.refinement`.
        cache_bytes: bound on cached image features.
        compact_cache: cache features in bfloat16 and results in 8 bits, at half and a quarter of the memory.
        upstream_points: place prompts as upstream's predictor does, up to half an input pixel off.
    """

    region: bool = True
    follow: Follow = "carry"
    margin: float = MARGIN
    size: int | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    recent: int = 6
    early_stop: bool = True
    search: bool = True
    refine: bool = True
    cache_bytes: int = 256 * 2**20
    compact_cache: bool = True
    upstream_points: bool = False

    @property
    def exact(self) -> bool:
        """Return whether results are kept exactly as the network gave them, to be compared with upstream's."""
        return not self.compact_cache

    @classmethod
    def strict(cls) -> Options:
        """Return the settings that compute what upstream's ``SAM2VideoPredictor`` does.

        Whole slices, float32, no early stop, nothing searched or refined.
        """
        return cls(
            region=False,
            precision="float32",
            early_stop=False,
            search=False,
            refine=False,
            compact_cache=False,
            upstream_points=True,
        )

    @classmethod
    def fast(cls) -> Options:
        """Return the default settings with fewer memories: quicker on a CPU, a little less exact."""
        return cls(recent=2)


MODES = {"auto": Options, "strict": Options.strict, "fast": Options.fast}
