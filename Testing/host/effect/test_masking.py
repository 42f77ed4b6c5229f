"""Apply under the Segment Editor's masking settings: only what may be written is written, and the rest is told."""

import numpy as np
import pytest
import slicer

NOTHING = slicer.vtkMRMLSegmentEditorNode.OverwriteNone
ALL = slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments
VISIBLE = slicer.vtkMRMLSegmentEditorNode.OverwriteVisibleSegments
AREA = slicer.vtkMRMLSegmentationNode


@pytest.fixture
def found(work):
    """The whole liver is shown but not applied."""
    work.segment_by_box()
    return work


@pytest.fixture
def liver(work):
    return work.truth == 1


@pytest.fixture
def neighbour(work, liver):
    """What "spleen" is painted with: the left half of the liver, and as much beside it."""
    width = work.middle()[0]
    beside = np.zeros_like(liver)
    beside[:, :, :width] = liver[:, :, :width]
    beside[:, :4, :width] = True
    work.paint(beside, "spleen")
    return beside


def node(work):
    return work.editor.mrmlSegmentEditorNode()


def set_visible(work, segment, visible):
    work.segmentation.GetDisplayNode().SetSegmentVisibility(work.id(segment), visible)


def rejected(count):
    return f"{count} voxels were not written"


# ---------------------------------------------------------------- other segments


def test_overwriting_all_takes_the_voxels_from_the_neighbour(found, liver, neighbour):
    node(found).SetOverwriteMode(ALL)
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), liver)
    np.testing.assert_array_equal(found.segment("spleen"), neighbour & ~liver)
    assert not found.warned


def test_overwriting_none_leaves_the_neighbour_as_it_is(found, liver, neighbour):
    node(found).SetOverwriteMode(NOTHING)
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), liver)
    np.testing.assert_array_equal(found.segment("spleen"), neighbour)


@pytest.mark.parametrize("visible", [True, False], ids=["visible", "hidden"])
def test_overwriting_visible_segments_spares_hidden_ones(found, liver, neighbour, visible):
    node(found).SetOverwriteMode(VISIBLE)
    set_visible(found, "spleen", visible)
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), liver)
    np.testing.assert_array_equal(found.segment("spleen"), neighbour & ~liver if visible else neighbour)


@pytest.mark.parametrize("mode", [ALL, VISIBLE, NOTHING], ids=["all", "visible", "none"])
def test_a_neighbour_that_may_not_be_edited_is_never_touched(found, liver, neighbour, mode):
    node(found).SetOverwriteMode(mode)
    node(found).SetMaskMode(AREA.EditAllowedOutsideAllSegments)
    found.press("apply")
    np.testing.assert_array_equal(found.segment("spleen"), neighbour)
    np.testing.assert_array_equal(found.segment(), liver & ~neighbour)
    assert found.warned
    assert rejected((liver & neighbour).sum()) in found.message


def test_what_an_earlier_apply_took_from_a_neighbour_is_not_given_back_unasked(found, liver, neighbour):
    found.press("apply")
    found.click(*found.middle(), modifiers=("Control",))
    found.propagate()
    found.press("apply")
    withdrawn = liver & ~found.segment()
    assert withdrawn.any()
    np.testing.assert_array_equal(found.segment("spleen"), neighbour & ~liver)


# ---------------------------------------------------------------- protected segments are evidence


@pytest.mark.parametrize("area", ["EditAllowedOutsideAllSegments", "EditAllowedOutsideVisibleSegments"])
def test_nothing_is_looked_for_in_segments_that_are_protected(work, liver, neighbour, area):
    node(work).SetMaskMode(getattr(AREA, area))
    work.segment_by_box()
    np.testing.assert_array_equal(work.preview(), liver & ~neighbour)
    work.press("apply")
    np.testing.assert_array_equal(work.segment(), liver & ~neighbour)
    assert not work.warned


def test_hidden_segments_are_looked_into_where_only_visible_ones_are_protected(work, liver, neighbour):
    node(work).SetMaskMode(AREA.EditAllowedOutsideVisibleSegments)
    set_visible(work, "spleen", False)
    work.segment_by_box()
    np.testing.assert_array_equal(work.preview(), liver)


@pytest.mark.parametrize("area", ["EditAllowedEverywhere", "EditAllowedInsideAllSegments"])
def test_everything_is_looked_at_where_nothing_is_protected(work, liver, neighbour, area):
    node(work).SetMaskMode(getattr(AREA, area))
    work.segment_by_box()
    np.testing.assert_array_equal(work.preview(), liver)


def test_what_is_painted_later_is_protected_in_the_next_preview(work, liver):
    node(work).SetMaskMode(AREA.EditAllowedOutsideAllSegments)
    work.segment_by_box()
    np.testing.assert_array_equal(work.preview(), liver)
    lower = liver & (np.arange(liver.shape[1]) < work.middle()[1])[:, None]
    work.paint(lower, "spleen")
    work.click(*work.middle())
    work.propagate()
    assert not (work.preview() & lower).any()


def test_a_segment_does_not_protect_itself(work, liver):
    node(work).SetMaskMode(AREA.EditAllowedOutsideAllSegments)
    work.segment_by_box()
    work.press("apply")
    work.click(*work.middle())
    work.propagate()
    assert (work.preview() & work.segment()).sum() > 0.9 * liver.sum()


# ---------------------------------------------------------------- editable area


def test_inside_a_segment_nothing_is_written_beyond_it(found, liver, neighbour):
    node(found).SetMaskMode(AREA.EditAllowedInsideSingleSegment)
    node(found).SetMaskSegmentID(found.id("spleen"))
    node(found).SetOverwriteMode(NOTHING)
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), liver & neighbour)
    np.testing.assert_array_equal(found.segment("spleen"), neighbour)
    assert rejected((liver & ~neighbour).sum()) in found.message


@pytest.mark.parametrize("visible", [True, False], ids=["visible", "hidden"])
def test_outside_visible_segments_hidden_ones_do_not_count(found, liver, neighbour, visible):
    node(found).SetMaskMode(AREA.EditAllowedOutsideVisibleSegments)
    node(found).SetOverwriteMode(NOTHING)
    set_visible(found, "spleen", visible)
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), liver & ~neighbour if visible else liver)
    np.testing.assert_array_equal(found.segment("spleen"), neighbour)


def test_voxels_are_withdrawn_only_where_editing_is_allowed(found, liver):
    found.press("apply")
    found.click(*found.middle(), modifiers=("Control",))
    found.propagate()
    found.paint(np.ones_like(liver), "spleen")
    node(found).SetMaskMode(AREA.EditAllowedOutsideAllSegments)
    before = found.segment()
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), before)
    assert rejected((liver & ~found.preview()).sum()) in found.message


# ---------------------------------------------------------------- intensities


def test_voxels_outside_the_intensity_range_are_not_written(found, liver):
    voxels = slicer.util.arrayFromVolume(found.volume)
    node(found).SetSourceVolumeIntensityMask(True)
    node(found).SetSourceVolumeIntensityMaskRange(148.0, 152.0)
    found.press("apply")
    within = (voxels >= 148) & (voxels <= 152)
    np.testing.assert_array_equal(found.segment(), liver & within)
    assert rejected((liver & ~within).sum()) in found.message


def test_intensity_range_and_editable_area_hold_together(found, liver, neighbour):
    voxels = slicer.util.arrayFromVolume(found.volume)
    node(found).SetSourceVolumeIntensityMask(True)
    node(found).SetSourceVolumeIntensityMaskRange(150.0, 1000.0)
    node(found).SetMaskMode(AREA.EditAllowedOutsideAllSegments)
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), liver & (voxels >= 150) & ~neighbour)
    np.testing.assert_array_equal(found.segment("spleen"), neighbour)


def test_when_nothing_may_be_written_nothing_is(found, liver):
    node(found).SetSourceVolumeIntensityMask(True)
    node(found).SetSourceVolumeIntensityMaskRange(5000.0, 6000.0)
    found.press("apply")
    assert not found.segment().any()
    assert rejected(liver.sum()) in found.message
    node(found).SetSourceVolumeIntensityMask(False)
    found.switch_away()
    found.switch_back()
    found.propagate()
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), liver)


# ---------------------------------------------------------------- what is not asked for


def test_a_hidden_segment_is_edited_only_if_the_user_agrees(found, liver):
    set_visible(found, "liver", False)
    found.host.user.will_answer("question", False)
    found.press("apply")
    assert found.host.user.texts("question")
    assert not found.segment().any()
    found.host.user.will_answer("question", True)
    found.press("apply")
    np.testing.assert_array_equal(found.segment(), liver)


def test_masking_is_never_bypassed(found, monkeypatch):
    from slicerhost.effect_images import EffectImages

    options, write = [], EffectImages.modifySegmentByLabelmap

    def watched(effect, segmentation, segment, labelmap, mode, *more):
        options.extend(more)
        write(effect, segmentation, segment, labelmap, mode, *more)

    monkeypatch.setattr(EffectImages, "modifySegmentByLabelmap", watched)
    found.press("apply")
    found.click(*found.middle(), modifiers=("Control",))
    found.propagate()
    found.press("apply")
    assert found.segment().any()
    assert True not in options


def test_masking_settings_stay_as_they_were(found):
    node(found).SetMaskMode(AREA.EditAllowedOutsideAllSegments)
    node(found).SetOverwriteMode(VISIBLE)
    found.press("apply")
    assert node(found).GetMaskMode() == AREA.EditAllowedOutsideAllSegments
    assert node(found).GetOverwriteMode() == VISIBLE
    assert found.editor.currentSegmentID() == found.id("liver")
