"""Makes prompts as a user would, from the mask that they are meant to give: clicks, boxes, corrections."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

INSIDE, OUTSIDE, TOP_LEFT, BOTTOM_RIGHT = 1, 0, 2, 3
NEAR = 21  # pixels of a mask: most clicks outside of an object are this close to it
JITTER, MOST_JITTER = 0.06, 12  # of a box's corners, in parts of its sides; in pixels


@dataclass(frozen=True)
class Prompt:
    """Points for B objects: ``(B, n, 2)`` input pixels, centres at integers, and ``(B, n)`` labels as SAM has them."""

    xy: Tensor
    labels: Tensor

    def joined(self, other: Prompt) -> Prompt:
        """Return these points followed by those of another prompt."""
        return Prompt(torch.cat([self.xy, other.xy], 1), torch.cat([self.labels, other.labels], 1))

    @property
    def single_click(self) -> bool:
        """Return whether each object has one point only."""
        return self.labels.shape[1] == 1


def clicks(masks: Tensor, size: int) -> Prompt:
    """Return one to four clicks for each of masks ``(B, n, n)``, the first one inside; in pixels of an input of `size`."""
    prompt = _click(masks, size, True)
    for _ in range(random.choices((0, 1, 2, 3), (5, 2, 2, 1))[0]):
        prompt = prompt.joined(_click(masks, size, random.random() < 0.5))
    return prompt


def box(masks: Tensor, size: int) -> Prompt:
    """Return a box for each of masks ``(B, n, n)`` as drawn by hand, sometimes with a click inside or outside the object."""
    pixels = masks.shape[-1]
    places = torch.arange(pixels, device=masks.device)
    corners = []
    for axis in (1, 2):
        present = masks.amax(axis) > 0.5
        first = torch.where(present, places, pixels).amin(1)
        corners.append(torch.stack([first, torch.where(present, places, -1).amax(1) + 1], 1))
    edges = torch.stack(corners, 2).float().clamp(0, pixels) * (size / pixels)  # (B, first or last, x or y)
    sides = (edges[:, 1:] - edges[:, :1]).clamp(min=4)
    edges = edges + (JITTER * sides * torch.randn_like(edges).clamp(-2, 2)).clamp(-MOST_JITTER, MOST_JITTER)
    labels = torch.tensor([TOP_LEFT, BOTTOM_RIGHT], dtype=torch.int32, device=masks.device).expand(len(masks), -1)
    prompt = Prompt(edges.clamp(0, size) - 0.5, labels)
    chance = random.random()
    return prompt.joined(_click(masks, size, chance < 0.12)) if chance < 0.24 else prompt


def correction(found: Tensor, masks: Tensor, size: int) -> Prompt:
    """Return a click where `found` ``(B, n, n)`` differs from the masks, in the larger of what is missing and what is too much."""
    missing, excess = masks * (1 - found), found * (1 - masks)
    adds = missing.sum((1, 2)) >= excess.sum((1, 2))
    xy = _inner_pixel(torch.where(adds[:, None, None], missing, excess)) * (size / masks.shape[-1]) - 0.5
    return Prompt(xy[:, None], adds.int()[:, None])


def _click(masks: Tensor, size: int, inside: bool) -> Prompt:
    xy = (_inner_pixel(masks) if inside else _pixel(_nearby(masks))) * (size / masks.shape[-1]) - 0.5
    return Prompt(xy[:, None], torch.full((len(masks), 1), INSIDE if inside else OUTSIDE, dtype=torch.int32, device=masks.device))


def _nearby(masks: Tensor) -> Tensor:
    """Return where one would click to exclude something: around the object, or anywhere outside where nothing is around it."""
    around = F.max_pool2d(masks[:, None], NEAR, 1, NEAR // 2)[:, 0] * (1 - masks)
    return torch.where(around.sum((1, 2), keepdim=True) > 0, around, 1 - masks)


def _inner_pixel(masks: Tensor) -> Tensor:
    """Return a place ``(B, 2)`` in each mask, rather in its middle than at its border."""
    depth = F.avg_pool2d(masks[:, None], 5, 1, 2)
    depth = (depth * F.avg_pool2d(depth, 15, 1, 7))[:, 0]
    return _pixel(masks * depth**4 / (depth**4).amax((1, 2), keepdim=True).clamp(min=1e-9) + 1e-6 * masks)


def _pixel(weights: Tensor) -> Tensor:
    """Return a place ``(B, 2)`` within a pixel drawn by its weight; x first, edges at integers."""
    index = torch.multinomial(weights.flatten(1) + 1e-12, 1)[:, 0]
    corner = torch.stack([index % weights.shape[-1], index // weights.shape[-1]], -1)
    return corner + torch.rand(corner.shape, device=weights.device)
