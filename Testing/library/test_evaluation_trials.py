"""Tasks and the running of them: what is marked, what is scored, and that nothing finished is lost."""

import math

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError, OutputError
from SAMSegmenterLib.evaluation.cases import Case, Target, find_cases
from SAMSegmenterLib.evaluation.methods import Ours, Unsuited
from SAMSegmenterLib.evaluation.protocol import PRESETS, Propagation, Rounds, SingleSlices, parse_task, parse_tasks, score
from SAMSegmenterLib.evaluation.records import Record, mask_path, read_mask, read_records
from SAMSegmenterLib.evaluation.trials import Plan, Trials
from SAMSegmenterLib.frames import FrameStack
from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.prompts import Keyframe, MaskPrompt
from SAMSegmenterLib.volume import Volume

SLICES, SIDE = 12, 40
FIRST, LAST, MIDDLE = 2, 9, 6  # of the object; the middle one of its 8 slices


def object_mask():
    mask = np.zeros((SLICES, SIDE, SIDE), bool)
    mask[FIRST : LAST + 1, 10:22, 12:28] = True
    return mask


@pytest.fixture
def stack():
    voxels = np.random.default_rng(0).normal(0, 10, (SLICES, SIDE, SIDE)) + 100 * object_mask()
    return FrameStack(Volume(voxels.astype(np.float32)))


@pytest.fixture
def target():
    return Target.of("case", object_mask().astype(np.uint8), 1, "block")


@pytest.fixture
def random():
    return np.random.default_rng(0)


class Fixed:
    """Gives the same mask, within reach, whatever is marked; notes what it was given."""

    def __init__(self, mask, name="fixed"):
        self.name, self.mask, self.asked = name, mask, []

    def segment(self, stack, keyframes, reach):
        self.asked.append((list(keyframes), reach, stack))
        mask = np.zeros_like(self.mask)
        mask[reach[0] : reach[1] + 1] = self.mask[reach[0] : reach[1] + 1]
        return mask


class Learning(Fixed):
    """Knows the object on slices marked so far, and nothing else."""

    def segment(self, stack, keyframes, reach):
        marked = [keyframe.slice for keyframe in keyframes]
        mask = np.zeros_like(self.mask)
        mask[marked] = self.mask[marked]
        return mask


class Offering(Fixed):
    """Offers an empty mask first and the right one second."""

    def offer(self, stack, keyframe):
        return [np.zeros((SIDE, SIDE), bool), self.mask[keyframe.slice]]

    def everything(self, stack, index):
        return [self.mask[index]]


# ---------------------------------------------------------------- tasks


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
    assert outcome.scores["dice"] == 1


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
        assert SingleSlices(mode).attempt(Offering(target.mask), stack, target, random).scores["dice"] == 0
        assert SingleSlices(mode, oracle=True).attempt(Offering(target.mask), stack, target, random).scores["dice"] == 1
    everything = SingleSlices("S1").attempt(Offering(target.mask), stack, target, random)
    assert everything.scores["dice"] == 1
    assert everything.scores["slices"] == 3
    with pytest.raises(Unsuited):
        SingleSlices("S2").attempt(Fixed(target.mask), stack, target, random)


@pytest.mark.parametrize("prompt", ["point", "mask"])
def test_rounds_go_on_until_it_is_good(stack, target, random, prompt):
    scores = Rounds(prompt).attempt(Learning(target.mask), stack, target, random).scores
    # n of 8 equal slices: Dice 2n / (n + 8)
    assert scores["dice_after_1"] == pytest.approx(2 / 9)
    assert scores["interactions_to_80"] == 6
    assert scores["interactions_to_90"] == 7
    assert scores["dice"] == pytest.approx(14 / 15)


def test_rounds_end_after_ten(stack, target, random):
    method = Fixed(np.zeros_like(target.mask))
    scores = Rounds("point").attempt(method, stack, target, random).scores
    assert len(method.asked) == 10
    assert math.isnan(scores["interactions_to_80"])
    assert "dice_after_10" in scores


def test_rounds_end_where_nothing_can_be_marked(stack, target, random):
    flood = target.mask.copy()
    flood[: FIRST - 1] = flood[LAST + 1 :] = True
    method = Fixed(flood)
    Rounds("mask").attempt(method, stack, target, random)
    assert len(method.asked) == 1


# ---------------------------------------------------------------- the method of this library


def test_ours_finds_a_block_from_a_painted_slice(shipped_model, stack, target, random):
    outcome = Propagation("mask").attempt(Ours(shipped_model, device="cpu"), stack, target, random)
    assert outcome.mask.shape == target.mask.shape
    assert outcome.scores["dice"] > 0.7
    assert outcome.scores["seconds"] > 0


def test_ours_offers_what_it_shows_first(shipped_model, stack, target, random):
    ours = Ours(shipped_model, device="cpu")
    for mode in ("S2", "S5"):
        shown, best = (SingleSlices(mode, oracle).attempt(ours, stack, target, random).scores["dice"] for oracle in (False, True))
        assert best >= shown > 0.3
    keyframe = Propagation("box").keyframes(target, random)[0]
    offered = ours.offer(stack, keyframe)
    assert len(offered) == 5  # the one that is shown, and the decoder's four
    segmented = ours.segment(stack, [keyframe], (keyframe.slice, keyframe.slice))
    np.testing.assert_array_equal(offered[0], segmented[keyframe.slice])


def test_corrections_give_what_a_new_session_gives(shipped_model, stack, target, random):
    first, second = (Propagation("mask", start).keyframes(target, random)[0] for start in ("centre", "edge"))
    reused = Ours(shipped_model, device="cpu")
    reused.segment(stack, [first], (0, SLICES - 1))
    corrected = reused.segment(stack, [first, second], (0, SLICES - 1))
    anew = Ours(shipped_model, device="cpu").segment(stack, [first, second], (0, SLICES - 1))
    np.testing.assert_array_equal(corrected, anew)


# ---------------------------------------------------------------- running them


@pytest.fixture
def folder(tmp_path, stack):
    """Two cases with the block and a smaller one, and a broken case between them."""
    labels = object_mask().astype(np.uint8)
    labels[1:8, 25:35, 2:12] = 2
    for name in ("a", "c"):
        write_volume(tmp_path / f"{name}.nrrd", stack.volume)
        write_volume(tmp_path / f"{name}_labels.nrrd", Volume(labels))
    write_volume(tmp_path / "b_labels.nrrd", Volume(labels))
    return tmp_path


@pytest.fixture
def plan(folder):
    """A plan for this folder, of two methods that give the first object for everything."""

    def make(tasks=("mask", "box"), methods=None, **fields):
        both = [Fixed(object_mask(), "one"), Fixed(object_mask(), "other")]
        return Plan(find_cases(folder), methods or both, parse_tasks(tasks), **fields)

    return make


def test_everything_is_tried_and_a_broken_case_reported(plan, tmp_path):
    steps = []
    trials = Trials(tmp_path / "out", plan())
    trials.run(steps.append)
    done = [record for record in trials.records if not record.error]
    assert len(done) == 2 * 2 * 2 * 2
    assert {(record.case, record.object, record.label) for record in done} == {(c, f"label {n}", n) for c in "ac" for n in (1, 2)}
    (broken,) = [record for record in trials.records if record.error]
    assert (broken.case, broken.object) == ("b", "")
    assert "there is no image" in broken.error
    assert [record.key for record in read_records(tmp_path / "out" / "results.jsonl")] == [record.key for record in trials.records]
    assert [(step.case, step.done, step.total) for step in steps if step.done in (0, 8)] == [(1, 0, 8), (1, 8, 8), (3, 0, 8), (3, 8, 8)]


def test_masks_are_kept_for_pictures(plan, tmp_path):
    trials = Trials(tmp_path / "out", plan(tasks=["mask"], limit=1))
    trials.run()
    first = trials.records[0]
    np.testing.assert_array_equal(read_mask(mask_path(tmp_path / "out", first)), object_mask())


def test_finished_attempts_are_not_repeated(plan, tmp_path):
    first = plan(tasks=["mask"])
    Trials(tmp_path / "out", first).run()
    again = plan(tasks=["mask", "box"])
    trials = Trials(tmp_path / "out", again)
    trials.run()
    assert [len(method.asked) for method in again.methods] == [4, 4]
    assert all(keyframes[0].box for keyframes, _, _ in again.methods[0].asked)
    assert len([record for record in trials.records if not record.error]) == 16


def test_run_ends_at_a_cancel_and_goes_on_later(plan, tmp_path):
    one = Trials(tmp_path / "out", plan())
    one.run(cancel=lambda: len(one.records) == 3)
    assert len(one.records) == 3
    other = Trials(tmp_path / "out", plan())
    assert len(other.records) == 3
    other.run()
    complete = Trials(tmp_path / "whole", plan())
    complete.run()
    assert {record.key: record.scores["dice"] for record in other.records if not record.error} == {
        record.key: record.scores["dice"] for record in complete.records if not record.error
    }


def test_interrupt_in_the_middle_of_an_attempt_keeps_the_others(plan, tmp_path):
    class Interrupted(Fixed):
        def segment(self, stack, keyframes, reach):
            raise KeyboardInterrupt

    trials = Trials(tmp_path / "out", plan(methods=[Fixed(object_mask(), "one"), Interrupted(object_mask(), "two")]))
    with pytest.raises(KeyboardInterrupt):
        trials.run()
    assert [record.method for record in Trials(tmp_path / "out", plan()).records] == ["one"]


def test_half_a_line_at_the_end_is_done_again(plan, tmp_path):
    Trials(tmp_path / "out", plan(tasks=["mask"])).run()
    path = tmp_path / "out" / "results.jsonl"
    path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    trials = Trials(tmp_path / "out", plan(tasks=["mask"]))
    trials.run()
    assert len(read_records(path)) == 9


def test_labels_that_were_replaced_are_tried_anew(plan, folder):
    Trials(folder / "out", plan(tasks=["mask"])).run()
    write_volume(folder / "a_labels.nrrd", Volume(np.roll(object_mask(), 3, axis=1).astype(np.uint8)))
    again = plan(tasks=["mask"])
    trials = Trials(folder / "out", again)
    assert {record.case for record in trials.records} == {"c"}
    trials.run()
    assert [len(method.asked) for method in again.methods] == [1, 1]
    assert {record.scores["dice"] < 1 for record in trials.records if record.case == "a"} == {True}


def test_results_of_cases_that_are_gone_are_left_out(plan, folder):
    Trials(folder / "out", plan()).run()
    (folder / "c_labels.nrrd").unlink()
    assert {record.case for record in Trials(folder / "out", plan()).records} == {"a"}


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), RecursionError("too deep"), ValueError("no"), TypeError("no")])
def test_case_that_cannot_be_read_is_a_record(plan, tmp_path, monkeypatch, error):
    load = Case.load

    def read(case):
        if case.name == "a":
            raise error
        return load(case)

    monkeypatch.setattr(Case, "load", read)
    trials = Trials(tmp_path / "out", plan(tasks=["mask"]))
    trials.run()
    assert [record.case for record in trials.records] == ["a", "b", "c", "c", "c", "c"]
    assert str(error) in trials.records[0].error


def test_folder_of_results_that_cannot_be_written_to_ends_the_run(plan, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "masks").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="masks: the folder cannot be made"):
        Trials(tmp_path / "out", plan()).run()


ERRORS = InputError("not this one"), RuntimeError("out of paper"), MemoryError(), TypeError("not so"), OSError(5, "Input/output error")


@pytest.mark.parametrize("error", ERRORS)
def test_failing_attempt_is_a_record_and_tried_again(plan, tmp_path, error):
    class Failing(Fixed):
        def segment(self, stack, keyframes, reach):
            raise error

    methods = [Failing(object_mask(), "failing"), Fixed(object_mask(), "fixed")]
    trials = Trials(tmp_path / "out", plan(tasks=["mask"], methods=methods, limit=1))
    trials.run()
    failed = [record for record in trials.records if record.method == "failing"]
    assert len(failed) == 2
    assert all(str(error) in record.error and not record.scores for record in failed)
    trials = Trials(tmp_path / "out", plan(tasks=["mask"], methods=[Fixed(object_mask(), "failing")], limit=1))
    trials.run()
    assert not [record for record in trials.records if record.error and record.object]


def test_method_without_use_for_a_prompt_is_not_blamed(plan, tmp_path):
    class Painter(Fixed):
        def segment(self, stack, keyframes, reach):
            if not keyframes[0].mask:
                raise Unsuited("paint something")
            return super().segment(stack, keyframes, reach)

    trials = Trials(tmp_path / "out", plan(methods=[Painter(object_mask())]))
    trials.run()
    assert {record.task for record in trials.records if record.object} == {"mask"}
    assert trials.unsuited == {"paint something"}


def test_objects_by_name(plan, tmp_path):
    trials = Trials(tmp_path / "out", plan(objects=["LABEL 2"]))
    trials.run()
    assert {record.object for record in trials.records if record.object} == trials.objects == {"label 2"}


def test_every_method_is_given_the_same_user(plan, tmp_path):
    made = plan(tasks=["box~20%"])
    Trials(tmp_path / "out", made).run()
    boxes = [[keyframes[0].box for keyframes, _, _ in method.asked] for method in made.methods]
    assert boxes[0] == boxes[1]
    assert len(set(boxes[0])) == 4


def test_results_of_another_model_are_not_mixed_in(plan, tmp_path):
    Trials(tmp_path / "out", plan(settings={"sha256": "1"})).run()
    with pytest.raises(InputError, match="another model"):
        Trials(tmp_path / "out", plan(settings={"sha256": "2"}))
    assert isinstance(Trials(tmp_path / "out", plan(settings={"sha256": "1"})).records[0], Record)


def test_results_of_another_version_or_of_unknown_settings_are_not_mixed_in(plan, tmp_path, monkeypatch):
    Trials(tmp_path / "out", plan()).run()
    (tmp_path / "out" / "settings.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"settings\.json: is damaged"):
        Trials(tmp_path / "out", plan())
    (tmp_path / "out" / "settings.json").unlink()
    with pytest.raises(InputError, match="another version"):
        Trials(tmp_path / "out", plan())
    Trials(tmp_path / "new", plan()).run()
    monkeypatch.setattr("SAMSegmenterLib.evaluation.trials.__version__", "99")
    with pytest.raises(InputError, match="another version"):
        Trials(tmp_path / "new", plan())
