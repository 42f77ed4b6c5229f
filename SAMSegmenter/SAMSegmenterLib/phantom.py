"""A CT-like torso made by code, so that the demo and the tests need no patient."""

from __future__ import annotations

import numpy as np

from .image.extent import edges
from .image.volume import Volume
from .prompts.types import Box, Keyframe, PromptSet, Segment

NAMES = ("liver", "kidney_right", "kidney_left", "spleen", "aorta", "spine", "lungs")
AIR_HU, FAT_HU, MUSCLE_HU, BOWEL_HU = -1000, -100, 55, 42
NOISE_HU = 12.0
EDGE_PIXELS = 1.5


def make_phantom(
    seed: int = 0, shape_ijk: tuple[int, int, int] = (160, 160, 80), spacing_mm: tuple[float, float, float] = (1.5, 1.5, 3.0)
) -> tuple[Volume, np.ndarray, tuple[str, ...]]:
    """Return a torso from the kidneys up to the lungs, in Hounsfield units.

    Args:
        seed: varies the noise and, a little, the organs' places; the same seed gives the same voxels.
        shape_ijk: number of voxels along i, j and k.
        spacing_mm: distance in mm between voxels along i, j and k.

    Returns:
        The volume, ``(k, j, i)`` int16; its true labels ``(k, j, i)`` uint8, where n is the n-th name (from 1); and the names.
        The axes run to the patient's left, back and head.
    """
    random = np.random.default_rng(seed)
    torso = _Torso(shape_ijk)
    torso.body(random)
    torso.organs(random)
    torso.voxels += _noise(random, torso.voxels.shape)
    ijk_to_ras = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    ijk_to_ras[:3, 3] = -ijk_to_ras[:3, :3] @ (np.array(shape_ijk) - 1) / 2
    voxels = np.clip(np.rint(torso.voxels), -1024, 3071).astype(np.int16)
    return Volume(voxels, ijk_to_ras, "phantom", "CT"), torso.labels, NAMES


def phantom_prompts(labels: np.ndarray, names: tuple[str, ...]) -> PromptSet:
    """Return a box around the liver and one around the right kidney, each on the middle one of its slices along k.

    Args:
        labels: ``(k, j, i)`` uint8, from `make_phantom`, as are `names`.
    """
    return PromptSet(tuple(Segment(name, (_box_on_middle_slice(labels == names.index(name) + 1),)) for name in ("liver", "kidney_right")))


def _box_on_middle_slice(inside: np.ndarray) -> Keyframe:
    slices = np.flatnonzero(inside.any(axis=(1, 2)))
    middle = int(slices[len(slices) // 2])
    around = edges(inside[middle])
    assert around is not None  # it is on this slice
    return Keyframe(middle, box=Box(*around))


class _Torso:
    """The voxels being painted.

    Places are fractions of the half extent, each from -1 to 1: x to the left, y to the back, z to the head.
    """

    def __init__(self, shape_ijk: tuple[int, int, int]) -> None:
        i, j, k = shape_ijk
        self.z, self.y, self.x = np.ogrid[-1 : 1 : k * 1j, -1 : 1 : j * 1j, -1 : 1 : i * 1j]
        self.voxels = np.full((k, j, i), AIR_HU, np.float32)
        self.labels = np.zeros((k, j, i), np.uint8)
        self.pixels = min(i, j) / 2

    def ellipsoid(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
        """Return ``(k, j, i)`` float32: 1 on the surface of an ellipsoid, less inside and more outside."""
        axes = zip((self.x, self.y, self.z), centre, radii, strict=True)
        squares = [(((place - middle) / radius) ** 2).astype(np.float32) for place, middle, radius in axes]
        return np.sqrt(squares[0] + squares[1] + squares[2])

    def tube(self, x: np.ndarray | float, y: np.ndarray | float, radii: tuple[float, float]) -> np.ndarray:
        """Return the same as `ellipsoid` for an elliptic tube along z whose centre may change from slice to slice."""
        return np.sqrt(((self.x - x) / radii[0]) ** 2 + ((self.y - y) / radii[1]) ** 2).astype(np.float32)

    def paint(self, surface: np.ndarray, value: np.ndarray | float, radius: float, name: str = "") -> None:
        """Fill a shape of about `radius`; a voxel that the surface crosses gets a share of both sides."""
        share = np.clip((1 - surface) * (radius * self.pixels / EDGE_PIXELS) + 0.5, 0, 1)
        self.voxels += share * (value - self.voxels)
        self.labels[share > 0.5] = NAMES.index(name) + 1 if name else 0

    def body(self, random: np.random.Generator) -> None:
        """Paint skin and fat, the muscles of the wall, and what lies between the organs."""
        swell = 1 + 0.04 * np.sin(2 * self.z)
        for value, x_radius, y_radius in ((FAT_HU, 0.92, 0.74), (MUSCLE_HU, 0.84, 0.66), (BOWEL_HU, 0.78, 0.6)):
            self.paint(self.tube(0, 0, (x_radius, y_radius)) / swell, value, y_radius)
        for _ in range(14):
            centre = random.uniform(-0.35, 0.45), random.uniform(-0.3, 0), random.uniform(-1, 0)
            self.paint(self.ellipsoid(centre, tuple(random.uniform(0.07, 0.16, 3))), random.uniform(25, 65), 0.1)

    def organs(self, random: np.random.Generator) -> None:
        def near(x: float, y: float, z: float) -> tuple[float, float, float]:
            moved = random.uniform(-0.02, 0.02, 3)
            return x + moved[0], y + moved[1], z + moved[2]

        for x in (-0.4, 0.4):
            self.paint(self.ellipsoid(near(x, 0, 1.05), (0.34, 0.5, 0.6)), -830, 0.4, "lungs")
        right = self.ellipsoid(near(-0.4, -0.08, 0.15), (0.33, 0.42, 0.55))
        left = self.ellipsoid(near(-0.05, -0.28, 0.3), (0.36, 0.2, 0.28))
        self.paint(_union(right, left), 112, 0.35, "liver")
        self.paint(self.ellipsoid(near(0.52, 0.14, 0.25), (0.17, 0.26, 0.32)), 118, 0.2, "spleen")
        self.paint(self.ellipsoid(near(-0.36, 0.32, -0.5), (0.14, 0.16, 0.34)), 148, 0.15, "kidney_right")
        self.paint(self.ellipsoid(near(0.36, 0.32, -0.4), (0.14, 0.16, 0.34)), 150, 0.15, "kidney_left")
        vertebra = np.where(np.cos(14 * self.z) > -0.8, 260.0, 100.0)
        self.paint(self.tube(0, 0.36 + 0.03 * np.cos(2 * self.z), (0.17, 0.13)), vertebra, 0.15, "spine")
        bend = 0.06 + 0.07 * np.sin(2.2 * self.z + random.uniform(-0.3, 0.3))
        self.paint(self.tube(bend, 0.11 + 0.04 * np.cos(2 * self.z), (0.075, 0.075)), 155, 0.075, "aorta")


def _union(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the surface of two shapes melted into one."""
    return -np.logaddexp(-12 * one, -12 * other) / 12


def _noise(random: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Return slightly blurred noise, float32, with a standard deviation of `NOISE_HU`."""
    noise: np.ndarray = random.standard_normal(shape, dtype=np.float32)
    for axis in (1, 2):
        noise = (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4
    return noise * (NOISE_HU / noise.std())
