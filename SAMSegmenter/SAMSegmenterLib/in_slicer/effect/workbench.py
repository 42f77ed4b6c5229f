"""The session on its worker, for the frames in use, and what it has found: made together, and dropped together."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from slicer.i18n import tr as _

from ...errors import InputError, SAMSegmenterError
from ...image.stack import FrameStack
from ...prompts.marks import Mark, Plane
from ...session.background import BackgroundSession, Ended, RunProgress
from ...session.summary import Summary
from ...worker import CancelCheck, SubmittedJob, shared_worker
from ..mrml import ViewGeometry
from .editor_state import Editing
from .found_masks import PROMPTED, FoundMasks
from .frames_in_use import FramesInUse
from .opening import open_maker, open_model, open_proposer, open_session, used_by_session
from .outcome import outcome
from .preview import Preview
from .protected import Protected
from .source_frames import SourceFrames

if TYPE_CHECKING:
    from ...session.composition import SliceMask

POLL_SECONDS = 0.015  # of each turn, to show what was found; the rest waits, so that the window need not


@dataclass(frozen=True, eq=False)
class Proposal:
    """A request to look at a slice without prompts: `take` is called with the mask ``(rows, columns)`` that `task` finds."""

    take: Callable[[np.ndarray], None]
    task: SubmittedJob


class Workbench:
    """All that is computed for the marks of one segmentation.

    Attributes:
        in_use: the frames that it is computed on.
        progress: of the present run, or of the last one.
        review: by segment, the slices most worth checking, worst first, with their trust.
    """

    def __init__(self, editing: Editing) -> None:
        self._editing = editing
        self.in_use = FramesInUse(editing)
        self._protected = Protected(editing)
        self._found_masks: FoundMasks | None = None
        self._background: BackgroundSession | None = None
        self._used: tuple[str, ...] = ()
        self._waiting: deque[RunProgress | Summary | Ended | Proposal | SliceMask] = deque()
        self._proposal: Proposal | None = None
        self._run_for: list[str] = []
        self._superseded = 0
        self._notes: list[str] = []
        self._shown_item: int | None = None
        self.progress: RunProgress | None = None
        self.review: dict[str, list[tuple[int, float]]] = {}

    @property
    def preview(self) -> Preview | None:
        """Return the preview of all that was found; None before the first mark."""
        return self._found_masks.preview if self._found_masks else None

    @property
    def busy(self) -> str:
        """Return what is running: "propagate", "preview" or ""; results that are not shown yet count."""
        if self._found_masks and self._found_masks.is_running:
            return "propagate"
        is_previewing = self._waiting or self._proposal or (self._background and self._background.busy)
        return "preview" if is_previewing else ""

    @property
    def pending(self) -> list[str]:
        """Return the IDs of segments with a preview that was not applied yet."""
        return self.preview.pending if self.preview else []

    # ------------------------------------------------------------------ opening and closing

    def open(self, view: ViewGeometry | None = None, mark: Mark | None = None) -> FrameStack:
        """Return the frames for the selected segment's marks, made anew for another plane, source or settings.

        If it has no marks yet, their plane is that of `view`.

        Raises:
            OtherPlane: the settings ask for another plane than that of its marks.
            InputError: there is no volume, or one that cannot be used; or a preview that was not applied yet lies in another plane.
        """
        in_use, segment = self.in_use, mark.segment if mark else self._editing.segment
        plane = in_use.plane_for(segment, view)
        is_right = in_use.frames is not None and in_use.frames.plane == plane and not in_use.is_stale()
        if not is_right or self._settings_differ():
            if not is_right:
                self._require_applied(plane, segment)
            self._change_to(in_use.made_for(plane, mark), keep=is_right)
        return in_use.stack

    def follow_segment(self) -> None:
        """Open the plane of the segment that is selected now, if it has one and nothing in another one would be lost."""
        plane = self._editing.marks.plane_of(self._editing.segment)
        if self.in_use.frames and plane not in (None, self.in_use.frames.plane) and not self.pending and not self.busy:
            self.open()

    def _require_applied(self, plane: Plane, segment: str) -> None:
        """Refuse another plane while what was found of other segments is not applied.

        Raises:
            InputError: it would be lost.
        """
        others = [each for each in self.pending if each != segment and self._editing.has_segment(each)]
        if self.in_use.frames and self.in_use.frames.plane != plane and others and not self.in_use.is_stale():
            names = ", ".join(map(self._editing.title, others))
            raise InputError(_("The preview of {names} lies in other slices. Apply or clear it first.").format(names=names))

    def _change_to(self, frames: SourceFrames, keep: bool) -> None:
        """Use these frames from now on; with `keep`, what was found stays, as they lie where the old ones do."""
        if keep:
            self.preview.stack = frames.stack
        else:
            self.close()
            self._found_masks = FoundMasks(Preview(self._editing.segmentation_node, frames.stack, frames.times))
        self.in_use.frames = frames
        self._begin_session()

    def close(self) -> None:
        """Stop everything and take the preview out of the scene."""
        if self._background:
            self._background.cancel()
        if self.preview:
            self.preview.remove()
        self.in_use.frames = self._found_masks = self._background = self._shown_item = self.progress = self._proposal = None
        self.review = {}
        self._waiting.clear()
        self._superseded = 0

    def _settings_differ(self) -> bool:
        """Return whether a new run needs other frames, or another session; what was found is still right."""
        return self._used != used_by_session(self._editing.settings) or self.in_use.have_another_window()

    def close_if_stale(self) -> bool:
        """Stop everything if the source has changed, and return whether it has."""
        if not self.in_use.frames or not self.in_use.is_stale():
            return False
        self.close()
        self._editing.tell(_("The volume or the segmentation has changed or moved; what was found before is not shown any more."), True)
        return True

    def warm_up(self) -> None:
        """Load the model on the worker, so that the first preview need not wait for it."""
        chosen = self._editing.settings
        shared_worker().submit(lambda cancelled: iter([open_model(chosen.model, chosen.device)]))

    def _begin_session(self) -> None:
        """Begin another session; requests to the old one are given up."""
        if self._background:
            self._background.cancel()
        self._waiting.clear()
        self._superseded = 0
        chosen = self._editing.settings
        maker = (lambda stack: open_maker(stack, chosen)) if chosen.keyframe_model else None
        self._background = BackgroundSession(self.in_use.stack, lambda stack: open_session(stack, chosen), shared_worker(), maker)
        self._used = used_by_session(chosen)
        self._found_masks.begin_session()

    # ------------------------------------------------------------------ asking

    def ask_preview(self, segment: str, index: int) -> None:
        """Request a preview of a segment on a slice, if the user wants previews."""
        if self._editing.settings.live_preview:
            self._background.preview(segment, index, self.in_use.prompts, self._protected.beside(self.in_use.frames))

    def refresh(self, segment: str, slices: Iterable[int], shown: int | None = None) -> None:
        """Preview one of the slices whose marks have changed, `shown` if it is among them.

        Where no marks are left, what passes had found is shown again, or nothing.
        """
        still = sorted(set(slices) & self.in_use.marked(segment))
        self._found_masks.uncover(segment, set(slices) - set(still))
        self.preview.flush()
        if still:
            self.ask_preview(segment, shown if shown in still else still[0])

    def drop_removed_segments(self) -> None:
        """Drop all that was found for segments that were removed, and stop looking for them."""
        if not self._found_masks:
            return
        if self._found_masks.is_running and not all(map(self._editing.has_segment, self._run_for)):
            self._run_on_without_removed()
        for segment in self.preview.segments:
            if not self._editing.has_segment(segment):
                self.forget(segment)

    def propagate(self, segments: list[str], slices: tuple[int, int], notes: list[str]) -> None:
        """Request a run; `notes` are told with its results."""
        self.progress, self._run_for, self._notes = None, segments, notes
        self._found_masks.begin_run(slices)
        self._background.propagate(self.in_use.prompts, segments, slices, self._protected.beside(self.in_use.frames))

    def _run_on_without_removed(self) -> None:
        """Replace a run by one without the segments that were removed, which goes on from where it is."""
        left = [each for each in self._run_for if self._editing.has_segment(each)]
        slices = self._found_masks.run_range
        self._background.cancel()
        if not left:
            self._editing.tell(_("The segment was removed; its run is stopped."))
            self._run_for = []
            return
        self._superseded += 1
        self._run_for = left
        self._background.propagate(self.in_use.prompts, left, slices, self._protected.beside(self.in_use.frames))

    def propose(self, index: int, take: Callable[[np.ndarray], None]) -> None:
        """Request what the chosen model finds on a slice without prompts; `take` is called with the mask, bool ``(rows, columns)``."""
        stack, chosen = self.in_use.stack, self._editing.settings

        def find(cancelled: CancelCheck) -> Iterator[np.ndarray]:
            """Yield the mask; called on the worker's thread."""
            from ...keyframes.slice_models import proposed_keyframe

            yield proposed_keyframe(index, stack, open_proposer(chosen.proposer, chosen.device)).mask.mask

        self._proposal = Proposal(take, shared_worker().submit(find))

    def stop(self, keep: bool) -> None:
        """Stop what is running. What a run has found stays if `keep`; else everything is as before."""
        if not self._background:
            return
        self._background.cancel()
        if not self._found_masks.is_running:
            return
        if keep:
            self._editing.tell(_("Stopping after this {unit}...").format(unit=self.in_use.unit), is_passing=True)
            return
        self.progress = None
        self._found_masks.roll_back(self._editing.has_segment)
        self._begin_session()  # the old one takes everything for done
        self._editing.tell(_("Stopped; everything is as before."))

    def found(self, segment: str, index: int) -> np.ndarray | None:
        """Return what passes have found of a segment on a slice, bool ``(rows, columns)``; None if nothing."""
        return self._found_masks.propagated(segment, index)

    def forget(self, segment: str) -> None:
        """Drop all that was found for a segment."""
        if self._found_masks:
            self._found_masks.forget(segment)
        self.review.pop(segment, None)

    def follow_time(self) -> bool:
        """Show the masks of the present time, and return whether that has changed since the last call."""
        times = self.in_use.frames.times if self.in_use.frames else None
        if times is None or times.item == self._shown_item:
            return False
        self._shown_item = times.item
        self.preview.follow()
        return True

    # ------------------------------------------------------------------ answers

    def poll(self) -> bool:
        """Show what the worker has found since the last call; return False if nothing has changed."""
        if self.preview:
            self.preview.follow_transform()
        if self._background:
            self._waiting += self._background.poll()
        if self._proposal and self._proposal.task.finished and not self._found_masks.is_running:  # the prompts of a run do not change
            self._waiting.append(self._proposal)
            self._proposal = None
        if not self._waiting:
            return False
        if self.close_if_stale():
            return True
        end = time.perf_counter() + POLL_SECONDS
        while self._waiting and time.perf_counter() < end:
            self._take(self._waiting.popleft())
        self.preview.flush(outlines=not self.busy)
        return True

    def _take(self, news: RunProgress | Summary | Ended | Proposal | SliceMask) -> None:
        if isinstance(news, RunProgress):
            self.progress = news
        elif isinstance(news, Summary):
            self._conclude(news)
        elif isinstance(news, Ended):
            self._end(news)
        elif isinstance(news, Proposal):
            self._take_proposal(news)
        else:
            self._show(news)

    def _take_proposal(self, proposal: Proposal) -> None:
        if proposal.task.error:
            self._end(Ended("propose", error=proposal.task.error))
        for mask in proposal.task.take():
            proposal.take(mask)

    def _show(self, found: SliceMask) -> None:
        is_wanted = found.source != PROMPTED or found.slice in self.in_use.marked(found.segment)
        if is_wanted and self._editing.has_segment(found.segment):  # else removed meanwhile
            self._found_masks.add(found)

    def _conclude(self, summary: Summary) -> None:
        self.review |= summary.review
        self._found_masks.conclude_run(summary.slices)
        concerned = [each for each in summary.slices if self._editing.has_segment(each)]
        found = {each: [n for n in summary.slices[each] if self._is_filled(each, n)] for each in concerned}
        text, details = outcome(found, summary, self._editing, self.in_use.stack.unit)
        told = [text, *summary.warnings, *self._notes]
        self._editing.tell("\n".join(told), bool(summary.warnings), details="\n".join([*told, *details]))

    def _is_filled(self, segment: str, index: int) -> bool:
        mask = self.preview.slice(segment, index)
        return mask is not None and bool(mask.any())

    def _end(self, ended: Ended) -> None:
        if ended.request == "propagate" and self._superseded and ended.error is None:
            self._superseded -= 1  # another one goes on in its place
            return
        if ended.request == "propagate":
            self._found_masks.end_run()
            if ended.cancelled and ended.error is None and self._run_for:
                self._editing.tell(_("Stopped; what was found so far is kept. Propagate again to go on."))
        if ended.error is None:
            return
        if isinstance(ended.error, SAMSegmenterError):
            self._editing.tell(str(ended.error), True)
        else:
            logging.error("SAMSegmenter: %s failed", ended.request, exc_info=ended.error)
            text = _("{error}. The log has the details; no segment was changed.")
            error = f"{type(ended.error).__name__}: {ended.error}".rstrip(". ")
            self._editing.tell(text.format(error=error), True)
        if not isinstance(ended.error, InputError):
            self._begin_session()  # the state of the old one is unknown
