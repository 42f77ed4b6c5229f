"""Turns a keyframe's prompts into a seed: a mask on its slice, and a memory of it for passes to start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..evidence.appearance import Appearance
from ..image.neighbours import ALONE, Beside
from ..image.view import View
from ..network.network import Decoded
from ..network.region import SMALLEST_PIXELS, Extent, region_around, square
from ..network.runner import Runner
from ..network.slice_result import SliceResult
from ..prompts.types import Keyframe
from .holes import filled
from .question import Question, question
from .search import best_answer, worth_searching
from .seed import Seed
from .sharpening import sharpened
from .sparing import seen, spared

DOUBTED = 0.15  # of the longer side of a mask that is corrected: how far around a click it is in doubt
SEARCH_STEP = 1.6  # ratio between the regions tried around lone points
MARGINS = 0.8, 1.0, 1.3  # of the region's, in which a box is searched
CPU_LARGEST = 512  # pixels of input; more takes seconds a slice
LEAST_OF_NATIVE, MOST_OF_NATIVE = 0.4, 1.5  # of the input size that the network was trained for


class Seeder:
    """Understands keyframes, with the networks and features of `runner`."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._stack, self._options = runner, runner.stack, runner.options

    def seed(self, keyframe: Keyframe, beside: Beside = ALONE) -> Seed:
        """Return the seed of a keyframe: its mask, as painted or as the network finds it, and a memory of it.

        Args:
            beside: what the object cannot have; a painted mask stays as it is.
        """
        view, decoded = self._painted(keyframe) if keyframe.mask else self._prompted(keyframe, question(keyframe, beside))
        features = self._runner.features(keyframe.slice, view)
        memory = self._runner.network(view.size).remember([features], decoded, prompted=True)[0]
        result = SliceResult.of(keyframe.slice, view, decoded, self._options.exact)
        mask = keyframe.mask.mask if keyframe.mask else result.mask(self._stack.shape)
        appearance = Appearance.of(mask & self._stack.measured(keyframe.slice), self._stack.frame(keyframe.slice))
        return Seed(result, mask, appearance, decoded, memory, beside)

    def candidates(self, keyframe: Keyframe, beside: Beside = ALONE) -> list[tuple[np.ndarray, float]]:
        """Return every mask that the network considers for a keyframe that has no painted mask, and its expected quality.

        Masks are bool ``(rows, columns)``. The first is the one that `seed` takes; the others are in no order. For evaluation.
        """
        asked, shape = question(keyframe, beside), self._stack.shape
        chosen = self.seed(keyframe, beside).result
        found = [(chosen.mask(shape), chosen.quality)]
        for view in self._views(asked):
            features, network = self._runner.features(keyframe.slice, view), self._runner.network(view.size)
            answers = self._runner.checked(network.candidates(features, [(view.to_input(asked.xy), asked.labels)]), [keyframe.slice])
            results = [SliceResult.of(keyframe.slice, view, answer, exact=True) for answer in spared(answers, asked.taken, view).split()]
            found += [(result.mask(shape), result.quality) for result in results]
        return found

    def _painted(self, keyframe: Keyframe) -> tuple[View, Decoded]:
        assert keyframe.mask is not None
        view = self._view(Extent.of_mask(keyframe.mask.mask))
        return view, self._taken_over(keyframe.slice, keyframe.mask.mask, view)

    def _taken_over(self, index: int, mask: np.ndarray, view: View) -> Decoded:
        """Return a mask ``(rows, columns)`` as if the network had given it."""
        features = self._runner.features(index, view)
        return self._runner.checked(self._runner.network(view.size).prompt_mask(features, seen(mask, view, view.size) >= 0.5), [index])

    def _prompted(self, keyframe: Keyframe, asked: Question) -> tuple[View, Decoded]:
        """Return the view and the network's answer in it, corrected where the network is known to be weak."""
        view, decoded = self._found(keyframe.slice, asked)
        if not self._options.refine:
            return view, decoded
        found = SliceResult.of(keyframe.slice, view, decoded, self._options.exact)
        mask = self._corrected_by_intensities(keyframe, asked, found)
        if not mask.any() or np.array_equal(mask, found.mask(self._stack.shape)):
            return view, decoded
        view = self._view(asked.extent or Extent.of_mask(mask))
        return view, replace(self._taken_over(keyframe.slice, mask, view), quality=decoded.quality)

    def _corrected_by_intensities(self, keyframe: Keyframe, asked: Question, found: SliceResult) -> np.ndarray:
        """Return the network's mask ``(rows, columns)`` as the image suggests it.

        The mask of a box is sharpened, so that its border lies where intensities change. That of a small network is filled.
        """
        mask = found.mask(self._stack.shape)
        if asked.is_box and keyframe.box:  # else there are clicks, which say more than intensities do
            mask = sharpened(found.logits(self._stack.shape), self._stack.grey(keyframe.slice), keyframe.box, asked.taken)
        if worth_searching(self._runner):
            mask = filled(mask, asked.xy[asked.labels == 0])
        return mask if asked.taken is None else mask & ~asked.taken

    def _found(self, index: int, asked: Question) -> tuple[View, Decoded]:
        """Return the view and the network's answer in it, of all views that may suit the prompts.

        Of several views, it is the one whose mask the network expects to be good, and whose size suits that mask.
        """
        if asked.prior is None and worth_searching(self._runner):
            return self._searched(index, asked)
        tried = [self._ask(index, asked, view) for view in self._views(asked)]
        return tried[0] if len(tried) == 1 else max(tried, key=lambda found: self._suitability(index, *found))

    def _searched(self, index: int, asked: Question) -> tuple[View, Decoded]:
        """Return the best of many answers, shown to the network once more to be improved, and the view that suits it."""
        view, decoded = best_answer(self._runner, index, asked, self._views(asked, MARGINS))
        mask = SliceResult.of(index, view, decoded, self._options.exact).mask(self._stack.shape)
        if not mask.any():
            return view, decoded
        suitable = self._view(asked.extent or Extent.of_mask(mask))
        improved = self._ask(index, replace(asked, prior=mask), suitable)
        return improved if (improved[1].logits > 0).any() else (view, decoded)

    def _ask(self, index: int, asked: Question, view: View) -> tuple[View, Decoded]:
        features = self._runner.features(index, view)
        clicks = view.to_input(asked.xy[asked.labels < 2])
        prior = None if asked.prior is None else _doubted(seen(asked.prior, view, view.size) >= 0.5, clicks)
        decoded = self._runner.network(view.size).prompt(features, view.to_input(asked.xy), asked.labels, prior)
        return view, spared(self._runner.checked(decoded, [index]), asked.taken, view)

    def _views(self, asked: Question, margins: Sequence[float] = (1.0,)) -> list[View]:
        """Return the views to ask in: around the object if the prompts tell its extent, else of all sizes around the points."""
        if not self._options.region:
            return [self._view(None)]
        if asked.extent:
            return [self._view(asked.extent, wider) for wider in margins]
        x, y = asked.xy.mean(0)
        largest = max(np.array(self._stack.shape[::-1]) * self._stack.spacing_mm)
        sides = [max(SMALLEST_PIXELS * min(self._stack.spacing_mm), 1.5 * Extent.of_points(asked.xy).side_mm(self._stack))]
        while sides[-1] < largest:
            sides.append(sides[-1] * SEARCH_STEP)
        return [square(x, y, min(side, largest), self._stack, self._size(side)) for side in sides]

    def _suitability(self, index: int, view: View, decoded: Decoded) -> float:
        result = SliceResult.of(index, view, decoded, exact=False)
        extent = Extent.of_mask(result.mask(self._stack.shape))
        if extent is None:
            return -np.inf
        ratio = view.width * self._stack.spacing_mm[0] / extent.side_mm(self._stack)
        return result.quality - abs(np.log(ratio / self._options.margin))

    def _view(self, extent: Extent | None, wider: float = 1.0) -> View:
        if not self._options.region or extent is None:
            return self._stack.whole(self._options.size or self._runner.model.native_size, self._options.upstream_points)
        margin = self._options.margin * wider
        return region_around(extent, self._stack, self._size(extent.side_mm(self._stack) * margin), margin)

    def _size(self, side_mm: float) -> int:
        """Return the smallest input size that shows a region without losing pixels, within what the network was trained for.

        Smaller inputs cost less; larger ones than needed made small organs worse.
        """
        if self._options.size:
            return self._options.size
        model = self._runner.model
        least, most = LEAST_OF_NATIVE * model.native_size, MOST_OF_NATIVE * model.native_size
        if self._runner.device.type == "cpu":
            most = min(most, CPU_LARGEST)
        suitable = [size for size in model.sizes if least <= size <= most]
        pixels = side_mm / min(self._stack.spacing_mm)
        return next((size for size in suitable if size >= pixels), max(suitable, default=min(model.sizes)))


def _doubted(prior: Tensor, clicks: np.ndarray) -> Tensor:
    """Return a mask ``(size, size)`` that clicks ``(n, 2)`` correct: 1 inside, -1 outside, and near 0 around the clicks.

    A network that is told a mask as certain overrules the clicks; see "Doubt around corrections" in docs/figures.md.
    """
    inside = torch.nonzero(prior)
    reach = DOUBTED * float((inside.amax(0) - inside.amin(0)).max() + 1) if len(inside) else 1.0
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in prior.shape), indexing="ij")
    certainty = torch.ones(prior.shape)
    for click_x, click_y in clicks.tolist():
        certainty *= 1 - torch.exp(-((x - click_x) ** 2 + (y - click_y) ** 2) / (2 * reach**2))
    return (prior.float() * 2 - 1) * certainty
