"""What was found of the segments, slice by slice: where it came from, what lies beneath it, and how it was before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .preview import Preview

if TYPE_CHECKING:
    from ...session.composition import SliceMask

PROMPTED, PROPAGATED = "prompted", ("forward", "backward", "both")  # where masks come from

Key = tuple[str, int]  # segment and slice


@dataclass(frozen=True)
class Run:
    """A run from its first slice to its last, and how everything was when it began.

    Attributes:
        range: the first and the last slice.
        pending: IDs of the segments that were pending.
        masks: of the slices that were written on since, with their sources.
    """

    range: tuple[int, int]
    pending: list[str]
    masks: dict[Key, tuple[np.ndarray | None, str]] = field(default_factory=dict)


class Findings:
    """Masks of slices with their sources, written into a preview; what is written is seen after its `flush`.

    Args:
        preview: shows them.
    """

    def __init__(self, preview: Preview) -> None:
        self.preview = preview
        self._sources: dict[Key, str] = {}
        self._beneath: dict[Key, np.ndarray] = {}  # what passes had found where prompts show something else now
        self._told: set[Key] = set()  # by the session that is open; what earlier ones have found it knows nothing of
        self._run: Run | None = None

    @property
    def is_running(self) -> bool:
        """Whether a run has begun and not ended."""
        return self._run is not None

    @property
    def run_range(self) -> tuple[int, int]:
        """The first and the last slice of the run that is going on."""
        return self._run.range

    def propagated(self, segment: str, index: int) -> np.ndarray | None:
        """What passes have found of a segment on a slice, bool ``(rows, columns)``; None where that is nothing."""
        if self._sources.get((segment, index)) not in PROPAGATED:
            return None
        mask = self.preview.slice(segment, index)
        return mask if mask is not None and mask.any() else None

    def add(self, found: SliceMask) -> None:
        key = found.segment, found.slice
        if self._run and key not in self._run.masks:
            self._run.masks[key] = self.preview.slice(*key), self._sources.get(key, "")
        self._told.add(key)
        self._write(key, found.mask, found.source)

    def uncover(self, segment: str, slices: Iterable[int]) -> None:
        """Have what passes had found on slices on which nothing is marked any more, or nothing."""
        for key in ((segment, index) for index in slices):
            if self._sources.get(key) not in PROPAGATED:  # else the prompts' own preview has not come yet
                beneath = self._beneath.get(key)
                self._write(key, beneath, "" if beneath is None else PROPAGATED[-1])

    def forget(self, segment: str) -> None:
        """Have nothing of a segment any more."""
        self.preview.drop(segment)
        for known in (self._sources, self._beneath):
            for key in [key for key in known if key[0] == segment]:
                del known[key]

    # ------------------------------------------------------------------ sessions and runs

    def begin_session(self) -> None:
        """What comes from now on is found by a session that knows nothing of what is here, nor of a run that goes on."""
        self._told.clear()
        self.end_run()

    def begin_run(self, slices: tuple[int, int]) -> None:
        self._run = Run(slices, self.preview.pending)

    def conclude_run(self, slices: dict[str, list[int]]) -> None:
        """Have nothing where a run knows of nothing, by segment; what earlier sessions have found out of its range stays."""
        first, last = self._run.range
        for segment, index in list(self._sources):
            is_concerned = (segment, index) in self._told or first <= index <= last
            if is_concerned and segment in slices and index not in slices[segment]:
                self._write((segment, index), None, "")

    def end_run(self) -> None:
        self._run = None

    def roll_back(self, exists: Callable[[str], bool]) -> None:
        """Have everything as it was before the run, of the segments that still exist."""
        run, self._run = self._run, None
        for key, known in run.masks.items():
            if exists(key[0]):
                self._write(key, *known)
        self.preview.flush()
        for segment in set(self.preview.pending) - set(run.pending):
            self.preview.settle(segment)

    def _write(self, key: Key, mask: np.ndarray | None, source: str) -> None:
        if source != PROMPTED:
            self._beneath.pop(key, None)
        elif (beneath := self.propagated(*key)) is not None:
            self._beneath[key] = beneath
        self.preview.write(*key, mask)
        self._sources[key] = source
