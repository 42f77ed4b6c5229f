"""The random walker: how likely a walk from a voxel through the image, which avoids edges, first ends in the object.

Grady, Random walks for image segmentation, IEEE PAMI 2006; solved by conjugate gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

EDGE = 0.08  # of the range of intensities: a step that stops most walks
PASSABLE = 1e-4  # what is left of the walks at the highest edge
HOME = 1e-4  # how often a walk ends in the background wherever it stands
ITERATIONS = 40


def walk(images: Tensor, start: Tensor, known: Tensor, spacing_mm: tuple[float, float, float]) -> Tensor:
    """Return the chance of every voxel to belong to the object, ``(k, j, i)`` from 0 to 1.

    Args:
        images: ``(k, j, i)``, with intensities of about 0 to 1.
        start: a guess of the answer, ``(k, j, i)`` from 0 to 1, which must be right where it is known.
        known: ``(k, j, i)`` bool.
        spacing_mm: distance in mm between voxels along k, j and i.
    """
    ways = [_ways(images, axis, min(spacing_mm) / spacing_mm[axis]) for axis in range(3)]
    degree = torch.full_like(images, HOME)
    for axis, way in enumerate(ways):
        _lower(degree, axis).add_(way)
        _upper(degree, axis).add_(way)
    chances, free = start.clone(), (~known).float()
    residual = -_laplacian(chances, degree, ways) * free
    scale = free / degree
    step = scale * residual
    direction, weight = step.clone(), (residual * step).sum()
    for _ in range(ITERATIONS):
        effect = _laplacian(direction, degree, ways) * free
        length = weight / (direction * effect).sum().clamp(min=1e-12)
        chances.add_(direction * length)
        residual.sub_(effect * length)
        step = scale * residual
        before, weight = weight, (residual * step).sum()
        direction.mul_(weight / before.clamp(min=1e-12)).add_(step)
    return chances.clamp(0, 1)


def _ways(images: Tensor, axis: int, nearness: float) -> Tensor:
    """Return how easy each step along an axis is."""
    return ((-((images.diff(dim=axis) / EDGE) ** 2) / 2).exp() + PASSABLE) * nearness**2


def _laplacian(values: Tensor, degree: Tensor, ways: list[Tensor]) -> Tensor:
    result = degree * values
    for axis, way in enumerate(ways):
        _lower(result, axis).sub_(way * _upper(values, axis))
        _upper(result, axis).sub_(way * _lower(values, axis))
    return result


def _lower(values: Tensor, axis: int) -> Tensor:
    return values.narrow(axis, 0, values.shape[axis] - 1)


def _upper(values: Tensor, axis: int) -> Tensor:
    return values.narrow(axis, 1, values.shape[axis] - 1)
