"""Memory for results, apart from the heap.

Between a network's large, short-lived tensors, everything small that lasts leaves a hole when they go, and the heap
grows although nothing more is kept in it.
"""

from __future__ import annotations

from mmap import mmap

import numpy as np

BLOCK = 2**20  # bytes
ALIGNED = 64  # bytes, so that any type of number may lie beside any other


class Shelf:
    """A place for small arrays, side by side in blocks of pages; a block is freed when all its arrays are."""

    def __init__(self) -> None:
        self._block, self._used = np.empty(0, np.uint8), 0

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Return a copy of `array` on the shelf."""
        if self._used + array.nbytes > len(self._block):
            self._block, self._used = np.frombuffer(mmap(-1, max(BLOCK, array.nbytes)), np.uint8), 0
        place = self._block[self._used : self._used + array.nbytes].view(array.dtype).reshape(array.shape)
        self._used += -(-array.nbytes // ALIGNED) * ALIGNED
        place[...] = array
        return place
