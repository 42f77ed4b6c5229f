"""What the effect does, without its panel: marks to previews, previews to segments.

Everything here runs on the main thread and returns at once; torch runs on the worker behind `interaction.Interaction`.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import InputError, SAMSegmenterError
from ..frames import FrameStack
from ..interaction import Ended, Interaction, Progress, Summary
from ..marking import mask_mark, prompt_set, slices_of
from ..marks import MASKS, Mark, Marks, dumps, loads
from ..mrml import ViewGeometry, mask_like, mask_of, transform_to_world, transformed, world_to_local
from ..prompts import PromptSet
from ..worker import shared_worker
from . import settings
from .canvas import Canvas, make_canvas, origin_of, plane_for, source_image
from .preview import Preview
from .writing import Written, write_segment

if TYPE_CHECKING:
    from ..composition import SliceMask
    from ..session import Session

POLL_SECONDS = 0.015  # for showing what the worker has found; the rest waits, so that the window never does


class Controller:
    """The state of one effect in one editor.

    Args:
        effect: the scripted effect, through which everything of the editor is reached.
        tell: shows a message to the user; its second argument says whether it is about something that went wrong.
    """

    def __init__(self, effect: Any, tell: Callable[[str, bool], None]) -> None:
        self._effect, self._tell = effect, tell
        self._marks: dict[str, Marks] = {}
        self._saved = ""
        self._canvas: Canvas | None = None
        self._interaction: Interaction | None = None
        self._preview: Preview | None = None
        self._sources: dict[tuple[str, int], str] = {}
        self._before: dict[tuple[str, int], np.ndarray | None] | None = None
        self._contributed: dict[str, np.ndarray] = {}
        self._waiting: deque = deque()
        self._jumped: int | None = None
        self.progress: Progress | None = None
        self.review: dict[str, list[tuple[int, float]]] = {}

    # ------------------------------------------------------------------ what is being worked on

    @property
    def settings(self) -> settings.Settings:
        return settings.read(self._effect)

    @property
    def segmentation_node(self) -> slicer.vtkMRMLSegmentationNode | None:
        node = self._effect.parameterSetNode()
        return node.GetSegmentationNode() if node else None

    @property
    def segment(self) -> str:
        """ID of the selected segment; empty if none is."""
        node = self._effect.parameterSetNode()
        segment = (node.GetSelectedSegmentID() or "") if node else ""
        return segment if self.segmentation_node and self.segmentation_node.GetSegmentation().GetSegment(segment) else ""

    @property
    def marks(self) -> Marks:
        """The marks of the segmentation that is being edited."""
        self._load()
        node = self.segmentation_node
        return self._marks.setdefault(node.GetID(), Marks()) if node else Marks()

    @property
    def stack(self) -> FrameStack | None:
        """The slices in use; None before the first mark."""
        return self._canvas.stack if self._canvas else None

    @property
    def busy(self) -> str:
        """What is running: "propagate", "preview" or ""; results that are not shown yet count."""
        running = self._interaction.busy if self._interaction else ""
        return running or ("propagate" if self._waiting else "")

    @property
    def has_preview(self) -> bool:
        """Whether there is something to apply."""
        return bool(self._preview and self._preview.segments and self._preview.visible)

    def reach_mm(self) -> float:
        """How far from a view's plane a mark still belongs to it."""
        return 0.5 * self.stack.slice_spacing_mm if self.stack else 0.5

    def empty_state(self) -> str:
        """What the user has to do before marking can begin; empty if nothing."""
        node = self._effect.parameterSetNode()
        if not node or not node.GetSourceVolumeNode():
            return _("Load a volume and choose it as source volume above.")
        if not self.segmentation_node or self.segmentation_node.GetSegmentation().GetNumberOfSegments() == 0:
            return _("Add a segment above, then mark it in a slice view.")
        if not self.segment:
            return _("Select the segment that you want to mark.")
        return ""

    # ------------------------------------------------------------------ marks

    def add(self, mark: Mark, view: ViewGeometry) -> None:
        """Place a mark that was drawn in `view`, and preview its slice.

        Raises:
            InputError: it cannot be used; nothing is changed.
        """
        stack = self._begin(view, mark)
        added = (*self.marks.all, mark)
        prompt_set(added, stack)
        index = self._slice_in_view(mark, view)
        self._set_marks((*self.marks.all, *self._prior(mark, index), mark))
        self._ask_preview(mark.segment, index)

    def exchange(self, old: Mark, new: Mark, view: ViewGeometry) -> None:
        """Have a mark that was moved in `view` where it is now.

        Raises:
            InputError: it cannot be used there; it stays where it was.
        """
        stack = self._begin(view, new)
        changed = tuple(new if mark is old else mark for mark in self.marks.all)
        prompt_set(changed, stack)
        left = set(slices_of(old, stack))
        self._set_marks(changed)
        self._refresh(old.segment, left | set(slices_of(new, stack)), view)

    def remove(self, *marks: Mark) -> None:
        """Remove marks, and what was found by them alone on their slices."""
        kept = tuple(mark for mark in self.marks.all if not any(mark is each for each in marks))
        changed = self._slices_by_segment(marks)
        self._set_marks(kept)
        for segment, slices in changed.items():
            self._refresh(segment, slices)

    def remove_keyframe(self, index: int) -> None:
        """Remove all marks of the selected segment on a slice."""
        if self.stack:
            self.remove(*(mark for mark in self.marks.of(self.segment) if index in slices_of(mark, self.stack)))

    def clear(self) -> None:
        """Remove all marks of the selected segment, and its preview."""
        segment = self.segment
        self._set_marks(mark for mark in self.marks.all if mark.segment != segment)
        self._forget(segment)

    def undo(self, again: bool = False) -> None:
        """Take back the last change of marks, or make it `again`."""
        before = self.marks.all
        if not (self.marks.redo() if again else self.marks.undo()):
            self._tell(_("There is no change of prompts to redo.") if again else _("There is no change of prompts to undo."), False)
            return
        self._save()
        changed = {id(mark): mark for mark in before} | {id(mark): mark for mark in self.marks.all}
        kept = {id(mark) for mark in before} & {id(mark) for mark in self.marks.all}
        self._begin(None, None)
        for segment, slices in self._slices_by_segment(mark for key, mark in changed.items() if key not in kept).items():
            self._refresh(segment, slices)

    def use_slice(self, view: ViewGeometry) -> None:
        """Take the selected segment on the slice that `view` shows, as it is painted there, as its keyframe.

        Raises:
            InputError: nothing is painted there.
        """
        segment = self.marked_segment()
        stack = self._begin(view, None)
        index = view.slice_of(stack)
        stack.check_slice(index)
        labelmap = self._effect.selectedSegmentLabelmap()
        mask = stack.place(mask_of(labelmap, self._canvas.image), index)
        if not mask.any():
            raise InputError(_("The selected segment is empty on this slice. Paint it here first, or go to a slice where it is painted."))
        kept = [mark for mark in self.marks.all if mark.segment != segment or mark.kind not in MASKS or slices_of(mark, stack) != [index]]
        self._set_marks((*kept, mask_mark(segment, stack, index, mask)))
        self._ask_preview(segment, index)

    def use_line(self, node: slicer.vtkMRMLMarkupsLineNode | None) -> None:
        """Take a line that was measured with Markups as the selected segment's diameter.

        Raises:
            InputError: there is no such line, or it does not lie in one slice.
        """
        segment = self.marked_segment()
        if node is None or node.GetNumberOfControlPoints() < 2:
            raise InputError(_("Choose a line with two ends."))
        ends = np.zeros((2, 3))
        for number in range(2):
            node.GetNthControlPointPositionWorld(number, ends[number])
        mark = Mark(segment, "line", world_to_local(ends, self.segmentation_node))
        stack = self._begin(None, mark)
        prompt_set((*self.marks.all, mark), stack)
        self._set_marks((*self.marks.all, mark))
        self._ask_preview(segment, slices_of(mark, stack)[0])

    def keyframes(self) -> list[tuple[int, str]]:
        """Slices on which the selected segment is marked, and how, in words."""
        if not self.stack:
            return []
        counts: dict[int, dict[str, int]] = {}
        for mark in self.marks.of(self.segment):
            if mark.kind != "prior":
                for index in slices_of(mark, self.stack):
                    of_slice = counts.setdefault(index, {})
                    of_slice[mark.kind] = of_slice.get(mark.kind, 0) + 1
        return [(index, ", ".join(f"{count} x {kind}" for kind, count in counts[index].items())) for index in sorted(counts)]

    # ------------------------------------------------------------------ going to slices

    def jump(self, index: int) -> None:
        """Have all slice views show the selected segment's middle on a slice."""
        stack = self.stack
        if stack is None:
            return
        shown = self._preview.slice(self.segment, index)
        if shown is not None and shown.any():
            rows, columns = np.nonzero(shown)
            place = columns.mean(), rows.mean()
        else:
            place = (stack.shape[1] - 1) / 2, (stack.shape[0] - 1) / 2
        local = stack.to_ras(index, np.array([place]))
        world = transformed(local, transform_to_world(self.segmentation_node))[0]
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *world, slicer.vtkMRMLSliceNode.OffsetJumpSlice)
        self._jumped = index

    def jump_to_check(self, step: int) -> None:
        """Go to the next or, with -1, the previous slice of those to check."""
        slices = [index for index, _trust in self.review.get(self.segment, [])]
        if not slices:
            raise InputError(_("There are no slices to check yet. Propagate first."))
        at = slices.index(self._jumped) + step if self._jumped in slices else 0 if step > 0 else -1
        self.jump(slices[at % len(slices)])

    # ------------------------------------------------------------------ propagation

    def propagate(self) -> None:
        """Carry the marks on to the slices that the settings name.

        Raises:
            InputError: nothing is marked, or the range holds no keyframe.
        """
        self._begin(None, None)
        chosen, prompts = self.settings, self._prompts()
        segments = [each.name for each in prompts.segments] if chosen.all_segments else [self.marked_segment()]
        marked = [keyframe.slice for each in prompts.segments if each.name in segments for keyframe in each.keyframes]
        if not marked:
            raise InputError(_("Mark the segment on a slice first: with a point inside it or a box around it."))
        self._before = {}
        self.progress = None
        self._interaction.propagate(prompts, segments, slice_range(chosen, marked, len(self.stack), self._roi_slices))
        self._tell(_("Propagating..."), False)

    def stop(self, keep: bool) -> None:
        """Stop a run; what it has found stays if `keep`, else everything is as before."""
        if not self._interaction:
            return
        self._interaction.cancel()
        if not keep and self._before is not None:
            restored, self._before = self._before, None
            self._waiting.clear()
            self._open_interaction()  # the session would believe that everything is done
            for (segment, index), mask in restored.items():
                self._write(segment, index, mask, "")
            self._preview.flush()
            self.progress = None
            self._tell(_("Stopped; everything is as before."), False)

    def poll(self) -> bool:
        """Show what the worker has found since; False if nothing has changed."""
        if self._interaction:
            self._waiting += self._interaction.poll()
        if not self._waiting:
            return False
        if self._stale():
            self.leave()
            self._tell(_("The volume or the segmentation has changed; what was running was stopped."), True)
            return True
        end = time.perf_counter() + POLL_SECONDS
        while self._waiting and time.perf_counter() < end:
            self._take(self._waiting.popleft())
        self._preview.flush(outlines=not self.busy)
        return True

    # ------------------------------------------------------------------ apply

    def apply(self) -> None:
        """Make the preview part of the segments: one step of the editor's undo.

        What an earlier `apply` had added and the preview no longer holds is taken out again; whatever else the segment has stays.
        """
        if not self.has_preview or self._stale():
            raise InputError(_("There is no preview to apply. Mark a segment, then propagate."))
        self._effect.saveStateForUndo()
        told = []
        for segment in self._preview.segments:
            target = self._effect.defaultModifierLabelmap()
            mask = mask_like(self._preview.mask(segment), self.stack.volume.ijk_to_ras, target)
            written = write_segment(self._effect, segment, mask, self._contributed.get(segment))
            self._contributed[segment] = written.contributed
            told.append(self._report(segment, written))
        self._preview.show(False)
        self._tell("\n".join(told), any("\N{WARNING SIGN}" in line for line in told))

    def _report(self, segment: str, written: Written) -> str:
        name = self.segmentation_node.GetSegmentation().GetSegment(segment).GetName()
        text = _("{name}: {added} voxels added, {removed} removed.").format(name=name, added=written.added, removed=written.removed)
        if written.rejected:
            text += " \N{WARNING SIGN} " + _(
                "{count} voxels were not written: they lie outside the editable area or intensity range, or in a segment that may not "
                "be overwritten (see Masking)."
            ).format(count=written.rejected)
        return text

    # ------------------------------------------------------------------ coming and going

    def leave(self) -> None:
        """Stop everything and take the preview out of the scene; marks stay."""
        if self._interaction:
            self._interaction.cancel()
        if self._preview:
            self._preview.remove()
        self._canvas = self._interaction = self._preview = self._before = self.progress = None
        self._sources, self.review, self._contributed = {}, {}, {}
        self._waiting.clear()

    def check(self) -> None:
        """Drop what was found if the source it was found in has changed."""
        if self._canvas and self._stale():
            self.leave()

    def begin_again(self) -> None:
        """Take up the marks that are there, as when the effect is activated or a scene was loaded, and have the network ready."""
        chosen = self.settings
        shared_worker().submit(lambda cancelled: iter([_model(chosen.model, chosen.device)]))
        if self.marks.all and not self.empty_state():
            self._begin(None, None)

    def show(self, visible: bool) -> None:
        if self._preview:
            self._preview.show(visible)

    # ------------------------------------------------------------------ inside

    def _begin(self, view: ViewGeometry | None, mark: Mark | None) -> FrameStack:
        """The stack that marks are used on; made anew if the source has changed."""
        chosen = self.settings
        image, plane = source_image(self._effect), self.marks.plane
        if plane is None or (chosen.axis != "auto" and plane != chosen.axis):
            plane = plane_for(view, image, chosen)
        if not self._canvas or self._canvas.plane != plane or self._stale():
            self.leave()
            pointing = self.marks.all or ((mark,) if mark else ())
            self._canvas = make_canvas(self._effect, chosen, plane, pointing)
            self._preview = Preview(self.segmentation_node, self._canvas.stack)
            self._open_interaction()
        self.marks.plane = plane
        return self._canvas.stack

    def _open_interaction(self) -> None:
        chosen = self.settings
        self._interaction = Interaction(self.stack, lambda stack: _session(stack, chosen), shared_worker())
        self._used = chosen.model, chosen.mode, chosen.device

    def _stale(self) -> bool:
        """Whether the source, its place or the settings have changed since the canvas was made."""
        chosen = self.settings
        if not self._canvas or not self.segmentation_node or self._used != (chosen.model, chosen.mode, chosen.device):
            return True
        try:
            return origin_of(self._effect, chosen) != self._canvas.origin
        except InputError:
            return True

    def marked_segment(self) -> str:
        """ID of the segment that marks belong to.

        Raises:
            InputError: there is none; says what to do.
        """
        if self.empty_state():
            raise InputError(self.empty_state())
        return self.segment

    def _prompts(self) -> PromptSet:
        return prompt_set(self.marks.all, self.stack)

    def _set_marks(self, marks: Any) -> None:
        self.marks.replace_all(marks, self.marks.plane)
        self._save()

    def _save(self) -> None:
        self._saved = dumps(self._marks)
        self._effect.setParameter(settings.PROMPTS, self._saved)

    def _load(self) -> None:
        """Read the marks again if they were changed from outside: by another editor, or by loading a scene."""
        text = self._effect.parameter(settings.PROMPTS) if self._effect.parameterDefined(settings.PROMPTS) else ""
        if text == self._saved:
            return
        self._saved = text
        try:
            self._marks = loads(text)
        except InputError as error:
            self._marks = {}
            self._tell(str(error), True)

    def _slice_in_view(self, mark: Mark, view: ViewGeometry) -> int:
        slices = slices_of(mark, self.stack)
        shown = view.slice_of(self.stack)
        return shown if shown in slices else slices[0]

    def _slices_by_segment(self, marks: Any) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for mark in marks:
            if self.stack:
                found.setdefault(mark.segment, set()).update(slices_of(mark, self.stack))
        return found

    def _prior(self, mark: Mark, index: int) -> list[Mark]:
        """What was found on a slice, as a mark, if `mark` is the first one there and so corrects it."""
        found = self._preview.slice(mark.segment, index)
        propagated = self._sources.get((mark.segment, index)) in ("forward", "backward", "both")
        whole = mark.kind in ("box", "lasso", "line") and mark.positive  # these say where the segment is, whatever was found
        if not propagated or whole or found is None or not found.any() or slices_of(mark, self.stack) != [index]:
            return []
        return [mask_mark(mark.segment, self.stack, index, found, "prior")]

    def _refresh(self, segment: str, slices: set[int], view: ViewGeometry | None = None) -> None:
        """Preview slices again whose marks have changed; where none are left, show what was found there before."""
        prompts = self._prompts()
        marked = next((each for each in prompts.segments if each.name == segment), None)
        for index in sorted(slices):
            if marked is None or marked.keyframe(index) is None:
                self._write(segment, index, None, "")
        still = [index for index in sorted(slices) if marked and marked.keyframe(index)]
        if still:
            shown = view.slice_of(self.stack) if view else still[0]
            self._ask_preview(segment, shown if shown in still else still[0])
        if self._preview:
            self._preview.flush()

    def _ask_preview(self, segment: str, index: int) -> None:
        if self.settings.live_preview:
            self._interaction.preview(segment, index, self._prompts())

    def _forget(self, segment: str) -> None:
        if self._preview:
            self._preview.drop(segment)
        self._sources = {key: source for key, source in self._sources.items() if key[0] != segment}
        self.review.pop(segment, None)
        self._contributed.pop(segment, None)

    def _take(self, news: Any) -> None:
        if isinstance(news, Progress):
            self.progress = news
        elif isinstance(news, Summary):
            self._conclude(news)
        elif isinstance(news, Ended):
            self._ended(news)
        else:
            self._found(news)

    def _found(self, found: SliceMask) -> None:
        if not self.segmentation_node.GetSegmentation().GetSegment(found.segment):
            return  # removed meanwhile
        key = found.segment, found.slice
        if self._before is not None and key not in self._before:
            self._before[key] = self._preview.slice(*key)
        self._write(*key, found.mask, found.source)
        self._preview.show()

    def _write(self, segment: str, index: int, mask: np.ndarray | None, source: str) -> None:
        if self._preview:
            self._preview.write(segment, index, mask)
        self._sources[segment, index] = source

    def _conclude(self, summary: Summary) -> None:
        self.review = summary.review
        for segment, known in summary.slices.items():
            for index in [n for name, n in self._sources if name == segment and n not in known]:
                self._write(segment, index, None, "")
        ends = [
            _("slice {slice}: {reason}").format(slice=report.reached, reason=report.reason)
            for report in summary.passes
            if report.segment == self.segment
        ]
        told = [_("Done on {device}.").format(device=summary.device), *ends, *summary.warnings]
        self._tell("\n".join([*told, _("Check the slices listed below, correct where needed, then Apply.")]), bool(summary.warnings))

    def _ended(self, ended: Ended) -> None:
        if ended.request == "propagate":
            self._before = None
        if ended.error is None:
            if ended.cancelled and ended.request == "propagate":
                self._tell(_("Stopped; what was found so far is kept. Propagate again to go on."), False)
            return
        if isinstance(ended.error, SAMSegmenterError):
            self._tell(str(ended.error), True)
            if isinstance(ended.error, InputError):
                return  # the session is as it was
        else:
            logging.error("SAMSegmenter: %s failed", ended.request, exc_info=ended.error)
            self._tell(_("{error}. The log has the details; nothing was changed.").format(error=_described(ended.error)), True)
        self._open_interaction()

    def _roi_slices(self) -> tuple[int, int]:
        node = self._effect.parameterSetNode().GetNodeReference(f"{self._effect.name}.ROI")
        if node is None:
            raise InputError(_("Choose a region of interest, or another range."))
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        corners = np.array(np.meshgrid(bounds[:2], bounds[2:4], bounds[4:])).reshape(3, -1).T
        places, _xy = self.stack.from_ras(world_to_local(corners, self.segmentation_node))
        return int(np.ceil(places.min())), int(np.floor(places.max()))


def slice_range(
    chosen: settings.Settings, marked: list[int], count: int, roi: Callable[[], tuple[int, int]] = lambda: (0, 0)
) -> tuple[int, int]:
    """The first and last slice of a run from keyframes on the slices `marked`, of `count` slices.

    Raises:
        InputError: the range is empty.
    """
    ranges = {
        "volume": lambda: (0, count - 1),
        "slices": lambda: (chosen.first, chosen.last),
        "keyframes": lambda: (min(marked), max(marked)),
        "roi": roi,
    }
    first, last = ranges[chosen.range]()
    first, last = max(first, 0), min(last, count - 1)
    if chosen.direction == "forward":
        first = max(first, min(marked))
    elif chosen.direction == "backward":
        last = min(last, max(marked))
    if first > last:
        raise InputError(_("The range of slices is empty. Choose another one under Range."))
    return first, last


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@lru_cache(maxsize=2)
def _model(chosen: str, device: str) -> Any:
    """A model once for every device it is used on: sessions move its weights there."""
    from ..models.loading import load_model

    return load_model(chosen or None)


def _session(stack: FrameStack, chosen: settings.Settings) -> Session:
    """A session on the worker's thread; torch is imported here and nowhere before."""
    from ..propagation.options import MODES
    from ..session import Session

    return Session(stack, _model(chosen.model, chosen.device), MODES[chosen.mode](), chosen.device)
