"""Garbage is collected by the main thread alone, since a widget or timer that another thread deletes may take the process with it."""

from __future__ import annotations

import gc

THOROUGH_EVERY = 10
"""Scenes closed per collection of everything, which takes 0.4 s when torch is loaded."""

_closed = 0


def start() -> None:
    """No longer by chance, on whichever thread asks for memory."""
    gc.disable()


def stop() -> None:
    gc.collect()
    gc.enable()


def collect_new() -> None:
    """What was made lately and is garbage already, if Python would collect it by itself now."""
    due = [made > limit for made, limit in zip(gc.get_count()[:2], gc.get_threshold()[:2], strict=True)]
    if any(due):
        gc.collect(1 if due[1] else 0)


def scene_closed() -> None:
    """Everything, now and then."""
    global _closed
    _closed += 1
    if _closed % THOROUGH_EVERY == 0:
        gc.collect()
