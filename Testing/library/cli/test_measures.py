"""The table that `--measure` writes, and results that `--split` parts."""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.cli import objects
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import read_segments, write_volume
from support.cli_steps import INVERSE, MIDDLE, SIDE, SLICES, assert_refused, labels_in, leftovers, segment
from support.phantoms import ball

RIGHT, LEFT = np.s_[10:16, 10:18], np.s_[30:34, 30:33]  # rows and columns of two patches that do not touch
ONLY_PAINTED = "--range", f"{MIDDLE}:{MIDDLE}"


def painted(name, mask, index=MIDDLE):
    """A segment of a prompt file that is painted on one slice; a run that stays on it returns just that."""
    changes = np.flatnonzero(np.diff(np.r_[0, mask.ravel().astype(int), 0]))
    ends = np.r_[0, changes, mask.size] if changes[-1] < mask.size else np.r_[0, changes]
    return segment(name, index, mask={"shape": list(mask.shape), "runs": np.diff(ends).tolist()})


def patches(*places):
    mask = np.zeros((SIDE, SIDE), bool)
    for place in places:
        mask[place] = True
    return mask


def table(path):
    """The rows by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def measures(tmp_path):
    """Where the table goes."""
    return tmp_path / "measures.csv"


def test_every_object_has_a_row_and_the_longest_diameters_a_sum(propagate, marked, measures):
    prompts = marked(painted("right", patches(RIGHT)), painted("left", patches(LEFT)))
    assert propagate("--measure", measures, *ONLY_PAINTED, prompts=prompts).code == 0
    right, left, total = table(measures)
    assert list(right) == ["name", "volume_ml", "longest_mm", "perpendicular_mm", "slice", "largest_3d_mm", "drawn_mm", "check"]
    assert (right["name"], right["slice"], right["drawn_mm"]) == ("right", str(MIDDLE), "")
    assert float(right["volume_ml"]) == pytest.approx(48 * 0.8 * 0.8 * 2.5 / 1000)
    assert float(right["longest_mm"]) == pytest.approx(8)  # 6 by 8 pixels of 0.8 mm
    assert float(right["perpendicular_mm"]) == pytest.approx(6)
    assert float(right["largest_3d_mm"]) == pytest.approx(np.hypot(8, 2.5), abs=0.005)
    assert float(left["longest_mm"]) == pytest.approx(4)
    assert total == {**dict.fromkeys(total, ""), "name": "sum", "longest_mm": "12.00"}


def test_a_result_is_measured_as_it_was_written(propagate, measures, out, tmp_path):
    stats = tmp_path / "stats.json"
    assert propagate("--measure", measures, "--stats", stats).code == 0
    found, _ = table(measures)
    told = json.loads(stats.read_text(encoding="utf-8"))["segments"][0]
    assert float(found["volume_ml"]) == told["volume_ml"]
    assert [int(index) for index in found["check"].split()] == told["review"]
    assert float(found["longest_mm"]) == pytest.approx(18 * 0.8, abs=2)
    assert labels_in(out)[int(found["slice"])].any()


def test_a_drawn_diameter_stands_beside_the_measured_one(propagate, marked, measures):
    prompts = marked(segment(line=[15, 24, 33, 24]))
    assert propagate("--measure", measures, prompts=prompts).code == 0
    found, _ = table(measures)
    assert float(found["drawn_mm"]) == pytest.approx(18 * 0.8)
    assert float(found["longest_mm"]) > 0


def test_slices_along_another_axis_are_measured_along_k_all_the_same(propagate, marked, measures, out):
    mask = np.zeros((SLICES, SIDE), bool)
    mask[5:9, 10:20] = True  # k and i
    assert propagate("--measure", measures, "--range", "20:20", prompts=marked(painted("a", mask, 20), axis="j")).code == 0
    found, _ = table(measures)
    assert int(found["slice"]) in range(5, 9)
    assert float(found["longest_mm"]) == pytest.approx(np.hypot(8, 0.8), abs=0.005)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a"])
def test_a_name_is_no_formula(propagate, marked, measures, name):
    assert propagate("--measure", measures, *ONLY_PAINTED, prompts=marked(painted(name, patches(RIGHT)))).code == 0
    assert table(measures)[0]["name"] == f"'{name}"


def test_names_keep_commas_and_quotes_and_stay_on_one_line(propagate, marked, measures):
    prompts = marked(painted('a, "b"', patches(RIGHT)), painted("two\nlines", patches(LEFT)))
    assert propagate("--measure", measures, *ONLY_PAINTED, prompts=prompts).code == 0
    assert [row["name"] for row in table(measures)] == ['a, "b"', "two?lines", "sum"]


def test_a_segment_of_which_nothing_is_left_has_no_diameters(propagate, marked, measures, tmp_path):
    done = tmp_path / "done.nrrd"
    write_volume(done, Volume(np.ones((SLICES, SIDE, SIDE), np.uint8), INVERSE))
    assert propagate("--measure", measures, "--split", "--beside", done).code == 0
    found, total = table(measures)
    assert found == {**dict.fromkeys(found, ""), "name": "ball", "volume_ml": "0"}
    assert total["longest_mm"] == "0.00"


def test_slices_one_by_one_are_measured_too(propagate, measures):
    asked = "--each-slice", "--keyframes-by", "samsegmenter-pico", "--range", f"{MIDDLE - 1}:{MIDDLE + 1}"
    assert propagate("--measure", measures, "--split", *asked).code == 0
    found, *_ = table(measures)
    assert float(found["longest_mm"]) > 10
    assert found["check"] == ""


def test_lengths_in_an_image_without_spacing_are_doubted(propagate, measures, tmp_path):
    image = sitk.GetImageFromArray(ball(SLICES, SIDE, 9)[0].voxels)
    path = tmp_path / "scan.mha"
    sitk.WriteImage(image, str(path), False)
    header = [line for line in path.read_bytes().split(b"\n") if not line.startswith(b"ElementSpacing")]
    path.write_bytes(b"\n".join(header))
    outcome = propagate("--measure", measures, volume=path)
    assert outcome.code == 0
    assert "scan.mha: the distance between its voxels is an assumption" in outcome.err
    assert "not to be trusted" not in propagate(volume=path).err


def test_the_table_does_not_replace_what_is_read_or_another_result(propagate, marked, scan, out, tmp_path):
    prompts = marked(segment())
    assert_refused(propagate("--measure", prompts, prompts=prompts), "this file is read, too, and would be lost")
    assert_refused(propagate("--measure", out), "two results would have this name")
    assert_refused(propagate("--measure", tmp_path / "missing" / "m.csv"), "there is no such folder")
    assert_refused(propagate("--measure", tmp_path), "this is a folder")
    assert not leftovers(tmp_path, "prompts.json")


def test_parts_become_objects_the_largest_first(propagate, marked, measures, tmp_path):
    output, stats = tmp_path / "out.seg.nrrd", tmp_path / "stats.json"
    prompts = marked(painted("lesion", patches(LEFT, RIGHT)), painted("other", patches(np.s_[40, 40])))
    assert propagate("--split", "--measure", measures, "--stats", stats, *ONLY_PAINTED, prompts=prompts, output=output).code == 0
    (layer,) = read_segments(output)
    assert layer.names == {1: "lesion", 2: "lesion 2", 3: "other"}
    for label, mask in enumerate((patches(RIGHT), patches(LEFT), patches(np.s_[40, 40])), 1):
        np.testing.assert_array_equal(layer.labels.voxels[MIDDLE] == label, mask)
    assert [row["name"] for row in table(measures)] == ["lesion", "lesion 2", "other", "sum"]
    assert [row["longest_mm"] for row in table(measures)] == ["8.00", "4.00", "1.13", "13.13"]
    told = json.loads(stats.read_text(encoding="utf-8"))["segments"]
    assert [each["labels"] for each in told] == [[1, 2], [3]]
    assert "label" not in told[0]


def test_a_line_is_told_of_the_part_that_it_crosses(propagate, marked, measures):
    drawn = painted("lesion", patches(LEFT, RIGHT))
    drawn["keyframes"][0]["line"] = [30, 31, 32, 31]
    assert propagate("--split", "--measure", measures, *ONLY_PAINTED, prompts=marked(drawn)).code == 0
    assert [row["drawn_mm"] for row in table(measures)] == ["", "1.60", ""]


def test_a_name_that_is_taken_is_not_given_to_a_part(propagate, marked, measures):
    prompts = marked(painted("lesion", patches(LEFT, RIGHT)), painted("lesion 2", patches(np.s_[40, 40])))
    assert propagate("--split", "--measure", measures, *ONLY_PAINTED, prompts=prompts).code == 0
    assert [row["name"] for row in table(measures)] == ["lesion", "lesion 3", "lesion 2", "sum"]


def test_hundreds_of_parts_have_a_label_and_a_row_each(propagate, marked, measures, out):
    mask = patches(np.s_[::2, ::2])
    assert propagate("--split", "--measure", measures, *ONLY_PAINTED, prompts=marked(painted("a", mask))).code == 0
    assert len(np.unique(labels_in(out)[MIDDLE][mask])) == mask.sum() == 576
    assert len(table(measures)) == 577


def test_more_parts_than_labels_are_refused_and_the_result_is_kept(propagate, marked, out, monkeypatch):
    mask = patches(LEFT, RIGHT, np.s_[40, 40])
    monkeypatch.setattr(objects, "MOST", 3)
    assert propagate("--split", *ONLY_PAINTED, prompts=marked(painted("a", mask))).code == 0
    assert labels_in(out).max() == 3
    monkeypatch.setattr(objects, "MOST", 2)
    outcome = propagate("--split", *ONLY_PAINTED, prompts=marked(painted("a", mask)))
    assert_refused(outcome, "--split: the result falls into more than 2 parts", f"Its segments were written whole, as {out}.")
    np.testing.assert_array_equal(labels_in(out)[MIDDLE], mask)
