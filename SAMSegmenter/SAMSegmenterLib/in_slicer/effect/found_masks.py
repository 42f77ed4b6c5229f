"""Keeps the masks found, slice by slice: where each came from, what lies beneath it, and how it was before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .preview import Preview

if TYPE_CHECKING:
    from ...session.composition import SliceMask

PROMPTED, PROPAGATED = "prompted", ("forward", "backward", "both")  # where masks come from

MaskKey = tuple[str, int]  # segment and slice


@dataclass(frozen=True)
class OngoingRun:
    """A run that has not ended, and the state when it began, for rolling back.

    Attributes:
        range: the first and the last slice.
        pending: IDs of the segments that were pending.
        masks: of the slices that were written on since, with their sources.
    """

    range: tuple[int, int]
    pending: list[str]
    masks: dict[MaskKey, tuple[np.ndarray | None, str]] = field(default_factory=dict)


class FoundMasks:
    """The masks of slices with their sources. They are written into a preview, which shows them after its `flush`.

    Args:
        preview: shows them.
    """

    def __init__(self, preview: Preview) -> None:
        self.preview = preview
        self._sources: dict[MaskKey, str] = {}
        self._beneath: dict[MaskKey, np.ndarray] = {}  # what passes had found where prompts show something else now
        self._told: set[MaskKey] = set()  # found by the present session, which knows nothing of earlier ones
        self._run: OngoingRun | None = None

    @property
    def is_running(self) -> bool:
        """Return whether a run has begun and not ended."""
        return self._run is not None

    @property
    def run_range(self) -> tuple[int, int]:
        """Return the first and the last slice of the present run."""
        return self._run.range

    def propagated(self, segment: str, index: int) -> np.ndarray | None:
        """Return what passes have found of a segment on a slice, bool ``(rows, columns)``; None if nothing."""
        if self._sources.get((segment, index)) not in PROPAGATED:
            return None
        mask = self.preview.slice(segment, index)
        return mask if mask is not None and mask.any() else None

    def add(self, found: SliceMask) -> None:
        """Write what was found of a segment on a slice."""
        key = found.segment, found.slice
        if self._run and key not in self._run.masks:
            self._run.masks[key] = self.preview.slice(*key), self._sources.get(key, "")
        self._told.add(key)
        self._write(key, found.mask, found.source)

    def uncover(self, segment: str, slices: Iterable[int]) -> None:
        """Show on slices without marks what passes had found there before they were marked, or nothing."""
        for key in ((segment, index) for index in slices):
            if self._sources.get(key) not in PROPAGATED:  # a mask of a pass stays: the preview of the prompts has not come yet
                beneath = self._beneath.get(key)
                self._write(key, beneath, "" if beneath is None else PROPAGATED[-1])

    def forget(self, segment: str) -> None:
        """Drop all masks of a segment."""
        self.preview.drop(segment)
        for known in (self._sources, self._beneath):
            for key in [key for key in known if key[0] == segment]:
                del known[key]

    # ------------------------------------------------------------------ sessions and runs

    def begin_session(self) -> None:
        """Expect what a new session finds, which knows nothing of the masks here; a present run is over."""
        self._told.clear()
        self.end_run()

    def begin_run(self, slices: tuple[int, int]) -> None:
        """Remember how everything is before a run over the slices from the first to the last."""
        self._run = OngoingRun(slices, self.preview.pending)

    def conclude_run(self, slices: dict[str, list[int]]) -> None:
        """Clear the slices that a run should have found and has not.

        What earlier sessions have found outside its range stays.

        Args:
            slices: those that the session knows something of, by segment ID.
        """
        first, last = self._run.range
        for segment, index in list(self._sources):
            is_concerned = (segment, index) in self._told or first <= index <= last
            if is_concerned and segment in slices and index not in slices[segment]:
                self._write((segment, index), None, "")

    def end_run(self) -> None:
        """Forget how everything was before the run."""
        self._run = None

    def roll_back(self, exists: Callable[[str], bool]) -> None:
        """Restore the state before the run, for segments that still exist."""
        run, self._run = self._run, None
        for key, known in run.masks.items():
            if exists(key[0]):
                self._write(key, *known)
        self.preview.flush()
        for segment in set(self.preview.pending) - set(run.pending):
            self.preview.settle(segment)

    def _write(self, key: MaskKey, mask: np.ndarray | None, source: str) -> None:
        if source != PROMPTED:
            self._beneath.pop(key, None)
        elif (beneath := self.propagated(*key)) is not None:
            self._beneath[key] = beneath
        self.preview.write(*key, mask)
        self._sources[key] = source
