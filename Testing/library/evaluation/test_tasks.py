"""Tasks: how they are called, what is marked, and what is scored."""

import math

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.evaluation.methods.base import Unsuited
from SAMSegmenterLib.evaluation.tasks import PRESETS, Propagation, SingleSlices, parse_task, parse_tasks, score
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.prompts.types import Keyframe, MaskPrompt
from support.evaluation_steps import LAST, MIDDLE, SIDE, SLICES, Fixed, Offering


@pytest.mark.parametrize("task", [task for tasks in PRESETS.values() for task in tasks], ids=lambda task: task.key)
def test_every_task_is_found_by_its_key(task):
    assert parse_task(task.key) == task


def test_presets():
    assert [task.key for task in PRESETS["main"]] == ["mask-3", "mask", "box", "point"]
    assert len(PRESETS["grid"]) == 4 * 4 * 3 - 4
    assert [task.key for task in PRESETS["cosmos"]][:4] == ["S1", "S1-oracle", "S2", "S2-oracle"]
    each = parse_tasks(["mask", "main", "box+point-3>up~10%"])
    assert [task.key for task in each] == ["mask", "mask-3", "box", "point", "box+point-3>up~10%"]


WRONG_KEYS = "", "ball", "mask@centre", "mask@top", "box>left", "box>both", "mask~10%", "box~0%", "box~60%", "S7", "box-2"


@pytest.mark.parametrize("key", WRONG_KEYS)
def test_other_keys_are_refused(key):
    with pytest.raises(InputError, match="there is no task"):
        parse_task(key)


def test_three_masks_on_the_volume(stack, target, random):
    method = Fixed(target.mask)
    outcome = Propagation("mask", "several").attempt(method, stack, target, random)
    ((keyframes, reach, _),) = method.asked
    assert [keyframe.slice for keyframe in keyframes] == [3, 6, 8]
    assert all(np.array_equal(keyframe.mask.mask, target.mask[keyframe.slice]) for keyframe in keyframes)
    assert reach == (0, SLICES - 1)
    assert outcome.scores["dice"] == outcome.scores["nsd"] == 1
    assert outcome.scores["slices"] == 5
    assert outcome.retention == (1,)


@pytest.mark.parametrize(("direction", "reach"), [("up", (MIDDLE, SLICES - 1)), ("down", (0, MIDDLE)), ("both", (0, SLICES - 1))])
def test_direction_limits_reach_and_scores(stack, target, random, direction, reach):
    method = Fixed(target.mask)
    outcome = Propagation("box", direction=direction).attempt(method, stack, target, random)
    assert method.asked[0][1] == reach
    assert (outcome.scores["dice"], outcome.scores["nsd"], outcome.scores["hd95_mm"]) == (1, 1, 0)
    assert set(outcome.retention) == {1}


def test_window_suits_what_is_marked(target, random):
    voxels = np.where(target.mask, 900, -1000).astype(np.float32)
    voxels[:, :8] = 40  # soft tissue
    method = Fixed(target.mask)
    Propagation("mask").attempt(method, FrameStack(Volume(voxels, modality="CT")), target, random)
    assert method.asked[0][2].window.level == 400


def test_painted_slices_are_not_scored_and_empty_ones_are(stack, target):
    painted = [Keyframe(MIDDLE, mask=MaskPrompt(target.mask[MIDDLE]))]
    only_painted = np.zeros_like(target.mask)
    only_painted[MIDDLE] = target.mask[MIDDLE]
    assert score(only_painted, target.mask, stack, painted, (0, SLICES - 1))["dice"] == 0
    beyond = target.mask.copy()
    beyond[LAST + 1] = target.mask[LAST]  # one slice too many: 7 of 7, and 1 more
    scores = score(beyond, target.mask, stack, painted, (0, SLICES - 1))
    assert scores["dice"] == pytest.approx(2 * 7 / (7 + 8))
    assert scores["over_propagation"] == pytest.approx(1 / 8)
    assert math.isnan(scores["prompt_over_segmentation"])


def test_nothing_found_is_as_far_away_as_the_volume_is_large(stack, target, random):
    scores = Propagation("point").attempt(Fixed(np.zeros_like(target.mask)), stack, target, random).scores
    assert (scores["dice"], scores["jaccard"], scores["nsd"], scores["over_propagation"]) == (0, 0, 0, 0)
    assert scores["hd95_mm"] == pytest.approx(math.sqrt(SLICES**2 + 2 * SIDE**2))


def test_oracle_chooses_what_a_user_is_not_given(stack, target, random):
    for mode in ("S2", "S3", "S4", "S5", "S6"):
        given, best = (SingleSlices(mode, oracle).attempt(Offering(target.mask), stack, target, random).scores for oracle in (False, True))
        assert (given["dice"], best["dice"]) == (0, 1)
        assert "seconds" in given
        assert "seconds" not in best
    everything = SingleSlices("S1").attempt(Offering(target.mask), stack, target, random)
    assert everything.scores["dice"] == 1
    assert everything.scores["slices"] == 3
    with pytest.raises(Unsuited):
        SingleSlices("S2").attempt(Fixed(target.mask), stack, target, random)
