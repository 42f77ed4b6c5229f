"""Ours against upstream's ``SAM2VideoPredictor``, side by side: same weights, frames and prompts, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, PromptSet, Segment
from SAMSegmenterLib.session.session import Session
from support.networks import random_network
from support.phantoms import as_model
from support.upstream import add_prompts, upstream_state

TINY_SIZES = (256, 448, 512, 672, 896, 1024)
SIDE = 384  # pixels of a slice
REPEATS = 5


@dataclass(frozen=True)
class Seconds:
    """How long something took, by the clock and of the processor, all its cores added up."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of upstream and of ours, and the ratio that is asked for."""

    name: str
    upstream: Seconds
    ours: Seconds
    wanted: float | None
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.upstream.wall_s / self.ours.wall_s


def rod(slices: int, first: int, last: int, side: int = SIDE) -> tuple[FrameStack, np.ndarray]:
    """A bright rod on the slices `first` to `last` of a noisy volume, and its mask."""
    z, y, x = np.ogrid[:slices, :side, :side]
    inside = ((y - 0.45 * side) ** 2 + (x - 0.5 * side - 0.2 * z) ** 2 <= (0.12 * side) ** 2) & (z >= first) & (z <= last)
    voxels = np.where(inside, 130, 30) + np.random.default_rng(0).normal(0, 10, inside.shape)
    return FrameStack(Volume(voxels.astype(np.int16)), window=Window(-60, 240)), inside


def keyframes(count: int, index: int) -> list[Keyframe]:
    """A box for each of `count` segments on slice `index`."""
    return [Keyframe(index, box=Box(60.0 + 50 * n, 90.0, 130.0 + 50 * n, 170.0 + 20 * n)) for n in range(count)]


def run_upstream(
    network: SAM2VideoPredictor, stack: FrameStack, prompts: list[Keyframe], correction: Keyframe | None = None
) -> list[Seconds]:
    """Seconds of the first propagation, prompts included, and of a second one after a correction."""
    device = network.device.type

    def first() -> dict:
        state = upstream_state(network, stack)
        for number, keyframe in enumerate(prompts):
            add_prompts(network, state, number, keyframe)
        _both_ways(network, state)
        return state

    seconds, state = _timed(first, device)
    if correction is None:
        return [seconds]

    def second() -> None:
        add_prompts(network, state, 0, correction)
        _both_ways(network, state)

    return [seconds, _timed(second, device)[0]]


def _both_ways(network: SAM2VideoPredictor, state: dict) -> None:
    for reverse in (False, True):
        for _ in network.propagate_in_video(state, reverse=reverse):
            pass


def run_ours(
    model: object, stack: FrameStack, prompts: list[Keyframe], options: Options, device: str,
    correction: Keyframe | None = None, slices: tuple[int, int] | None = None,
) -> list[Seconds]:  # fmt: skip
    """The same of a session, from its making on."""

    def first() -> Session:
        segments = tuple(Segment(f"segment {number}", (keyframe,)) for number, keyframe in enumerate(prompts))
        session = Session(stack, model, options, device, PromptSet(segments))
        for _ in session.propagate(slices=slices):
            pass
        return session

    seconds, session = _timed(first, device)
    if correction is None:
        return [seconds]
    session.set_keyframe("segment 0", correction)
    return [seconds, _timed(lambda: list(session.propagate(slices=slices)), device)[0]]


def quickest(*runs: Callable[[], list[Seconds]]) -> list[list[Seconds]]:
    """The quickest seconds of each of several runs, taken by turns: what else the machine does slows one of them, not the ratio."""
    rounds = [[run() for run in runs] for _ in range(REPEATS)]
    return [[_least(seconds) for seconds in zip(*same, strict=True)] for same in zip(*rounds, strict=True)]


def _least(seconds: Sequence[Seconds]) -> Seconds:
    return Seconds(min(each.wall_s for each in seconds), min(each.cpu_s for each in seconds))


def _timed(call: Callable, device: str) -> tuple[Seconds, object]:
    start, used = time.perf_counter(), time.process_time()
    result = call()
    if device == "cuda":
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - start, time.process_time() - used), result


def compare(device: str, full: bool) -> Iterator[Row]:
    """The comparisons, quick ones first; those that take upstream many minutes on a CPU only if `full`."""
    gpu = device == "cuda"
    whole = Options(region=False, early_stop=False, refine=False)
    small = random_network("t", 512).to(device)
    for warm_up in (Options.strict(), whole):  # kernels and timings that the first run of a process pays for, on either side
        run_ours(as_model(small), rod(3, 0, 2)[0], keyframes(1, 1), warm_up, device)
    run_upstream(small, rod(3, 0, 2)[0], keyframes(1, 1))
    stack, inside = rod(24, 0, 23)
    correction, prompts = Keyframe(18, mask=MaskPrompt(inside[18])), keyframes(1, 12)
    theirs, strict, ours = quickest(
        lambda: run_upstream(small, stack, prompts, correction),
        lambda: run_ours(as_model(small), stack, prompts, Options.strict(), device),
        lambda: run_ours(as_model(small), stack, prompts, whole, device, correction),
    )
    yield Row("strict float32, 512 px, 1 segment, 24 slices", theirs[0], strict[0], 1.1)
    yield Row("default precision, 512 px, 1 segment, 24 slices", theirs[0], ours[0], 8 if gpu else 2)
    yield Row("... second propagation after a correction", theirs[1], ours[1], 5)
    short, _ = rod(10, 0, 9)
    theirs, ours = quickest(
        lambda: run_upstream(small, short, keyframes(5, 4)),
        lambda: run_ours(as_model(small), short, keyframes(5, 4), whole, device),
    )
    yield Row("default precision, 512 px, 5 segments, 10 slices", theirs[0], ours[0], None)
    if full or gpu:
        yield from _large(device, gpu)


def _large(device: str, gpu: bool) -> Iterator[Row]:
    whole = Options(region=False, early_stop=False, refine=False)
    large = random_network("t", 1024).to(device)
    model = as_model(large, TINY_SIZES)
    short, _ = rod(8, 0, 7)
    for count in (1, 5):
        theirs = run_upstream(large, short, keyframes(count, 4))[0]
        ours = run_ours(model, short, keyframes(count, 4), whole, device)[0]
        wanted = 4 if gpu and count == 5 else None
        yield Row(f"default precision, 1024 px, segments: {count}, 8 slices", theirs, ours, wanted)
    stack, inside = rod(96, 32, 63)
    painted = [Keyframe(48, mask=MaskPrompt(inside[48]))]
    theirs = run_upstream(large, stack, painted)[0]
    ours = run_ours(model, stack, painted, Options(early_stop=False, refine=False), device, slices=(30, 65))[0]
    note = "random weights cannot tell that an object ends: ours is given the range at which it would stop"
    yield Row("default mode against upstream at 1024 px, object on 32 of 96 slices", theirs, ours, 25, note)
    shipped = load_model()
    ours = run_ours(shipped, stack, painted, Options(), device)[0]
    yield Row("... with the network that ships, its own early stop", theirs, ours, None, "another network than upstream's")
