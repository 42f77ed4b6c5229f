"""`propagate --beside`: what a segmentation holds stays out of the result."""

import numpy as np
import pytest

from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import SegmentInfo, write_segmentation
from support.cli_steps import INVERSE, MIDDLE, SIDE, SLICES, assert_refused, assert_wrong_call, labels_in
from support.phantoms import ball

BALL = ball(SLICES, SIDE, 9)[1]
HALF = BALL & (np.arange(SIDE) > SIDE // 2)


@pytest.fixture
def segmentation(tmp_path):
    """Write segments of the image by name, to a file that may hold one or more layers."""

    def write(name, *layers, names=("half",), ijk_to_ras=INVERSE):
        path = tmp_path / name
        grid = Volume(np.zeros(layers[0].shape, np.int16), ijk_to_ras)
        write_segmentation(path, [layer.astype(np.uint8) for layer in layers], grid, [SegmentInfo(each) for each in names])
        return path

    return write


@pytest.mark.parametrize("name", ["done.nii.gz", "done.nrrd", "done.seg.nrrd"])
def test_what_is_finished_stays_out_of_the_result(propagate, segmentation, out, name):
    outcome = propagate("--beside", segmentation(name, HALF))
    assert (outcome.code, outcome.err) == (0, "")
    labels = labels_in(out)
    assert labels.any()
    assert not labels[HALF].any()


def test_segments_may_overlap(propagate, segmentation, out):
    lower, whole = HALF & (np.arange(SIDE)[:, None] > SIDE // 2), np.where(HALF, 2, 0)
    assert propagate("--beside", segmentation("done.seg.nrrd", lower, whole, names=("lower", "whole"))).code == 0
    assert not labels_in(out)[HALF].any()


def test_a_segment_that_is_looked_for_anew_does_not_keep_its_voxels(propagate, segmentation, out):
    outcome = propagate("--beside", segmentation("done.seg.nrrd", np.where(HALF, 2, BALL), names=("ball", "half")))
    assert outcome.code == 0
    assert "its segment 'ball' is looked for anew; only the others are kept out of it." in outcome.err
    labels = labels_in(out)
    assert labels[BALL & ~HALF].any()
    assert not labels[HALF].any()


def test_segments_that_leave_nothing_are_told(propagate, segmentation, out):
    outcome = propagate("--beside", segmentation("done.nii.gz", np.ones_like(BALL)))
    assert outcome.code == 0
    assert f"ball, slice {MIDDLE}: nothing is left of it beside the other segments" in outcome.err
    assert not labels_in(out).any()


def test_a_segmentation_of_another_image_is_refused(propagate, segmentation, out):
    elsewhere = INVERSE.copy()
    elsewhere[0, 3] += 30
    assert_refused(propagate("--beside", segmentation("done.nii.gz", HALF, ijk_to_ras=elsewhere)), "done.nii.gz lies elsewhere than")
    assert_refused(propagate("--beside", segmentation("done.nii.gz", HALF[:, :, 1:])), "done.nii.gz has 47 x 48 x 20 voxels")
    assert not out.exists()


def test_an_image_is_no_segmentation(propagate, scan, out):
    assert_refused(propagate("--beside", scan), "Give a segmentation, not an image.")


def test_the_segmentation_is_not_replaced(propagate, segmentation):
    path = segmentation("done.nii.gz", HALF)
    before = path.read_bytes()
    assert_refused(propagate("--beside", path, output=path), "this file is read, too, and would be lost")
    assert path.read_bytes() == before


def test_slices_one_by_one_know_no_neighbours(propagate, segmentation):
    outcome = propagate("--beside", segmentation("done.nii.gz", HALF), "--each-slice", "--keyframes-by", "x", "--range", "1:2")
    assert_wrong_call(outcome, "has no use for --beside")
