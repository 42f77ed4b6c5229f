"""Names that files and labels may have on some system, or by mistake, do not end an evaluation, nor reach a page or a terminal."""

import json
import os
import sys

import numpy as np
import pytest

from SAMSegmenterLib.evaluation.cases import find_cases
from SAMSegmenterLib.evaluation.records import Record, mask_path, write_mask
from SAMSegmenterLib.evaluation.report.outputs import write_outputs
from SAMSegmenterLib.evaluation.tasks import parse_tasks
from SAMSegmenterLib.evaluation.trials import Plan, Trials
from support.evaluation_steps import Fixed, object_mask

NUL, ESCAPE = "\0", "\x1b[31m"
NAMES = {
    "nul": f"li{NUL}ver",
    "escape": f"{ESCAPE}liver",
    "surrogate": "liver\ud800",
    "slashes": "../../liver",
    "backslash": "..\\liver",
    "dots": "..",
    "empty": " ",
    "long": "liver " * 1000,
    "lines": "li\nver\r\u2028x",
    "markup": "<script>alert(1)</script>",
}


def evaluated(folder):
    plan = Plan(find_cases(folder), [Fixed(object_mask(), "one")], parse_tasks(["mask"]))
    trials = Trials(folder / "out", plan)
    trials.run()
    write_outputs(folder / "out", trials.records, plan)
    return trials


def assert_clean(folder):
    """Neither the page nor the table holds what a browser or a terminal would act on."""
    for name in ("report.html", "results.csv"):
        text = (folder / "out" / name).read_bytes().decode()
        assert all(letter.isprintable() or letter in "\n\r\t\u00a0" for letter in text)
        assert "<script>alert" not in text or name.endswith("csv")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_labels_of_any_name_are_cleaned(folder, name):
    (folder / "a_labels.json").write_text(json.dumps({"1": name, "2": name.replace(NUL, "\1")}), encoding="utf-8")
    _, _, names = find_cases(folder)[0].load()
    assert list(names) == [1, 2]
    assert all(0 < len(each) <= 80 and each.isprintable() for each in names.values())


def test_labels_of_odd_names_are_evaluated(folder):
    (folder / "a_labels.json").write_text(json.dumps({"1": NAMES["escape"], "2": NAMES["markup"]}), encoding="utf-8")
    trials = evaluated(folder)
    assert {record.label for record in trials.records if record.case == "a"} == {1, 2}
    assert [record.case for record in trials.records if record.error] == ["b"]
    assert_clean(folder)


CASES = ["x" * 240, "ü" * 120, "a" * 200 + "%", "con", "a+1+one+mask"] + (["\udcff", f"b{ESCAPE}", "li\nver"] if os.name == "posix" else [])


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no files of some of these names")
def test_cases_of_any_name_are_evaluated_or_listed(folder):
    for place, source in (("images", folder / "a.nrrd"), ("labels", folder / "a_labels.nrrd")):
        (folder / place).mkdir()
        for name in CASES:
            (folder / place / f"{name}.nrrd").write_bytes(source.read_bytes())
    trials = evaluated(folder)
    assert {record.case for record in trials.records} == {"a", "b", "c", *CASES}
    assert {record.case for record in trials.records if record.error} <= {"b", "\udcff"}
    assert_clean(folder)


def test_mask_files_of_long_names_differ_and_can_be_written(tmp_path):
    records = [Record("ü" * length, "x", 1, "", "ours", "mask") for length in (90, 91, 250)]
    records += [Record("ü" * 250, "x", 2, "", "ours", "mask")]
    paths = {mask_path(tmp_path, record) for record in records}
    assert len(paths) == len(records)
    for path in paths:
        write_mask(path, np.ones((1, 2, 3), bool))
        assert len(path.name.encode()) < 240


def test_a_file_that_is_gone_meanwhile_is_listed(folder):
    plan = Plan(find_cases(folder), [Fixed(object_mask(), "one")], parse_tasks(["mask"]))
    (folder / "a_labels.nrrd").unlink()
    (folder / "a.nrrd").unlink()
    trials = Trials(folder / "out", plan)
    trials.run()
    assert {(record.case, bool(record.error)) for record in trials.records} == {("a", True), ("b", True), ("c", False)}
