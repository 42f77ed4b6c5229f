"""Keeps workers going in Slicer, whose event loop holds Python's lock for as long as it runs.

PythonQt gives the lock away nowhere: a thread gets on only while the main thread waits within Python. So as long as a worker has something
to do, the main thread waits for it most of the time, in turns short enough for the mouse.
"""

from __future__ import annotations

from functools import lru_cache

import qt

from .worker import attend, lend

TURN_S = 0.01  # the longest that an event of the user's waits
PAUSE_MS = 1  # for events


class _Pump:
    def __init__(self) -> None:
        self._goes_on = False

    def start(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            qt.QTimer.singleShot(PAUSE_MS, self._turn)

    def _turn(self) -> None:
        self._goes_on = lend(TURN_S)
        if self._goes_on:
            qt.QTimer.singleShot(PAUSE_MS, self._turn)


@lru_cache(maxsize=1)
def install() -> None:
    """See to all workers of this program from now on."""
    attend(_Pump().start)
