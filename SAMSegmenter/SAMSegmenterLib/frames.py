"""A volume seen as video: slices along one axis, one intensity window, square views of a slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .errors import InputError
from .volume import Volume

AXES = "ijk"


@dataclass(frozen=True)
class Window:
    """The intensities shown as black (`low`) and white (`high`), in the volume's own units.

    One window serves the whole stack: per-slice scaling makes brightness flicker from slice to slice,
    which a video model reads as motion.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.high > self.low):
            raise InputError(f"window: the upper limit must lie above the lower one, got {self.low:g} to {self.high:g}.")

    @classmethod
    def from_level(cls, level: float, width: float) -> Window:
        return cls(level - width / 2, level + width / 2)

    @property
    def level(self) -> float:
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        return self.high - self.low

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Map intensities of any shape to uint8 grey levels, clipped to 0..255."""
        grey = _above(self.low, np.asarray(values)) * (255.0 / self.width)
        return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


CT_PRESETS = {
    "soft tissue": Window.from_level(40, 400),
    "lung": Window.from_level(-600, 1500),
    "bone": Window.from_level(400, 1800),
}


def looks_like_ct(volume: Volume) -> bool:
    """Whether the voxels are Hounsfield units: stated by DICOM, or told by their statistics.

    CT stores signed values with air near -1000 HU and at least some soft tissue near 0; MR, PET and
    ultrasound have no such negative background.
    """
    if volume.modality:
        return volume.modality == "CT"
    if volume.is_rgb:
        return False
    sample = _sample(volume)
    low, high = np.percentile(sample, [0.5, 99.5])
    soft_tissue = np.mean((sample > -150) & (sample < 150))
    return bool(-3100 <= low <= -400 and high > -100 and soft_tissue > 0.02)


def automatic_window(volume: Volume, focus: np.ndarray | None = None) -> Window:
    """Choose one window for a whole volume.

    CT gets a preset by the median HU of `focus` (intensities near the prompts, any shape; the whole
    volume's tissue if not given): lung below -400, bone above 250, else soft tissue (level 40, width 400,
    as MedSAM). Anything else gets its 0.5 and 99.5 percentiles. RGB volumes pass through unchanged.

    Raises:
        InputError: the volume is constant, so that nothing can be told apart.
    """
    if volume.is_rgb:
        return Window(0, 255)
    sample = _sample(volume)
    if sample.min() == sample.max():
        low, high = volume.voxels.min(), volume.voxels.max()
        if low == high:
            raise InputError(f"{volume.name}: every voxel has the same value ({low:g}); there is nothing to segment.")
        return Window(float(low), float(high))
    if looks_like_ct(volume):
        if focus is None or np.size(focus) == 0:
            return CT_PRESETS["soft tissue"]
        median_hu = float(np.median(focus))
        return CT_PRESETS["lung" if median_hu < -400 else "bone" if median_hu > 250 else "soft tissue"]
    low, high = np.percentile(sample, [0.5, 99.5])
    return Window(float(low), float(high)) if high > low else Window(float(sample.min()), float(sample.max()))


def _sample(volume: Volume, wanted: int = 2_000_000) -> np.ndarray:
    """Every n-th voxel, so that statistics of a large volume cost little memory."""
    flat = volume.voxels.reshape(-1)
    return _precise(flat[:: max(1, flat.size // wanted)])


def _precise(values: np.ndarray) -> np.ndarray:
    """Values as float32, or as float64 if they are of a type whose neighbours float32 might round to one."""
    return values.astype(np.result_type(values, np.float32), copy=False)


def _above(level: float, values: np.ndarray) -> np.ndarray:
    """How far values lie above a level, as float32."""
    return (_precise(values) - level).astype(np.float32)


@dataclass(frozen=True)
class View:
    """A rectangle of a slice shown to the network as a square of `size` pixels.

    `left` and `top` are the indices of its first column and row, `width` and `height` its extent, all in
    whole slice pixels; it may reach beyond the slice, where the picture is black. The pixel ``(x, y)`` of the slice (centre at integers)
    has its centre at ``to_input(x, y)`` of the input image (centre at integers too).

    `upstream_points` places prompts as upstream's predictor does, ``x * size / width``, which is up to
    half an input pixel off; only strict mode asks for it.
    """

    left: int
    top: int
    width: int
    height: int
    size: int
    upstream_points: bool = False

    def to_input(self, xy: np.ndarray) -> np.ndarray:
        """Map slice pixels ``(..., 2)`` to input pixels ``(..., 2)``."""
        scale = self.size / np.array([self.width, self.height], float)
        shifted = np.asarray(xy, float) - [self.left, self.top]
        return shifted * scale if self.upstream_points else (shifted + 0.5) * scale - 0.5

    def to_slice(self, uv: np.ndarray) -> np.ndarray:
        """Map input pixels ``(..., 2)`` to slice pixels ``(..., 2)``; the inverse of `to_input`."""
        scale = np.array([self.width, self.height], float) / self.size
        uv = np.asarray(uv, float)
        shifted = uv * scale if self.upstream_points else (uv + 0.5) * scale - 0.5
        return shifted + np.array([self.left, self.top])

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """Cut this rectangle out of a slice ``(rows, columns[, c])``, with zeros outside it."""
        rows, columns = pixels.shape[:2]
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.height, rows), min(self.left + self.width, columns)
        if (top, left, bottom, right) == (self.top, self.left, self.top + self.height, self.left + self.width):
            return pixels[top:bottom, left:right]
        cut = np.zeros((self.height, self.width, *pixels.shape[2:]), pixels.dtype)
        if top < bottom and left < right:
            cut[top - self.top : bottom - self.top, left - self.left : right - self.left] = pixels[top:bottom, left:right]
        return cut

    def extended(self, pixels: np.ndarray) -> np.ndarray:
        """Cut this rectangle out of a slice ``(rows, columns)``; outside of the slice its border goes on."""
        rows, columns = pixels.shape
        by_row = np.clip(np.arange(self.top, self.top + self.height), 0, rows - 1)
        by_column = np.clip(np.arange(self.left, self.left + self.width), 0, columns - 1)
        return pixels[np.ix_(by_row, by_column)]

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """Show a uint8 slice ``(rows, columns[, 3])`` as the network sees it: uint8 ``(size, size[, 3])``.

        PIL's antialiased bicubic filter, as upstream uses; a grey slice is resized once and not three times,
        which gives the same bytes.
        """
        image = Image.fromarray(np.ascontiguousarray(self.crop(pixels)))
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC))

    def sampling(self, count: int, slice_shape: tuple[int, int]) -> tuple[slice, slice, np.ndarray, np.ndarray]:
        """How to bring a ``(count, count)`` map of this view back to the slice's pixels, bilinearly.

        Returns the rows and columns of the slice that the view covers, and two float32 matrices, so that
        ``by_row @ map @ by_column.T`` are the values there. Equals ``torch.nn.functional.interpolate``
        (bilinear, ``align_corners=False``) of the map to the view's extent.
        """
        rows, by_row = _bilinear(count, self.top, self.height, slice_shape[0])
        columns, by_column = _bilinear(count, self.left, self.width, slice_shape[1])
        return rows, columns, by_row, by_column

    def transfer(self, other: View, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Two matrices that bring a ``(count, count)`` map of `other` into this view: ``by_row @ map @ by_column.T``.

        Beyond `other`, its border values go on.
        """
        matrices = []
        for first, extent, other_first, other_extent in (
            (self.top, self.height, other.top, other.height),
            (self.left, self.width, other.left, other.width),
        ):
            edges = first + (np.arange(count) + 0.5) * extent / count
            matrices.append(_interpolation((edges - other_first) * count / other_extent - 0.5, count))
        return matrices[0], matrices[1]


def _bilinear(count: int, first: int, extent: int, available: int) -> tuple[slice, np.ndarray]:
    begin = min(max(first, 0), available)
    end = max(min(first + extent, available), begin)
    return slice(begin, end), _interpolation((np.arange(begin, end) - first + 0.5) * count / extent - 0.5, count)


def _interpolation(places: np.ndarray, count: int) -> np.ndarray:
    """The matrix that reads a row of `count` values at fractional `places`, linearly; float32 ``(places, count)``."""
    places = np.clip(places, 0, count - 1)
    lower = np.minimum(np.floor(places).astype(int), count - 1)
    fraction = (places - lower).astype(np.float32)
    matrix = np.zeros((len(places), count), np.float32)
    matrix[np.arange(len(places)), lower] += 1 - fraction
    matrix[np.arange(len(places)), np.minimum(lower + 1, count - 1)] += fraction
    return matrix


class FrameStack:
    """The slices of a volume along one axis, windowed to 8 bits when they are read.

    A slice's pixels are addressed as ``(x, y)``: the two remaining voxel indices in i<j<k order,
    continuous, voxel centres at integers. x runs along a slice's columns, y along its rows.

    Args:
        volume: the image; its voxels are shared, not copied.
        axis: ``"i"``, ``"j"`` or ``"k"``, the voxel axis that is played as time.
        window: grey levels of the whole stack; `automatic_window` if not given.

    Raises:
        InputError: unknown axis, or fewer than two slices along it.
    """

    is_time = False

    def __init__(self, volume: Volume, axis: str = "k", window: Window | None = None) -> None:
        if axis not in AXES:
            raise InputError(f"axis: expected i, j or k, got {axis!r}.")
        self.volume, self.axis = volume, axis
        self._axis = AXES.index(axis)
        self._in_plane = [n for n in range(3) if n != self._axis]
        if len(self) < 2:
            raise InputError(f"{volume.name}: only one slice along axis {axis}; there is nothing to propagate to.")
        self.window = window or automatic_window(volume)

    def __len__(self) -> int:
        return self.volume.shape_ijk[self._axis]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        columns, rows = (self.volume.shape_ijk[n] for n in self._in_plane)
        return rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance in mm between neighbouring pixels along x and along y."""
        x, y = self.volume.spacing_mm[self._in_plane]
        return float(x), float(y)

    @property
    def slice_spacing_mm(self) -> float:
        return float(self.volume.spacing_mm[self._axis])

    def intensities(self, index: int) -> np.ndarray:
        """The slice's own values ``(rows, columns[, 3])``, a view of the volume."""
        return self.place(self.volume.voxels, index)

    def grey(self, index: int) -> np.ndarray:
        """How far the slice's own values, of colours their mean, lie above the window's level: float32 ``(rows, columns)``."""
        values = _above(self.window.level, self.intensities(index))
        return values.mean(-1) if self.volume.is_rgb else values

    def frame(self, index: int) -> np.ndarray:
        """The windowed slice: uint8 ``(rows, columns)``, or ``(rows, columns, 3)`` for RGB."""
        values = self.intensities(index)
        return values if self.volume.is_rgb else self.window.apply(values)

    def place(self, array: np.ndarray, index: int) -> np.ndarray:
        """The slice `index` of a ``(k, j, i[, c])`` array on the volume's grid, as a view: writing to it writes to `array`."""
        self.check_slice(index)
        return np.moveaxis(array, 2 - self._axis, 0)[index]

    def whole(self, size: int, upstream_points: bool = False) -> View:
        """The view of the whole slice, stretched to a square as upstream does."""
        rows, columns = self.shape
        return View(0, 0, columns, rows, size, upstream_points)

    def to_ijk(self, index: float, xy: np.ndarray) -> np.ndarray:
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
        """The first and the last of `slices`, both included; of all slices if not given.

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
    """One slice of a 4-D volume at all its times, played as video.

    Args:
        volume: voxels ``(time, rows, columns)``; the first two columns of its `ijk_to_ras` lay out the slice, the third is one step
            across it, which tells how far a position may lie beside the slice.
        window: grey levels of all times; `automatic_window` if not given.
    """

    is_time = True

    def __init__(self, volume: Volume, window: Window | None = None) -> None:
        super().__init__(volume, "k", window)

    def to_ras(self, index: float, xy: np.ndarray) -> np.ndarray:
        """Map pixels ``(..., 2)`` to RAS mm ``(..., 3)``, at any time `index`: the slice stays where it is."""
        return super().to_ras(0, xy)
