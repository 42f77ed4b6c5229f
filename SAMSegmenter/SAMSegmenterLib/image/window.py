"""The intensities that are shown: one window for a whole volume, and how it is chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .padding import enough, every_nth
from .volume import Volume


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
        """Return the window of `width` around `level`, both in the volume's units."""
        return cls(level - width / 2, level + width / 2)

    @property
    def level(self) -> float:
        """Return the middle of the window, in the volume's units."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """Return the distance from black to white, in the volume's units."""
        return self.high - self.low

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return intensities as uint8 grey levels of the same shape, clipped to 0 to 255."""
        grey = above(self.low, np.asarray(values)) * (255.0 / self.width)
        return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


SAMPLE = 2_000_000  # voxels
NEARLY_ALL = 0.5, 99.5  # percent
FEW = 0.005  # of the voxels; so many, or fewer, may have any value
CT_PRESETS = {
    "soft tissue": Window.from_level(40, 400),
    "lung": Window.from_level(-600, 1500),
    "bone": Window.from_level(400, 1800),
}


def looks_like_ct(volume: Volume) -> bool:
    """Return whether the voxels are Hounsfield units, as DICOM states or their statistics tell.

    CT stores signed values with air near -1000 HU and at least some soft tissue near 0; MR, PET and
    ultrasound have no such negative background. Padding does not count.
    """
    if volume.modality:
        return volume.modality == "CT"
    if volume.is_rgb or volume.voxels.dtype == bool:
        return False
    sample = _sample(volume)
    kinds = sample < -3100, sample <= -400, sample > -100, (sample > -150) & (sample < 150)
    impossible, air, body, soft_tissue = (np.count_nonzero(kind) / sample.size for kind in kinds)  # sooner than percentiles
    return bool(impossible <= FEW < min(air, body) and soft_tissue > 0.02)


def check_contrast(volume: Volume) -> None:
    """Raise `InputError` if a volume is constant, so that nothing can be told apart."""
    if not volume.is_rgb and volume.padding.low == volume.padding.high:
        raise InputError(f"{volume.name}: every voxel has the same value ({volume.padding.low:g}); there is nothing to segment.")


def automatic_window(volume: Volume, focus: np.ndarray | None = None) -> Window:
    """Return the window that suits a whole volume.

    CT gets a preset: lung if the median of `focus` is below -400 HU, bone if it is above 250 HU, else soft tissue (level 40,
    width 400, as MedSAM). Anything else gets its 0.5 and 99.5 percentiles, without padding. RGB volumes get 0 to 255.

    Args:
        volume: the image.
        focus: intensities near the prompts, of any shape; without them, CT is shown as soft tissue.

    Raises:
        InputError: the volume is constant, so that nothing can be told apart.
    """
    if volume.is_rgb:
        return Window(0, 255)
    check_contrast(volume)
    sample = _sample(volume)
    if sample.min() < sample.max() and looks_like_ct(volume):
        if focus is None or np.size(focus) == 0:
            return CT_PRESETS["soft tissue"]
        median_hu = float(np.median(focus))
        return CT_PRESETS["lung" if median_hu < -400 else "bone" if median_hu > 250 else "soft tissue"]
    low, high = np.percentile(_precise(sample), NEARLY_ALL)
    if low == high:  # nearly all is background
        padding, background = volume.padding, low
        others = enough(volume.voxels, every_nth(volume.voxels, SAMPLE), lambda part: (part != background) & padding.counts(part))
        least, most = np.percentile(_precise(others), NEARLY_ALL)
        low, high = min(background, least), max(background, most)
    return Window(float(low), float(high))


def _sample(volume: Volume) -> np.ndarray:
    """Return every n-th voxel, without padding, so that statistics of a large volume cost little memory.

    They are of the volume's own type: percentiles of whole numbers are found sooner.
    """
    sample = every_nth(volume.voxels, SAMPLE)
    return enough(volume.voxels, sample, volume.padding.counts) if volume.padding else sample


def _precise(values: np.ndarray) -> np.ndarray:
    """Return values as float32, or as float64 if float32 could round neighbouring values of their type to one."""
    return values.astype(np.result_type(values, np.float32), copy=False)


def above(level: float, values: np.ndarray) -> np.ndarray:
    """Return how far values of any shape lie above a level, as float32."""
    return (_precise(values) - level).astype(np.float32)
