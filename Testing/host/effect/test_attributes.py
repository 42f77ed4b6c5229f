"""What a scene that was edited by hand, or comes from a newer version, holds for the effect is used as far as it can be, and told."""

import json

import numpy as np
import pytest

from SAMSegmenterLib.prompts.marks import Mark, Marks, dumps
from support.effect_steps import assert_works_again

NAME, UNREAD = "SAMSegmenter.Prompts", "SAMSegmenter.Prompts.Unread"


@pytest.fixture
def saved(work):
    """What a box on the middle slice is saved as."""
    work.draw_box()
    document = json.loads(work.segmentation.GetAttribute(NAME))
    work.press("clear")
    return document


def damaged(entry, **changes):
    return {**entry, **changes}


CHANGES = {
    "a kind that is not known": {"kind": "hexagon"},
    "no segment": {"segment": None},
    "a segment that no text can hold": {"segment": "\ud800"},
    "positions that are none": {"positions": [["a", {}, None]]},
    "too few positions": {"positions": [[0, 0, 0]]},
    "positions of no number": {"positions": [[float("nan")] * 3] * 4},
    "positions far away": {"positions": [[1e300, 0, 0]] * 4},
    "no extent": {"positions": [[1, 1, 1]] * 4},
    "an item that is none": {"item": "first"},
    "a mask of no size": {"kind": "mask", "mask": {"shape": [10**9, 10**9], "bits": "AAAA"}},
    "another form": {"positions": {}},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_what_can_be_read_stays_beside_what_cannot(work, saved, changes):
    (box,) = saved["marks"]
    text = json.dumps({**saved, "marks": [damaged(box, **changes), box, 7]})
    work.segmentation.SetAttribute(NAME, text)
    work.effect.update()
    assert "2 of 3 saved prompts are damaged" in work.message
    assert [mark.kind for mark in work.marks] == ["box"]
    assert_works_again(work)
    assert work.segmentation.GetAttribute(UNREAD) == text


@pytest.mark.parametrize("plane", ["x", 7, [[0] * 4] * 4, [["a"] * 4] * 4, "time:k:99999999999", {}])
def test_marks_in_an_unknown_plane_are_used_in_the_views(work, saved, plane):
    work.segmentation.SetAttribute(NAME, json.dumps({**saved, "plane": plane}))
    work.effect.update()
    assert "unknown plane" in work.message
    assert [mark.kind for mark in work.marks] == ["box"]
    assert_works_again(work)


@pytest.mark.parametrize("plane", [(np.eye(4) * [1e-7, 1e-7, 1e-7, 1]).tolist(), "time:k:99999", "time:k:0"])
def test_planes_that_do_not_fit_the_volume_are_told(work, saved, plane):
    work.segmentation.SetAttribute(NAME, json.dumps({**saved, "plane": plane}))
    work.effect.update()
    work.press("propagate")
    work.wait()
    work.press("clear")
    assert_works_again(work)


@pytest.mark.parametrize("text", [json.dumps({"version": 99, "marks": [1]}), "[" * 10_000, "nonsense"])
def test_prompts_of_a_newer_version_are_kept_when_others_take_their_place(work, text):
    work.segmentation.SetAttribute(NAME, text)
    work.effect.update()
    assert "saved prompts" in work.message
    assert work.segmentation.GetAttribute(UNREAD) is None
    assert_works_again(work)
    assert work.segmentation.GetAttribute(UNREAD) == text
    assert json.loads(work.segmentation.GetAttribute(NAME))["version"] == 1


@pytest.mark.parametrize("text", ['[["a", {}]]', "[[1, 2]]", '"ab"', "[" * 10_000, '{"\\ud800": {}}', '{"vtkMRMLScene": 1}'])
def test_damaged_prompts_of_older_scenes_do_not_hinder(work, text):
    work.effect.scriptedEffect.setParameter("Prompts", text)
    work.effect.update()
    assert_works_again(work)


def test_older_prompts_go_to_segmentations_only(work):
    text = dumps(Marks((Mark("liver", "point", [[0, 0, 0]]),), "k"))
    work.effect.scriptedEffect.setParameter("Prompts", json.dumps({work.volume.GetID(): json.loads(text)}))
    assert_works_again(work)
    assert work.volume.GetAttribute(NAME) is None


SETTINGS = {
    "Mode": "newest",
    "Device": "abacus",
    "Axis": "w",
    "Window": "?",
    "Direction": "sideways",
    "Range": "all",
    "VideoAxis": "?",
    "FirstSlice": "nan",
    "LastSlice": "1e400",
    "WindowLevel": "inf",
    "WindowWidth": "1e300",
    "Positive": "nan",
}


def test_settings_that_are_not_known_count_as_those_one_begins_with(work):
    for name, value in SETTINGS.items():
        work.effect.scriptedEffect.setParameter(name, value)
    work.effect.update()
    work.effect.scriptedEffect.setParameter("Positive", 1)
    assert_works_again(work)
