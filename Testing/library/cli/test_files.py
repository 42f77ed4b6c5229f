"""The files of a call: nothing that is read is replaced, and what cannot be named or written is known before the work."""

import io
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from support.cli_steps import INVERSE, SIDE, SLICES, assert_refused, leftovers, segment
from support.dicom_slices import slice_at
from support.phantoms import ball

NOT_UTF_8 = "sch\udce4del"  # as Python names the byte E4 of another encoding


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch):
    """Every one of these calls is refused before the long work."""

    def load(*arguments):
        pytest.fail("a model was loaded")

    monkeypatch.setattr("SAMSegmenterLib.models.loading.load_model", load)


@pytest.fixture
def mine(scan, tmp_path):
    """A copy of the image that a test may lose."""
    return Path(shutil.copy(scan, tmp_path / "mine.nrrd"))


def assert_kept(outcome, path, before, words="Choose another name"):
    assert_refused(outcome, path.name, words)
    assert path.read_bytes() == before


def test_the_image_is_not_replaced(propagate, mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = mine.read_bytes()
    assert_kept(propagate(volume=mine, output=Path("mine.nrrd")), mine, before, "this file is read, too")
    assert_kept(propagate("--stats", mine, volume=mine), mine, before)


@pytest.mark.parametrize(("header", "voxels"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw"), ("a.hdr", "a.img"), ("a.img", "a.hdr")])
def test_the_voxels_beside_a_header_are_not_replaced(propagate, scan, tmp_path, header, voxels):
    image = tmp_path / ("a.img" if header == "a.hdr" else header)
    sitk.WriteImage(sitk.ReadImage(str(scan)), str(image))
    before = (tmp_path / voxels).read_bytes()
    assert_kept(propagate("--stats", tmp_path / voxels, volume=tmp_path / header), tmp_path / voxels, before, "this file is read, too")


def test_the_prompts_are_not_replaced(propagate, marked):
    prompts = marked(segment())
    assert_kept(propagate("--stats", prompts, prompts=prompts), prompts, prompts.read_bytes())


@pytest.mark.parametrize("result", ["--output", "--stats"])
def test_a_mask_of_the_prompts_is_not_replaced(samsegmenter, scan, marked, tmp_path, result):
    mask = tmp_path / "mask.nii.gz"
    write_volume(mask, Volume(ball(SLICES, SIDE, 9)[1].astype(np.uint8), INVERSE))
    before, prompts = mask.read_bytes(), marked(segment(mask={"file": "mask.nii.gz"}))
    written = {"--output": tmp_path / "out.nii.gz", result: mask}
    outcome = samsegmenter("propagate", scan, "--prompts", prompts, *(each for pair in written.items() for each in pair))
    assert_kept(outcome, mask, before)
    assert not leftovers(tmp_path, "mask.nii.gz", "prompts.json")


def test_a_model_is_not_replaced(propagate, tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    assert_kept(propagate("--model", weights, "--stats", weights), weights, b"weights")


def test_two_results_have_two_names(propagate, tmp_path, out):
    assert_refused(propagate("--stats", tmp_path / "." / out.name), out.name, "two results")
    assert not out.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe with a name, which Windows does not have")
def test_what_is_no_file_is_not_replaced_by_one(propagate, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert_refused(propagate("--stats", tmp_path / "pipe"), "pipe: this is no file")
    assert (tmp_path / "pipe").is_fifo()


def test_dicom_images_are_not_replaced(propagate, tmp_path):
    image = tmp_path / "IM0001"
    slice_at((0, 0, 0)).save_as(image, enforce_file_format=True)
    for volume in (tmp_path, tmp_path / "IM0002"):
        assert_kept(propagate("--stats", image, volume=volume), image, image.read_bytes(), "DICOM image")


def test_the_demo_does_not_replace_what_it_is_given(samsegmenter, scan, marked, tmp_path):
    volume = Path(shutil.copy(scan, tmp_path / "segmentation.seg.nrrd"))
    prompts = marked(segment()).rename(tmp_path / "stats.json")
    other = marked(segment())
    for read, lost in (((scan, prompts), prompts), ((volume, other), volume)):
        outcome = samsegmenter("demo", "--volume", read[0], "--prompts", read[1], "--output", tmp_path)
        assert_kept(outcome, lost, lost.read_bytes())
    assert not leftovers(tmp_path, "segmentation.seg.nrrd", "stats.json", "prompts.json")


@pytest.mark.parametrize("names", [{"volume": f"{NOT_UTF_8}.nrrd"}, {"volume": f"{NOT_UTF_8}/ct.nrrd"}, {"output": f"{NOT_UTF_8}.nii.gz"}])
def test_names_that_would_abort_the_program_are_refused(propagate, tmp_path, names):
    assert_refused(propagate(**{what: tmp_path / name for what, name in names.items()}), "sch", "not UTF-8; rename it")
    assert not leftovers(tmp_path, "prompts.json")


def test_names_that_would_abort_the_program_are_refused_everywhere(samsegmenter, marked, tmp_path):
    prompts = marked(segment())
    for call in (
        ("info", tmp_path / f"{NOT_UTF_8}.nrrd"),
        ("demo", "--output", tmp_path / NOT_UTF_8),
        ("demo", "--volume", tmp_path / NOT_UTF_8, "--prompts", prompts, "--output", tmp_path),
    ):
        assert_refused(samsegmenter(*call), "sch", "not UTF-8; rename it")
    assert not leftovers(tmp_path, "prompts.json")


def test_a_mask_whose_name_would_abort_the_program_is_refused(propagate, marked):
    assert_refused(propagate(prompts=marked(segment(mask={"file": f"{NOT_UTF_8}.nrrd"}))), "mask.file", "not UTF-8; rename it")


def test_a_file_that_may_not_be_read_is_no_wrong_call(samsegmenter, propagate, mine, tmp_path, monkeypatch):
    def refuse(self, *arguments, **named):
        raise PermissionError(13, "Permission denied", str(self))

    prompts = mine.with_name("p.json")
    prompts.write_text("{}")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(Path, "open", refuse)
    assert_refused(samsegmenter("info", mine), "mine.nrrd: Permission denied. Change who may use it")
    assert_refused(propagate(volume=mine, prompts=prompts), "mine.nrrd: Permission denied")


@pytest.mark.parametrize(
    ("name", "words"), [("folder", "this is a folder"), ("nowhere/s.json", "no such folder"), ("mine.json", "write-protected")]
)
def test_statistics_that_cannot_be_written_are_refused_before_the_work(propagate, tmp_path, out, monkeypatch, name, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.json").write_text("{}")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "mine.json")
    assert_refused(propagate("--stats", tmp_path / name), words)
    assert not out.exists()


def sheared(path):
    axes = np.array(INVERSE)
    axes[1, 2] = 1.0  # as a tilted gantry does
    write_volume(path, Volume(ball(SLICES, SIDE, 9)[0].voxels, axes))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_tilted_volume_is_refused_for_nifti_before_the_work(propagate, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    assert_refused(propagate(volume=sheared(tmp_path / "tilted.nrrd"), output=output), "axes that are not at right angles", ".seg.nrrd")
    assert not leftovers(tmp_path, "tilted.nrrd", "prompts.json")


def test_a_full_disk_is_noticed_before_the_work(propagate, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=100))
    assert_refused(propagate(), "the disk is full")


def test_a_path_that_the_terminal_cannot_show_is_shown_otherwise(samsegmenter, scan, tmp_path, monkeypatch):
    shown = io.BytesIO()
    path = shutil.copy(scan, tmp_path / "肝.nrrd")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "cp1252", write_through=True))
    assert samsegmenter("info", path).code == 0
    assert rb"\u809d.nrrd" in shown.getvalue()
