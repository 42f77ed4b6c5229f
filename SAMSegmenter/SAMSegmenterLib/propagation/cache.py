"""Image features of the slices seen last, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import torch

from ..frames import View
from .network import Features

Key = tuple[int, View]


class FeatureCache:
    """Keeps features by slice and view, dropping the least recently used ones beyond `limit` bytes.

    Args:
        limit: bytes of features kept; the newest are kept even if they alone exceed it.
        dtype: what they are kept in; None keeps them as they come.
    """

    def __init__(self, limit: int, dtype: torch.dtype | None = None) -> None:
        self.limit, self.dtype = limit, dtype
        self.nbytes = self.misses = 0
        self._kept: OrderedDict[Key, Features] = OrderedDict()
        self._lock = Lock()  # the background encoder adds while the main thread reads

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def get(self, key: Key) -> Features | None:
        """Features as float32, or None where they are not kept."""
        with self._lock:
            features = self._kept.get(key)
            if features is None:
                self.misses += 1
                return None
            self._kept.move_to_end(key)
        return features if self.dtype is None else features.to(torch.float32)

    def put(self, key: Key, features: Features) -> Features:
        """Keep `features`, and return them as `get` will."""
        kept = features if self.dtype is None else features.to(self.dtype)
        with self._lock:
            replaced = self._kept.pop(key, None)
            self.nbytes += kept.nbytes - (replaced.nbytes if replaced else 0)
            self._kept[key] = kept
            while self.nbytes > self.limit and len(self._kept) > 1:
                self.nbytes -= self._kept.popitem(last=False)[1].nbytes
        return features if self.dtype is None else kept.to(torch.float32)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self.nbytes = 0
