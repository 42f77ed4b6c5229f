"""`samsegmenter evaluate`: what it writes and says, that it goes on where it ended, and its exit codes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from SAMSegmenterLib.evaluation.methods import choice
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from support.cli_steps import LIBRARY, assert_refused, assert_wrong_call
from support.phantoms import ball

METHODS = "samsegmenter,copy"


@pytest.fixture
def evaluate(samsegmenter, cases, tmp_path):
    """Evaluate the folder of cases."""

    def run(*options, folder=cases, output=tmp_path / "report", methods=METHODS):
        return samsegmenter("evaluate", folder, "--output", output, "--device", "cpu", "--methods", methods, *options)

    return run


@pytest.fixture
def cases(tmp_path):
    """Two balls with their labels."""
    folder = tmp_path / "cases"
    folder.mkdir()
    for name, radius in (("large", 9), ("small", 6)):
        volume, inside = ball(20, 48, radius)
        write_volume(folder / f"{name}.nrrd", volume)
        write_volume(folder / f"{name}_labels.nrrd", Volume(inside.astype("uint8")))
        (folder / f"{name}_labels.json").write_text('{"1": "ball"}', encoding="utf-8")
    return folder


def rows(output):
    with open(output / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_help_names_every_option(evaluate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = evaluate("--help")
    assert shown.code == 0
    for option in ("FOLDER", "--output", "--protocol", "--model", "--device", "--mode", "--methods", "--objects", "--limit"):
        assert option in shown.out


def test_report_of_the_main_protocol(evaluate, tmp_path):
    outcome = evaluate()
    assert outcome.code == 0, outcome.err
    output = tmp_path / "report"
    assert {"results.jsonl", "results.csv", "summary.json", "settings.json", "report.html"} <= {path.name for path in output.iterdir()}
    found = {(row["case"], row["method"], row["task"]): float(row["dice"]) for row in rows(output)}
    assert len(found) == 2 * (4 + 2)  # copying has no use for boxes and points
    assert found["large", "samsegmenter", "mask-3"] > 0.8
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert lines[0][:4] == ["task", "method", "objects", "Dice (95 % interval)"]
    assert [line[:3] for line in lines[1:3]] == [["mask-3", "samsegmenter", "2"], ["mask-3", "copy", "2"]]
    assert lines[-1] == [str(output / "report.html")]
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert summary["model"].startswith("samsegmenter")
    assert (summary["cases"], summary["objects"], summary["failed"]) == (2, 2, [])
    assert summary["table"][0]["dice"]["low"] <= summary["table"][0]["dice"]["mean"]
    assert set(summary["table"][0]["by_case"]) == {"large", "small"}


def test_evaluation_goes_on_with_other_tasks(evaluate, tmp_path):
    evaluate("--protocol", "mask", "--limit", "1", methods="copy")
    before = (tmp_path / "report" / "results.jsonl").read_text(encoding="utf-8")
    assert evaluate("--protocol", "mask,mask-3", methods="copy").code == 0
    assert (tmp_path / "report" / "results.jsonl").read_text(encoding="utf-8").startswith(before)
    assert {row["task"] for row in rows(tmp_path / "report")} == {"mask", "mask-3"}


def test_broken_case_is_told_and_passed_over(evaluate, cases, tmp_path):
    (cases / "large.nrrd").write_bytes(b"no image")
    outcome = evaluate("--protocol", "mask", methods="copy")
    assert outcome.code == 0
    assert "warning: large: " in outcome.err
    assert [(row["case"], bool(row["error"])) for row in rows(tmp_path / "report")] == [("large", True), ("small", False)]


def test_method_that_is_not_installed_is_left_out(evaluate, monkeypatch, tmp_path):
    monkeypatch.setattr(choice, "find_spec", lambda name: None if name == "slicer" else object())
    outcome = evaluate("--protocol", "mask", methods="copy,grow")
    assert outcome.code == 0
    assert "grow is left out: install what it needs with: pip install" in outcome.err
    assert {row["method"] for row in rows(tmp_path / "report")} == {"copy"}
    assert evaluate("--protocol", "mask", methods="grow").code == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--protocol", "ball"], "there is no task"),
        (["--protocol", ""], "there is no task"),
        (["--methods", " , "], "there is no method"),
        (["--methods", "copy,paste"], "there is no method 'paste'"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_wrong_calls(evaluate, options, words):
    assert_wrong_call(evaluate(*options), words)


def test_what_cannot_be_evaluated_ends_with_one_message(evaluate, tmp_path):
    assert_refused(evaluate(folder=tmp_path / "missing"), "there is no such folder")
    assert_refused(evaluate(folder=tmp_path), "no labels found")
    assert_refused(evaluate("--objects", "liver", methods="copy"), "no object is called liver; there are ball.")
    assert_refused(evaluate("--objects", "liver,spleen", methods="copy"), "no object is called liver or spleen; there are ball.")
    assert_refused(evaluate("--model", "missing.pt"), "there is no such model file")
    assert_refused(evaluate("--protocol", "S2", methods="copy"), "copy: offers no masks on single slices")
    assert_refused(evaluate("--protocol", "box", methods="copy"), "copy: starts from painted slices only")


def test_folders_that_may_not_be_read_are_no_wrong_call(evaluate, cases, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert_refused(evaluate(output=cases), "cases: Permission denied. Change who may use it")


def test_objects_that_are_not_there_are_told_whatever_is_known_already(evaluate):
    assert evaluate("--protocol", "mask", methods="copy").code == 0
    assert_refused(evaluate("--protocol", "mask", "--objects", "bal", methods="copy"), "no object is called bal; there are ball.")


def test_objects_that_are_there_but_too_small_are_told(evaluate, cases):
    for name in ("large", "small"):
        inside = np.zeros((20, 48, 48), np.uint8)
        inside[10, 20, 20] = 1
        write_volume(cases / f"{name}_labels.nrrd", Volume(inside))
    assert_refused(evaluate("--objects", "ball", methods="copy"), "no object among ball is on 6 slices")


def test_a_name_that_no_object_has_is_told_beside_those_that_are_there(evaluate):
    outcome = evaluate("--protocol", "mask", "--objects", "Ball,spline", methods="copy")
    assert outcome.code == 0
    assert outcome.err == "samsegmenter: warning: no object is called spline\n"


def test_another_model_needs_another_folder(evaluate):
    assert evaluate("--protocol", "mask", methods="copy").code == 0
    assert_refused(evaluate("--protocol", "mask", "--mode", "fast", methods="copy"), "Choose another folder")


def test_results_are_of_the_folder_that_is_given(evaluate, cases, tmp_path):
    assert evaluate("--protocol", "mask", methods="copy").code == 0
    other = tmp_path / "other"
    other.mkdir()
    volume, inside = ball(20, 48, 8)
    write_volume(other / "small.nrrd", volume)
    write_volume(other / "small_labels.nrrd", Volume(inside.astype("uint8")))
    (before,) = [row["dice"] for row in rows(tmp_path / "report") if row["case"] == "small"]
    assert evaluate("--protocol", "mask", methods="copy", folder=other).code == 0
    ((name, after),) = [(row["case"], row["dice"]) for row in rows(tmp_path / "report")]
    assert name == "small"
    assert after != before


def test_names_that_look_like_markup_are_shown_as_they_are(evaluate, cases, monkeypatch):
    (cases / "large_labels.json").write_text('{"1": "x[/b]"}', encoding="utf-8")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "200")
    outcome = evaluate("--protocol", "mask", methods="copy")
    assert outcome.code == 0, outcome.err
    assert "x[/b], copy, mask: Dice" in outcome.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_that_is_not_there_ends_it_at_once(evaluate, tmp_path):
    assert_refused(evaluate("--protocol", "mask", "--device", "cuda"), "PyTorch finds no cuda device here")
    assert not (tmp_path / "report").exists()


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT, which Windows does not have")
def test_interrupted_evaluation_keeps_what_is_finished(cases, tmp_path):
    output = tmp_path / "report"
    arguments = ["evaluate", str(cases), "--output", str(output), "--protocol", "grid", "--methods", "samsegmenter", "--device", "cpu"]
    code = f"from SAMSegmenterLib.cli.main import main; main({arguments})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=LIBRARY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    records, deadline = output / "results.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline and not (records.exists() and records.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted; what was finished is in" in errors
    assert 0 < len(rows(output)) < 2 * 44
    assert (output / "report.html").exists()
