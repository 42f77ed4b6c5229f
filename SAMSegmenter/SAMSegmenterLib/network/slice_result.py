"""The result on one slice as it is kept: small, in numpy, whatever the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..image.view import View
from .network import Decoded
from .pages import Shelf

STEP = 1 / 4  # logits are kept in these steps, within +-32: more than precise enough to threshold and to fuse them
BACKGROUND = -32.0


@dataclass(frozen=True, eq=False)
class SliceResult:
    """One segment on one slice, as one pass or prompt found it.

    Attributes:
        slice: its index.
        view: what the network was shown.
        stored: ``(c, c)`` logits in the view, as int8 in units of `STEP`, or float32 where they must be exact.
        score: object score logit; the network believes the object is here if positive.
        quality: intersection over union that the network expects of its mask, 0..1.
    """

    slice: int
    view: View
    stored: np.ndarray
    score: float
    quality: float

    @classmethod
    def of(cls, index: int, view: View, decoded: Decoded, exact: bool) -> SliceResult:
        """Return the result of a `decoded` mask, with its logits unchanged if `exact`, otherwise in a quarter of the space."""
        logits = decoded.logits[0, 0].cpu().numpy()
        stored = logits if exact else np.clip(np.rint(logits / STEP), -128, 127).astype(np.int8)
        return cls(index, view, stored, float(decoded.score), float(decoded.quality))

    def on(self, shelf: Shelf) -> SliceResult:
        """Return the same result with its logits on `shelf`."""
        return replace(self, stored=shelf.keep(self.stored))

    def logits(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the logits on the whole slice, float32 ``(rows, columns)``; background where the view did not reach."""
        values = self.stored if self.stored.dtype == np.float32 else self.stored * np.float32(STEP)
        rows, columns, by_row, by_column = self.view.sampling(len(values), shape)
        # by torch: threads of numpy's own matrix library would go on spinning and slow the network down
        inside = (torch.from_numpy(by_row) @ torch.from_numpy(values) @ torch.from_numpy(by_column).T).numpy()
        if inside.shape == shape:
            return inside
        full = np.full(shape, BACKGROUND, np.float32)
        full[rows, columns] = inside
        return full

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the segment on the whole slice, bool ``(rows, columns)``."""
        return self.logits(shape) > 0
