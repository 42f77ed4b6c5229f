"""Corrects the masks of a pass before they are remembered, so that small faults do not add up from slice to slice.

A corrector goes along with its pass. It carries labels from slice to slice by similar patches, and knows the object's
intensities on the keyframe. See "The corrector" in docs/figures.md for what this is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..evidence.carried_labels import Carrier
from ..evidence.intensities import Intensities
from ..image.stack import FrameStack
from ..image.view import View
from ..keyframes.seed import Seed
from ..keyframes.sparing import spared
from ..network.network import Decoded

COARSER = 2  # pixels of the network's input along a cell
NETWORK, CARRIED, INTENSITY, BIAS = 0.3, 0.5, 0.3, 0.3  # weights of the logits, and what is added to their sum
CERTAIN, NETWORK_CERTAIN = 4.0, 6.0  # largest logit of a kind of evidence
CONTRAST = 3.0  # what their sum is multiplied by, to be as certain as a network


@dataclass(frozen=True, eq=False)
class CorrectorState:
    """The point that a corrector has reached: a slice, and the arrays that lie over it.

    Attributes:
        slice: the index.
        view: where the arrays lie on it.
        labels: ``(n, n)``, 0..1, carried from the keyframe.
        picture: ``(n, n)`` intensities, scaled so that those usual around the object are 0..1.
    """

    slice: int
    view: View
    labels: Tensor
    picture: Tensor


@dataclass(frozen=True, eq=False)
class Corrected:
    """The corrected answer of the network on a slice.

    Attributes:
        decoded: as it will be kept and remembered.
        state: the corrector's after this slice; None for a pass without one.
    """

    decoded: Decoded
    state: CorrectorState | None = None

    @property
    def carried(self) -> float:
        """Return the largest label carried to the slice, 0..1; 1 for a pass without a corrector.

        Little is left where the object has ended.
        """
        return float(self.state.labels.max()) if self.state else 1.0


class Corrector:
    """Goes along with one pass over `stack`, from `seed`, whose mask is not empty."""

    def __init__(self, stack: FrameStack, seed: Seed) -> None:
        self._stack, self._beside, view = stack, seed.beside, seed.result.view
        mask = self._cells(seed.mask, view)
        mask = mask / mask.max()  # a cell shows only a part of what is thinner than it
        raw, taken = self._raw(seed.slice, view), self._taken(seed.slice, view)
        shown = raw if taken is None else raw.masked_fill(taken, torch.nan)  # what is known needs no telling apart
        self._intensities = Intensities([(shown, mask >= 0.5)], self._cell_mm(view))
        self.accept(CorrectorState(seed.slice, view, mask, self._picture(seed.slice, view)))

    def correct(self, index: int, view: View, decoded: Decoded) -> Corrected:
        """Return the network's answer on slice `index`, corrected.

        This changes nothing in the corrector, so that it may be repeated; `accept` makes it go on.
        """
        here, picture = self._seen_through(view), self._picture(index, view)
        labels = Carrier(here.labels, here.picture, self._cell_mm(view)).step(picture)
        taken = self._taken(index, view)
        if taken is not None:
            labels[taken] = 0.0
        corrected = weighed(decoded.logits.float().cpu(), labels, self._intensities.evidence(picture))
        whole = replace(decoded, logits=corrected.to(decoded.logits.device))
        return Corrected(spared(whole, self._beside.on(index), view), CorrectorState(index, view, labels, picture))

    def accept(self, state: CorrectorState) -> None:
        """Go on from the state of a slice that was corrected."""
        self._state = state

    def _seen_through(self, view: View) -> CorrectorState:
        """Return the present state as it lies in `view`, which may be another one."""
        state = self._state
        if view == state.view:
            return state
        by_row, by_column = (torch.from_numpy(matrix) for matrix in view.transfer(state.view, len(state.labels)))
        return CorrectorState(state.slice, view, by_row @ state.labels @ by_column.T, self._picture(state.slice, view))

    def _picture(self, index: int, view: View) -> Tensor:
        return self._intensities.scaled(self._raw(index, view), self._taken(index, view))

    def _taken(self, index: int, view: View) -> Tensor | None:
        """Return the cells of a view that belong to other segments, bool ``(n, n)``; None if there are none."""
        taken = self._beside.on(index)
        return None if taken is None else self._cells(taken, view) > 0.5

    def _raw(self, index: int, view: View) -> Tensor:
        return self._cells(self._stack.grey(index), view)

    def _cells(self, pixels: np.ndarray, view: View) -> Tensor:
        """Return pixels ``(rows, columns)`` of a slice as they lie in a view, ``(n, n)``; beyond the slice its border goes on."""
        cut = torch.from_numpy(view.extended(pixels).astype(np.float32))
        size = view.size // COARSER
        return F.interpolate(cut[None, None], (size, size), mode="bilinear", align_corners=False, antialias=True)[0, 0]

    def _cell_mm(self, view: View) -> float:
        return view.width * self._stack.spacing_mm[0] * COARSER / view.size


def weighed(logits: Tensor, labels: Tensor, evidence: Tensor) -> Tensor:
    """Return the logits ``(1, 1, m, m)`` of a network, weighed with other evidence.

    Args:
        labels: ``(n, n)``, 0..1, carried from the slice before.
        evidence: ``(n, n)`` of the intensities, see `Intensities`.
    """
    own = F.interpolate(logits, labels.shape, mode="bilinear", align_corners=False)[0, 0]
    evidence = F.avg_pool2d(evidence[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    total = NETWORK * own.clamp(-NETWORK_CERTAIN, NETWORK_CERTAIN) + INTENSITY * evidence + BIAS
    total += CARRIED * labels.logit(1e-6).clamp(-CERTAIN, CERTAIN)
    return F.interpolate(CONTRAST * total[None, None], logits.shape[-2:], mode="bilinear", antialias=True)
