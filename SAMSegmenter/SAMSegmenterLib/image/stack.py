"""A volume seen as video: its slices along one axis, or one slice at all times, through one intensity window."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from .view import View
from .volume import Volume
from .window import Window, above, automatic_window, check_contrast

AXES = "ijk"


class FrameStack:
    """The slices of a volume along one axis, windowed to 8 bits when they are read.

    A slice's pixels are addressed as ``(x, y)``: the two remaining voxel indices in i<j<k order,
    continuous, voxel centres at integers. x runs along a slice's columns, y along its rows.

    Args:
        volume: the image; its voxels are shared, not copied.
        axis: ``"i"``, ``"j"`` or ``"k"``, the voxel axis along which the slices follow each other.
        window: see the property `window`.

    Raises:
        InputError: unknown axis, or fewer than two slices along it; or the volume is constant and no window is given.
    """

    is_time = False
    unit = "slice"  # what users call one of its frames

    def __init__(self, volume: Volume, axis: str = "k", window: Window | None = None) -> None:
        if axis not in AXES:
            raise InputError(f"axis: expected i, j or k, got {axis!r}.")
        self.volume, self.axis = volume, axis
        self._axis = AXES.index(axis)
        self._in_plane = [n for n in range(3) if n != self._axis]
        self._window = window
        if len(self) < 2:
            raise InputError(f"{volume.name}: only one slice along axis {axis}; there is nothing to propagate to.")
        if window is None:
            check_contrast(volume)

    @property
    def window(self) -> Window:
        """Return the window of the whole stack: the one given, otherwise `automatic_window`'s, chosen at the first use."""
        if self._window is None:
            self._window = automatic_window(self.volume)
        return self._window

    def windowed(self, window: Window) -> FrameStack:
        """Return a stack of the same slices through another window."""
        stack = copy(self)
        stack._window = window
        return stack

    def __len__(self) -> int:
        return self.volume.shape_ijk[self._axis]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and columns of a slice."""
        columns, rows = (self.volume.shape_ijk[n] for n in self._in_plane)
        return rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Return the distance in mm between neighbouring pixels along x and along y."""
        x, y = self.volume.spacing_mm[self._in_plane]
        return float(x), float(y)

    @property
    def slice_spacing_mm(self) -> float:
        """Return the distance in mm between neighbouring slices."""
        return float(self.volume.spacing_mm[self._axis])

    def intensities(self, index: int) -> np.ndarray:
        """Return the values of slice `index` in the volume's units, ``(rows, columns[, 3])``: a view of the volume."""
        return self.place(self.volume.voxels, index)

    def measured(self, index: int) -> np.ndarray:
        """Return which pixels of slice `index` are not padding: bool ``(rows, columns)``."""
        padding = self.volume.padding
        return padding.counts(self.intensities(index)) if padding else np.ones(self.shape, bool)

    def grey(self, index: int) -> np.ndarray:
        """Return how far the values of slice `index` lie above the window's level: float32 ``(rows, columns)``.

        The values are in the volume's units; those of RGB pixels are averaged. Padding is NaN.
        """
        values = above(self.window.level, self._seen(index))
        if self.volume.padding:
            values[~self.measured(index)] = np.nan
        return values.mean(-1) if self.volume.is_rgb else values

    def frame(self, index: int) -> np.ndarray:
        """Return slice `index` through the window: uint8 ``(rows, columns)``, or ``(rows, columns, 3)`` for RGB.

        Padding is as dark as the darkest voxel that was measured.

        Raises:
            InputError: there is no such slice, or the volume is constant.
        """
        values = self._seen(index)
        return values if self.volume.is_rgb else self.window.apply(values)

    def _seen(self, index: int) -> np.ndarray:
        return self.volume.padding.cleared(self.intensities(index))

    def place(self, array: np.ndarray, index: int) -> np.ndarray:
        """Return slice `index` of an array ``(k, j, i[, c])`` on the volume's grid, as a view: writing to it changes `array`."""
        self.check_slice(index)
        return np.moveaxis(array, 2 - self._axis, 0)[index]

    def whole(self, size: int, upstream_points: bool = False) -> View:
        """Return the view of the whole slice, stretched to a square of `size` pixels as upstream does."""
        rows, columns = self.shape
        return View(0, 0, columns, rows, size, upstream_points)

    def to_ijk(self, index: float, xy: ArrayLike) -> np.ndarray:
        """Map pixels ``(..., 2)`` of slice `index` to continuous voxel indices ``(..., 3)``."""
        xy = np.asarray(xy, float)
        ijk = np.empty((*xy.shape[:-1], 3))
        ijk[..., self._in_plane], ijk[..., self._axis] = xy, index
        return ijk

    def from_ijk(self, ijk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map voxel indices ``(..., 3)`` to continuous slice positions ``(...)`` and pixels ``(..., 2)``."""
        ijk = np.asarray(ijk, float)
        return ijk[..., self._axis], ijk[..., self._in_plane]

    def to_ras(self, index: float, xy: np.ndarray) -> np.ndarray:
        """Map pixels ``(..., 2)`` of slice `index` to RAS mm ``(..., 3)``."""
        return self.volume.to_ras(self.to_ijk(index, xy))

    def from_ras(self, ras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map RAS mm ``(..., 3)`` to continuous slice positions ``(...)`` and pixels ``(..., 2)``."""
        return self.from_ijk(self.volume.to_ijk(ras))

    def check_slice(self, index: int) -> None:
        """Raise `InputError` unless the stack has a slice `index`."""
        if not 0 <= index < len(self):
            raise InputError(self._no_slice(index))

    def range_of(self, slices: tuple[int, int] | None) -> tuple[int, int]:
        """Return the first and the last of `slices`, both included; those of the whole stack if none are given.

        Raises:
            InputError: there are no such slices, or the first lies behind the last.
        """
        first, last = slices or (0, len(self) - 1)
        if first > last:
            raise InputError(f"range {first} to {last}: the first slice lies behind the last.")
        for index in (first, last):
            if not 0 <= index < len(self):
                raise InputError(f"range {first} to {last}: {self._no_slice(index)}")
        return first, last

    def _no_slice(self, index: int) -> str:
        return f"{self.volume.name}: there is no slice {index} along axis {self.axis}; it has 0 to {len(self) - 1}."


class TimeStack(FrameStack):
    """One slice of a 4-D volume at all its times, seen as video.

    Args:
        volume: voxels ``(time, rows, columns)``; the first two columns of its `ijk_to_ras` place the slice's pixels, the third
            is one step across the slice, which tells how far a position may lie beside it.
        window: grey levels of all times; see `FrameStack.window`.
    """

    is_time = True
    unit = "time point"

    def __init__(self, volume: Volume, window: Window | None = None) -> None:
        super().__init__(volume, "k", window)

    def to_ras(self, index: float, xy: np.ndarray) -> np.ndarray:
        """Map pixels ``(..., 2)`` to RAS mm ``(..., 3)``, at any time `index`: the slice stays where it is."""
        return super().to_ras(0, xy)
