"""Keeps workers going in Slicer, whose event loop holds Python's lock for as long as it runs.

PythonQt never releases the lock: a thread gets on only while the main thread waits within Python. So as long as a worker has
something to do, the main thread waits for it most of the time, in turns short enough for the mouse.
"""

from __future__ import annotations

from functools import lru_cache

import qt
import slicer

from ..worker import attend, lend

TURN_S = 0.01  # the longest that a user's event waits
PAUSE_MS = 1  # for events


class _Pump:
    """Lends the main thread's time to workers, turn by turn."""

    def __init__(self) -> None:
        self._timer = qt.QTimer(slicer.app)  # one for all turns: of QTimer.singleShot, Slicer keeps every timer as long as it runs
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE_MS)
        self._timer.connect("timeout()", self._turn)

    def start(self) -> None:
        """Begin to lend time, until no worker has anything to do."""
        self._timer.start()

    def _turn(self) -> None:
        if lend(TURN_S):
            self._timer.start()


@lru_cache(maxsize=1)
def install() -> None:
    """Keep all workers of this program going from now on."""
    attend(_Pump().start)
