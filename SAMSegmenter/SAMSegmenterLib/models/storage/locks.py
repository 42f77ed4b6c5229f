"""One writer at a time, among all processes that share a folder of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Cancelled
from .folders import shared_mode

if TYPE_CHECKING:
    from filelock import FileLock

LOOK_SECONDS = 0.2


def never() -> bool:
    """Return False: do not cancel."""
    return False


@contextmanager
def turn(path: Path, cancel: Callable[[], bool] = never) -> Iterator[None]:
    """Hold the right to write the file `path` within the block; wait while another process or thread holds it.

    The operating system takes the right back from a process that ends, however it ends.

    Raises:
        Cancelled: `cancel` returned true while waiting.
        OSError: the folder of `path` is missing or cannot be written to.
    """
    from filelock import FileLock  # only now: the window waits while models are listed, which writes nothing

    lock = FileLock(path.with_name(f".{path.name}.lock"), mode=shared_mode(path.parent))
    while not _acquired(lock):
        if cancel():
            raise Cancelled(f"Stopped waiting for another program that is writing {path}.")
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: FileLock) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=LOOK_SECONDS)
    except Timeout:
        return False
    return True
