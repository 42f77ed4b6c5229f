"""Encodes the slices around a keyframe while the user thinks, so that propagation finds its features ready."""

from __future__ import annotations

from threading import Event, Thread

from .runner import Runner
from .track import Seed

SHARE_OF_CACHE = 0.8  # the rest stays free for the slices the user looks at


class BackgroundEncoder:
    """Runs at most one thread; nothing else may use the runner until `stop` has returned."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self, seed: Seed) -> None:
        """Encode outwards from `seed`'s slice, in its view, until the cache is filled or `stop` is called."""
        self.stop()
        self._stop.clear()
        self._thread = Thread(target=self._encode, args=(seed,), name="SAMSegmenter background encoder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended: after the slice that it is encoding."""
        self._stop.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def wait(self) -> None:
        """Return when everything that fits the cache is encoded."""
        if self._thread:
            self._thread.join()

    def _encode(self, seed: Seed) -> None:
        runner, view = self._runner, seed.result.view
        nearest_first = sorted(range(len(runner.stack)), key=lambda index: abs(index - seed.slice))
        needed = 0
        for index in nearest_first:
            features = runner.surviving(lambda index=index: runner.features(index, view))
            needed += features.nbytes // (2 if runner.options.compact_cache else 1)
            if self._stop.is_set() or needed > SHARE_OF_CACHE * runner.cache.limit:
                return
