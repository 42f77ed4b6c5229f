"""What fails, or has no use for a prompt, does not keep the rest from being evaluated."""

import pytest

from SAMSegmenterLib.errors import InputError, OutputError
from SAMSegmenterLib.evaluation.cases import Case
from SAMSegmenterLib.evaluation.methods.base import Unsuited
from SAMSegmenterLib.evaluation.trials import Trials
from support.evaluation_steps import Fixed, object_mask


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
