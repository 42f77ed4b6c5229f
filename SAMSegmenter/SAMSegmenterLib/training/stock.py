"""Holds volumes of any size on a device, and looks at many of them at once: at cuts that are turned, stretched and warped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .random_fields import SmoothField, rotations, uniform

AXES = torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]])
STRETCH = 0.7, 1.4
WARPS = (6, 0.2), (16, 0.05)  # knots of smooth fields, and the largest shifts by them, in half sides of a cut
CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]


class Stock:
    """Volumes ``(k, j, i)`` of one type on `device`, each with voxels of its own size, ``(i, j, k)`` in mm."""

    def __init__(self, volumes: Sequence[np.ndarray], spacings_mm: Sequence[np.ndarray], device: torch.device) -> None:
        self._voxels = torch.cat([torch.from_numpy(np.ascontiguousarray(each)).flatten() for each in volumes]).to(device)
        self._shapes = torch.tensor([each.shape[::-1] for each in volumes], device=device)
        self._starts = torch.cat([torch.zeros(1, dtype=torch.long, device=device), self._shapes.prod(1).cumsum(0)[:-1]])
        self.spacing_mm = torch.tensor(np.array(spacings_mm), dtype=torch.float32, device=device)

    @property
    def half_mm(self) -> Tensor:
        """Return half of the mean edge of each volume, ``(M, 1)`` in mm."""
        return (self._shapes * self.spacing_mm).log().mean(1, keepdim=True).exp() / 2

    def nearest(self, which: Tensor, places_mm: Tensor) -> tuple[Tensor, Tensor]:
        """Return the voxels ``(V, N)`` of volumes `which` ``(V,)`` at places ``(V, N, 3)``, 0 beyond them, and which lie inside."""
        return self._at(which, (places_mm / self.spacing_mm[which, None]).floor().long())

    def linear(self, which: Tensor, places_mm: Tensor) -> Tensor:
        """Return values ``(V, N)`` between voxels, as float32; see `nearest`."""
        index = places_mm / self.spacing_mm[which, None] - 0.5
        corner = index.floor()
        part = index - corner
        total = torch.zeros_like(part[..., 0])
        for step in torch.tensor(CORNERS, device=index.device):
            weight = torch.where(step == 1, part, 1 - part).prod(-1)
            total += weight * self._at(which, corner.long() + step)[0]
        return total

    def _at(self, which: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        shape = self._shapes[which, None]
        inside = ((index >= 0) & (index < shape)).all(-1)
        i, j, k = torch.minimum(index.clamp(min=0), shape - 1).unbind(-1)
        flat = self._starts[which, None] + (k * shape[..., 1] + j) * shape[..., 0] + i
        return self._voxels[flat] * inside, inside


class Cuts:
    """A cube of a volume for each scene, -1..1 along its edges, turned, stretched and warped at random.

    Args:
        which: ``(V,)`` the volumes.
        middle_mm: ``(V, 3)`` what comes to lie at `focus`.
        focus: ``(V, 3)`` positions in the cubes.
        half_mm: ``(V, 1)`` half the side of each cube.
        frame: ``(V, 3, 3)`` turns the cube's axes before they become those of the volume.
    """

    def __init__(self, which: Tensor, middle_mm: Tensor, focus: Tensor, half_mm: Tensor, frame: Tensor) -> None:
        count, device = len(which), which.device
        self.which, self.half_mm = which, half_mm
        self._middle_mm, self._focus = middle_mm, focus
        axes = torch.eye(3, device=device)[AXES.to(device)[torch.randint(3, (count,), device=device)]]
        stretch = uniform((count, 1, 3), *STRETCH, device)
        self._turn = frame @ rotations((count,), device, 0.5) @ axes * stretch
        self._warps = [(SmoothField(count, 3, knots, device), uniform((count, 1, 1), 0, most, device)) for knots, most in WARPS]

    def places_mm(self, positions: Tensor) -> Tensor:
        """Return places ``(V, N, 3)`` in the volumes, of positions ``(V, N, 3)`` in the cubes."""
        moved = positions - self._focus[:, None]
        for field, size in self._warps:
            moved = moved + size * field.at(positions).transpose(1, 2)
        return self._middle_mm[:, None] + self.half_mm[..., None] * (moved @ self._turn)
