"""Does the work of one training step: prompts objects on the first slice, and carries them through the others as the engine does."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.network import IMAGENET_MEAN, IMAGENET_STD
from ..propagation.corrector import COARSER
from .correctors import Correctors
from .losses import Judged, judge, judge_candidates
from .sequences import Sequences
from .simulated_prompts import box, clicks, correction
from .squares import carried
from .trainee import Answer, FrameFeatures, Trainee

SURE = 10.0  # logits of a mask that is certain
CORRECTED = 0.3  # of the prompts are followed by a correction
PAINTED = 0.4  # weight of the answer to a painted mask, which the engine does not show
TRACKED = 1.5  # weight of all slices after the first


@dataclass
class Tally:
    """Mean intersection over union of the answers, by the name of how they were asked for."""

    sums: defaultdict[str, Tensor | float] = field(default_factory=lambda: defaultdict(float))
    counts: defaultdict[str, Tensor | float] = field(default_factory=lambda: defaultdict(float))

    def add(self, name: str, values: Tensor, weights: Tensor) -> None:
        """Add values ``(B,)`` with weights ``(B,)`` under a name."""
        self.sums[name] += (values * weights).sum().detach()
        self.counts[name] += weights.sum()

    def means(self) -> dict[str, float]:
        """Return the weighted means by name."""
        return {name: float(self.sums[name]) / max(float(self.counts[name]), 1e-6) for name in self.sums}


@dataclass(frozen=True)
class _Found:
    """The mask on a slice as it will be remembered: logits ``(B, 1, size/4, size/4)``, token ``(B, C)``, score ``(B,)``."""

    masks: Tensor
    token: Tensor
    score: Tensor


class Rollout:
    """Runs `sequences` through `trainee`.

    Args:
        taught: part of the memories that are made of the true masks instead of those found.
        correcting: whether masks are corrected before they are remembered, as the engine does.

    Attributes:
        loss: of all that was asked.
        tally: how well it was answered.
    """

    def __init__(self, trainee: Trainee, sequences: Sequences, taught: float, correcting: bool = False) -> None:
        self._trainee, self._taught, self._correcting = trainee, taught, correcting
        count, objects, self._count = sequences.masks.shape[:3]
        self._masks = sequences.masks.flatten(0, 1)
        self._views = sequences.views.repeat_interleave(objects, 0)
        self._weight = sequences.usable.flatten().float()
        self._first = torch.arange(count, device=self._masks.device).repeat_interleave(objects) * self._count
        self._images = sequences.images.repeat_interleave(objects, 0)
        self._cell_mm = COARSER * sequences.width_mm[:, 0].repeat_interleave(objects, 0) / trainee.size
        self._frames = trainee.look(_normalised(sequences.images))
        self.tally = Tally()
        self._losses: list[Tensor] = []
        self._run()

    @property
    def loss(self) -> Tensor:
        """Return the loss of all that was asked, a scalar."""
        return sum(self._losses)  # type: ignore[return-value]  # there is one at least

    def _run(self) -> None:
        found = self._prompt()
        if self._count == 1:
            return
        correctors = Correctors(self._images[:, 0], found.masks, self._views[:, 0], self._cell_mm) if self._correcting else None
        memories = {"cond_frame_outputs": {0: self._remember(0, found, prompted=True)}, "non_cond_frame_outputs": {}}
        for index in range(1, self._count):
            self._carry(memories, index)
            answer = self._trainee.tracked(self._at(index), memories, index, max(self._count, 64))
            judged = judge(answer.masks[:, 0], answer.quality[:, 0], answer.score, self._masks[:, index], self._weight)
            self._losses.append(TRACKED * judged.loss / (self._count - 1))
            self._note("tracked" if index < 5 else "tracked far", judged)
            masks = answer.masks[:, :1]
            if correctors:
                masks = correctors.correct(self._images[:, index], masks, self._views[:, index])
            found = _Found(masks, answer.token, answer.score)
            memories["non_cond_frame_outputs"][index] = self._remember(index, found, prompted=False)

    def _at(self, index: int) -> FrameFeatures:
        return self._frames.of(self._first + index)

    def _note(self, name: str, judged: Judged) -> None:
        self.tally.add(name, judged.overlap, judged.present)
        self.tally.add("score " + name, judged.score_right, torch.ones_like(judged.score_right))

    # ------------------------------------------------------------------ the first slice

    def _prompt(self) -> _Found:
        """Prompt each object in one of three ways; none is painted where no slice follows that could remember it."""
        order = torch.randperm(len(self._masks), device=self._masks.device)
        ways = [lambda part: self._answer(part, "click"), lambda part: self._answer(part, "box")]
        if self._count > 1:
            ways.append(self._paint)
        parts = [(part, way(part)) for part, way in zip(order.chunk(len(ways)), ways, strict=False)]  # fewer objects than ways, perhaps
        back = torch.cat([chosen for chosen, _ in parts]).argsort()
        masks, token, score = (torch.cat([getattr(found, name) for _, found in parts])[back] for name in ("masks", "token", "score"))
        return _Found(masks, token, score)

    def _answer(self, chosen: Tensor, kind: str) -> _Found:
        target, weight, frames = self._masks[chosen, 0], self._weight[chosen], self._frames.of(self._first[chosen])
        prompt = (clicks if kind == "click" else box)(target, self._trainee.size)
        answer = self._trainee.prompted(frames, prompt)
        masks, loss = self._judged(answer, target, weight, kind, prompt.single_click)
        if random.random() < CORRECTED:
            previous = masks.detach().clamp(-32, 32)
            shown = (F.interpolate(previous, target.shape[-2:], mode="bilinear") > 0).float()[:, 0]
            prompt = prompt.joined(correction(shown, target, self._trainee.size))
            answer = self._trainee.prompted(frames, prompt, previous)
            masks, again = self._judged(answer, target, weight, kind + " corrected", False)
            loss = (loss + again) / 2
        self._losses.append(loss * len(chosen) / len(self._masks))
        return _Found(masks, answer.token, answer.score)

    def _judged(self, answer: Answer, target: Tensor, weight: Tensor, kind: str, ambiguous: bool) -> tuple[Tensor, Tensor]:
        """Return the mask that the engine would take, ``(B, 1, m, m)``, and the loss."""
        judged = judge(answer.masks[:, 0], answer.quality[:, 0], answer.score, target, weight)
        if not ambiguous:
            self._note(kind, judged)
            return answer.masks[:, :1], judged.loss
        best = answer.quality[:, 1:].argmax(1) + 1
        every = torch.arange(len(best), device=best.device)
        taken = judge(answer.masks[every, best], answer.quality[every, best], answer.score, target, weight)
        self._note("1 click", taken)
        candidates = judge_candidates(answer.masks[:, 1:], answer.quality[:, 1:], target, judged.present)
        return answer.masks[every, best][:, None], 0.3 * judged.loss + candidates

    def _paint(self, chosen: Tensor) -> _Found:
        target, frames = self._masks[chosen, 0], self._frames.of(self._first[chosen])
        painted = (self._enlarged(target[:, None]) > 0.5).float()
        answer = self._trainee.painted(frames, painted)
        judged = judge(answer.masks[:, 0], answer.quality[:, 0], answer.score, target, self._weight[chosen])
        self._losses.append(PAINTED * judged.loss * len(chosen) / len(self._masks))
        self._note("painted", judged)
        quarter = F.interpolate(painted * 2 * SURE - SURE, scale_factor=0.25, mode="bilinear", antialias=True)
        return _Found(quarter, answer.token, torch.full_like(answer.score, SURE))

    # ------------------------------------------------------------------ memories

    def _remember(self, index: int, found: _Found, prompted: bool) -> dict:
        logits = self._enlarged(found.masks)
        if prompted:  # remembered as hard-edged as it is shown
            logits = torch.where(logits > 0, 2 * SURE, -2 * SURE)
        true, present = self._masks[:, index, None], self._masks[:, index].amax((1, 2)) > 0.5
        taught = torch.rand(len(true), device=true.device) < self._taught
        score = torch.where(taught, torch.where(present, SURE, -SURE), found.score)
        logits = torch.where(found.score[:, None, None, None] > 0, logits, -1024.0)
        logits = torch.where(taught[:, None, None, None], self._enlarged(true) * 2 * SURE - SURE, logits)
        return self._trainee.remembered(self._at(index), logits, found.token, score)

    def _carry(self, memories: dict, index: int) -> None:
        """Shift and scale memories where the view moves, as the engine does."""
        old, new = self._views[:, index - 1], self._views[:, index]
        if torch.equal(old, new):
            return
        kept = [memories["cond_frame_outputs"][0]]
        kept += [each for n, each in memories["non_cond_frame_outputs"].items() if n > index - self._trainee.network.num_maskmem]
        for memory in kept:
            memory["maskmem_features"] = carried(memory["maskmem_features"], old, new)

    def _enlarged(self, masks: Tensor) -> Tensor:
        return F.interpolate(masks, (self._trainee.size, self._trainee.size), mode="bilinear", align_corners=False)


def _normalised(images: Tensor) -> Tensor:
    """Return grey images ``(V, T, n, n)`` as ``(V * T, 3, n, n)``, normalised for the network."""
    mean, std = (torch.tensor(values, device=images.device).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images.flatten(0, 1)[:, None].expand(-1, 3, -1, -1) - mean) / std
