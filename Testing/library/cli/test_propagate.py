"""`samsegmenter propagate` finds the ball, where and how it is asked to."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from support.cli_steps import MIDDLE, SIDE, SLICES, assert_refused, labels_in, segment
from support.phantoms import ball


def test_the_ball_is_found_and_lies_where_the_image_lies(propagate, scan, out):
    outcome = propagate()
    assert outcome.code == 0, outcome
    found, image = sitk.ReadImage(str(out)), sitk.ReadImage(str(scan))
    assert found.GetSize() == image.GetSize()
    for read in (sitk.Image.GetSpacing, sitk.Image.GetOrigin, sitk.Image.GetDirection):
        np.testing.assert_allclose(read(found), read(image), atol=1e-4)
    truth, mask = ball(SLICES, SIDE, 9)[1], sitk.GetArrayFromImage(found) == 1
    assert 2 * (truth & mask).sum() / (truth.sum() + mask.sum()) > 0.6


def test_a_pipe_hears_nothing_when_all_is_well(propagate):
    outcome = propagate()
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.strip().count("\n") == 0


def test_nothing_is_computed_outside_the_range(propagate, out):
    assert propagate("--range", "8:11").code == 0
    labels = labels_in(out)
    assert labels[8:12].any(axis=(1, 2)).all()
    assert not labels[:8].any()
    assert not labels[12:].any()


@pytest.mark.parametrize(("text", "words"), [("5:20", "range 5 to 20: ball.nrrd: there is no slice 20"), ("0:5", "outside 0 to 5. Choose")])
def test_a_range_that_does_not_fit_is_refused(propagate, out, text, words):
    assert_refused(propagate("--range", text), words)
    assert not out.exists()


@pytest.mark.parametrize("axis", "ij")
def test_other_axes(propagate, marked, out, axis):
    prompts = marked({"name": "ball", "keyframes": [{"slice": 24, "box": [15, 6, 33, 14]}]}, axis=axis)
    assert propagate("--range", "23:25", prompts=prompts).code == 0
    labels = np.moveaxis(labels_in(out), 2 - "ijk".index(axis), 0)
    assert labels[24].any()
    assert not labels[:23].any()


@pytest.mark.parametrize("mode", ["strict", "fast"])
def test_every_mode_runs(propagate, tmp_path, out, mode):
    assert propagate("--mode", mode, "--range", "9:11", "--stats", tmp_path / "s.json").code == 0
    stats = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert stats["mode"] == mode
    assert labels_in(out)[MIDDLE, 24, 24] == 1
    if mode == "strict":
        assert stats["precision"] == "float32"


def test_a_window_can_be_given(propagate, tmp_path):
    assert propagate("--window", "50,300", "--range", "9:11", "--stats", tmp_path / "s.json").code == 0
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["window"] == [-100, 200]


def test_the_window_suits_what_is_marked(samsegmenter, marked, tmp_path):
    voxels = np.full((8, 32, 32), -1000, np.int16)
    voxels[:, 4:28, 4:28] = 40
    voxels[:, 10:22, 10:22] = -800
    write_volume(tmp_path / "chest.nrrd", Volume(voxels))
    common = ["propagate", tmp_path / "chest.nrrd", "--output", tmp_path / "o.nii.gz", "--range", "3:4", "--stats", tmp_path / "s.json"]
    windows = []
    for box in ([10, 10, 21, 21], [4, 4, 9, 27]):
        assert samsegmenter(*common, "--prompts", marked(segment(index=4, box=box))).code == 0
        windows.append(json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["window"])
    assert windows == [[-1350, 150], [-160, 240]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this computer has a CUDA device")
def test_a_device_that_is_not_there_is_refused(propagate, out):
    assert_refused(propagate("--device", "cuda"), "cuda")
    assert not out.exists()
