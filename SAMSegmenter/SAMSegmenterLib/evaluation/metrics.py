"""Measures how near a mask comes to the reference. Masks are bool ``(slices, rows, columns)``, spacings mm along these axes.

Distances are those of SimpleITK's exact distance maps. Its ready-made Hausdorff filter is not used: it knows no percentiles, and
has been wrong for voxels that are longer along one axis. A surface is the voxels that have a neighbour outside across a face; the
edge of the volume is outside. The figures agree with MONAI's `compute_hausdorff_distance` and `compute_surface_dice`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..image.extent import box_around, dice

TOLERANCE_MM = 3.0  # as TotalSegmentator is scored: a voxel of coarse volumes, and about what experts differ by


def jaccard(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the intersection over union, 0..1, of two bool masks of any one shape; 1 if both are empty, as `extent.dice`."""
    overlap = dice(found, truth)
    return overlap / (2 - overlap)


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """The distances between the surfaces of two masks.

    Attributes:
        of_found: ``(n,)`` mm from each surface voxel of the mask to the reference's surface; infinite if there is none.
        of_truth: ``(m,)`` mm from each surface voxel of the reference to the mask's.
    """

    of_found: np.ndarray
    of_truth: np.ndarray

    @classmethod
    def between(
        cls, found: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float], scored: np.ndarray | None = None
    ) -> SurfaceDistances:
        """Measure the distances of each surface from the other.

        Args:
            found, truth: bool ``(slices, rows, columns)``.
            spacing_mm: along these axes.
            scored: ``(slices,)`` bool, on which slices surface voxels count; all if not given. Distances are measured to the others all
                the same, so that leaving out a slice opens no surface there.
        """
        if scored is None:
            scored = np.ones(len(found), bool)
        corner = box_around(found | truth) or (slice(0, 1),) * 3
        scored = np.pad(scored[corner[0]], 1)
        surfaces = [_surface(np.pad(mask[corner], 1)) for mask in (found, truth)]
        maps = [_distance_mm(surface, spacing_mm) for surface in surfaces]
        counted = [surface & scored[:, None, None] for surface in surfaces]
        return cls(maps[1][counted[0]], maps[0][counted[1]])

    def hd95_mm(self) -> float:
        """Return the 95th percentile of the distances, in mm: of each surface to the other one, the larger of the two.

        Infinite if one mask has no surface; NaN if neither has.
        """
        each = [distances for distances in (self.of_found, self.of_truth) if len(distances)]
        if any(np.isinf(distances[0]) for distances in each):  # then all are
            return math.inf
        return max((float(np.percentile(distances, 95)) for distances in each), default=math.nan)

    def surface_dice(self, tolerance_mm: float = TOLERANCE_MM) -> float:
        """Return the part, 0..1, of both surfaces that lies within `tolerance_mm` of the other one; NaN if there is none.

        Also called normalised surface Dice or distance (NSD).
        """
        both = np.concatenate([self.of_found, self.of_truth])
        return _ratio(np.count_nonzero(both <= tolerance_mm + 1e-4), len(both))  # the maps are float32


def over_propagation(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the voxels found beyond the object's first and last slice, as a multiple of the object's.

    Args:
        found, truth: bool ``(slices, rows, columns)``; NaN is returned if `truth` is empty.
    """
    present = truth.any((1, 2))
    slices = np.flatnonzero(present)
    if not len(slices):
        return math.nan
    within = np.count_nonzero(found[slices[0] : slices[-1] + 1])
    return _ratio(np.count_nonzero(found) - within, np.count_nonzero(truth))


def over_segmentation(found: np.ndarray, truth: np.ndarray, slices: Sequence[int]) -> float:
    """Return the voxels found outside the object on some slices, as a multiple of the object's there.

    Args:
        found, truth: bool ``(slices, rows, columns)``.
        slices: indices; NaN is returned if there are none, or if `truth` is empty on them.
    """
    chosen = list(slices)
    return _ratio(np.count_nonzero(found[chosen] & ~truth[chosen]), np.count_nonzero(truth[chosen]))


def retention(found: np.ndarray, truth: np.ndarray, prompted: Sequence[int]) -> tuple[float, ...]:
    """Return Dice by the distance in slices from the nearest of the `prompted` ones, from 1 on, as far as the object reaches.

    The slices at the same distance count alike, whichever side they are on. Dice is NaN where the object is on none of them.

    Args:
        found, truth: bool ``(slices, rows, columns)``.
        prompted: indices of slices.
    """
    present = np.flatnonzero(truth.any((1, 2)))
    distances = np.abs(present[:, None] - np.asarray(prompted)[None]).min(1)
    by_distance = []
    for distance in range(1, int(distances.max(initial=0)) + 1):
        each = [dice(found[index], truth[index]) for index in present[distances == distance]]
        by_distance.append(float(np.mean(each)) if each else math.nan)
    return tuple(by_distance)


def _ratio(part: float | np.integer, whole: float | np.integer) -> float:
    return float(part / whole) if whole else math.nan


def _surface(mask: np.ndarray) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.LabelContour(sitk.GetImageFromArray(mask.astype(np.uint8)))) > 0


def _distance_mm(surface: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the distance in mm of every voxel from the nearest one of a surface; infinite if it has none."""
    if not surface.any():
        return np.full(surface.shape, np.inf, np.float32)
    image = sitk.GetImageFromArray(surface.astype(np.uint8))
    unit_mm = 2.0 ** np.floor(np.log2(max(spacing_mm)))  # ITK fails for nanometres given in mm; a power of two changes no digit
    image.SetSpacing([float(value / unit_mm) for value in reversed(spacing_mm)])
    signed = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.abs(sitk.GetArrayFromImage(signed)) * np.float32(unit_mm)
