"""Python's lock as Slicer's event loop has it: held all the time, but for what Python code gives away of its own accord."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from typing import Any

EVENTS_S = 0.001
_system = ctypes.PyDLL("kernel32" if sys.platform == "win32" else None)  # opened once: that waits for whoever loads a library


def hold(seconds: float) -> None:
    """Keep the lock for so long, in C, as the event loop does while it waits for the user."""
    if sys.platform == "win32":
        _system.Sleep(max(1, round(1000 * seconds)))
    else:
        _system.usleep(round(1e6 * seconds))


def gaps_until(host: Any, happened: Callable[[], bool], seconds: float = 120.0) -> list[tuple[float, float]]:
    """Turn an event loop that holds the lock until `happened`; how long each turn took beyond its own waiting, in seconds.

    Twice each: by the clock, and by what this process has computed meanwhile, which is the same on a machine that does nothing else.

    Raises:
        TimeoutError: it did not happen in that time.
    """
    gaps, end = [], time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing came in {seconds} s")
        start, computed = time.perf_counter(), time.process_time()
        hold(EVENTS_S)
        host.process_events()
        gaps.append((time.perf_counter() - start - EVENTS_S, time.process_time() - computed))
    return gaps
