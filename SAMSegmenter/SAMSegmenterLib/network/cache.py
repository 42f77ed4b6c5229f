"""Image features of the slices seen last, bounded by a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from mmap import mmap

import torch

from ..image.view import View
from .network import Features

FeatureKey = tuple[int, View]


class FeatureCache:
    """A cache of features by slice and view that drops the least recently used ones beyond `limit` bytes.

    Args:
        limit: bytes of features kept; the newest are kept even if they alone exceed it.
        dtype: what they are kept in; None keeps them as they come.
    """

    def __init__(self, limit: int, dtype: torch.dtype | None = None) -> None:
        self.limit, self.dtype = limit, dtype
        self.nbytes = self.misses = 0
        self._kept: OrderedDict[FeatureKey, Features | _Pages] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: FeatureKey) -> bool:
        return key in self._kept

    def get(self, key: FeatureKey) -> Features | None:
        """Return the features of a slice and view as float32; None if they are not kept."""
        kept = self._kept.get(key)
        if kept is None:
            self.misses += 1
            return None
        self._kept.move_to_end(key)
        return self._given(kept)

    def put(self, key: FeatureKey, features: Features) -> Features:
        """Keep `features`, and return them as `get` would."""
        features = features if self.dtype is None else features.to(self.dtype)
        kept = _Pages.holding(features) if features.coarse.device.type == "cpu" else features
        replaced = self._kept.pop(key, None)
        self.nbytes += kept.nbytes - (replaced.nbytes if replaced else 0)
        self._kept[key] = kept
        while self.nbytes > self.limit and len(self._kept) > 1:
            self.nbytes -= self._kept.popitem(last=False)[1].nbytes
        return self._given(kept)

    def clear(self) -> None:
        """Drop all features."""
        self._kept.clear()
        self.nbytes = 0

    def _given(self, kept: Features | _Pages) -> Features:
        features = kept.features() if isinstance(kept, _Pages) else kept
        return features if self.dtype is None else features.to(torch.float32)


@dataclass(frozen=True)
class _Pages:
    """Features in pages of their own, apart from the heap.

    On the heap they would lie between a network's large, short-lived tensors and leave holes when those go. Even a tensor's own few
    bytes do that, so only the pages are kept. docs/figures.md says what it saves.
    """

    pages: mmap
    dtype: torch.dtype
    shapes: tuple[torch.Size, ...]

    @classmethod
    def holding(cls, features: Features) -> _Pages:
        dtype, shapes = features.coarse.dtype, tuple(tensor.shape for tensor in features.tensors())
        kept = cls(mmap(-1, features.nbytes), dtype, shapes)
        for place, tensor in zip(kept.features().tensors(), features.tensors(), strict=True):
            place.copy_(tensor)
        return kept

    @property
    def nbytes(self) -> int:
        """Return the size of the pages in bytes."""
        return len(self.pages)

    def features(self) -> Features:
        parts = torch.frombuffer(self.pages, dtype=self.dtype).split([shape.numel() for shape in self.shapes])
        return Features(*(part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)))
