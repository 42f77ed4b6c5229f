"""Makes procedural anatomy: scenes of deformed ellipsoids, tubes, slabs, shells and rows of them, known as formulas.

A scene is a set of quadrics in warped coordinates, so that it can be looked at anywhere and at any resolution: nothing
is rasterised but the pixels that the network will see. All quadrics of all scenes are evaluated by one batched product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .random_fields import SmoothField, happens, log_uniform, rotations, uniform

PRIMITIVES = 24  # per scene; the first two are the body and its wall
REACH = 0.85  # centres lie within this distance of the middle, along each axis


@dataclass(frozen=True)
class Seen:
    """The anatomy at some positions.

    Attributes:
        labels: ``(V, N)``; 0 outside the body, 1 to `PRIMITIVES` objects, one more for the fat around objects.
        textures: ``(V, 4, N)`` smooth fields of two scales, for the intensities within objects.
        rims: ``(V, N)`` bool; in the outer layer of an object, which may be of another tissue, as the cortex of bones and kidneys is.
        greys: ``(V, N)`` intensities from 0 to 1 that were measured; None if they have to be made up.
    """

    labels: Tensor
    textures: Tensor
    rims: Tensor
    greys: Tensor | None = None


class Scenes:
    """A number of random scenes within the cube -1..1; `focus` ``(count, 3)`` is where many of their objects lie."""

    labels = PRIMITIVES + 1
    tissues = None

    def __init__(self, count: int, focus: Tensor) -> None:
        device = focus.device
        self.count, self.device = count, device
        self.half_mm = log_uniform((count, 1), 40, 200, device)
        self._warps = [SmoothField(count, 3, knots, device) for knots in (6, 16)]
        self._warp_sizes = [uniform((count, 1, 1), 0.02, 0.28, device), uniform((count, 1, 1), 0, 0.07, device)]
        self._textures = [SmoothField(count, 2, knots, device) for knots in (14, 36)]
        self._place(focus)
        self._cells = happens((count, 1), 0.2, device)  # space divided among the objects without gaps
        self._fat = torch.where(happens((count, 1), 0.6, device), log_uniform((count, PRIMITIVES), 1.02, 1.5, device), 1.0)
        self._shells = happens((count, PRIMITIVES), 0.07, device)
        self._shells[:, :2] = False
        self._walls = uniform((count, PRIMITIVES), 0.12, 0.4, device)
        self._cores = (1 - uniform((count, PRIMITIVES), 0.1, 0.4, device)) ** 2

    def look(self, positions: Tensor) -> Seen:
        """Return what is at positions ``(V, N, 3)``."""
        warped = positions
        for field, size in zip(self._warps, self._warp_sizes, strict=True):
            warped = warped + size * field.at(positions).transpose(1, 2)
        textures = torch.cat([field.at(positions) for field in self._textures], 1)
        distances = torch.bmm(self._quadrics, torch.cat([_monomials(warped), textures], 1))
        hollow = (distances.clamp(min=0).sqrt() - 1 + self._walls[..., None]).abs() / self._walls[..., None]
        labels = self._labels(torch.where(self._shells[..., None], hollow, distances))
        return Seen(labels, textures, self._rims(distances, labels))

    def _labels(self, distances: Tensor) -> Tensor:
        """Return labels, later objects painted over earlier ones, each within its rim of fat."""
        order = torch.arange(1, PRIMITIVES + 1, device=self.device, dtype=torch.int16).view(1, -1, 1)
        painted = ((distances < self._fat[..., None]) * (2 * order) + (distances < 1).to(torch.int16)).amax(1).long()
        labels = torch.where(painted % 2 == 1, painted // 2, torch.where(painted > 0, PRIMITIVES + 1, 0))
        nearest = distances[:, 2:].min(1)
        cells = torch.where(nearest.values < 4, nearest.indices + 3, labels)
        labels = torch.where(self._cells, cells, labels)
        return torch.where(distances[:, 0] < 1, labels, 0)

    def _rims(self, distances: Tensor, labels: Tensor) -> Tensor:
        """Return where rims are; objects that fill space without gaps have none, as their surfaces are not at distance 1."""
        within = (labels > 0) & (labels <= PRIMITIVES) & ~self._cells
        which = (labels - 1).clamp(0, PRIMITIVES - 1)
        return within & (distances.gather(1, which[:, None])[:, 0] > self._cores.gather(1, which))

    # ------------------------------------------------------------------ where the objects are

    def _place(self, focus: Tensor) -> None:
        radii, kinds = self._sizes()
        centres = self._centres(focus, radii)
        turns = rotations((self.count, PRIMITIVES), self.device)
        self._repeat(centres, radii, turns, kinds)
        self._add_body(centres, radii, turns)
        self._quadrics = _quadrics(centres, radii, turns, self._wobble())

    def _sizes(self) -> tuple[Tensor, Tensor]:
        """Return radii ``(V, K, 3)``, the largest objects first, and kinds ``(V, K)``: below .2 tubes, above .96 slabs."""
        shape = self.count, PRIMITIVES
        size = log_uniform(shape, 0.05, 0.5, self.device) * uniform((self.count, 1), 0.75, 1.45, self.device)
        size = size.sort(1, descending=True).values
        oblong = uniform((*shape, 1), 0.2, 0.65, self.device)  # muscles and flat bones are several times as long as thick
        radii = size[..., None] * (oblong * torch.randn(*shape, 3, device=self.device)).exp()
        kinds = torch.rand(shape, device=self.device)
        tube = torch.tensor([0.55, 0.55, 6.0], device=self.device)
        slab = torch.tensor([0.35, 8.0, 8.0], device=self.device)
        radii = torch.where((kinds < 0.22)[..., None], radii * tube, radii)
        return torch.where((kinds > 0.96)[..., None], radii * slab, radii), kinds

    def _centres(self, focus: Tensor, radii: Tensor) -> Tensor:
        """Return centres ``(V, K, 3)``: anywhere, near the plane of focus, or within a larger object."""
        shape = self.count, PRIMITIVES
        anywhere = uniform((*shape, 3), -REACH, REACH, self.device)
        near = focus[:, None] + 0.9 * anywhere * uniform((*shape, 1), 0.2, 1, self.device)
        centres = torch.where(happens((*shape, 1), 0.6, self.device), near, anywhere)
        parent = (torch.rand(shape, device=self.device) * torch.arange(PRIMITIVES, device=self.device)).long()[..., None].expand(-1, -1, 3)
        within = centres.gather(1, parent) + 0.5 * radii.gather(1, parent).clamp(max=0.5) * uniform((*shape, 3), -1, 1, self.device)
        return torch.where(happens((*shape, 1), 0.18, self.device), within, centres)

    def _repeat(self, centres: Tensor, radii: Tensor, turns: Tensor, kinds: Tensor) -> None:
        """Put some objects of half the scenes in a row, all alike, as vertebrae, ribs and bowel loops are."""
        first, length = 8, 7
        shift = uniform((self.count, 1, 3), -1, 1, self.device)
        step = radii[:, first : first + 1].amin(2, keepdim=True) * uniform((self.count, 1, 1), 1.6, 4, self.device)
        shift = shift / shift.norm(dim=-1, keepdim=True) * step
        order = torch.arange(length, device=self.device).view(1, -1, 1) - length // 2
        rows = happens((self.count, 1, 1), 0.5, self.device)
        part = slice(first, first + length)
        centres[:, part] = torch.where(rows, centres[:, first : first + 1] + order * shift, centres[:, part])
        radii[:, part] = torch.where(rows, radii[:, first : first + 1], radii[:, part])
        turns[:, part] = torch.where(rows[..., None], turns[:, first : first + 1], turns[:, part])
        self.rows = part, rows[:, 0, 0]

    def _add_body(self, centres: Tensor, radii: Tensor, turns: Tensor) -> None:
        """Make the first two objects a long trunk that all the rest lies in, and its inside; some scenes fill the whole view."""
        trunk = torch.stack([uniform((self.count,), *span, self.device) for span in ((0.75, 1.05), (0.55, 1.0), (0.9, 2.5))], -1)
        radii[:, 0] = torch.where(happens((self.count, 1), 0.75, self.device), trunk, 20.0)
        radii[:, 1] = radii[:, 0] * uniform((self.count, 1), 0.82, 0.98, self.device)
        centres[:, 0] = uniform((self.count, 3), -0.1, 0.1, self.device)
        turns[:, 0] = rotations((self.count,), self.device, 0.3)
        centres[:, 1], turns[:, 1] = centres[:, 0], turns[:, 0]

    def _wobble(self) -> Tensor:
        """Return how much each texture field roughens each surface: ``(V, K, 4)``."""
        size = 0.28 * torch.rand(self.count, PRIMITIVES, 4, device=self.device) * torch.tensor([1, 1, 0.3, 0.3], device=self.device)
        sign = torch.where(happens(size.shape, 0.5, self.device), 1.0, -1.0)
        return size * sign * happens((self.count, 1, 1), 0.8, self.device)


def _monomials(positions: Tensor) -> Tensor:
    """Return the ten terms ``(V, 10, N)`` of a quadratic function at positions ``(V, N, 3)``."""
    x, y, z = positions.unbind(-1)
    return torch.stack([x * x, y * y, z * z, x * y, x * z, y * z, x, y, z, torch.ones_like(x)], 1)


def _quadrics(centres: Tensor, radii: Tensor, turns: Tensor, wobble: Tensor) -> Tensor:
    """Return coefficients ``(V, K, 14)`` of functions that are 0 at an object's centre and 1 on its surface."""
    scaled = turns / radii[..., None]
    form = scaled.transpose(-1, -2) @ scaled
    linear = (form @ centres[..., None])[..., 0]
    terms = [form[..., 0, 0], form[..., 1, 1], form[..., 2, 2]]
    terms += [2 * form[..., 0, 1], 2 * form[..., 0, 2], 2 * form[..., 1, 2], *(-2 * linear).unbind(-1)]
    terms.append((linear * centres).sum(-1))
    return torch.cat([torch.stack(terms, -1), wobble], -1)
