"""Labels of segments on a volume's grid, read slice by slice, in several layers where segments overlap.

A segment takes one bit a voxel, and only within its extent on each slice: a labelmap takes 8 or 16 bits everywhere, for every layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..errors import InputError
from .extent import Cutout, box_around
from .stack import FrameStack

SLAB_BYTES = 32 * 2**20  # of labels that are unpacked at once


class Layers(ABC):
    """Labels ``(k, j, i)`` in one or several layers.

    Attributes:
        shape: number of voxels along k, j and i.
        dtype: np.uint8 or np.uint16.
        labels: the labels that occur in each layer; every label lies in one of them.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    labels: tuple[tuple[int, ...], ...]

    @abstractmethod
    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield each slice along k as a C-contiguous ``(j, i, layers)``, which is valid until the next one."""

    def array(self) -> np.ndarray:
        """Return the only layer as ``(k, j, i)``.

        Raises:
            InputError: there are several.
        """
        if len(self.labels) != 1:
            raise InputError(f"labels: the segments overlap, in {len(self.labels)} layers; one labelmap cannot hold them.")
        voxels = np.zeros(self.shape, self.dtype)
        for k, slice_ in enumerate(self):
            voxels[k] = slice_[..., 0]
        return voxels


class ArrayLayers(Layers):
    """Layers that lie in memory as arrays ``(k, j, i)``.

    Raises:
        InputError: there is none, they differ in shape, or they are neither uint8 nor uint16.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        if not arrays:
            raise InputError("labels: expected at least one layer, got none.")
        self.shape = arrays[0].shape
        for array in arrays:
            if array.ndim != 3 or array.shape != self.shape or array.dtype not in (np.uint8, np.uint16):
                raise InputError(f"labels: expected uint8 or uint16 {self.shape}, got {array.dtype} {array.shape}.")
        self.dtype = np.result_type(*arrays)
        self._arrays = arrays
        self.labels = tuple(_labels_in(array) for array in arrays)

    def __iter__(self) -> Iterator[np.ndarray]:
        for k in range(self.shape[0]):
            yield np.stack([array[k] for array in self._arrays], axis=-1)

    def array(self) -> np.ndarray:
        """Return the only layer as ``(k, j, i)``, without a copy."""
        return self._arrays[0] if len(self._arrays) == 1 else super().array()


def _labels_in(array: np.ndarray) -> tuple[int, ...]:
    """Return the labels of an array ``(k, j, i)``, without 0, in ascending order."""
    seen = np.zeros(np.iinfo(array.dtype).max + 1, bool)
    for slice_ in array:
        seen[slice_] = True
    return tuple(int(label) for label in np.flatnonzero(seen[1:]) + 1)


@dataclass(frozen=True, eq=False)
class _Stamp:
    """A mask on one slice, cut to its extent, with eight pixels of a row in a byte."""

    top: int
    left: int
    width: int
    bits: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> _Stamp | None:
        """Return the stamp of a bool mask ``(rows, columns)``; None if it is empty."""
        box = box_around(mask)
        if box is None:
            return None
        part = mask[box]
        return cls(box[0].start, box[1].start, part.shape[1], np.packbits(part, axis=1))

    @property
    def mask(self) -> np.ndarray:
        """Return the mask, bool, cut to its extent."""
        return np.unpackbits(self.bits, axis=1, count=self.width).view(bool)

    @property
    def box(self) -> tuple[slice, slice]:
        """Return the rows and columns of its extent."""
        return slice(self.top, self.top + len(self.bits)), slice(self.left, self.left + self.width)

    def put(self, target: np.ndarray, first: int, label: int) -> None:
        """Write `label` into `target`, which holds the slice's rows from `first` on, wherever the mask is."""
        begin, end = max(first, self.top), min(first + len(target), self.top + len(self.bits))
        if begin < end:
            mask = np.unpackbits(self.bits[begin - self.top : end - self.top], axis=1, count=self.width).view(bool)
            target[begin - first : end - first, self.left : self.left + self.width][mask] = label


class SegmentLayers(Layers):
    """Masks of segments, gathered slice by slice along any axis of a stack; segments that overlap anywhere get different layers.

    Args:
        stack: the slices.
        count: the number of segments; their labels are 1, 2, ...

    Attributes:
        stack: the slices.
        voxels: ``(count,)`` int64, the number of voxels of each segment.
    """

    def __init__(self, stack: FrameStack, count: int) -> None:
        self.shape = stack.volume.voxels.shape[:3]
        self.dtype = np.dtype(np.uint8 if count < 256 else np.uint16)
        self.voxels = np.zeros(count, np.int64)
        self.stack = stack
        self._stamps: dict[int, list[tuple[int, _Stamp]]] = {}  # by slice: label and mask
        self._overlaps: list[set[int]] = [set() for _ in range(count)]

    @classmethod
    def of_cutouts(cls, stack: FrameStack, cutouts: Iterable[Cutout | None]) -> SegmentLayers:
        """Gather whole objects, each of which becomes a segment; None is one without voxels."""
        stamps: defaultdict[int, list[tuple[int, _Stamp]]] = defaultdict(list)
        count = 0
        for count, cutout in enumerate(cutouts, 1):
            for index, stamp in _stamps_of(cutout, 2 - "ijk".index(stack.axis)) if cutout else ():
                stamps[index].append((count, stamp))
        layers = cls(stack, count)
        for index in sorted(stamps):
            layers._add(index, stamps[index])
        return layers

    def cutouts(self) -> Iterator[Cutout | None]:
        """Yield the voxels of each segment, in the order of the labels; None for one that has none."""
        stamps: defaultdict[int, list[tuple[int, _Stamp]]] = defaultdict(list)
        for index, on_slice in self._stamps.items():
            for label, stamp in on_slice:
                stamps[label].append((index, stamp))
        for label in range(1, len(self.voxels) + 1):
            yield _cutout_of(stamps[label], 2 - "ijk".index(self.stack.axis)) if stamps[label] else None

    def add(self, index: int, masks: dict[int, np.ndarray]) -> None:
        """Add slice `index`: bool masks ``(rows, columns)`` by label; segments that are not given are not on it."""
        stamps = [(label, _Stamp.of(mask)) for label, mask in masks.items()]
        self._add(index, [(label, stamp) for label, stamp in stamps if stamp])

    def _add(self, index: int, stamps: list[tuple[int, _Stamp]]) -> None:
        self._stamps[index] = stamps
        depth = np.zeros(self.stack.shape, self.dtype)
        for label, stamp in stamps:
            mask = stamp.mask
            self.voxels[label - 1] += np.count_nonzero(mask)
            depth[stamp.box] += mask
        crowded = depth > 1
        if crowded.any():
            self._note_overlaps(stamps, crowded)

    def add_labels(self, index: int, labels: np.ndarray) -> None:
        """Add slice `index` as labels ``(rows, columns)`` of an unsigned type."""
        present = np.flatnonzero(np.bincount(labels.reshape(-1)))
        self.add(index, {int(label): labels == label for label in present if label})

    def _note_overlaps(self, stamps: list[tuple[int, _Stamp]], crowded: np.ndarray) -> None:
        """Note which segments share voxels, where there are several: bool ``(rows, columns)``."""
        involved = {}
        for label, stamp in stamps:
            shared = np.zeros(self.stack.shape, bool)
            shared[stamp.box] = stamp.mask & crowded[stamp.box]
            if shared.any():
                involved[label] = shared[crowded]
        for label, other in combinations(involved, 2):
            if other not in self._overlaps[label - 1] and (involved[label] & involved[other]).any():
                self._overlaps[label - 1].add(other)
                self._overlaps[other - 1].add(label)

    @property
    def labels(self) -> tuple[tuple[int, ...], ...]:  # type: ignore[override]  # here it follows from what overlaps so far
        """Return the labels in each layer; overlapping segments lie in different ones."""
        layers: list[list[int]] = [[]]
        for label, overlaps in enumerate(self._overlaps, 1):
            free = next((layer for layer in layers if not overlaps.intersection(layer)), None)
            if free is None:
                layers.append(free := [])
            free.append(label)
        return tuple(map(tuple, layers))

    def slice(self, index: int) -> np.ndarray:
        """Return slice `index` of the stack as labels ``(rows, columns)``; where segments overlap, the later one counts."""
        labels = np.zeros(self.stack.shape, self.dtype)
        for label, stamp in self._stamps.get(index, ()):
            stamp.put(labels, 0, label)
        return labels

    def __iter__(self) -> Iterator[np.ndarray]:
        layer_of = {label: number for number, labels in enumerate(self.labels) for label in labels}
        count, (slices, rows, columns) = len(self.labels), self.shape
        step = max(1, SLAB_BYTES // (count * rows * columns * self.dtype.itemsize))
        memory = np.empty((step, rows, columns, count), self.dtype)
        for first in range(0, slices, step):
            slab = memory[: slices - first]
            slab[:] = 0
            for index, part, top in self._parts(slab, first):
                for label, stamp in self._stamps[index]:
                    stamp.put(part[..., layer_of[label]], top, label)
            yield from slab

    def _parts(self, slab: np.ndarray, first: int) -> Iterator[tuple[int, np.ndarray, int]]:
        """Yield, for every slice of the stack that crosses a slab: its index, the slab's part of it, and the first row of that part."""
        parts = np.moveaxis(slab, 2 - "ijk".index(self.stack.axis), 0)
        if self.stack.axis == "k":
            yield from ((first + k, part, 0) for k, part in enumerate(parts) if first + k in self._stamps)
        else:  # the rows of such slices run along k
            yield from ((index, parts[index], first) for index in self._stamps)


def _stamps_of(cutout: Cutout, axis: int) -> Iterator[tuple[int, _Stamp]]:
    """Yield an object's masks on the slices along an axis of ``(k, j, i)``, with their indices."""
    top, left = np.delete(cutout.first, axis).tolist()
    for index, mask in enumerate(np.moveaxis(cutout.voxels, axis, 0), cutout.first[axis]):
        stamp = _Stamp.of(mask)
        if stamp:
            yield index, replace(stamp, top=stamp.top + top, left=stamp.left + left)


def _cutout_of(stamps: Sequence[tuple[int, _Stamp]], axis: int) -> Cutout:
    """Return the object that has these masks on the slices along an axis of ``(k, j, i)``."""
    boxes = [(slice(index, index + 1), *stamp.box) for index, stamp in stamps]
    first, end = np.min([[part.start for part in box] for box in boxes], 0), np.max([[part.stop for part in box] for box in boxes], 0)
    voxels = np.zeros(end - first, bool)
    for box, (_, stamp) in zip(boxes, stamps, strict=True):
        voxels[tuple(slice(part.start - begin, part.stop - begin) for part, begin in zip(box, first, strict=True))] = stamp.mask
    k, j, i = np.insert(first[1:], axis, first[0]).tolist()
    return Cutout(np.moveaxis(voxels, 0, axis), (k, j, i))
