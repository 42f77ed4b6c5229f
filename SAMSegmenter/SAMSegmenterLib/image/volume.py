"""A 3-D image, and the one place that converts between IJK, RAS and LPS."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InputError
from .padding import Padding

MIN_SPACING_MM, MAX_SPACING_MM = 1e-10, 1000.0
SAME_PLACE = 0.1  # of a voxel: grids are the same if no corners lie farther apart
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Source:
    """The facts that a file states of its volume besides voxels and matrix.

    Attributes:
        geometry: where the matrix comes from, in words, such as "sform (code 1)"; empty if no file was read.
        warnings: what had to be assumed, and where other programs place the image elsewhere; sentences for the user.
        elsewhere: the ``(4, 4)`` IJK-to-RAS matrices by which other programs place the same voxels.
        header: the format library's header, which a result in that format copies so that both lie together in every program.
        unspaced: whether the distance between voxels is an assumption, so that lengths in mm are, too.
    """

    geometry: str = ""
    warnings: tuple[str, ...] = ()
    elsewhere: tuple[np.ndarray, ...] = ()
    header: Any = None
    unspaced: bool = False


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar or RGB volume with its place in the patient.

    Attributes:
        voxels: ``(k, j, i)`` scalars or ``(k, j, i, 3)`` uint8 RGB; shared, never modified.
        ijk_to_ras: ``(4, 4)`` float64; maps voxel indices (centres at integers) to RAS in mm.
        name: what messages call this volume, usually its file name.
        modality: DICOM modality (``"CT"``, ``"MR"``, ...), or empty if unknown.
        source: what else its file says.

    Raises:
        InputError: not 3-D, an empty axis, NaN or infinite voxels, or an unusable geometry.
    """

    voxels: np.ndarray
    ijk_to_ras: np.ndarray = field(default_factory=lambda: np.eye(4))
    name: str = "volume"
    modality: str = ""
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ijk_to_ras", np.array(self.ijk_to_ras, dtype=np.float64))
        _check_voxels(self.voxels, self.name)
        check_geometry(self.ijk_to_ras, self.name)

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        """Return the number of voxels along i, j and k."""
        k, j, i = self.voxels.shape[:3]
        return i, j, k

    @property
    def is_rgb(self) -> bool:
        """Return whether the voxels are colours."""
        return self.voxels.ndim == 4

    @cached_property
    def padding(self) -> Padding:
        """Return which voxels do not count; found at the first use, which takes as long as a few passes over the voxels."""
        return Padding.of(self.voxels)

    @property
    def spacing_mm(self) -> np.ndarray:
        """Return the distance in mm between neighbouring voxels along i, j and k, ``(3,)``."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)

    @property
    def ijk_to_lps(self) -> np.ndarray:
        """Return the ``(4, 4)`` matrix from voxel indices to mm in LPS, the coordinates of DICOM and ITK."""
        return RAS_TO_LPS @ self.ijk_to_ras

    @property
    def axis_directions(self) -> tuple[str, str, str]:
        """Return the patient direction (R, L, A, P, S or I) nearest to which each of i, j and k runs."""
        letters = []
        for column in (self.ijk_to_ras[:3, :3] / self.spacing_mm).T:
            axis = int(np.abs(column).argmax())
            letters.append(("RAS" if column[axis] > 0 else "LPI")[axis])
        return letters[0], letters[1], letters[2]

    def to_ras(self, ijk: np.ndarray) -> np.ndarray:
        """Map continuous voxel indices ``(..., 3)`` to RAS mm ``(..., 3)``."""
        return np.asarray(ijk, float) @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]

    def to_ijk(self, ras: np.ndarray) -> np.ndarray:
        """Map RAS mm ``(..., 3)`` to continuous voxel indices ``(..., 3)``."""
        offset = np.asarray(ras, float) - self.ijk_to_ras[:3, 3]
        return np.linalg.solve(self.ijk_to_ras[:3, :3], offset.reshape(-1, 3).T).T.reshape(offset.shape)

    def same_grid(self, other: Volume) -> bool:
        """Return whether the voxels of both volumes lie at the same places, within `SAME_PLACE` of a voxel at every corner.

        Where programs disagree about a volume's place, it is enough if one of its places agrees.
        """
        if self.shape_ijk != other.shape_ijk:
            return False
        mine, others = ((each.ijk_to_ras, *each.source.elsewhere) for each in (self, other))
        return any(apart(one, another, self.shape_ijk)[0] <= SAME_PLACE for one in mine for another in others)

    def check_grid(self, image: Volume) -> None:
        """Raise `InputError` unless this labelmap lies on the grid of `image`; see `same_grid`."""
        if self.shape_ijk != image.shape_ijk:
            size, other = (" x ".join(map(str, each.shape_ijk)) for each in (self, image))
            raise InputError(f"{self.name} has {size} voxels, {image.name} {other}; resample it to that image.")
        if not self.same_grid(image):
            raise InputError(f"{self.name} lies elsewhere than {image.name} (origin, spacing or axes differ); resample it to that image.")


def apart(matrix: np.ndarray, other: np.ndarray, shape_ijk: tuple[int, ...]) -> tuple[float, float]:
    """Return how far apart two ``(4, 4)`` matrices from IJK to mm place any voxel of a grid, at most.

    Returns:
        The distance along an axis in voxels of the first matrix, and the distance in space in mm.
    """
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape_ijk])).reshape(3, -1)
    moved = (other - matrix)[:3, :3] @ corners + (other - matrix)[:3, 3:]
    return float(np.abs(np.linalg.solve(matrix[:3, :3], moved)).max()), float(np.linalg.norm(moved, axis=0).max())


def _check_voxels(voxels: np.ndarray, name: str) -> None:
    rgb = voxels.ndim == 4 and voxels.shape[3] == 3
    if voxels.ndim != 3 and not rgb:
        raise InputError(
            f"{name}: expected a 3-D scalar or RGB volume, got an array of shape {voxels.shape}. "
            "Choose one time point or component of 4-D data; 2-D images cannot be propagated."
        )
    if rgb and voxels.dtype != np.uint8:
        raise InputError(f"{name}: an RGB volume must have 8-bit colours, got {voxels.dtype}.")
    if 0 in voxels.shape:
        raise InputError(f"{name}: the volume is empty (shape {voxels.shape}).")
    if voxels.dtype.kind not in "biuf":
        raise InputError(f"{name}: voxels of type {voxels.dtype} are not numbers that can be shown as an image.")
    if voxels.dtype.kind == "f":
        bad = voxels.size - sum(int(np.isfinite(slice_).sum()) for slice_ in voxels)
        if bad:
            raise InputError(f"{name}: {bad} voxels are NaN or infinite. Replace them (for instance by the background value).")


def check_geometry(ijk_to_ras: np.ndarray, name: str) -> None:
    """Raise `InputError` unless the ``(4, 4)`` matrix from IJK to RAS mm can place a volume."""
    if ijk_to_ras.shape != (4, 4) or not np.isfinite(ijk_to_ras).all():
        raise InputError(f"{name}: the IJK-to-RAS matrix must be 4x4 and finite, got\n{ijk_to_ras}")
    spacing_mm = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    if (spacing_mm < MIN_SPACING_MM).any() or (spacing_mm > MAX_SPACING_MM).any():
        raise InputError(
            f"{name}: the voxel spacing is {_mm(spacing_mm)}; expected at least {MIN_SPACING_MM:g} and at most "
            f"{MAX_SPACING_MM:g} mm. Correct the spacing in the file's header."
        )
    if abs(np.linalg.det(ijk_to_ras[:3, :3] / spacing_mm)) < 1e-3:
        raise InputError(f"{name}: the volume's axes are not independent directions; its header is damaged.")


def _mm(spacing_mm: np.ndarray) -> str:
    return " x ".join(f"{value:g}" for value in spacing_mm) + " mm"
