"""Engine and runner: features shared and bounded, batches, moving regions, too little memory."""

import errno
from dataclasses import replace

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import SAMSegmenterError
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.network import device
from SAMSegmenterLib.network.cache import FeatureCache
from SAMSegmenterLib.network.device import Execution, passes_at_once, pick_device, pick_execution
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.network.packed import packing_is_worth_it
from SAMSegmenterLib.network.runner import Runner
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, MaskPrompt, Point, Scribble
from SAMSegmenterLib.propagation.engine import Engine
from support.networks import random_network
from support.phantoms import as_model, ball, cells

CPU = torch.device("cpu")
EXACT = Options(precision="float32", compact_cache=False, early_stop=False)


@pytest.fixture(scope="module")
def random_model():
    return as_model(random_network("pico", 64))


@pytest.fixture
def whole_slices(random_model):
    return Engine(random_model, cells(12), replace(EXACT, region=False), CPU)


@pytest.fixture
def ball_stack():
    volume, inside = ball()
    return FrameStack(volume, window=Window(-160, 240)), inside


def run(engine, tracks):
    while not all(track.finished for track in tracks):
        for _ in engine.advance(tracks):
            pass
    return tracks


def box(index, x=20, y=20):
    return Keyframe(index, box=Box(x, y, x + 24, y + 20))


# ---------------------------------------------------------------- features


def test_features_are_encoded_once_for_all_segments_directions_and_corrections(whole_slices):
    seeds = [whole_slices.seed(box(5)), whole_slices.seed(box(6, 30, 10))]
    run(whole_slices, [whole_slices.track(seed, direction, 11 if direction > 0 else 0) for seed in seeds for direction in (1, -1)])
    correction = whole_slices.seed(Keyframe(8, points=(Point(30, 30),)))
    run(whole_slices, [whole_slices.track(correction, -1, 6)])
    assert whole_slices.runner.cache.misses == 12


def test_cache_keeps_within_its_bytes_and_drops_the_oldest(whole_slices):
    runner, view = whole_slices.runner, whole_slices.stack.whole(64)
    features = runner.features(0, view)
    cache = FeatureCache(limit=3 * features.nbytes)
    for index in range(6):
        cache.put((index, view), features)
        assert cache.nbytes <= cache.limit
    assert [index for index in range(6) if (index, view) in cache] == [3, 4, 5]


def test_compact_cache_takes_half_and_changes_little(random_model):
    results = []
    for compact in (False, True):
        engine = Engine(random_model, cells(6), replace(EXACT, region=False, compact_cache=compact), CPU)
        track = run(engine, [engine.track(engine.seed(box(0)), 1, 5)])[0]
        results.append((engine.runner.cache.nbytes, track.results[-1].logits(engine.stack.shape)))
    (exact_bytes, exact), (compact_bytes, compact) = results
    assert compact_bytes == exact_bytes / 2
    assert np.abs(np.clip(exact, -15, 15) - compact).max() < 0.5


def test_slices_prepared_in_advance_are_found_by_propagation(whole_slices):
    seed = whole_slices.seed(box(5))
    assert list(whole_slices.prepare(seed))[:3] == [5, 4, 6]
    misses = whole_slices.runner.cache.misses
    run(whole_slices, [whole_slices.track(seed, 1, 11)])
    assert misses == whole_slices.runner.cache.misses == 12


def test_no_more_is_prepared_than_the_cache_keeps(random_model):
    engine = Engine(random_model, cells(12), replace(EXACT, region=False), CPU)
    seed = engine.seed(box(5))
    engine.runner.cache.limit = 4 * engine.runner.cache.nbytes
    assert len(list(engine.prepare(seed))) == 4


# ---------------------------------------------------------------- passes


def test_batched_passes_equal_passes_run_alone(random_model):
    found = []
    for at_once in (1, 8):
        engine = Engine(random_model, cells(14), replace(EXACT, region=False), CPU)
        engine.runner.at_once = at_once
        seeds = [engine.seed(box(6)), engine.seed(box(6, 30, 10)), engine.seed(box(3))]
        tracks = [engine.track(seed, direction, 13 if direction > 0 else 0) for seed in seeds for direction in (1, -1)]
        found.append([result.logits(engine.stack.shape) for track in run(engine, tracks) for result in track.results])
    assert len(found[0]) == len(found[1]) == 2 * 13 + 13
    for alone, together in zip(*found, strict=True):
        np.testing.assert_allclose(alone, together, atol=1e-3)


def test_a_pass_does_not_depend_on_what_ran_before_it(whole_slices):
    """Upstream's reverse pass attends to what its forward pass left behind."""
    seed = whole_slices.seed(box(6))
    alone = run(whole_slices, [whole_slices.track(seed, -1, 0)])[0]
    run(whole_slices, [whole_slices.track(seed, 1, 11)])
    after = run(whole_slices, [whole_slices.track(seed, -1, 0)])[0]
    for one, other in zip(alone.results, after.results, strict=True):
        np.testing.assert_array_equal(one.stored, other.stored)


def test_an_interrupted_pass_goes_on_as_if_it_had_not_been(whole_slices):
    seed = whole_slices.seed(box(2))
    uninterrupted = run(whole_slices, [whole_slices.track(seed, 1, 11)])[0]
    track = run(whole_slices, [whole_slices.track(seed, 1, 5)])[0]
    track.last = 11
    run(whole_slices, [track])
    for one, other in zip(uninterrupted.results, track.results, strict=True):
        np.testing.assert_array_equal(one.stored, other.stored)


def test_what_a_pass_remembers_is_bounded(random_model):
    engine = Engine(random_model, cells(60), replace(EXACT, region=False), CPU)
    track = run(engine, [engine.track(engine.seed(box(0)), 1, 59)])[0]
    assert len(track.results) == 59
    assert len(track.bank.last) <= 16
    recall = track.bank.recall(60, 61)
    assert len(recall.spatial) == 7
    assert len(recall.pointers) == 16


def test_fewer_memories_are_attended_to_when_asked(random_model):
    engine = Engine(random_model, cells(12), replace(EXACT, region=False, recent=2), CPU)
    track = run(engine, [engine.track(engine.seed(box(0)), 1, 11)])[0]
    assert [position for position, _ in track.bank.recall(12, 13).spatial] == [0, 5, 6]


# ---------------------------------------------------------------- regions, with the network that ships


def test_every_kind_of_prompt_finds_the_ball(shipped_model, ball_stack):
    stack, inside = ball_stack
    engine = Engine(shipped_model, stack, EXACT, CPU)
    truth = inside[16]
    prompts = {
        "box": Keyframe(16, box=Box(21.5, 21.5, 42.5, 42.5)),
        "line": Keyframe(16, line=Line(22, 32, 42, 32)),
        "point": Keyframe(16, points=(Point(32, 32),)),
        "points": Keyframe(16, points=(Point(30, 32), Point(36, 30), Point(5, 5, False))),
        "scribble": Keyframe(16, scribbles=(Scribble(((25, 32), (32, 34), (39, 32))),)),
        "mask": Keyframe(16, mask=MaskPrompt(truth)),
    }
    overlaps = {name: dice(engine.seed(keyframe).mask, truth) for name, keyframe in prompts.items()}
    assert overlaps["mask"] == 1
    assert {name for name, overlap in overlaps.items() if overlap < 0.8} == set(), overlaps


@pytest.mark.parametrize("follow", ["carry", "restart", "fixed"])
def test_a_ball_is_followed_to_its_ends(shipped_model, ball_stack, follow):
    stack, inside = ball_stack
    engine = Engine(shipped_model, stack, replace(Options(), follow=follow), CPU)
    seed = engine.seed(Keyframe(16, mask=MaskPrompt(inside[16])))
    for direction, last in ((1, 31), (-1, 0)):
        track = run(engine, [engine.track(seed, direction, last)])[0]
        near = range(16 + direction, 16 + 8 * direction, direction)
        assert np.mean([dice(track.result(n).mask(stack.shape), inside[n]) for n in near]) > 0.85
        assert track.ended, "the pass should notice that the ball has ended"
        assert abs(track.slices()[-1] - 16) <= 12


def test_the_region_follows_an_object_that_wanders(shipped_model):
    z, y, x = np.ogrid[:40, :64, :160]
    tube = (y - 32) ** 2 + (x - 20 - 3 * z) ** 2 <= 64
    volume, _ = ball()
    stack = FrameStack(replace(volume, voxels=np.where(tube, 120, -60).astype(np.int16)), window=Window(-160, 240))
    overlaps = {}
    for follow in ("carry", "fixed"):
        engine = Engine(shipped_model, stack, replace(EXACT, follow=follow), CPU)
        track = run(engine, [engine.track(engine.seed(Keyframe(0, mask=MaskPrompt(tube[0]))), 1, 39)])[0]
        overlaps[follow] = np.mean([dice(track.result(n).mask(stack.shape), tube[n]) for n in range(1, 40)])
    assert overlaps["carry"] > 0.8
    assert overlaps["fixed"] < 0.5, "a region that never moves must lose this object, or the test shows nothing"


def test_carrying_memories_to_the_same_place_changes_nothing(whole_slices):
    track = run(whole_slices, [whole_slices.track(whole_slices.seed(box(0)), 1, 4)])[0]
    before = {n: memory.features.clone() for n, memory in track.bank.last.items()}
    whole_slices._carry(track, track.view)
    assert all(torch.equal(before[n], memory.features) for n, memory in track.bank.last.items())


# ---------------------------------------------------------------- devices and memory


def test_without_a_gpu_auto_means_cpu_and_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(SAMSegmenterError, match="no cuda device"):
        pick_device("cuda")
    with pytest.raises(SAMSegmenterError, match="expected auto"):
        pick_device("tpu")


def test_execution_is_chosen_by_timing_and_leaves_the_threads_as_they_were(random_model, monkeypatch):
    monkeypatch.setattr(device, "SMALL_INPUT", 32)
    before = torch.get_num_threads()
    execution = pick_execution(random_model.network, CPU)
    assert execution.dtype in (torch.float32, torch.bfloat16)
    assert execution.threads == before
    with replace(execution, threads=1).active():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    assert pick_execution(random_model.network, CPU, "bfloat16").precision == "bfloat16"


def test_a_small_network_runs_the_same_way_each_time(random_model, monkeypatch):
    monkeypatch.setattr(device, "_encoding_seconds", None)  # nothing is timed
    assert pick_execution(random_model.network, CPU) == Execution(CPU, torch.float32, 1, packed=packing_is_worth_it())
    assert pick_execution(random_model.network, CPU, "bfloat16") == Execution(CPU, torch.bfloat16, 1)


def failing(call, times, error):
    """`call`, raising `error` the first few `times`."""
    failures = iter([error] * times)

    def instead(*arguments, **named):
        for failure in failures:
            raise failure
        return call(*arguments, **named)

    return instead


def test_out_of_memory_falls_back_step_by_step_and_says_so(whole_slices, monkeypatch):
    runner, seeds = whole_slices.runner, [whole_slices.seed(box(5)), whole_slices.seed(box(5, 30, 10))]
    expected = run(whole_slices, [whole_slices.track(seed, 1, 11) for seed in seeds])
    network = runner.network(64)
    monkeypatch.setattr(network, "track", failing(network.track, 1, torch.cuda.OutOfMemoryError("CUDA out of memory")))
    runner.at_once = 8
    tracks = run(whole_slices, [whole_slices.track(seed, 1, 11) for seed in seeds])
    assert runner.warnings == ["cpu: out of memory; going on with one segment at a time."]
    assert runner.at_once == 1
    for track, other in zip(tracks, expected, strict=True):
        np.testing.assert_allclose(track.results[-1].stored, other.results[-1].stored, atol=1e-4)


@pytest.mark.parametrize(("fitting", "tried"), [(8, [6]), (3, [6, 3, 3]), (2, [6, 3, 1, 1, 1, 1, 1, 1]), (1, [6, 3, 1, 1, 1, 1, 1, 1])])
def test_a_batch_that_does_not_fit_is_halved(whole_slices, monkeypatch, fitting, tried):
    network, track, sizes = whole_slices.runner.network(64), whole_slices.runner.network(64).track, []

    def small_batches_only(features, *others):
        sizes.append(len(features))
        if len(features) > fitting:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return track(features, *others)

    whole_slices.runner.at_once = 8
    monkeypatch.setattr(network, "track", small_batches_only)
    seed = whole_slices.seed(box(5))
    run(whole_slices, [whole_slices.track(seed, direction, 5 + direction) for direction in (1, -1, 1, -1, 1, -1)])
    assert sizes == tried


def test_batches_are_bounded(whole_slices):
    seed, sizes, track = whole_slices.seed(box(5)), [], whole_slices.runner.network(64).track
    whole_slices.runner.at_once = 8
    whole_slices.runner.network(64).track = lambda features, *others: sizes.append(len(features)) or track(features, *others)
    run(whole_slices, [whole_slices.track(seed, 1, 6) for _ in range(19)])
    assert sizes == [8, 8, 3]


def test_large_networks_run_one_pass_at_a_time_on_the_cpu_and_many_elsewhere(random_model, monkeypatch):
    assert passes_at_once(random_model.network, CPU, exact=False) == device.SMALL_BATCH
    assert passes_at_once(random_model.network, CPU, exact=True) == 1
    assert passes_at_once(random_model.network, torch.device("cuda"), exact=True) == device.GPU_BATCH
    monkeypatch.setattr(device, "SMALL_INPUT", 32)
    assert passes_at_once(random_model.network, CPU, exact=False) == 1


def test_out_of_gpu_memory_ends_on_the_cpu(whole_slices):
    runner, calls = whole_slices.runner, []
    assert runner.execution.device == CPU
    runner.device = torch.device("meta")  # any device but the CPU

    def needs_memory():
        calls.append(runner.device.type)
        if len(calls) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert runner.surviving(needs_memory) == "done"
    assert calls == ["meta", "cpu"]
    assert runner.warnings == ["meta: out of memory; going on with the CPU."]


NO_MEMORY = [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), OSError(errno.ENOMEM, "no pages")]


@pytest.mark.parametrize("error", NO_MEMORY)
def test_out_of_memory_on_the_cpu_is_explained(whole_slices, error):
    with pytest.raises(SAMSegmenterError, match="too little free memory"):
        whole_slices.runner.surviving(failing(lambda: None, 5, error))


def test_emptying_the_cache_may_make_room_enough(whole_slices):
    runner = whole_slices.runner
    runner.features(5, whole_slices.stack.whole(64))
    assert runner.surviving(failing(lambda: "done", 1, MemoryError())) == "done"
    assert len(runner.cache) == 0


def test_work_that_fills_the_cache_and_fails_ends_all_the_same(whole_slices):
    def fill_and_fail():
        whole_slices.runner.features(5, whole_slices.stack.whole(64))
        raise MemoryError

    with pytest.raises(SAMSegmenterError, match="too little free memory"):
        whole_slices.runner.surviving(fill_and_fail)


def test_other_errors_are_not_taken_for_a_lack_of_memory(whole_slices):
    with pytest.raises(RuntimeError, match="shapes"):
        whole_slices.runner.surviving(failing(lambda: None, 5, RuntimeError("shapes differ")))


def test_input_size_suits_the_region(shipped_model):
    volume, _ = ball(4, 400)
    seeder = Engine(shipped_model, FrameStack(volume, window=Window(-160, 240)), Options(), CPU)._seeder
    assert [seeder._size(side_mm) for side_mm in (20, 128, 129, 1000)] == [128, 128, 192, 192]
    official = Engine(as_model(shipped_model.network, (64, 128, 256)), seeder._stack, Options(size=64), CPU)._seeder
    assert official._size(1000) == 64


def test_runner_reports_its_stages(whole_slices):
    run(whole_slices, [whole_slices.track(whole_slices.seed(box(5)), 1, 11)])
    assert {"read", "encode", "prompt", "track", "remember", "judge"} <= whole_slices.runner.seconds.keys()
    assert isinstance(whole_slices.runner, Runner)
