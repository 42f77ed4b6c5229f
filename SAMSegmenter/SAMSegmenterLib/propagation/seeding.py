"""From a keyframe's prompts to a mask on its slice, and a memory of it for passes to start from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..frames import View
from ..prompts import Box, Keyframe, Line
from .network import Decoded
from .quality import Appearance
from .region import SMALLEST_PIXELS, Extent, region_around, square
from .results import SliceResult
from .runner import Runner
from .sharpening import sharpened
from .track import Seed

SCRIBBLE_POINTS = 5
SHORT_AXIS = 0.75  # of the long one, for a lesion measured by its diameter
DOUBTED = 0.15  # of the longer side of a mask that is corrected: how far around a click it is in doubt
SEARCH_STEP = 1.6  # ratio between the regions tried around lone points
CPU_LARGEST = 512  # pixels of input; more takes seconds a slice
LEAST_OF_NATIVE, MOST_OF_NATIVE = 0.4, 1.5  # of the input size that the network was trained for


@dataclass(frozen=True, eq=False)
class Question:
    """Prompts as the network takes them.

    Attributes:
        xy: ``(n, 2)`` slice pixels.
        labels: ``(n,)`` 1 inside, 0 outside, 2 and 3 the corners of a box, which come first.
        prior: bool ``(rows, columns)``, the mask that the prompts correct, if there is one.
    """

    xy: np.ndarray
    labels: np.ndarray
    prior: np.ndarray | None = None

    @property
    def extent(self) -> Extent | None:
        """How far the object reaches, as far as the prompts tell: a box does, a mask to be corrected too, a lone point does not."""
        if self.prior is not None:
            inside = self.xy[self.labels != 0]
            return Extent.of_points(np.concatenate([np.argwhere(self.prior)[:, ::-1], inside]))
        corners = self.xy[(self.labels == 2) | (self.labels == 3)]
        return Extent.of_points(corners) if len(corners) else None


def question(keyframe: Keyframe) -> Question:
    """What to ask for a keyframe without a mask."""
    box = keyframe.box or (ellipse_box(keyframe.line) if keyframe.line else None)
    places = [(p.x, p.y, int(p.positive)) for p in keyframe.points]
    if keyframe.line:
        places.append(((keyframe.line.x0 + keyframe.line.x1) / 2, (keyframe.line.y0 + keyframe.line.y1) / 2, 1))
    for scribble in keyframe.scribbles:
        places += [(x, y, int(scribble.positive)) for x, y in along(scribble.path, SCRIBBLE_POINTS)]
    corners = [(box.x0, box.y0, 2), (box.x1, box.y1, 3)] if box else []
    table = np.array(corners + places, float)
    prior = keyframe.prior.mask if keyframe.prior and keyframe.prior.mask.any() else None
    return Question(table[:, :2], table[:, 2].astype(np.int32), prior)


def is_box_alone(keyframe: Keyframe) -> bool:
    """Whether a box is all that is known; clicks beside it say more than intensities do."""
    others = keyframe.points or keyframe.scribbles or keyframe.line or keyframe.mask or keyframe.prior
    return keyframe.box is not None and not others


def ellipse_box(line: Line) -> Box:
    """The bounding box of the ellipse whose long axis is `line`."""
    long, short = line.length / 2, SHORT_AXIS * line.length / 2
    along_x, along_y = (line.x1 - line.x0) / line.length, (line.y1 - line.y0) / line.length
    half_width, half_height = np.hypot(long * along_x, short * along_y), np.hypot(long * along_y, short * along_x)
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return Box(x - half_width, y - half_height, x + half_width, y + half_height)


def along(path: tuple[tuple[float, float], ...], count: int) -> np.ndarray:
    """At most `count` positions ``(n, 2)`` at equal distances along a path, away from its ends."""
    xy = np.array(path, float)
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    if lengths[-1] == 0:
        return xy[:1]
    count = min(count, max(1, round(lengths[-1])))
    places = (np.arange(count) + 0.5) / count * lengths[-1]
    return np.stack([np.interp(places, lengths, xy[:, n]) for n in range(2)], 1)


class Seeder:
    """Understands keyframes, with the networks and features of `runner`."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._stack, self._options = runner, runner.stack, runner.options

    def seed(self, keyframe: Keyframe) -> Seed:
        """A mask on the keyframe's slice, as painted or as the network finds it, and a memory of it."""
        view, decoded = self._painted(keyframe) if keyframe.mask else self._prompted(keyframe)
        if self._options.refine and is_box_alone(keyframe):
            decoded = self._sharpened(keyframe, view, decoded)
        features = self._runner.features(keyframe.slice, view)
        memory = self._runner.network(view.size).remember([features], decoded, prompted=True)[0]
        result = SliceResult.of(keyframe.slice, view, decoded, self._options.exact)
        mask = keyframe.mask.mask if keyframe.mask else result.mask(self._stack.shape)
        return Seed(result, mask, Appearance.of(mask, self._stack.frame(keyframe.slice)), decoded, memory)

    def _sharpened(self, keyframe: Keyframe, view: View, decoded: Decoded) -> Decoded:
        """What was found in a box, its border where the intensities change; as it is if nothing of it would be left."""
        found = SliceResult.of(keyframe.slice, view, decoded, self._options.exact)
        values = self._stack.intensities(keyframe.slice)
        grey = values.mean(-1) if values.ndim == 3 else values
        mask = sharpened(found.logits(self._stack.shape), grey, keyframe.box)
        if not mask.any():
            return decoded
        features = self._runner.features(keyframe.slice, view)
        painted = self._runner.network(view.size).prompt_mask(features, _seen(mask, view))
        return replace(painted, quality=decoded.quality)

    def candidates(self, keyframe: Keyframe) -> list[tuple[np.ndarray, float]]:
        """Every mask, bool ``(rows, columns)``, that the network considers for a keyframe without one, and its expected quality.

        The first is the one that `seed` takes; the others are in no order. For evaluation.
        """
        asked, shape = question(keyframe), self._stack.shape
        taken = self.seed(keyframe).result
        found = [(taken.mask(shape), taken.quality)]
        for view in self._views(asked):
            features = self._runner.features(keyframe.slice, view)
            logits, quality = self._runner.network(view.size).candidates(features, view.to_input(asked.xy), asked.labels)
            for each, expected in zip(logits.cpu().numpy(), quality.tolist(), strict=True):
                found.append((SliceResult(keyframe.slice, view, each, 0.0, expected).mask(shape), expected))
        return found

    def _painted(self, keyframe: Keyframe) -> tuple[View, Decoded]:
        view = self._view(Extent.of_mask(keyframe.mask.mask))
        features = self._runner.features(keyframe.slice, view)
        return view, self._runner.network(view.size).prompt_mask(features, _seen(keyframe.mask.mask, view))

    def _prompted(self, keyframe: Keyframe) -> tuple[View, Decoded]:
        """Of all views that the prompts may be looked at through, the best one, and what the network finds in it.

        Of several, that is the one whose mask the network expects to be good, and which is of the right size for that mask.
        """
        asked = question(keyframe)
        tried = [self._ask(keyframe.slice, asked, view) for view in self._views(asked)]
        return tried[0] if len(tried) == 1 else max(tried, key=lambda found: self._suitability(keyframe.slice, *found))

    def _ask(self, index: int, asked: Question, view: View) -> tuple[View, Decoded]:
        features = self._runner.features(index, view)
        prior = None if asked.prior is None else _doubted(_seen(asked.prior, view), view.to_input(asked.xy[asked.labels < 2]))
        return view, self._runner.network(view.size).prompt(features, view.to_input(asked.xy), asked.labels, prior)

    def _views(self, asked: Question) -> list[View]:
        """Where to look: one view if the prompts tell how large the object is; points alone do not, so all sizes around them."""
        if asked.extent or not self._options.region:
            return [self._view(asked.extent)]
        x, y = asked.xy.mean(0)
        sides_mm = np.array(self._stack.shape[::-1]) * self._stack.spacing_mm
        side = max(SMALLEST_PIXELS * min(self._stack.spacing_mm), 1.5 * Extent.of_points(asked.xy).side_mm(self._stack))
        views = []
        while side < max(sides_mm) * SEARCH_STEP:
            views.append(square(x, y, min(side, max(sides_mm)), self._stack, self._size(side)))
            side *= SEARCH_STEP
        return views

    def _suitability(self, index: int, view: View, decoded: Decoded) -> float:
        result = SliceResult.of(index, view, decoded, exact=False)
        extent = Extent.of_mask(result.mask(self._stack.shape))
        if extent is None:
            return -np.inf
        ratio = view.width * self._stack.spacing_mm[0] / extent.side_mm(self._stack)
        return result.quality - abs(np.log(ratio / self._options.margin))

    def _view(self, extent: Extent | None) -> View:
        if not self._options.region or extent is None:
            return self._stack.whole(self._options.size or self._runner.model.native_size, self._options.upstream_points)
        margin = self._options.margin
        return region_around(extent, self._stack, self._size(extent.side_mm(self._stack) * margin), margin)

    def _size(self, side_mm: float) -> int:
        """The smallest input that shows a region without losing pixels, within what the network was trained for.

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
    """A mask ``(size, size)`` that clicks ``(n, 2)`` correct: 1 inside, -1 outside, and towards 0 around the clicks.

    A network that is told a mask for certain overrules the click: it obeyed .39 of them, and .88 with the doubt.
    """
    inside = torch.nonzero(prior)
    reach = DOUBTED * float((inside.amax(0) - inside.amin(0)).max() + 1) if len(inside) else 1.0
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in prior.shape), indexing="ij")
    certainty = torch.ones(prior.shape)
    for click_x, click_y in clicks.tolist():
        certainty *= 1 - torch.exp(-((x - click_x) ** 2 + (y - click_y) ** 2) / (2 * reach**2))
    return (prior.float() * 2 - 1) * certainty


def _seen(mask: np.ndarray, view: View) -> Tensor:
    """A mask ``(rows, columns)`` of a slice as `view` shows it: bool ``(size, size)``."""
    cut = torch.from_numpy(view.crop(mask).astype(np.float32))[None, None]
    if cut.shape[-2:] != (view.size, view.size):
        cut = F.interpolate(cut, size=(view.size, view.size), mode="bilinear", align_corners=False, antialias=True)
    return cut[0, 0] >= 0.5
