"""Corrects masks before they are remembered, as the engine does, so that the network learns from memories as it will meet them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..evidence.carried_labels import Carrier
from ..evidence.intensities import Intensities
from ..propagation.corrector import COARSER, weighed
from .squares import carried


class Correctors:
    """A corrector for each of B objects; see `propagation.corrector`.

    Args:
        images: ``(B, size, size)`` grey values in 0..1 of the first slice, through the view of each object.
        masks: ``(B, 1, m, m)`` logits of the masks there.
        views: ``(B, 3)``, see `squares.following`.
        cell_mm: ``(B,)`` sides of the cells, `COARSER` pixels wide.
    """

    def __init__(self, images: Tensor, masks: Tensor, views: Tensor, cell_mm: Tensor) -> None:
        self._views, self._cell_mm = views, cell_mm.tolist()
        pictures = _cells(images)
        self._labels = F.interpolate((masks > 0).float(), pictures.shape[-2:], mode="bilinear", antialias=True)[:, 0].cpu()
        self._intensities = [
            Intensities([(picture, labels >= 0.5)], cell_mm)
            for picture, labels, cell_mm in zip(pictures, self._labels, self._cell_mm, strict=True)
        ]
        self._pictures = self._scaled(pictures)

    def correct(self, images: Tensor, masks: Tensor, views: Tensor) -> Tensor:
        """Return the logits of masks ``(B, 1, m, m)`` on the next slice, corrected; go on to that slice."""
        own_view, view = self._views.cpu(), views.cpu()
        if not torch.equal(own_view, view):
            self._labels, self._pictures = (carried(each[:, None], own_view, view)[:, 0] for each in (self._labels, self._pictures))
        pictures, logits = self._scaled(_cells(images)), masks.detach().float().cpu()
        steps = zip(self._labels, self._pictures, pictures, self._cell_mm, strict=True)
        self._labels = torch.stack([Carrier(labels, old, cell_mm).step(new) for labels, old, new, cell_mm in steps])
        self._pictures, self._views = pictures, views
        evidence = [each.evidence(picture) for each, picture in zip(self._intensities, pictures, strict=True)]
        corrected = [weighed(own[None], *rest) for own, *rest in zip(logits, self._labels, evidence, strict=True)]
        return torch.cat(corrected).to(masks.device)

    def _scaled(self, pictures: Tensor) -> Tensor:
        return torch.stack([each.scaled(picture) for each, picture in zip(self._intensities, pictures, strict=True)])


def _cells(images: Tensor) -> Tensor:
    return F.avg_pool2d(images[:, None], COARSER)[:, 0].cpu()
