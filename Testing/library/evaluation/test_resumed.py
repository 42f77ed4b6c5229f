"""An evaluation goes on where it ended, and mixes nothing that does not belong together."""

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.evaluation.records import Record, read_records
from SAMSegmenterLib.evaluation.trials import Trials
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from support.evaluation_steps import Fixed, object_mask


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
