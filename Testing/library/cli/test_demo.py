"""`samsegmenter demo` leaves everything to look at."""

import numpy as np
import pytest
import SimpleITK as sitk

from support.cli_steps import assert_refused, labels_in, leftovers, segment


def test_demo_leaves_everything_to_look_at(samsegmenter, tmp_path):
    outcome = samsegmenter("demo", "--output", tmp_path / "new" / "demo")
    assert outcome.code == 0, outcome
    folder = tmp_path / "new" / "demo"
    assert leftovers(folder) == ["overlay.png", "phantom.nrrd", "phantom.prompts.json", "segmentation.seg.nrrd", "stats.json"]
    assert "slices/s" in outcome.out
    assert outcome.out.count("Dice") == 2
    assert str(folder / "segmentation.seg.nrrd") in outcome.out
    dice = [float(line.split("Dice ")[1].split()[0]) for line in outcome.out.splitlines() if "Dice" in line]
    assert min(dice) > 0.7
    assert sitk.ReadImage(str(folder / "phantom.nrrd")).GetSize() == sitk.ReadImage(str(folder / "segmentation.seg.nrrd")).GetSize()


def test_the_files_of_the_demo_can_be_propagated_again(samsegmenter, propagate, tmp_path):
    again = tmp_path / "again.seg.nrrd"
    samsegmenter("demo", "--output", tmp_path)
    assert propagate(volume=tmp_path / "phantom.nrrd", prompts=tmp_path / "phantom.prompts.json", output=again).code == 0
    np.testing.assert_array_equal(labels_in(again), labels_in(tmp_path / "segmentation.seg.nrrd"))


def test_demo_takes_a_volume(samsegmenter, scan, marked, tmp_path):
    outcome = samsegmenter("demo", "--volume", scan, "--prompts", marked(segment()), "--output", tmp_path / "demo")
    assert outcome.code == 0, outcome
    assert leftovers(tmp_path / "demo") == ["overlay.png", "segmentation.seg.nrrd", "stats.json"]
    assert "Dice" not in outcome.out


def test_the_demo_leaves_prompts_of_the_users_own_alone(samsegmenter, marked, tmp_path):
    prompts = marked(segment())
    before = prompts.read_bytes()
    outcome = samsegmenter("demo", "--output", tmp_path)
    assert prompts.read_bytes() == before
    assert str(prompts) not in outcome.out.splitlines()


def test_a_name_on_two_lines_can_be_drawn(samsegmenter, scan, marked, tmp_path):
    prompts = marked(segment("left\nkidney"))
    outcome = samsegmenter("demo", "--volume", scan, "--prompts", prompts, "--output", tmp_path / "demo")
    assert outcome.code == 0, outcome
    assert leftovers(tmp_path / "demo") == ["overlay.png", "segmentation.seg.nrrd", "stats.json"]


@pytest.mark.parametrize("options", [["--volume", "none.nrrd", "--prompts", "none.json"], ["--model", "no-such-model"]])
def test_no_empty_folder_is_left_where_nothing_can_be_shown(samsegmenter, tmp_path, options):
    assert_refused(samsegmenter("demo", "--output", tmp_path / "demo", *options))
    assert not leftovers(tmp_path)


def test_demo_into_a_file_is_refused(samsegmenter, tmp_path):
    (tmp_path / "demo").write_text("mine")
    assert_refused(samsegmenter("demo", "--output", tmp_path / "demo"), "demo")
    assert (tmp_path / "demo").read_text() == "mine"
