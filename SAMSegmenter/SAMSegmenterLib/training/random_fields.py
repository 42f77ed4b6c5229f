"""Draws random numbers, rotations and smooth fields, many at once, on any device; repeatable by `torch.manual_seed`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def uniform(shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
    """Return float32 numbers of a shape, evenly distributed between `low` and `high`."""
    return torch.rand(shape, device=device) * (high - low) + low


def log_uniform(shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
    """Return float32 numbers of a shape between `low` and `high`, each octave as likely as any other."""
    return uniform(shape, math.log(low), math.log(high), device).exp()


def happens(shape: tuple[int, ...], probability: float, device: torch.device) -> Tensor:
    """Return bool values of a shape, each True with a probability."""
    return torch.rand(shape, device=device) < probability


def rotations(shape: tuple[int, ...], device: torch.device, most: float = math.pi) -> Tensor:
    """Return rotation matrices ``(*shape, 3, 3)`` about random axes by up to `most` radians (Rodrigues' formula)."""
    axis = F.normalize(torch.randn(*shape, 3, device=device), dim=-1)
    angle = uniform((*shape, 1, 1), -most, most, device)
    cross = torch.zeros(*shape, 3, 3, device=device)
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -axis[..., 2], axis[..., 1], -axis[..., 0]
    cross = cross - cross.transpose(-1, -2)
    return torch.eye(3, device=device) + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


class SmoothField:
    """Smooth random functions of space: one of `channels` values per scene and position, about -1 to 1.

    Args:
        scenes: how many scenes; each has functions of its own.
        channels: how many functions a scene has.
        knots: random values along each edge of the cube -2..2 that they interpolate; more of them make them less smooth.
    """

    def __init__(self, scenes: int, channels: int, knots: int, device: torch.device) -> None:
        self._values = torch.randn(scenes, channels, knots, knots, knots, device=device)

    def at(self, positions: Tensor) -> Tensor:
        """Return values ``(V, channels, N)`` at positions ``(V, N, 3)``."""
        scenes, count = positions.shape[:2]
        grid = (positions / 2).view(scenes, 1, 1, count, 3)
        return F.grid_sample(self._values, grid, padding_mode="reflection", align_corners=True).view(scenes, -1, count)
