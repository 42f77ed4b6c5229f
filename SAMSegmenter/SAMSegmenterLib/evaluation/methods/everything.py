"""Everything mode: finds masks of whatever is on a slice, from a grid of points, and propagates those chosen.

Upstream's mask generator shows the network the whole slice or fixed tiles of it. A network that was trained on regions around
objects finds little in these. So each point is asked as a user's click is, with regions of all sizes around it, and then once
more by the box of what it gave. None of them is searched (see `keyframes.search`): in the same time a denser grid finds more. With
`Options(region=False)` the whole slice is shown, and encoded once: quicker for large networks, which were trained on that.
See "Everything mode" in docs/figures.md for what was compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...image.stack import FrameStack
from ...models.interfaces import Model
from ...network.device import pick_device
from ...network.options import Options
from ...network.region import Extent
from ...prompts.types import Box, Keyframe, MaskPrompt, Point, PromptSet, Segment
from ...propagation.engine import Engine
from ...session.composition import SliceMask
from ...session.session import Session

SHIFT = 1.0  # of the logits, by which the mask is drawn tighter and wider to see how stable it is
SAME = 0.7  # intersection over union from which two masks are the same
LEAST_LEFT = 0.5  # of a candidate, after better ones took their share; below that it is not an object of its own


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mask that may be an object.

    Attributes:
        slice: the index of its slice.
        mask: bool ``(rows, columns)``.
        quality: intersection over union that the network expects of its mask, 0..1.
        stability: intersection over union of the mask drawn a little tighter and a little wider, 0..1.
    """

    slice: int
    mask: np.ndarray
    quality: float
    stability: float

    @property
    def worth(self) -> float:
        """Return what candidates are ordered by: quality times stability, 0..1."""
        return self.quality * self.stability


def masks_on_slice(
    model: Model,
    stack: FrameStack,
    index: int,
    device: str = "auto",
    options: Options | None = None,
    points_per_side: int = 16,
    least_quality: float = 0.5,
    least_stability: float = 0.5,
) -> list[Candidate]:
    """Return masks of whatever is on slice `index`, best first and no two the same; they may overlap or contain each other.

    Args:
        model: from `models.loading.load_model`.
        stack: the volume as slices, with its window.
        device: "auto", "cpu", "cuda" or "mps".
        options: see `network.options.Options`; `search` is off, whatever they say.
        points_per_side: of the grid over the slice.
        least_quality: candidates that the network expects less of are left out.
        least_stability: likewise.

    Raises:
        InputError: there is no such slice.
    """
    stack.check_slice(index)
    engine = Engine(model, stack, replace(options or Options(), search=False), pick_device(device))
    found = [each for x, y in _grid(stack.shape, points_per_side) for each in _asked(engine, index, x, y)]
    return _distinct(each for each in found if each.quality >= least_quality and each.stability >= least_stability)


def without_overlap(candidates: Sequence[Candidate], least_left: float = LEAST_LEFT) -> list[Candidate]:
    """Return candidates of one slice, best first, each pixel left to the best one that has it.

    Args:
        least_left: the part, 0..1, of a candidate that better ones must leave over for it to be kept.
    """
    kept: list[Candidate] = []
    for each in _ordered(candidates):
        free = each.mask & ~_union(kept, each.mask.shape)
        if free.any() and free.sum() >= least_left * each.mask.sum():
            kept.append(replace(each, mask=free))
    return kept


def with_candidates(prompts: PromptSet, candidates: Sequence[Candidate], name: str = "object") -> PromptSet:
    """Return `prompts` with a new segment for each candidate, painted on its slice.

    The names are "object 1", "object 2", ... as far as they are not taken.
    """
    taken = {segment.name for segment in prompts.segments}
    titles = [f"{name} {number}" for number in range(1, len(taken) + len(candidates) + 1)]
    free = [title for title in titles if title not in taken][: len(candidates)]
    painted = [Keyframe(each.slice, mask=MaskPrompt(each.mask)) for each in candidates]
    added = [Segment(title, (keyframe,)) for title, keyframe in zip(free, painted, strict=True)]
    return replace(prompts, segments=(*prompts.segments, *added))


def propagate_candidates(session: Session, candidates: Sequence[Candidate], name: str = "object") -> Iterator[SliceMask]:
    """Add the chosen candidates to a session as segments, as one step of undo; return an iterator that propagates them.

    Yields as `Session.propagate` does.

    Raises:
        InputError: a candidate does not fit the session's stack.
    """
    before = len(session.prompts.segments)
    session.change_prompts(with_candidates(session.prompts, candidates, name))
    return session.propagate([segment.name for segment in session.prompts.segments[before:]])


def _grid(shape: tuple[int, int], points_per_side: int) -> list[tuple[float, float]]:
    rows, columns = shape
    places = (np.arange(points_per_side) + 0.5) / points_per_side
    return [(float(x * columns - 0.5), float(y * rows - 0.5)) for y in places for x in places]


def _asked(engine: Engine, index: int, x: float, y: float) -> Iterator[Candidate]:
    """Yield what a click gives, and what the box around that gives."""
    clicked = _candidate(engine, Keyframe(index, points=(Point(x, y),)))
    if clicked:
        yield clicked
        extent = Extent.of_mask(clicked.mask)
        assert extent is not None  # a candidate is not empty
        boxed = _candidate(engine, Keyframe(index, box=Box(extent.left, extent.top, extent.right, extent.bottom)))
        if boxed:
            yield boxed


def _candidate(engine: Engine, keyframe: Keyframe) -> Candidate | None:
    """Return what the network finds for a keyframe; None if that is nothing."""
    result = engine.seed(keyframe).result
    logits = result.logits(engine.stack.shape)
    if not (logits > 0).any():
        return None
    return Candidate(keyframe.slice, logits > 0, result.quality, float((logits > SHIFT).sum() / (logits > -SHIFT).sum()))


def _distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates, best first, without those that are the same as a better one."""
    kept: list[Candidate] = []
    for each in _ordered(candidates):
        if all(_overlap(each.mask, other.mask) < SAME for other in kept):
            kept.append(each)
    return kept


def _ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda each: -each.worth)


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over union, 0..1, of two masks, at least one of which is not empty."""
    return float((one & other).sum() / (one | other).sum())


def _union(candidates: Sequence[Candidate], shape: tuple[int, int]) -> np.ndarray:
    return np.any([np.zeros(shape, bool), *(each.mask for each in candidates)], axis=0)
