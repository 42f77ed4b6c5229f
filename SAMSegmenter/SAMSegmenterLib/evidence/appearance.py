"""How an object looks on one slice: how large, how bright, how uneven."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
