"""Small volumes for tests, made in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sam2.modeling.sam2_base import SAM2Base

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.models.interfaces import Model
from SAMSegmenterLib.network.network import IMAGENET_MEAN, IMAGENET_STD


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


def ball(slices: int = 32, side: int = 64, radius: float = 10) -> tuple[Volume, np.ndarray]:
    """A bright ball in a dark, slightly noisy CT-like volume, and its mask ``(slices, side, side)``."""
    z, y, x = np.ogrid[:slices, :side, :side]
    inside = (z - slices // 2) ** 2 + (y - side // 2) ** 2 + (x - side // 2) ** 2 <= radius**2
    voxels = np.where(inside, 120, -60) + np.random.default_rng(0).normal(0, 8, inside.shape)
    return Volume(voxels.astype(np.float32)), inside


def as_model(network: SAM2Base, sizes: tuple[int, ...] | None = None) -> Model:
    """A network made for a test, in the form that `models.loading` gives."""
    size = network.image_size
    sizes = sizes or (size,)
    return Model(network, "random", "Random weights", "0" * 64, Path("random"), size, sizes, IMAGENET_MEAN, IMAGENET_STD)
