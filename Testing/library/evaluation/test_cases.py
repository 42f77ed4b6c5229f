"""Cases are found in both layouts, read by the library, and refused with the file's name where they are broken."""

import json
import os

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.evaluation.cases import Case, find_cases, find_objects, modality
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import SegmentInfo, write_segmentation, write_volume

SHAPE = 9, 20, 24
GRID = np.diag([-0.8, -0.8, 2.5, 1])


def image(name="image", shape=SHAPE, grid=GRID):
    return Volume(np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16), grid, name)


@pytest.fixture
def labels():
    """Label 1 on slices 1 to 7, label 4 on only two slices, label 6 with few pixels."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:8, 2:12, 2:12] = 1
    labels[3:5, 14:, :] = 4
    labels[:, 0, :3] = 6
    return labels


@pytest.fixture
def add(tmp_path, labels):
    """Write a case: an image, its labels and names."""

    def write(name, image_suffix=".nii.gz", labels_suffix=".nii.gz", names=None, grid=GRID, apart=False, shape=SHAPE):
        images, marks = (tmp_path / "images", tmp_path / "labels") if apart else (tmp_path, tmp_path)
        images.mkdir(exist_ok=True)
        marks.mkdir(exist_ok=True)
        stem = name if apart else f"{name}_labels"
        write_volume(images / f"{name}{image_suffix}", image(name, shape))
        write_volume(marks / f"{stem}{labels_suffix}", Volume(labels, grid))
        if names:
            (marks / f"{stem}.json").write_text(json.dumps(names), encoding="utf-8")

    return write


def test_images_and_labels_side_by_side(add, tmp_path, labels):
    add("one", names={"1": "liver", "9": "absent"})
    add("two", ".mha", ".nrrd")
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    one, two = find_cases(tmp_path)
    assert (one.name, two.name) == ("one", "two")
    stack, found, names = one.load()
    assert (len(stack), stack.shape) == (9, (20, 24))
    np.testing.assert_array_equal(found, labels)
    assert names == {1: "liver", 4: "label 4", 6: "label 6"}
    assert two.load()[2][1] == "label 1"


def test_images_and_labels_in_two_folders(add, tmp_path):
    add("one", ".nrrd", ".mha", names={"1": "liver"}, apart=True)
    (case,) = find_cases(tmp_path)
    assert (case.name, case.image.name, case.labels.name) == ("one", "one.nrrd", "one.mha")
    assert case.load()[2][1] == "liver"


def test_names_for_all_cases(add, tmp_path):
    add("one")
    (tmp_path / "labels.json").write_text('{"1": "spleen"}', encoding="utf-8")
    assert find_cases(tmp_path)[0].load()[2][1] == "spleen"


def test_slicer_segmentation_brings_its_names(tmp_path, labels):
    write_volume(tmp_path / "one.nrrd", image())
    segmented = np.where(labels == 1, np.uint8(1), 0).astype(np.uint8)
    segmented[labels == 4] = 2
    write_segmentation(tmp_path / "one_labels.seg.nrrd", segmented, image(), [SegmentInfo("liver"), SegmentInfo("gallbladder")])
    (case,) = find_cases(tmp_path)
    assert case.image.name == "one.nrrd"
    assert case.load()[2] == {1: "liver", 2: "gallbladder"}


@pytest.mark.parametrize("axis", ["i", "j", "k"])
def test_labels_are_turned_with_the_slices(add, tmp_path, axis):
    add("one")
    stack, labels, _ = find_cases(tmp_path)[0].load(axis)
    assert labels.shape == (len(stack), *stack.shape)


def test_only_large_objects_are_scored(labels):
    names = {1: "liver", 4: "gallbladder", 6: "line"}
    assert find_objects(labels, names) == {1: "liver"}
    assert find_objects(labels, names, ["LIVER", "line"]) == {1: "liver"}
    assert find_objects(labels, names, ["spleen"]) == {}


def test_other_size_is_refused(add, tmp_path):
    add("one", shape=(9, 20, 25))
    with pytest.raises(InputError, match=r"one_labels.nii.gz has 24 x 20 x 9 voxels, one.nii.gz 25 x 20 x 9"):
        find_cases(tmp_path)[0].load()


def test_other_place_is_refused(add, tmp_path):
    add("one", grid=np.diag([0.8, -0.8, 2.5, 1]))  # mirrored
    with pytest.raises(InputError, match=r"one_labels.nii.gz lies elsewhere than one.nii.gz"):
        find_cases(tmp_path)[0].load()


def test_missing_image_is_named(add, tmp_path):
    add("one")
    (tmp_path / "one.nii.gz").unlink()
    with pytest.raises(InputError, match=r"one_labels.nii.gz: there is no image for it; expected .*one"):
        find_cases(tmp_path)[0].load()


@pytest.mark.parametrize("text", ["{", "[1]", '{"liver": 1}', "[" * 100_000])
def test_names_that_are_none_are_refused(add, tmp_path, text):
    add("one")
    (tmp_path / "one_labels.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"one_labels.json: expected names of labels"):
        find_cases(tmp_path)[0].load()


def test_names_may_begin_with_the_mark_of_a_windows_editor(add, tmp_path):
    add("one")
    (tmp_path / "one_labels.json").write_text('{"1": "liver"}', encoding="utf-8-sig")
    assert find_cases(tmp_path)[0].load()[2][1] == "liver"


@pytest.mark.parametrize("apart", [False, True])
def test_what_macos_puts_beside_files_is_no_case(add, tmp_path, apart):
    add("one", apart=apart)
    labels = find_cases(tmp_path)[0].labels
    labels.with_name(f"._{labels.name}").write_bytes(b"Mac OS X")
    assert [case.name for case in find_cases(tmp_path)] == ["one"]


@pytest.mark.parametrize("name", ["one.raw", "one_labels.nii.gz", "one_labels.json"])
def test_fingerprint_tells_every_file_of_a_case(add, tmp_path, name):
    add("one", names={"1": "liver"})
    (tmp_path / "one.nii.gz").unlink()
    for suffix in (".mhd", ".raw"):  # a header and its voxels
        (tmp_path / f"one{suffix}").write_bytes(b"not read")
    (case,) = find_cases(tmp_path)
    before = case.fingerprint()
    os.utime(tmp_path / name, ns=(1, 1))
    assert case.fingerprint() != before


def test_fingerprint_of_a_dicom_folder_tells_its_slices_and_nothing_else(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "1.dcm").write_bytes(b"slice")
    case = Case("one", tmp_path / "one", tmp_path / "one_labels.nrrd")
    before = case.fingerprint()
    (tmp_path / "one" / ".DS_Store").write_bytes(b"seen by a Mac")
    (tmp_path / "one more.nrrd").write_bytes(b"another case")
    assert case.fingerprint() == before
    (tmp_path / "one" / "2.dcm").write_bytes(b"slice")
    assert case.fingerprint() != before


def test_folder_without_cases(tmp_path):
    with pytest.raises(InputError, match="no labels found"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        find_cases(tmp_path / "missing")


def test_labels_of_the_same_name_are_refused(add, tmp_path):
    add("one")
    add("one", labels_suffix=".nrrd")
    with pytest.raises(InputError, match="labels of the same name"):
        find_cases(tmp_path)


def test_modality_is_told_by_the_values_where_nothing_states_it():
    assert modality(image()) == ""
    hounsfield = np.full(SHAPE, -1000, np.int16)
    hounsfield[:, 5:15] = 40
    assert modality(Volume(hounsfield)) == "CT"


def test_real_cases(data):
    cases = {case.name: case for case in find_cases(data)}
    stack, labels, names = cases["ct_abdomen_dicom"].load()
    assert labels.shape == (20, 512, 512)
    assert names[5] == "liver"
    assert modality(stack.volume) == "CT"
    assert len(find_objects(labels, names)) == 29
