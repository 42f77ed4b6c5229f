"""Everything that is planned is tried, by the same user."""

import numpy as np

from SAMSegmenterLib.evaluation.records import mask_path, read_mask, read_records
from SAMSegmenterLib.evaluation.trials import Trials
from support.evaluation_steps import object_mask


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
