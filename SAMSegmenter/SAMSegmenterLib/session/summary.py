"""The result of a run in plain values, which a host shows without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .composition import PassReport

REVIEWED = 8  # slices of a segment that are named for checking


@dataclass(frozen=True)
class Summary:
    """The result of a run, for the segments that it was asked for.

    Attributes:
        slices: by segment, every slice of which something is known.
        review: by segment, the slices most worth checking, worst first, with their trust, 0..1.
        passes: what became of each pass.
        device: where the network ran, in words.
        warnings: where a run departed from what was asked, in words for the user.
    """

    slices: dict[str, list[int]]
    review: dict[str, list[tuple[int, float]]]
    passes: list[PassReport]
    device: str
    warnings: list[str]
