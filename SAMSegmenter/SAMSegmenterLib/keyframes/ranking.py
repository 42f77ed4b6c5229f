"""Ranks masks by how well they fit what a user has marked, to choose among all that the marks may mean.

A small network answers a box or a click with several masks, and the best of them is often not its first, which may hold half
of the object, or its neighbour. Two things can be checked without the network: whether a mask fills its box, and whether it
differs from what is around it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..evidence.intensities import grown
from ..network.region import MARGIN

SURE = 1.0  # logits; a mask that much depends on the threshold's place within it is doubtful
COARSER = 2  # input pixels along a cell in which masks are judged; it costs a fifth of judging them by every pixel
BORDER, NEAR = 1, 3  # cells: the border belongs to neither side; how far the surroundings reach
GREYS = 24  # told apart

SIGNS = ("quality", "stable", "alike", "obeyed", "tight", "beyond", "sized")
# Fitted to synthetic scenes and freely rounded, see "The search" in docs/figures.md.
FOR_BOXES = torch.tensor([4.0, 5.0, -3.5, 5.0, 20.0, -15.0, 0.0])
FOR_POINTS = torch.tensor([4.0, 3.0, -4.0, 3.0, 0.0, 0.0, 0.6])


def fitness(logits: Tensor, quality: Tensor, picture: Tensor, xy: Tensor, labels: Tensor) -> Tensor:
    """Return how well each mask fits, ``(n,)``: the higher the better, comparable between all answers to the same prompts.

    Args:
        logits: ``(n, m, m)`` of a view.
        quality: ``(n,)`` intersection over union that the network expects.
        picture: ``(size, size)`` grey levels 0..255 of the view.
        xy: ``(p, 2)`` prompts in pixels of the view, centres at integers.
        labels: ``(p,)`` 1 inside, 0 outside, 2 and 3 the corners of a box.
    """
    weights = FOR_BOXES if (labels == 2).any() else FOR_POINTS
    return signs(logits, quality, picture, xy, labels) @ weights.to(logits.device)


def signs(logits: Tensor, quality: Tensor, picture: Tensor, xy: Tensor, labels: Tensor) -> Tensor:
    """Return what speaks for and against each mask, ``(n, 7)`` in the order of `SIGNS`; for the arguments see `fitness`.

    The signs are: the quality that the network expects; how little the mask depends on where exactly its logits are cut; how much
    the intensities inside are like those around; the part of the clicks that it obeys; how well its own box agrees with the box
    that was drawn; the part of it that lies outside that box; how well the view suits its size.
    """
    cells = F.avg_pool2d(picture[None].float(), COARSER)[0]
    enlarged = F.interpolate(logits[:, None].float(), cells.shape, mode="bilinear", align_corners=False)[:, 0]
    xy = (xy + 0.5) / COARSER - 0.5
    masks = enlarged > 0
    stable = (enlarged > SURE).sum((1, 2)) / (enlarged > -SURE).sum((1, 2)).clamp(min=1)
    edges = _edges(masks)
    tight, beyond = _in_box(masks, edges, xy, labels)
    sides = (edges[:, 2:] - edges[:, :2]).amax(1).clamp(min=1)
    sized = -(len(cells) / sides / MARGIN).log().abs()
    return torch.stack([quality.float(), stable, _alike(masks, cells), _obeyed(masks, xy, labels), tight, beyond, sized], 1)


def _alike(masks: Tensor, cells: Tensor) -> Tensor:
    """Return the Bhattacharyya coefficient, ``(n,)``, of the intensities inside and around each mask."""
    greys = F.one_hot((cells * (GREYS / 256)).long().clamp(0, GREYS - 1).flatten(), GREYS).float()
    around = grown(masks, NEAR) & ~grown(masks, BORDER)
    within, beside = ((each.flatten(1).float() @ greys + 0.5) for each in (masks, around))
    return (within / within.sum(1, keepdim=True) * beside / beside.sum(1, keepdim=True)).sqrt().sum(1)


def _obeyed(masks: Tensor, xy: Tensor, labels: Tensor) -> Tensor:
    clicks = labels < 2
    if not clicks.any():
        return torch.ones(len(masks), device=masks.device)
    x, y = xy[clicks].round().long().clamp(0, masks.shape[-1] - 1).unbind(1)
    return (masks[:, y, x] == (labels[clicks] == 1)).float().mean(1)


def _in_box(masks: Tensor, edges: Tensor, xy: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    if not (labels == 2).any():
        zero = torch.zeros(len(masks), device=masks.device)
        return zero, zero
    box = torch.cat([xy[labels == 2][0], xy[labels == 3][0]]).float() + 0.5
    shared = (torch.minimum(edges[:, 2:], box[2:]) - torch.maximum(edges[:, :2], box[:2])).clamp(min=0).prod(1)
    tight = shared / ((edges[:, 2:] - edges[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - shared).clamp(min=1)
    places = torch.arange(masks.shape[-1], device=masks.device) + 0.5
    x, y = ((places > box[n]) & (places < box[n + 2]) for n in (0, 1))
    pixels = masks.sum((1, 2))
    return tight, 1 - (masks & y[:, None] & x).sum((1, 2)) / pixels.clamp(min=1)


def _edges(masks: Tensor) -> Tensor:
    """Return the left, top, right and bottom edge of the box around each mask, ``(n, 4)``; all 0 for an empty mask."""
    places = torch.arange(masks.shape[-1], device=masks.device)
    ends = []
    for axis in (1, 2):
        present = masks.any(axis)
        first, last = torch.where(present, places, masks.shape[-1]).amin(1), torch.where(present, places, -1).amax(1)
        ends.append(torch.stack([torch.minimum(first, last + 1), last + 1], 1))
    return torch.stack(ends, 2).flatten(1).float()
