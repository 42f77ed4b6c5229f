"""Makes what the network is trained on: short runs of slices through synthetic anatomy, as the engine would see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .random_fields import happens
from .rendering import Renderer
from .scenes import Seen
from .squares import Extents, Slices, following, on_slice, whole

OVERVIEW, FLOODED = 64, 32  # pixels of the coarse rasters in which objects are chosen, and followed
LEAST_PART, MOST_PART = 0.001, 0.3  # of a slice, for an object to be chosen
LEAST_CONTRAST = 0.06  # of the whole range of grey values; what shows less is seldom chosen
LEAST_IN_VIEW = 0.004  # of the view, for an object to be trained on
CUT_OFF = 0.1  # how often what reaches the edge of the slice is chosen, compared with what lies within
SCATTERED = 0.15  # of the scenes have objects of all parts of a label; the others, of one connected part


class Anatomy(Protocol):
    """Something to look at: `scenes.Scenes`, `labelmaps.LabelmapScenes` or `patients.PatientScenes`."""

    @property
    def labels(self) -> int:
        """Return the highest label."""

    @property
    def rows(self) -> tuple[slice, Tensor] | None:
        """Return which objects look alike, and in which scenes."""

    @property
    def tissues(self) -> Tensor | None:
        """Return the tissue of each label, ``(V, labels + 1)``, as far as it is known."""

    @property
    def half_mm(self) -> Tensor:
        """Return the length of a half side of each scene, ``(V, 1)`` in mm."""

    def look(self, positions: Tensor) -> Seen:
        """Return what is at positions ``(V, N, 3)``."""
        ...


@dataclass(frozen=True)
class Sequences:
    """V sequences of T slices, with O objects each.

    Attributes:
        images: ``(V, T, size, size)`` grey values in 0..1, in steps of 1/255 as the engine makes them.
        masks: ``(V, O, T, n, n)`` 0 or 1.
        views: ``(V, T, 3)``, see `squares.following`.
        usable: ``(V, O)`` bool; false where the object is too small on the first slice to be prompted.
        width_mm: ``(V, T)`` side of the views.
    """

    images: Tensor
    masks: Tensor
    views: Tensor
    usable: Tensor
    width_mm: Tensor


def look_through(slices: Slices, anatomy: Anatomy, objects: int, size: int, raster: int, target: int) -> Sequences:
    """Return sequences that follow an object through `slices`; the others of `objects` are whatever else is in view.

    Args:
        size: pixels of the images along each side.
        raster: pixels that the scanner has for the view; they are enlarged or reduced to `size`.
        target: pixels of the masks.
    """
    count, frames = slices.count, slices.frames
    overview = anatomy.look(slices.positions(whole(slices), OVERVIEW)).labels.view(count, frames, OVERVIEW, OVERVIEW)
    renderer = Renderer(count, anatomy.labels, anatomy.rows, slices.device, anatomy.tissues)
    worth = _worth(overview, renderer.contrasts(overview[:, 0]))
    first = _pick(overview, torch.ones_like(overview[:, 0], dtype=torch.bool), worth, 1)
    whole_label = happens((count, 1, 1, 1, 1), SCATTERED, slices.device)
    views = following(Extents.of(_followed(overview, first, whole_label)[:, 0]))
    others = _pick(overview, _within(views[:, 0]), worth, objects - (objects + 1) // 2)
    seeds = torch.cat([first.expand(-1, (objects + 1) // 2), others], 1)
    positions = slices.positions(views, raster)
    seen = anatomy.look(positions)
    images = renderer.render(seen, positions, frames, raster) * on_slice(views, raster)
    labels = overview[:, 0].flatten(1).gather(1, seeds)
    masks = seen.labels.view(count, 1, frames, raster, raster) == labels[:, :, None, None, None]
    masks = masks * _seen_through(views, _followed(overview, seeds, whole_label), raster)
    masks = (_resized(masks.flatten(0, 1), target) > 0.5).float().view(count, objects, frames, target, target)
    images = (_resized(images, size).clamp(0, 1) * 255).round() / 255
    return Sequences(images, masks, views, masks[:, :, 0].mean((2, 3)) > LEAST_IN_VIEW, slices.width(views) * anatomy.half_mm)


def _worth(overview: Tensor, contrasts: Tensor) -> Tensor:
    """Return how much each label of first slices is worth following, ``(V, labels + 1)``: visible ones, above all those that end on the
    way.
    """
    first, last = (overview[:, n].flatten(1) for n in (0, -1))
    pixels = torch.ones_like(first, dtype=torch.float32)
    size, left = (torch.zeros_like(contrasts).scatter_add_(1, labels, pixels) for labels in (first, last))
    part = size / first.shape[1]
    worth = torch.where((part > LEAST_PART) & (part < MOST_PART), part.clamp(min=1e-6) ** 0.2, 1e-4)
    worth = worth * torch.where(left < 1, 3.0, 1.0) * torch.where(contrasts < LEAST_CONTRAST, 0.02, 1.0) / size.clamp(min=1)
    worth = worth * torch.where(_at_the_edge(overview[:, 0], size.shape[1]), CUT_OFF, 1.0)
    worth[:, 0] = worth[:, -1] = 1e-9  # what is outside, and fat, are no objects
    return worth


def _at_the_edge(labels: Tensor, count: int) -> Tensor:
    """Return which of `count` labels reach the edge of slices ``(V, n, n)``: ``(V, count)`` bool."""
    edges = torch.cat([labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]], 1)
    return torch.zeros(len(labels), count, device=labels.device).scatter_(1, edges, 1.0) > 0


def _pick(overview: Tensor, allowed: Tensor, worth: Tensor, count: int) -> Tensor:
    """Return pixels ``(V, count)`` of first slices, within ``(V, n, n)`` bool, drawn by the worth of their labels."""
    return torch.multinomial(worth.gather(1, overview[:, 0].flatten(1)) * allowed.flatten(1) + 1e-14, count, replacement=True)


def _within(views: Tensor) -> Tensor:
    """Return which pixels of the overview views ``(V, 3)`` show: ``(V, n, n)`` bool."""
    middle = (2 * torch.arange(OVERVIEW, device=views.device) + 1) / OVERVIEW - 1
    x, y = ((middle - views[:, n, None]).abs() < 0.9 * views[:, 2:] for n in (0, 1))
    return y[:, :, None] & x[:, None, :]


def _followed(overview: Tensor, seeds: Tensor, whole_label: Tensor) -> Tensor:
    """Return the objects that seed pixels ``(V, O)`` of the first slice lie in: ``(V, O, T, n, n)`` 0 or 1.

    All parts of a label count where `whole_label` ``(V, 1, 1, 1, 1)``, else only the part that is connected with the seed.
    """
    labels = overview[:, 0].flatten(1).gather(1, seeds)
    masks = (overview[:, None] == labels[:, :, None, None, None]).float()
    return torch.where(whole_label, masks, _component(masks, seeds))


def _component(masks: Tensor, seeds: Tensor) -> Tensor:
    """Return the connected parts of masks ``(V, O, T, n, n)`` that seed pixels ``(V, O)`` of the first slice lie in."""
    shape, masks = masks.shape, masks.flatten(0, 1)
    step = OVERVIEW // FLOODED
    coarse = F.max_pool2d(masks, step)[:, None]
    reached = torch.zeros_like(coarse)
    row, column = seeds.flatten() // OVERVIEW // step, seeds.flatten() % OVERVIEW // step
    reached[torch.arange(len(coarse), device=seeds.device), 0, 0, row, column] = 1
    for _ in range(FLOODED // 2):
        reached = F.max_pool3d(reached, 3, 1, 1) * coarse
    return (masks * F.interpolate(reached[:, 0], scale_factor=step)).view(shape)


def _seen_through(views: Tensor, masks: Tensor, size: int) -> Tensor:
    """Return masks ``(V, O, T, n, n)`` over whole slices, a pixel wider all around, as views show them, in `size` pixels."""
    count, objects, frames = masks.shape[:3]
    wider = F.max_pool2d(masks.flatten(0, 1), 3, 1, 1).view(-1, 1, OVERVIEW, OVERVIEW)
    u, v, half = views.unbind(-1)
    zero = torch.zeros_like(u)
    affine = torch.stack([half, zero, u, zero, half, v], -1).view(count, 1, frames, 2, 3).expand(-1, objects, -1, -1, -1).reshape(-1, 2, 3)
    grid = F.affine_grid(affine, [len(affine), 1, size, size], align_corners=False)
    return F.grid_sample(wider, grid, mode="nearest", align_corners=False).view(count, objects, frames, size, size)


def _resized(maps: Tensor, size: int) -> Tensor:
    if maps.shape[-1] == size:
        return maps.float()
    return F.interpolate(maps.float(), (size, size), mode="bilinear", align_corners=False, antialias=maps.shape[-1] > size)
