"""Moves passes through the slices: features from the cache, one step of the network, a memory, the next view."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..evidence.appearance import Appearance
from ..image.neighbours import ALONE, Beside
from ..image.stack import FrameStack
from ..image.view import View
from ..keyframes.seed import Seed
from ..keyframes.seeder import Seeder
from ..models.interfaces import Model
from ..network.memory import Memory, MemoryBank, Recall
from ..network.network import Decoded
from ..network.options import Options
from ..network.pages import Shelf
from ..network.region import Extent, following
from ..network.runner import Runner
from ..network.slice_result import SliceResult
from ..prompts.types import Keyframe
from .corrector import Corrected, Corrector
from .track import Track
from .trust import examine

PREPARED = 0.8  # part of the cache that is filled in advance; the rest stays free for the slices the user looks at


class Engine:
    """Understands keyframes and runs passes, of any number of segments, over one stack.

    Args:
        model: from `models.loading.load_model`.
        stack: the slices.
        options: see `Options`.
        device: from `device.pick_device`.
    """

    def __init__(self, model: Model, stack: FrameStack, options: Options, device: torch.device) -> None:
        self.stack, self.options = stack, options
        self.runner = Runner(model, stack, options, device)
        self._seeder = Seeder(self.runner)
        self._shelf = Shelf()

    def seed(self, keyframe: Keyframe, beside: Beside = ALONE) -> Seed:
        """Return the seed of a keyframe: a mask on its slice, and a memory of it; with what the object cannot have."""
        with self.runner.timed("prompt"):
            return self.runner.surviving(lambda: self._seeder.seed(keyframe, beside))

    def candidates(self, keyframe: Keyframe, beside: Beside = ALONE) -> list[tuple[np.ndarray, float]]:
        """Return all masks, bool ``(rows, columns)``, that a keyframe may mean, and their expected quality; see `Seeder.candidates`."""
        return self.runner.surviving(lambda: self._seeder.candidates(keyframe, beside))

    def prepare(self, seed: Seed) -> Iterator[int]:
        """Encode slices outwards from that of `seed`, in its view, until most of the cache is filled; yield each index."""
        runner, view = self.runner, seed.result.view
        needed = 0
        for index in sorted(range(len(self.stack)), key=lambda index: abs(index - seed.slice)):
            features = runner.surviving(partial(runner.features, index, view))
            needed += features.nbytes // (2 if self.options.compact_cache else 1)
            yield index
            if needed > PREPARED * runner.cache.limit:
                return

    def track(self, seed: Seed, direction: int, last: int) -> Track:
        """Return a pass from `seed` towards the slice `last`, which has not moved yet."""
        network = self.runner.network(seed.result.view.size)
        recent = min(self.options.recent, network.memories - 1)
        bank = MemoryBank(seed.slice, seed.memory, network.memories, network.max_pointers, recent)
        corrector = Corrector(self.stack, seed) if self.options.refine and seed.mask.any() else None
        return Track(seed, direction, last, bank, seed.result.view, seed.decoded, seed.mask, corrector, self.options.early_stop)

    def advance(self, tracks: Iterable[Track]) -> Iterator[tuple[Track, SliceResult]]:
        """Move every unfinished pass by one slice; yield each with its result as soon as it has moved."""
        alike: defaultdict[tuple, list[Track]] = defaultdict(list)  # those that can be run in one batch
        for track in tracks:
            if not track.finished:
                alike[track.view.size, self._recall(track).structure].append(track)
        for waiting in alike.values():
            while waiting:
                looked = self.runner.surviving(partial(self._look_together, waiting), len(waiting))
                del waiting[: len(looked)]
                for track, found, memory in looked:
                    yield track, self._note(track, found, memory)

    def _look_together(self, tracks: list[Track]) -> list[tuple[Track, Corrected, Memory]]:
        """Look with as many of `tracks`, which are alike, as run at once."""
        return self._look(tracks[: self.runner.at_once])

    def _recall(self, track: Track) -> Recall:
        return track.bank.recall(track.next_slice, len(self.stack))

    def _look(self, group: list[Track]) -> list[tuple[Track, Corrected, Memory]]:
        """Return what is found on the next slice of each pass, and the network's memory of it; nothing is changed."""
        runner, network = self.runner, self.runner.network(group[0].view.size)
        features = runner.features_of([(track.next_slice, track.view) for track in group])
        with runner.timed("track"):
            decoded = network.track(features, [self._recall(track) for track in group], len(self.stack))
            runner.checked(decoded, [track.next_slice for track in group])
        with runner.timed("accompany"):
            found = [_corrected(track, each) for track, each in zip(group, decoded.split(), strict=True)]
        with runner.timed("remember"):
            memories = network.remember(features, Decoded.joined([each.decoded for each in found]), prompted=False)
        return list(zip(group, found, memories, strict=True))

    def _note(self, track: Track, found: Corrected, memory: Memory) -> SliceResult:
        decoded = found.decoded
        with self.runner.timed("judge"):
            result = SliceResult.of(track.next_slice, track.view, decoded, self.options.exact).on(self._shelf)
            mask = result.mask(self.stack.shape)
            here = Appearance.of(mask & self.stack.measured(result.slice), self.stack.frame(result.slice))
            finding = examine(track.seed.appearance, here, result.score, result.quality, found.carried)
            track.bank.add(result.slice, memory)
            if found.state:
                track.corrector.accept(found.state)
            track.add(result, finding, mask, decoded)
            self._follow(track)
        return result

    # ------------------------------------------------------------------ the region that follows the object

    def _follow(self, track: Track) -> None:
        if not self.options.region or self.options.follow == "fixed":
            return
        view = following(track.view, Extent.of_mask(track.mask), self.stack, self.options.margin)
        if view != track.view:
            if self.options.follow == "carry":
                self._carry(track, view)
            else:
                self._restart(track, view)
            track.view = view

    def _carry(self, track: Track, view: View) -> None:
        """Shift and scale the remembered feature maps to the new view, so that they lie over the image again."""
        bank = track.bank
        bank.keyframe = self._shifted(bank.keyframe, track.view, view)
        bank.last = {n: self._shifted(memory, track.view, view) for n, memory in bank.last.items()}

    def _shifted(self, memory: Memory, old: View, new: View) -> Memory:
        moved = _transfer(memory.features.float(), old, new)
        return self.runner.network(new.size).memory(moved, memory.pointer)

    def _restart(self, track: Track, view: View) -> None:
        """Forget everything but the last mask, which becomes the keyframe, in the new view."""
        index = track.next_slice - track.direction
        moved = replace(track.latest, logits=_transfer(track.latest.logits.clamp(-32, 32), track.view, view))
        features = self.runner.features(index, view)
        track.bank.keyframe = self.runner.network(view.size).remember([features], moved, prompted=True)[0]
        track.bank.start, track.bank.last = index, {}


def _corrected(track: Track, decoded: Decoded) -> Corrected:
    return track.corrector.correct(track.next_slice, track.view, decoded) if track.corrector else Corrected(decoded)


def _transfer(maps: Tensor, old: View, new: View) -> Tensor:
    """Return maps ``(B, c, n, n)`` of one view as they lie in another."""
    by_row, by_column = (torch.from_numpy(matrix).to(maps.device) for matrix in new.transfer(old, maps.shape[-1]))
    return by_row @ maps @ by_column.T
