"""A CT-like torso made of formulas: something to try the program on, with known truth, that needs no data.

Intensities are in HU. Organs differ from their neighbours by 40 to 120 HU, edges are blurred as partial volume blurs them,
and noise is correlated as a scanner's is. It is no substitute for a patient.
"""

from __future__ import annotations

import numpy as np

from .prompts import Box, Keyframe, PromptSet, Segment
from .volume import Volume

NAMES = ("liver", "spleen", "right kidney", "left kidney", "aorta", "vertebrae")
PROMPTED = ("liver", "left kidney")
NOISE_HU = 14.0
AIR, LUNG, FAT, MUSCLE = -1000.0, -820.0, -95.0, 45.0
ORGANS_HU = {"liver": 115.0, "spleen": 130.0, "right kidney": 165.0, "left kidney": 165.0, "aorta": 190.0, "vertebrae": 380.0}


def make_phantom(
    shape_ijk: tuple[int, int, int] = (160, 128, 64), spacing_mm: tuple[float, float, float] = (2.2, 2.2, 4.0), seed: int = 0
) -> tuple[Volume, np.ndarray]:
    """A torso of 350 x 280 x 250 mm, whatever the number of voxels.

    Args:
        shape_ijk: voxels along i (to the patient's left), j (to the front) and k (upwards).
        spacing_mm: distance between them.
        seed: of the noise.

    Returns:
        The volume, int16 HU, and its labelmap, uint8 ``(k, j, i)`` with 1, 2, ... for `NAMES`.
    """
    x, y, z = _millimetres(shape_ijk, spacing_mm)
    body = _ellipsoid(x, y, z, (0, 0, 0), (165, 118, 1e4))
    hu = np.where(body, FAT, AIR).astype(np.float32)
    hu[_ellipsoid(x, y, z, (0, -2, 0), (146, 98, 1e4))] = MUSCLE
    hu[_ellipsoid(x, y, z, (0, 12, 0), (118, 70, 1e4))] = FAT + 60
    for side in (-1, 1):
        hu[_ellipsoid(x, y, z, (side * 70, 5, 150), (58, 66, 105))] = LUNG
    labels = np.zeros(hu.shape, np.uint8)
    for number, (name, inside) in enumerate(_organs(x, y, z).items(), 1):
        free = inside & (labels == 0)
        labels[free] = number
        hu[free] = ORGANS_HU[name]
    return Volume(_scanned(hu, seed), np.diag([*spacing_mm, 1.0]) @ _centred(shape_ijk), "phantom", "CT"), labels


def phantom_prompts(labels: np.ndarray) -> PromptSet:
    """A box on the middle slice of each of the `PROMPTED` organs of a phantom's labelmap ``(k, j, i)``."""
    return PromptSet(tuple(Segment(name, (_box_keyframe(labels == NAMES.index(name) + 1),)) for name in PROMPTED))


def _box_keyframe(inside: np.ndarray) -> Keyframe:
    slices = np.flatnonzero(inside.any((1, 2)))
    middle = int(slices[len(slices) // 2])
    rows, columns = np.nonzero(inside[middle])
    return Keyframe(middle, box=Box(columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5))


def _organs(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    liver = _ellipsoid(x, y, z, (-62, 18, 22), (72, 58, 62)) | _ellipsoid(x, y, z, (-5, 42, 38), (62, 28, 32))
    liver &= ~_ellipsoid(x, y, z, (-30, -30, -40), (55, 45, 50))  # the hollow that the kidney lies in
    bend = 9 * np.sin(z / 55)
    column = ((x / 24) ** 2 + ((y + 62) / 20) ** 2 < 1) & (np.abs((z + 1000) % 34 - 17) > 2)
    return {
        "liver": liver,
        "spleen": _ellipsoid(x, y, z, (92, -18, 35), (27, 42, 45)),
        "right kidney": _kidney(x, y, z, -62, -35),
        "left kidney": _kidney(x, y, z, 62, -22),
        "aorta": ((x - 14 - bend) / 11) ** 2 + ((y + 26 - bend / 2) / 11) ** 2 + 0 * z < 1,
        "vertebrae": column,
    }


def _kidney(x: np.ndarray, y: np.ndarray, z: np.ndarray, across: float, up: float) -> np.ndarray:
    """A bean, its hollow towards the spine."""
    hollow = _ellipsoid(x, y, z, (across * 0.55, -36, up), (16, 14, 18))
    return _ellipsoid(x, y, z, (across, -40, up), (26, 24, 50)) & ~hollow


def _ellipsoid(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, centre_mm: tuple[float, float, float], radii_mm: tuple[float, float, float]
) -> np.ndarray:
    squares = (((axis - middle) / radius) ** 2 for axis, middle, radius in zip((x, y, z), centre_mm, radii_mm, strict=True))
    return sum(squares) < 1


def _scanned(hu: np.ndarray, seed: int) -> np.ndarray:
    """Blurred edges and correlated noise."""
    noise = np.random.default_rng(seed).normal(0, 1, hu.shape).astype(np.float32)
    for axis in range(3):
        hu, noise = _smoothed(hu, axis), _smoothed(noise, axis)
    return np.rint(hu + NOISE_HU * noise / noise.std()).astype(np.int16)


def _smoothed(array: np.ndarray, axis: int) -> np.ndarray:
    before, after = np.roll(array, 1, axis), np.roll(array, -1, axis)
    return 0.25 * before + 0.5 * array + 0.25 * after


def _millimetres(shape_ijk: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> list[np.ndarray]:
    """Positions along x, y and z from the middle, shaped to broadcast over ``(k, j, i)``."""
    along = [(np.arange(count) - (count - 1) / 2) * spacing for count, spacing in zip(shape_ijk, spacing_mm, strict=True)]
    return [along[0][None, None], along[1][None, :, None], along[2][:, None, None]]


def _centred(shape_ijk: tuple[int, int, int]) -> np.ndarray:
    """From voxel indices to steps from the volume's middle along R, A and S; i runs to the patient's left."""
    matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
    matrix[:3, 3] = [(shape_ijk[0] - 1) / 2, -(shape_ijk[1] - 1) / 2, -(shape_ijk[2] - 1) / 2]
    return matrix
