"""One like object after another: applied, and on to a new segment of the same kind."""

import numpy as np
import pytest
import slicer
import vtk

TERMINOLOGY = "Segmentation category and type - 3D Slicer General Anatomy list~SCT^49755003^Morphologically Altered Structure~^^~^^"


def names(work):
    segmentation = work.segmentation.GetSegmentation()
    return [segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()]


def selected(work):
    selected_id = work.editor.mrmlSegmentEditorNode().GetSelectedSegmentID()
    return work.segmentation.GetSegmentation().GetSegment(selected_id).GetName()


@pytest.mark.parametrize("how", ["button", "key"])
def test_what_was_found_is_applied_and_a_new_segment_is_selected(work, how):
    work.segment_by_box()
    if how == "key":
        assert work.key("Shift+A")
    else:
        work.press("next_object")
    np.testing.assert_array_equal(work.segment(), work.truth == 1)
    assert names(work) == ["liver", "spleen", "liver 2"]
    assert selected(work) == "liver 2"
    assert not work.warned, work.message
    assert "voxels added" in work.message


def test_tool_and_settings_stay_and_the_next_object_is_found(work):
    work.segment_by_box()
    work.press("next_object")
    assert work.parameter("Tool") == "box"
    work.segment_by_box(label=2)
    work.press("next_object")
    np.testing.assert_array_equal(work.segment("liver 2"), work.truth == 2)
    np.testing.assert_array_equal(work.segment(), work.truth == 1)
    assert selected(work) == "liver 3"


def test_the_next_object_has_the_same_terminology(work):
    tag, found = slicer.vtkSegment.GetTerminologyEntryTagName(), vtk.reference("")
    segmentation = work.segmentation.GetSegmentation()
    segmentation.GetSegment(work.id("liver")).SetTag(tag, TERMINOLOGY)
    work.press("next_object")
    assert segmentation.GetSegment(work.id("liver 2")).GetTag(tag, found)
    assert str(found) == TERMINOLOGY


def test_without_anything_found_there_is_only_a_new_segment(work):
    before = work.segments()
    work.press("next_object")
    assert selected(work) == "liver 2"
    assert {name: voxels for name, voxels in work.segments().items() if name in before} == before


@pytest.mark.parametrize(
    ("name", "known", "following"),
    [
        ("lesion", [], "lesion 2"),
        ("lesion 6", [], "lesion 7"),
        ("lesion 6", ["lesion 7", "lesion 8"], "lesion 9"),
        ("T2-09", [], "T2-10"),
        ("7", [], "8"),
        ("", [], " 2"),
    ],
)
def test_numbers_follow_each_other(work, name, known, following):
    from SAMSegmenterLib.in_slicer.effect.next_object import next_name

    assert next_name(name, [name, *known]) == following
