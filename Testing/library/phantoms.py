"""Small volumes for tests, made in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from SAMSegmenterLib.frames import FrameStack, Window
from SAMSegmenterLib.models.loading import Model
from SAMSegmenterLib.volume import Volume
from sam2.modeling.sam2_base import SAM2Base


def cells(slices: int = 16, side: int = 64, seed: int = 0) -> FrameStack:
    """Noisy ellipsoids of different brightness in a grey ``(slices, side, side)`` volume."""
    random = np.random.default_rng(seed)
    z, y, x = np.ogrid[-1 : 1 : slices * 1j, -1 : 1 : side * 1j, -1 : 1 : side * 1j]
    voxels = np.zeros((slices, side, side))
    for _ in range(6):
        cz, cy, cx = random.uniform(-0.5, 0.5, 3)
        rz, ry, rx = random.uniform(0.6, 1.0), *random.uniform(0.15, 0.4, 2)
        voxels += random.uniform(20, 110) * (((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1)
    voxels += random.normal(0, 8, voxels.shape)
    return FrameStack(Volume(np.clip(voxels, 0, 255).astype(np.uint8)), window=Window(0, 255))


def ball(slices: int = 32, side: int = 64, radius: float = 10, spacing_mm: tuple[float, float, float] = (1, 1, 1)) -> tuple[Volume, np.ndarray]:
    """A bright ball in a dark, slightly noisy CT-like volume, and its mask ``(slices, side, side)``."""
    z, y, x = np.ogrid[:slices, :side, :side]
    inside = (z - slices // 2) ** 2 + (y - side // 2) ** 2 + (x - side // 2) ** 2 <= radius**2
    noise = np.random.default_rng(0).normal(0, 8, inside.shape)
    return Volume(np.where(inside, 120, -60).astype(np.float32) + noise.astype(np.float32), np.diag([*spacing_mm, 1.0])), inside


def as_model(network: SAM2Base, sizes: tuple[int, ...] | None = None) -> Model:
    """A network made for a test, in the form that `models.loading` gives."""
    size = network.image_size
    return Model(network, "random", "Random weights", "0" * 64, Path("random"), size, sizes or (size,), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
