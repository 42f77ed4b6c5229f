"""Holds the frames, the session on its worker, and what it has found: made together, and dropped together."""

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
from ...prompts.from_marks import prompt_set, slices_of
from ...prompts.marks import Mark
from ...prompts.types import PromptSet
from ...session.background import BackgroundSession, Ended, RunProgress
from ...session.summary import Summary
from ...worker import CancelCheck, SubmittedJob, shared_worker
from ..mrml import ViewGeometry
from .editor_state import Editing
from .found_masks import PROMPTED, FoundMasks
from .opening import open_maker, open_model, open_proposer, open_session, used_by_session
from .outcome import outcome
from .preview import Preview
from .source_frames import Plane, SourceFrames, is_time, make_frames, place_of, plane_for, source_image, suits, window_of

if TYPE_CHECKING:
    from ...session.composition import SliceMask

POLL_SECONDS = 0.015  # of each turn, to show what was found; the rest waits, so that the window need not


class OtherPlane(InputError):
    """The request lies in another plane than the selected segment's prompts, which would have to be put away."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """A request to look at a slice without prompts: `take` is called with the mask ``(rows, columns)`` that `task` finds."""

    take: Callable[[np.ndarray], None]
    task: SubmittedJob


class Workbench:
    """All that is computed for the marks of one segmentation.

    Attributes:
        progress: of the present run, or of the last one.
        review: by segment, the slices most worth checking, worst first, with their trust.
    """

    def __init__(self, editing: Editing) -> None:
        self._editing = editing
        self.frames: SourceFrames | None = None
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
    def stack(self) -> FrameStack | None:
        """Return the stack in use; None before the first mark."""
        return self.frames.stack if self.frames else None

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

    @property
    def prompts(self) -> PromptSet:
        """Return the marks in the present plane as prompts."""
        return prompt_set(self._editing.marks_in(self.frames.plane), self.stack, self._editing.title)

    def slices_of(self, mark: Mark) -> list[int]:
        """Return the slices in use that a mark lies on; none for one of another plane."""
        if not self.stack or mark.plane != self.frames.plane:
            return []
        try:
            return slices_of(mark, self.stack)
        except InputError:
            return []

    # ------------------------------------------------------------------ opening and closing

    def open(self, view: ViewGeometry | None = None, mark: Mark | None = None) -> FrameStack:
        """Return the frames for the selected segment's marks, made anew for another plane, source or settings.

        If it has no marks yet, their plane is that of `view`.

        Raises:
            OtherPlane: the settings ask for another plane than that of its marks.
            InputError: there is no volume, or one that cannot be used; or a preview that was not applied yet lies in another plane.
        """
        chosen, segment = self._editing.settings, mark.segment if mark else self._editing.segment
        plane = self._plane(segment, view)
        is_right = self.frames is not None and self.frames.plane == plane and not self.is_stale()
        if not is_right or self._settings_differ():
            if not is_right:
                self._require_applied(plane, segment)
            marks = self._editing.marks_in(plane)
            frames = make_frames(self._editing.effect, chosen, plane, marks or ((mark,) if mark else ()))
            prompt_set(marks, frames.stack, self._editing.title)  # refused where they do not lie in this plane
            self._change_to(frames, keep=is_right)
        return self.frames.stack

    def follow_segment(self) -> None:
        """Open the plane of the segment that is selected now, if it has one and nothing in another one would be lost."""
        plane = self._editing.marks.plane_of(self._editing.segment)
        if self.frames and plane not in (None, self.frames.plane) and not self.pending and not self.busy:
            self.open()

    def _plane(self, segment: str, view: ViewGeometry | None) -> Plane:
        """Return the plane of a segment's own marks, or the one in use where `view` shows its slices, or that of `view`."""
        chosen, own = self._editing.settings, self._editing.marks.plane_of(segment)
        if own is not None:
            if not suits(own, chosen):
                text = _("The prompts of {name} lie in other slices than those chosen under Advanced.")
                raise OtherPlane(text.format(name=self._editing.title(segment)))
            return own
        in_use = self.frames.plane if self.frames else None
        is_shown = view is None or (self.frames and view.parallel_axis(self.stack.volume.ijk_to_ras) == self.stack.axis)
        if in_use is not None and not is_time(in_use) and suits(in_use, chosen) and is_shown and not self.is_stale():
            return in_use
        return plane_for(view, source_image(self._editing.effect), chosen)

    def _require_applied(self, plane: Plane, segment: str) -> None:
        """Refuse another plane while what was found of other segments is not applied.

        Raises:
            InputError: it would be lost.
        """
        others = [each for each in self.pending if each != segment and self._editing.has_segment(each)]
        if self.frames and self.frames.plane != plane and others and not self.is_stale():
            names = ", ".join(map(self._editing.title, others))
            raise InputError(_("The preview of {names} lies in other slices. Apply or clear it first.").format(names=names))

    def _change_to(self, frames: SourceFrames, keep: bool) -> None:
        """Use these frames from now on; with `keep`, what was found stays, as they lie where the old ones do."""
        if keep:
            self.preview.stack = frames.stack
        else:
            self.close()
            self._found_masks = FoundMasks(Preview(self._editing.segmentation_node, frames.stack, frames.times))
        self.frames = frames
        self._begin_session()

    def close(self) -> None:
        """Stop everything and take the preview out of the scene."""
        if self._background:
            self._background.cancel()
        if self.preview:
            self.preview.remove()
        self.frames = self._found_masks = self._background = self._shown_item = self.progress = self._proposal = None
        self.review = {}
        self._waiting.clear()
        self._superseded = 0

    def is_stale(self) -> bool:
        """Return whether the source, or its place in the segmentation, has changed since the frames were made."""
        if not self.frames or not self._editing.segmentation_node:
            return True
        try:
            return place_of(self._editing.effect, self.frames.plane) != self.frames.place
        except InputError:
            return True

    def _settings_differ(self) -> bool:
        """Return whether a new run needs other frames, or another session; what was found is still right."""
        chosen = self._editing.settings
        return self._used != used_by_session(chosen) or self.frames.window != window_of(self._editing.effect, chosen)

    def close_if_stale(self) -> bool:
        """Stop everything if the source has changed, and return whether it has."""
        if not self.frames or not self.is_stale():
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
        self._background = BackgroundSession(self.stack, lambda stack: open_session(stack, chosen), shared_worker(), maker)
        self._used = used_by_session(chosen)
        self._found_masks.begin_session()

    # ------------------------------------------------------------------ asking

    def ask_preview(self, segment: str, index: int) -> None:
        """Request a preview of a segment on a slice, if the user wants previews."""
        if self._editing.settings.live_preview:
            self._background.preview(segment, index, self.prompts)

    def refresh(self, segment: str, slices: Iterable[int], shown: int | None = None) -> None:
        """Preview one of the slices whose marks have changed, `shown` if it is among them.

        Where no marks are left, what passes had found is shown again, or nothing.
        """
        still = sorted(set(slices) & self._marked(segment))
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
        self._background.propagate(self.prompts, segments, slices)

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
        self._background.propagate(self.prompts, left, slices)

    def propose(self, index: int, take: Callable[[np.ndarray], None]) -> None:
        """Request what the chosen model finds on a slice without prompts; `take` is called with the mask, bool ``(rows, columns)``."""
        stack, chosen = self.stack, self._editing.settings

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
            self._editing.tell(_("Stopping after this {unit}...").format(unit=self.unit), is_passing=True)
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
        times = self.frames.times if self.frames else None
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
        is_wanted = found.source != PROMPTED or found.slice in self._marked(found.segment)
        if is_wanted and self._editing.has_segment(found.segment):  # else removed meanwhile
            self._found_masks.add(found)

    def _marked(self, segment: str) -> set[int]:
        """Return the slices that a segment is marked on."""
        return {index for mark in self._editing.marks.of(segment) for index in self.slices_of(mark)}

    def _conclude(self, summary: Summary) -> None:
        self.review |= summary.review
        self._found_masks.conclude_run(summary.slices)
        concerned = [each for each in summary.slices if self._editing.has_segment(each)]
        found = {each: [n for n in summary.slices[each] if self._is_filled(each, n)] for each in concerned}
        text, details = outcome(found, summary, self._editing, self.stack.unit)
        told = [text, *summary.warnings, *self._notes]
        self._editing.tell("\n".join(told), bool(summary.warnings), details="\n".join([*told, *details]))

    def _is_filled(self, segment: str, index: int) -> bool:
        mask = self.preview.slice(segment, index)
        return mask is not None and bool(mask.any())

    @property
    def unit(self) -> str:
        """Return what users call a frame."""
        return self.stack.unit if self.stack else _("slice")

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
