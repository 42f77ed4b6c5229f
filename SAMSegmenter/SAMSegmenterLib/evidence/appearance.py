"""The appearance of an object on one slice: its size, brightness and unevenness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_SPREAD = 4.0  # grey levels; in a flatter object, noise alone would count as change


@dataclass(frozen=True)
class Appearance:
    """The `area` of an object on one slice in pixels, and its median `intensity` and `spread` in grey levels."""

    area: int
    intensity: float
    spread: float

    @classmethod
    def of(cls, mask: np.ndarray, frame: np.ndarray) -> Appearance:
        """Return the appearance of a bool mask ``(rows, columns)`` on a uint8 frame ``(rows, columns[, 3])``."""
        inside = frame[mask]
        if not len(inside):
            return cls(0, 0.0, 0.0)
        grey = inside.mean(-1) if inside.ndim == 2 else inside
        low, middle, high = np.percentile(grey, [16, 50, 84])
        return cls(len(inside), float(middle), float((high - low) / 2))

    def change(self, other: Appearance) -> float:
        """Return how far the intensity of `other` lies from this one, in units of this one's spread."""
        return abs(other.intensity - self.intensity) / max(self.spread, LEAST_SPREAD)
