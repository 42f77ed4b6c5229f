"""Measures what a run costs the computer."""

from __future__ import annotations

import sys


def peak_memory_mb() -> float:
    """Return the most main memory that this process has held at once, in MB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere
