"""The frames, the session on its worker, and the preview of what it has found: made together, and dropped together."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from slicer.i18n import tr as _

from ..errors import InputError, SAMSegmenterError
from ..frames import FrameStack
from ..interaction import Ended, Interaction, Progress, Summary
from ..marking import prompt_set
from ..marks import Mark
from ..mrml import ViewGeometry
from ..prompts import PromptSet
from ..worker import Cancelled, Task, shared_worker
from .canvas import Canvas, make_canvas, place_of, plane_for, source_image, suits, window_of
from .editing import Editing
from .preview import Preview
from .settings import Settings

if TYPE_CHECKING:
    from ..composition import SliceMask
    from ..session import Session
    from ..slicewise import KeyframeMaker

POLL_SECONDS = 0.015  # for showing what the worker has found; the rest waits, so that the window never does
PROPAGATED = ("forward", "backward", "both")

Key = tuple[str, int]  # segment and slice


@dataclass(frozen=True, eq=False)
class Proposal:
    """A slice that is looked at without prompts: `take` is given the mask ``(rows, columns)`` that `task` finds."""

    take: Callable[[np.ndarray], None]
    task: Task


@dataclass(frozen=True)
class Before:
    """How the preview was when a run began: which segments were pending, and the masks of the slices that were written on since."""

    pending: list[str]
    masks: dict[Key, np.ndarray | None] = field(default_factory=dict)


class Workbench:
    """Everything that is computed for the marks of one segmentation.

    Attributes:
        progress: of the run that is going on, or the last one.
        review: by segment, the slices most worth checking, worst first, with their trust.
    """

    def __init__(self, editing: Editing) -> None:
        self._editing = editing
        self.canvas: Canvas | None = None
        self.preview: Preview | None = None
        self._interaction: Interaction | None = None
        self._used: tuple[str, ...] = ()
        self._waiting: deque[Progress | Summary | Ended | Proposal | SliceMask] = deque()
        self._proposal: Proposal | None = None
        self._sources: dict[Key, str] = {}
        self._before: Before | None = None
        self._shown_item: int | None = None
        self.progress: Progress | None = None
        self.review: dict[str, list[tuple[int, float]]] = {}

    @property
    def stack(self) -> FrameStack | None:
        """The frames in use; None before the first mark."""
        return self.canvas.stack if self.canvas else None

    @property
    def busy(self) -> str:
        """What is running: "propagate", "preview" or ""; results that are not shown yet count."""
        running = self._interaction.busy if self._interaction else ""
        return running or ("propagate" if self._waiting else "preview" if self._proposal else "")

    @property
    def pending(self) -> list[str]:
        """IDs of the segments that something is shown of which was not applied yet."""
        return self.preview.pending if self.preview else []

    @property
    def prompts(self) -> PromptSet:
        return prompt_set(self._editing.marks.all, self.stack)

    # ------------------------------------------------------------------ opening and closing

    def open(self, view: ViewGeometry | None = None, mark: Mark | None = None) -> FrameStack:
        """The frames that marks are used on, in the plane of `view` if there are none yet; made anew for another source or settings.

        Raises:
            InputError: there is no volume, or one that cannot be used.
        """
        chosen, marks = self._editing.settings, self._editing.marks
        plane = marks.plane if suits(marks.plane, chosen) else plane_for(view, source_image(self._editing.effect), chosen)
        if not self.canvas or self.canvas.plane != plane or self.is_stale() or self._settings_differ():
            self.close()
            canvas = make_canvas(self._editing.effect, chosen, plane, marks.all or ((mark,) if mark else ()))
            prompt_set(marks.all, canvas.stack)  # refused where they do not lie in this plane
            self.canvas = canvas
            self.preview = Preview(self._editing.segmentation_node, self.canvas.stack, self.canvas.times)
            self._begin_session()
        marks.plane = plane
        return self.canvas.stack

    def close(self) -> None:
        """Stop everything and take the preview out of the scene."""
        if self._interaction:
            self._interaction.cancel()
        if self.preview:
            self.preview.remove()
        self.canvas = self.preview = self._interaction = self._before = self._shown_item = self.progress = self._proposal = None
        self._sources, self.review = {}, {}
        self._waiting.clear()

    def is_stale(self) -> bool:
        """Whether the source, or its place in the segmentation, has changed since the frames were made."""
        if not self.canvas or not self._editing.segmentation_node:
            return True
        try:
            return place_of(self._editing.effect, self.canvas.plane) != self.canvas.place
        except InputError:
            return True

    def _settings_differ(self) -> bool:
        """Whether a new run needs other frames, or another session; what was found is still right."""
        chosen = self._editing.settings
        return self._used != _network(chosen) or self.canvas.window != window_of(self._editing.effect, chosen)

    def close_if_stale(self) -> bool:
        """Stop everything if what it was computed from is not there any more; whether that is so."""
        if not self.canvas or not self.is_stale():
            return False
        self.close()
        self._editing.tell(_("The volume or the segmentation has changed or moved; what was found before is not shown any more."), True)
        return True

    def warm_up(self) -> None:
        """Have the worker load the network, so that the first preview need not wait for it."""
        chosen = self._editing.settings
        shared_worker().submit(lambda cancelled: iter([_model(chosen.model, chosen.device)]))

    def _begin_session(self) -> None:
        chosen = self._editing.settings
        maker = (lambda stack: _maker(stack, chosen)) if chosen.keyframe_model else None
        self._interaction = Interaction(self.stack, lambda stack: _session(stack, chosen), shared_worker(), maker)
        self._used = _network(chosen)

    # ------------------------------------------------------------------ asking

    def ask_preview(self, segment: str, index: int) -> None:
        if self._editing.settings.live_preview:
            self._interaction.preview(segment, index, self.prompts)

    def refresh(self, segment: str, slices: Iterable[int], shown: int | None = None) -> None:
        """Preview one of the slices whose marks have changed, `shown` if it is among them; show nothing where none are left."""
        marked = next((each for each in self.prompts.segments if each.name == segment), None)
        still = [index for index in sorted(slices) if marked and marked.keyframe(index)]
        for index in set(slices) - set(still):
            self._write((segment, index), None, "")
        self.preview.flush()
        if still:
            self.ask_preview(segment, shown if shown in still else still[0])

    def drop_removed_segments(self) -> None:
        """Show nothing any more of segments that do not exist any more."""
        for segment in self.preview.segments if self.preview else ():
            if not self._editing.has_segment(segment):
                self.forget(segment)

    def propagate(self, segments: list[str], slices: tuple[int, int]) -> None:
        self._before, self.progress = Before(self.preview.pending), None
        self._interaction.propagate(self.prompts, segments, slices)

    def propose(self, index: int, take: Callable[[np.ndarray], None]) -> None:
        """Have the chosen network look at a slice without prompts; `take` is given the mask that it finds."""
        stack, chosen = self.stack, self._editing.settings

        def find(cancelled: Cancelled) -> Iterator[np.ndarray]:
            from ..slicewise import proposed_keyframe

            yield proposed_keyframe(index, stack, _proposer(chosen.proposer, chosen.device)).mask.mask

        self._proposal = Proposal(take, shared_worker().submit(find))

    def stop(self, keep: bool) -> None:
        """Stop what is running; what a run has found stays if `keep`, else everything is as before it."""
        if not self._interaction:
            return
        self._interaction.cancel()
        if keep or self._before is None:
            return
        before, self._before, self.progress = self._before, None, None
        self._waiting.clear()
        self._begin_session()  # the old one believes that everything is done
        for key, mask in before.masks.items():
            if self._editing.has_segment(key[0]):
                self._write(key, mask, "")
        self.preview.flush()
        for segment in set(self.preview.pending) - set(before.pending):
            self.preview.settle(segment)
        self._editing.tell(_("Stopped; everything is as before."), False)

    def found(self, segment: str, index: int) -> np.ndarray | None:
        """What passes have found of a segment on a slice, bool ``(rows, columns)``; None where that is nothing."""
        if self._sources.get((segment, index)) not in PROPAGATED:
            return None
        mask = self.preview.slice(segment, index)
        return mask if mask is not None and mask.any() else None

    def forget(self, segment: str) -> None:
        if self.preview:
            self.preview.drop(segment)
        self._sources = {key: source for key, source in self._sources.items() if key[0] != segment}
        self.review.pop(segment, None)

    def follow_time(self) -> bool:
        """Show what belongs to the time that is shown; whether that has changed since this was last asked."""
        times = self.canvas.times if self.canvas else None
        if times is None or times.item == self._shown_item:
            return False
        self._shown_item = times.item
        self.preview.follow()
        return True

    # ------------------------------------------------------------------ answers

    def poll(self) -> bool:
        """Show what the worker has found since; False if nothing has changed."""
        if self.preview:
            self.preview.follow_transform()
        if self._interaction:
            self._waiting += self._interaction.poll()
        if self._proposal and self._proposal.task.finished:
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

    def _take(self, news: Progress | Summary | Ended | Proposal | SliceMask) -> None:
        if isinstance(news, Progress):
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
        if not self._editing.has_segment(found.segment):
            return  # removed meanwhile
        key = found.segment, found.slice
        if self._before is not None and key not in self._before.masks:
            self._before.masks[key] = self.preview.slice(*key)
        self._write(key, found.mask, found.source)

    def _write(self, key: Key, mask: np.ndarray | None, source: str) -> None:
        self.preview.write(*key, mask)
        self._sources[key] = source

    def _conclude(self, summary: Summary) -> None:
        self.review |= summary.review
        for segment, index in list(self._sources):
            if segment in summary.slices and index not in summary.slices[segment]:
                self._write((segment, index), None, "")
        chosen = self._editing.segment
        ends = [
            _("Ends at slice {slice}: {reason}.").format(slice=report.reached, reason=report.reason)
            for report in summary.passes
            if report.segment == chosen
        ]
        told = [_("Done on {device}.").format(device=summary.device), *ends, *summary.warnings]
        told.append(_("Check the slices listed below, correct where needed, then Apply."))
        self._editing.tell("\n".join(told), bool(summary.warnings))

    def _end(self, ended: Ended) -> None:
        if ended.request == "propagate":
            self._before = None
            if ended.cancelled and ended.error is None:
                self._editing.tell(_("Stopped; what was found so far is kept. Propagate again to go on."), False)
        elif ended.error is None and not ended.cancelled:
            self._editing.tell(_("Preview of this slice. Correct it by more prompts, or press Propagate."), False)
        if ended.error is None:
            return
        if isinstance(ended.error, SAMSegmenterError):
            self._editing.tell(str(ended.error), True)
        else:
            logging.error("SAMSegmenter: %s failed", ended.request, exc_info=ended.error)
            text = _("{error}. The log has the details; no segment was changed.")
            self._editing.tell(text.format(error=f"{type(ended.error).__name__}: {ended.error}"), True)
        if not isinstance(ended.error, InputError):
            self._begin_session()  # nobody knows what state the old one is in


def _network(chosen: Settings) -> tuple[str, ...]:
    """The settings that a session depends on."""
    return chosen.model, chosen.keyframe_model, chosen.mode, chosen.device


@lru_cache(maxsize=2)
def _model(chosen: str, device: str) -> Any:
    """A model, once for every device that it is used on: sessions move its weights there."""
    from ..models.loading import load_model

    return load_model(chosen or None)


def _session(stack: FrameStack, chosen: Settings) -> Session:
    """A session on the worker's thread; torch is imported here, and nowhere before."""
    from ..propagation.options import MODES
    from ..session import Session

    return Session(stack, _model(chosen.model, chosen.device), MODES[chosen.mode](), chosen.device)


def _maker(stack: FrameStack, chosen: Settings) -> KeyframeMaker:
    """What makes keyframes with a slice model, on the worker's thread."""
    from ..slicewise import Embeddings, KeyframeMaker

    return KeyframeMaker(Embeddings(_slice_model(chosen.keyframe_model, chosen.device), stack))


@lru_cache(maxsize=1)
def _slice_model(chosen: str, device: str) -> Any:
    from ..models.loading import load_slice_model
    from ..propagation.device import pick_device

    return load_slice_model(chosen, device=pick_device(device).type)


@lru_cache(maxsize=1)
def _proposer(chosen: str, device: str) -> Any:
    from ..models.loading import load_proposer
    from ..propagation.device import pick_device

    return load_proposer(chosen, device=pick_device(device).type)
