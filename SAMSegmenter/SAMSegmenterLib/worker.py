"""One thread for everything that takes long, so that a host's window stays responsive.

All of torch runs on it: models are not made for several threads, and some of torch's caches belong to a thread.

A host whose event loop never lets go of Python's lock, as Slicer's, has to `lend` it, or threads stand still; see `attend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import lru_cache
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

CancelCheck = Callable[[], bool]
Job = Callable[[CancelCheck], Iterable[Any]]


class SubmittedJob:
    """A job that a worker has accepted: what it has yielded, and how it ended.

    Every method may be called from any thread and returns at once.
    """

    def __init__(self) -> None:
        self._yielded: SimpleQueue[Any] = SimpleQueue()
        self._stop = Event()
        self._future: Future[None] = Future()

    def take(self) -> list[Any]:
        """Return what the job has yielded since the last call, oldest first."""
        taken = []
        while True:
            try:
                taken.append(self._yielded.get_nowait())
            except Empty:
                return taken

    def cancel(self) -> None:
        """Ask the job to stop: at once if it has not begun, otherwise after its next result."""
        self._stop.set()
        self._future.cancel()

    @property
    def cancelled(self) -> bool:
        """Return whether the job was asked to stop."""
        return self._stop.is_set()

    @property
    def finished(self) -> bool:
        """Return whether the job has ended; results that it yielded may still wait to be taken."""
        return self._future.done()

    @property
    def error(self) -> BaseException | None:
        """Return what the job raised; None before it has ended, and if it raised nothing or never began."""
        if not self._future.done() or self._future.cancelled():
            return None
        return self._future.exception()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the job has ended, at most for `seconds`; for tests and scripts."""
        if not self._future.cancelled():
            self._future.exception(seconds)

    def _run(self, job: Job) -> None:
        if self.cancelled:
            return
        for result in job(self._stop.is_set):
            self._yielded.put(result)
            if self.cancelled:
                return


class Worker:
    """One thread that runs jobs one after the other, in the order in which they were submitted.

    A job is a function that yields its results; it is given a function that returns whether to stop.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "SAMSegmenter")

    def submit(self, job: Job) -> SubmittedJob:
        """Take a job, and return it as one that can be watched and cancelled."""
        submitted = SubmittedJob()
        submitted._future = self._pool.submit(submitted._run, job)
        _unfinished.add(submitted._future)
        submitted._future.add_done_callback(_unfinished.discard)
        for begin in _attendants:
            begin()
        return submitted

    def close(self) -> None:
        """Take no more jobs, and drop those that have not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


_unfinished: set[Future[None]] = set()  # of all workers
_attendants: list[Callable[[], None]] = []


def attend(begin: Callable[[], None]) -> None:
    """Register `begin` to be called whenever a worker is given a job, on the thread that gives it."""
    _attendants.append(begin)


def lend(seconds: float) -> bool:
    """Let workers have Python's lock until a job ends, at most for `seconds`.

    Returns:
        Whether any job has not ended yet.
    """
    wait(tuple(_unfinished), seconds, FIRST_COMPLETED)
    return bool(_unfinished)


@lru_cache(maxsize=1)
def shared_worker() -> Worker:
    """Return the one worker of this program."""
    return Worker()
