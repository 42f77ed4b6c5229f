"""What `samsegmenter propagate` writes: labels, names and layers, whole or not at all."""

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cli_steps import MIDDLE, SIDE, assert_refused, assert_wrong_call, labels_in, leftovers, segment
from SAMSegmenterLib.runs import Run

pytest_plugins = ["cli_fixtures"]


def test_labels_are_numbered_in_the_order_of_the_segments(propagate, marked, out):
    painted = np.zeros((SIDE, SIDE), bool)
    painted[2:8, 2:8] = True
    corner = {"shape": [SIDE, SIDE], "runs": runs(painted)}
    prompts = marked(segment("second in the alphabet"), segment("another", mask=corner))
    assert propagate("--range", "9:11", prompts=prompts).code == 0
    labels = labels_in(out)
    assert labels[MIDDLE, 24, 24] == 1
    assert (labels[MIDDLE][painted] == 2).all()
    assert set(np.unique(labels)) == {0, 1, 2}


def runs(mask):
    flat = mask.reshape(-1)
    bounds = [0, *np.flatnonzero(np.diff(flat, prepend=False)), flat.size]
    return [int(b - a) for a, b in itertools.pairwise(bounds)]


def test_a_seg_nrrd_knows_the_names(propagate, marked, tmp_path):
    output = tmp_path / "out.seg.nrrd"
    prompts = marked({**segment("left kidney"), "color": [0.25, 0.5, 1]}, segment("cyst"))
    assert propagate("--range", "9:11", prompts=prompts, output=output).code == 0
    image = sitk.ReadImage(str(output))
    assert [image.GetMetaData(f"Segment{n}_Name") for n in range(2)] == ["left kidney", "cyst"]
    assert image.GetMetaData("Segment0_Color") == "0.25 0.5 1"


@pytest.mark.parametrize("name", ["out.seg.nrrd", "OUT.SEG.NRRD"])
def test_overlapping_segments_are_kept_when_asked_for(propagate, marked, tmp_path, name):
    output = tmp_path / name
    prompts = marked(segment("one"), segment("other"))
    assert propagate("--range", "9:11", "--overlap", prompts=prompts, output=output).code == 0
    image = sitk.ReadImage(str(output))
    assert image.GetNumberOfComponentsPerPixel() == 2
    layers = sitk.GetArrayFromImage(image)
    assert layers[MIDDLE, 24, 24].tolist() == [1, 2]


def test_overlap_is_refused_where_the_format_has_no_layers(propagate, out):
    assert_wrong_call(propagate("--overlap"), ".seg.nrrd")
    assert not out.exists()


def test_a_terminal_shows_names_as_they_are(propagate, marked, tmp_path, monkeypatch):
    """Rich would take [left] for a style, [/b] for the end of one, and :heart: for a picture."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    names = "tumour [left]", "x[/b]", "of :heart:"
    outcome = propagate("--range", "9:11", prompts=marked(*map(segment, names)), output=tmp_path / "[b]out.nii.gz")
    assert outcome.code == 0, outcome
    for name in (*(f"{name}: from slice" for name in names), "[b]out.nii.gz: "):
        assert name in outcome.err


@pytest.mark.parametrize("name", ["out.jpg", "out", "nowhere/out.nii.gz", "folder.nii.gz"])
def test_unusable_outputs_are_refused_before_anything_is_read(propagate, tmp_path, name):
    (tmp_path / "folder.nii.gz").mkdir()
    assert_refused(propagate(volume=tmp_path / "no-such-volume.nrrd", output=tmp_path / name), name.split("/")[0])
    assert not leftovers(tmp_path, "folder.nii.gz", "prompts.json")


def test_a_failed_write_leaves_the_older_output_as_it_was(propagate, tmp_path, out, monkeypatch):
    out.write_bytes(b"older")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert_refused(propagate("--range", "9:11"), "out.nii.gz", "No space left")
    assert out.read_bytes() == b"older"
    assert not leftovers(tmp_path, "out.nii.gz", "prompts.json")


def test_what_cannot_be_written_where_it_should_is_kept_elsewhere(propagate, tmp_path, out, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    enough = shutil.disk_usage(elsewhere)

    def usage(folder):  # full by the time that the run is over
        return enough if Path(folder) != out.parent or not propagated else enough._replace(free=0)

    propagated = []
    monkeypatch.setattr(shutil, "disk_usage", usage)
    monkeypatch.setattr(Run, "labels", lambda run, overlap, labels=Run.labels: propagated.append(True) or labels(run, overlap))
    assert_refused(propagate("--range", "9:11"), "out.nii.gz: the disk is full", "The result was saved as")
    assert not out.exists()
    (rescued,) = elsewhere.glob("samsegmenter-*/out.nii.gz")
    assert labels_in(rescued)[MIDDLE, 24, 24] == 1


def test_bad_input_leaves_the_older_output_as_it_was(propagate, marked, tmp_path, out):
    out.write_bytes(b"older")
    assert_refused(propagate(prompts=marked(segment(index=99))))
    assert out.read_bytes() == b"older"
