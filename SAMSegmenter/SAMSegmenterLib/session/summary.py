"""What a run has led to, in plain values: a host shows it without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .composition import PassReport

REVIEWED = 8  # slices of a segment that are named for checking


@dataclass(frozen=True)
class Summary:
    """What a run has led to, for the segments that it was asked for.

    Attributes:
        slices: by segment, every slice that something is known of.
        review: by segment, the slices most worth checking, worst first, with their trust.
        passes: how each pass went.
        device: that the network ran on.
        warnings: what had to be done otherwise than asked, in words for the user.
    """

    slices: dict[str, list[int]]
    review: dict[str, list[tuple[int, float]]]
    passes: list[PassReport]
    device: str
    warnings: list[str]
