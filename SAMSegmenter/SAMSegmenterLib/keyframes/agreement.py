"""Finds the mask that agrees best with all that prompts may mean.

The likeliest of many masks may be an outlier. Of masks that are likely to different degrees, the one with the largest expected
Dice is taken: minimum Bayes risk, as in Kumar and Byrne, HLT-NAACL 2004, where it chooses among translations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..image.view import View

RADII, ANGLES = 40, 48
NEAREST, FARTHEST = 1 / 8, 0.6  # of the side of the smallest view and of the largest one
LIKELIER = 0.5  # how much likelier a mask is for each unit of its fitness, in the logit
OWN = 0.04  # of the fitness, which is added to the expected Dice


@dataclass(frozen=True, eq=False)
class Places:
    """Places around a point of a slice, denser near it, so that small masks and large ones are compared in equal detail.

    Attributes:
        xy: ``(n, 2)`` slice pixels.
        areas: ``(n,)`` what each stands for, in the same unit.
    """

    xy: np.ndarray
    areas: Tensor

    @classmethod
    def around(cls, middle: np.ndarray, views: Sequence[View], spacing_mm: np.ndarray) -> Places:
        """Return the places around `middle` ``(2,)`` in slice pixels that `views` reach.

        Args:
            spacing_mm: ``(2,)`` along x and y.
        """
        sides_mm = [view.width * spacing_mm[0] for view in views]
        radii = np.geomspace(NEAREST * min(sides_mm), FARTHEST * max(sides_mm), RADII)[:, None]
        angles = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
        offsets_mm = np.stack([radii * np.cos(angles), radii * np.sin(angles)], -1).reshape(-1, 2)
        areas = radii**2
        areas[0] /= 1 - areas[0] / areas[1]  # the first ring stands for all that is nearer, too
        return cls(middle + offsets_mm / spacing_mm, torch.from_numpy(np.repeat(areas, ANGLES).astype(np.float32)))

    def inside(self, logits: Tensor, view: View, shape: tuple[int, int]) -> Tensor:
        """Return which places lie in each of masks, ``(b, n)`` bool; none does outside of the view or of the slice.

        Args:
            logits: ``(b, m, m)`` of `view`.
            shape: rows and columns of the slice.
        """
        on_slice = ((self.xy > -0.5) & (self.xy < np.array(shape[::-1]) - 0.5)).all(1)
        uv = torch.from_numpy((2 * view.to_input(self.xy) + 1) / view.size - 1).float().to(logits.device)
        within = (uv.abs() <= 1).all(1) & torch.from_numpy(on_slice).to(logits.device)
        sampled = F.grid_sample(logits[None].float(), uv[None, None], padding_mode="border", align_corners=False)[0, :, 0]
        return (sampled > 0) & within


def expected(inside: Tensor, areas: Tensor, fitness: Tensor) -> Tensor:
    """Return how good each mask is, ``(b,)``: its expected Dice with all of them, and a little for its own fitness.

    Args:
        inside: ``(b, n)`` bool, of `Places`.
        areas: ``(n,)`` of the places.
        fitness: ``(b,)``, see `ranking.fitness`.
    """
    masks = inside.float()
    both = (masks * areas.to(masks.device)) @ masks.T
    sizes = both.diagonal()
    dice = 2 * both / (sizes[:, None] + sizes).clamp(min=1e-6)
    return dice @ torch.softmax(LIKELIER * fitness, 0) + OWN * fitness
