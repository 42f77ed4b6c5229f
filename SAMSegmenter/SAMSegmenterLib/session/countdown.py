"""Tells how much of a run is left, in little of its time."""

from __future__ import annotations

import time
from collections.abc import Callable

SELDOM = 20  # times as long as a count takes, until the next one


class Countdown:
    """Tells how many slices are left, whatever counting them costs: with thousands of segments it is slow, and asked after every slice.

    Args:
        count: counts them, such as `Session.remaining`.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._due, self._left, self._done = 0.0, 0, 0

    def left(self, done: int) -> int:
        """Return how many slices are left when `done` are: counted now and then, and what was done since taken off."""
        now = time.perf_counter()
        if now >= self._due:
            self._left, self._done = self._count(), done
            self._due = now + SELDOM * (time.perf_counter() - now)
        return max(0, self._left - (done - self._done))
