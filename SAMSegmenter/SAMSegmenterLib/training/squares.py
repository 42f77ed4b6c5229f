"""Slices that lie in a scene in sequence, and the square that is looked at on each of them.

The square follows the object by the rules of `network.region`: it stays until it does not suit the object any more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.region import BORDER, MARGIN, TIGHTEST, WIDEST
from .random_fields import happens, log_uniform, rotations, uniform

OFF_CENTRE = 0.15  # in sides of the view
LEAST_HALF = 0.06  # half the side of the smallest view, in half slices


class Slices:
    """Parallel slices, `frames` of each of `count` scenes, of random orientation, size, pixel shape and distance.

    Positions on a slice are ``(u, v)`` in -1..1 over its whole width and height.

    Attributes:
        turn: ``(V, 3, 3)``, from the axes of the slices to those of the scenes.
    """

    def __init__(self, count: int, frames: int, device: torch.device) -> None:
        self.count, self.frames, self.device = count, frames, device
        upright = rotations((count,), device, 0.3)
        self.turn = torch.where(happens((count, 1, 1), 0.5, device), rotations((count,), device), upright)
        self._half = uniform((count, 1), 0.65, 1.25, device)
        self._aspect = uniform((count, 1), 0.75, 1.33, device)
        step = log_uniform((count, 1), 0.01, 0.11, device)
        start = uniform((count, 1), -0.5, 0.5, device)
        self._depth = start + step * torch.arange(frames, device=device)

    @property
    def focus(self) -> Tensor:
        """Return the middle of the first slice of each scene: ``(V, 3)``."""
        middle = torch.zeros(self.count, 3, device=self.device)
        middle[:, 2] = self._depth[:, 0]
        return self._to_space(middle[:, None])[:, 0]

    def positions(self, views: Tensor, size: int) -> Tensor:
        """Return positions ``(V, T * size * size, 3)`` in the scene of the pixels of views ``(V, T, 3)``."""
        u, v = _pixels(views, size)
        depth = self._depth[:, :, None, None].expand_as(u)
        flat = torch.stack([u, v, depth], -1).view(self.count, -1, 3)
        scale = torch.cat([self._half, self._half * self._aspect, torch.ones_like(self._half)], 1)
        return self._to_space(flat * scale[:, None])

    def width(self, views: Tensor) -> Tensor:
        """Return the sides ``(V, T)`` of views ``(V, T, 3)``, in half sides of the scenes."""
        return 2 * self._half * views[..., 2]

    def _to_space(self, points: Tensor) -> Tensor:
        return points @ self.turn.transpose(1, 2)


@dataclass(frozen=True)
class Extents:
    """The place of an object on each slice.

    Attributes:
        boxes: ``(V, T, 4)`` left, top, right, bottom edges, in -1..1; of no meaning where the object is absent.
        present: ``(V, T)`` bool.
    """

    boxes: Tensor
    present: Tensor

    @classmethod
    def of(cls, masks: Tensor) -> Extents:
        """Return the extents of masks ``(V, T, n, n)`` over whole slices."""
        size = masks.shape[-1]
        first, last = zip(*(_ends(masks.amax(axis) > 0.5) for axis in (2, 3)), strict=True)
        edges = torch.stack([first[0], first[1], last[0] + 1, last[1] + 1], -1)
        return cls(2 * edges / size - 1, masks.amax((2, 3)) > 0.5)


def whole(slices: Slices) -> Tensor:
    """Return views ``(V, T, 3)`` of whole slices: the middle ``(u, v)`` and half the side."""
    return torch.tensor([0.0, 0.0, 1.0], device=slices.device).expand(slices.count, slices.frames, 3)


def on_slice(views: Tensor, size: int) -> Tensor:
    """Return 1 for each of the `size` x `size` pixels of views ``(V, T, 3)`` on the slice, and 0 beyond it, where the engine shows
    black.
    """
    u, v = _pixels(views, size)
    return ((u.abs() <= 1) & (v.abs() <= 1)).float()


def _pixels(views: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return positions u and v on the slice, ``(V, T, size, size)`` each, of the pixels of views ``(V, T, 3)``."""
    pixels = (2 * torch.arange(size, device=views.device) + 1) / size - 1
    u = (views[..., 0, None] + views[..., 2, None] * pixels)[:, :, None, :].expand(-1, -1, size, -1)
    v = (views[..., 1, None] + views[..., 2, None] * pixels)[:, :, :, None].expand(-1, -1, -1, size)
    return u, v


def following(extents: Extents) -> Tensor:
    """Return views ``(V, T, 3)`` that follow an object from the first slice on, one slice behind it."""
    view = _first(extents.boxes[:, 0])
    views = [view]
    for frame in range(1, extents.boxes.shape[1]):
        box, present = extents.boxes[:, frame - 1], extents.present[:, frame - 1]
        moves = present & (~_suits(view, box) | happens(present.shape, 0.05, box.device))
        view = torch.where(moves[:, None], _around(box, MARGIN * (0.1 * torch.randn_like(box[:, 0])).exp(), 0.04), view)
        views.append(view)
    return torch.stack(views, 1)


def carried(maps: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """Return feature maps ``(B, c, n, n)`` seen through `old` views ``(B, 3)`` as they lie in `new` ones; 0 where they do not reach."""
    scale = new[:, 2] / old[:, 2]
    zero = torch.zeros_like(scale)
    shift = (new[:, :2] - old[:, :2]) / old[:, 2:]
    affine = torch.stack([scale, zero, shift[:, 0], zero, scale, shift[:, 1]], 1).view(-1, 2, 3)
    grid = F.affine_grid(affine, list(maps.shape), align_corners=False)
    return F.grid_sample(maps.float(), grid, align_corners=False).to(maps.dtype)


def _first(box: Tensor) -> Tensor:
    """Return views as a prompt leaves them: around the object as the engine does, or looser and off its centre, as after a click."""
    count, device = len(box), box.device
    near = _around(box, MARGIN * (0.08 * torch.randn(count, device=device)).exp(), 0.03)
    loose = _around(box, log_uniform((count,), TIGHTEST, WIDEST, device), OFF_CENTRE)
    return torch.where(happens((count, 1), 0.5, device), near, loose)


def _around(box: Tensor, margin: Tensor, off_centre: float) -> Tensor:
    half = (margin * _longer_half(box)).clamp(min=LEAST_HALF)
    middle = (box[:, :2] + box[:, 2:]) / 2
    return torch.cat([middle + 2 * half[:, None] * uniform((len(box), 2), -off_centre, off_centre, box.device), half[:, None]], 1)


def _longer_half(box: Tensor) -> Tensor:
    return (box[:, 2:] - box[:, :2]).amax(1) / 2


def _suits(view: Tensor, box: Tensor) -> Tensor:
    ratio = view[:, 2] / _longer_half(box)
    gap = 2 * BORDER * view[:, 2:]
    inside = (box[:, :2] - gap >= view[:, :2] - view[:, 2:]).all(1) & (box[:, 2:] + gap <= view[:, :2] + view[:, 2:]).all(1)
    return inside & (ratio >= TIGHTEST) & (ratio <= WIDEST)


def _ends(present: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and last true place of bool ``(..., n)``."""
    places = torch.arange(present.shape[-1], device=present.device)
    return torch.where(present, places, present.shape[-1]).amin(-1).float(), torch.where(present, places, -1).amax(-1).float()
