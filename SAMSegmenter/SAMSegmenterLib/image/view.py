"""Square views of a slice, as a network sees it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class View:
    """A rectangle of a slice, shown to the network as a square of `size` pixels.

    `left` and `top` are the indices of its first column and row, `width` and `height` its extent, all in
    whole slice pixels; it may reach beyond the slice, where the image is black. The pixel ``(x, y)`` of the slice (centre at integers)
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
        """Return this rectangle of a slice ``(rows, columns[, c])``, with zeros outside the slice."""
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
        """Return this rectangle of a slice ``(rows, columns)``; outside the slice, the values of its border go on."""
        rows, columns = pixels.shape
        bottom, right = self.top + self.height, self.left + self.width
        if self.top >= 0 and self.left >= 0 and bottom <= rows and right <= columns:
            return pixels[self.top : bottom, self.left : right]
        by_row = np.clip(np.arange(self.top, self.top + self.height), 0, rows - 1)
        by_column = np.clip(np.arange(self.left, self.left + self.width), 0, columns - 1)
        return pixels[np.ix_(by_row, by_column)]

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """Return a uint8 slice ``(rows, columns[, 3])`` as the network sees it: uint8 ``(size, size[, 3])``.

        The filter is PIL's antialiased bicubic one, as in upstream's predictor. A grey slice is resized once instead of three
        times, which gives the same bytes.
        """
        image = Image.fromarray(np.ascontiguousarray(self.crop(pixels)))
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC))

    def sampling(self, count: int, slice_shape: tuple[int, int]) -> tuple[slice, slice, np.ndarray, np.ndarray]:
        """Return how to bring a ``(count, count)`` map of this view back to the slice's pixels, bilinearly.

        Equals ``torch.nn.functional.interpolate`` (bilinear, ``align_corners=False``) of the map to the view's extent.

        Returns:
            The rows and the columns of the slice that the view covers, and two float32 matrices; ``by_row @ map @ by_column.T`` are the
            values there.
        """
        rows, by_row = _bilinear(count, self.top, self.height, slice_shape[0])
        columns, by_column = _bilinear(count, self.left, self.width, slice_shape[1])
        return rows, columns, by_row, by_column

    def transfer(self, other: View, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return two float32 matrices that bring a ``(count, count)`` map of `other` into this view: ``by_row @ map @ by_column.T``.

        Outside `other`, the values of its border go on.
        """
        matrices = []
        for first, extent, other_first, other_extent in (
            (self.top, self.height, other.top, other.height),
            (self.left, self.width, other.left, other.width),
        ):
            edges = first + (np.arange(count) + 0.5) * extent / count
            matrices.append(_interpolation((edges - other_first) * count / other_extent - 0.5, count))
        return matrices[0], matrices[1]


@lru_cache(maxsize=64)  # a view stays the same for many slices
def _bilinear(count: int, first: int, extent: int, available: int) -> tuple[slice, np.ndarray]:
    begin = min(max(first, 0), available)
    end = max(min(first + extent, available), begin)
    return slice(begin, end), _interpolation((np.arange(begin, end) - first + 0.5) * count / extent - 0.5, count)


def _interpolation(places: np.ndarray, count: int) -> np.ndarray:
    """Return the matrix, float32 ``(places, count)``, that reads a row of `count` values at fractional `places` linearly."""
    places = np.clip(places, 0, count - 1)
    lower = np.minimum(np.floor(places).astype(int), count - 1)
    fraction = (places - lower).astype(np.float32)
    matrix = np.zeros((len(places), count), np.float32)
    matrix[np.arange(len(places)), lower] += 1 - fraction
    matrix[np.arange(len(places)), np.minimum(lower + 1, count - 1)] += fraction
    return matrix
