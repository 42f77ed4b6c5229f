"""The measurements of one object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..image.extent import Cutout
from .diameters import Diameter, in_space, on_a_slice, outlines


@dataclass(frozen=True)
class Measures:
    """The size of an object.

    Attributes:
        volume_ml: the volume of its voxels.
        slice: the slice along k with its longest diameter; slices along k are axial in a usual CT.
        longest: the longest diameter on any slice along k.
        perpendicular: the longest way at right angles to that, on the same slice.
        largest_3d: the longest diameter in space.
    """

    volume_ml: float
    slice: int
    longest: Diameter
    perpendicular: Diameter
    largest_3d: Diameter


def measure(cutout: Cutout, ijk_to_ras: np.ndarray) -> Measures:
    """Measure an object from the outer edges of its voxels, so that a single voxel has diameters, too.

    An object in several parts is measured across all of them; see `parts.parts`.

    Args:
        cutout: its voxels.
        ijk_to_ras: ``(4, 4)``, voxel indices of the whole volume to mm; it may be tilted or sheared.
    """
    axes_mm, found = ijk_to_ras[:3, :3], outlines(cutout)
    volume_ml = np.count_nonzero(cutout.voxels) * abs(np.linalg.det(axes_mm)) / 1000
    return Measures(float(volume_ml), *on_a_slice(found, axes_mm), in_space(found, axes_mm))
