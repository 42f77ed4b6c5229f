"""Networks of single slices make the keyframes, or every slice of a range."""

import numpy as np
import SimpleITK as sitk

from support.cli_steps import MIDDLE, assert_refused, assert_wrong_call, leftovers, segment


def test_a_network_of_single_slices_makes_the_keyframes(samsegmenter, scan, marked, tmp_path):
    output = tmp_path / "out.nii.gz"
    outcome = samsegmenter("propagate", scan, "--prompts", marked(segment()), "--output", output, "--keyframes-by", "samsegmenter-pico")
    assert outcome.code == 0, outcome
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(output))).any((1, 2)).sum() > 3


def test_each_slice_of_the_range_can_be_asked_the_same(samsegmenter, scan, marked, tmp_path):
    output = tmp_path / "out.nii.gz"
    asked = "propagate", scan, "--prompts", marked(segment()), "--output", output, "--each-slice"
    outcome = samsegmenter(*asked, "--keyframes-by", "samsegmenter-pico", "--range", f"{MIDDLE - 1}:{MIDDLE + 1}")
    assert outcome.code == 0, outcome
    labelled = sitk.GetArrayFromImage(sitk.ReadImage(str(output))).any((1, 2))
    assert np.flatnonzero(labelled).tolist() == [MIDDLE - 1, MIDDLE, MIDDLE + 1]
    for too_little in ((), ("--keyframes-by", "samsegmenter-pico"), ("--range", "3:5")):
        assert_wrong_call(samsegmenter(*asked, *too_little), "--each-slice needs a model")


def test_what_is_of_propagation_is_refused_where_nothing_is_propagated(samsegmenter, scan, marked, tmp_path):
    asked = "propagate", scan, "--prompts", marked(segment()), "--output", tmp_path / "out.seg.nrrd", "--each-slice"
    asked += "--keyframes-by", "samsegmenter-pico", "--range", "3:5"
    for options in (["--stats", tmp_path / "stats.json"], ["--overlap"], ["--model", "samsegmenter-pico"], ["--mode", "fast"]):
        assert_wrong_call(samsegmenter(*asked, *options), options[0])
    assert not leftovers(tmp_path, "prompts.json")


def test_each_slice_of_a_range_that_does_not_fit_is_refused(samsegmenter, scan, marked, tmp_path):
    asked = "propagate", scan, "--prompts", marked(segment()), "--output", tmp_path / "out.nii.gz", "--each-slice"
    assert_refused(samsegmenter(*asked, "--keyframes-by", "samsegmenter-pico", "--range", "0:9999"), "no slice 9999")
    assert not leftovers(tmp_path, "prompts.json")
