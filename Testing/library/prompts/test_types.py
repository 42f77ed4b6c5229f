"""What the user marked, and which prompts cannot be used."""

from dataclasses import replace

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.prompts.focus import intensities_near
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, MaskPrompt, Point, PromptSet, Scribble, Segment, check_keyframe

BOX = Box(2, 3, 10, 12)


@pytest.fixture
def stack():
    """Ten slices of 16 rows and 20 columns."""
    return FrameStack(Volume(np.zeros((10, 16, 20)), name="knee.nrrd"), window=Window(0, 1))


def painted(rows=16, columns=20, filled=True):
    mask = np.zeros((rows, columns), bool)
    mask[4:8, 5:9] = filled
    return MaskPrompt(mask)


def test_a_box_may_be_drawn_from_any_corner():
    assert Box(10, 12, 2, 3) == Box(2, 12, 10, 3) == BOX


def test_a_box_contains_its_edges_and_a_little_more():
    assert BOX.contains(2, 3)
    assert BOX.contains(1.5, 12.5)
    assert not BOX.contains(0.5, 5)


@pytest.mark.parametrize("corners", [(2, 3, 2, 12), (2, 3, 10, 3), (4, 4, 4, 4)])
def test_a_box_without_area_is_refused(corners):
    with pytest.raises(InputError, match="no area"):
        Box(*corners)


def test_a_line_has_a_length():
    assert Line(0, 0, 3, 4).length == 5
    with pytest.raises(InputError, match="same place"):
        Line(3, 4, 3, 4)


def test_a_scribble_has_positions():
    with pytest.raises(InputError, match="no positions"):
        Scribble(())


def test_a_painted_mask_cannot_be_changed_afterwards():
    pixels = np.array([[0, 5], [1, 0]])
    prompt = MaskPrompt(pixels)
    pixels[:] = 0
    assert prompt.mask.tolist() == [[False, True], [True, False]]
    assert prompt == MaskPrompt(np.array([[False, True], [True, False]]))
    with pytest.raises(ValueError, match="read-only"):
        prompt.mask[0, 0] = True


def test_a_keyframe_names_all_positions_of_its_prompts():
    keyframe = Keyframe(3, (Point(1, 2),), BOX, (Scribble(((4, 5), (5, 5)), positive=False),), Line(2, 4, 9, 9))
    assert keyframe.positions().tolist() == [[1, 2], [4, 5], [5, 5], [2, 3], [10, 12], [2, 4], [9, 9]]
    assert Keyframe(3).positions().shape == (0, 2)
    assert Keyframe(3).is_empty
    assert not Keyframe(3, mask=painted(filled=False)).is_empty


def test_keyframes_are_kept_in_slice_order():
    segment = Segment("liver", (Keyframe(7, box=BOX), Keyframe(2, box=BOX)))
    assert [keyframe.slice for keyframe in segment.keyframes] == [2, 7]
    assert segment.keyframe(7) == Keyframe(7, box=BOX)
    assert segment.keyframe(3) is None


def test_a_slice_has_one_keyframe():
    with pytest.raises(InputError, match=r"'liver': slice 2 has two keyframes"):
        Segment("liver", (Keyframe(2, box=BOX), Keyframe(2, points=(Point(5, 5),))))


def test_a_new_keyframe_replaces_the_one_on_its_slice_and_an_empty_one_removes_it():
    segment = Segment("liver", (Keyframe(2, box=BOX),), (1, 0, 0))
    corrected = segment.with_keyframe(Keyframe(2, points=(Point(5, 5),))).with_keyframe(Keyframe(1, box=BOX))
    assert corrected == Segment("liver", (Keyframe(1, box=BOX), Keyframe(2, points=(Point(5, 5),))), (1, 0, 0))
    assert corrected.with_keyframe(Keyframe(1)).with_keyframe(Keyframe(2)).keyframes == ()


def test_segments_are_found_replaced_added_and_removed_by_name():
    liver, spleen = Segment("liver", (Keyframe(2, box=BOX),)), Segment("spleen")
    prompts = PromptSet((liver,)).with_segment(spleen)
    assert prompts.segment("spleen") is spleen
    assert prompts.with_segment(replace(liver, keyframes=())).segments == (Segment("liver"), spleen)
    assert prompts.without_segment("liver").segments == (spleen,)
    with pytest.raises(InputError, match="no segment 'heart'; there are: liver, spleen"):
        prompts.segment("heart")
    with pytest.raises(InputError, match="there are: none"):
        PromptSet().without_segment("heart")


def test_names_of_segments_differ():
    with pytest.raises(InputError, match="same name"):
        PromptSet((Segment("liver"), Segment("liver")))


@pytest.mark.parametrize(
    "keyframe",
    [
        Keyframe(0, (Point(-0.5, -0.5),)),
        Keyframe(9, (Point(19.5, 15.5), Point(3, 3, positive=False))),
        Keyframe(4, (Point(1.2, 5),), BOX),
        Keyframe(4, (Point(15, 15, positive=False),), BOX),
        Keyframe(4, line=Line(2, 2, 9, 9)),
        Keyframe(4, scribbles=(Scribble(((3, 3), (4, 4))), Scribble(((9, 9),), positive=False))),
        Keyframe(4, mask=painted()),
        Keyframe(4, (Point(5, 5, positive=False),), mask=painted()),
    ],
)
def test_prompts_that_fit_are_accepted(stack, keyframe):
    check_keyframe(keyframe, stack)
    PromptSet((Segment("liver", (keyframe,)),)).check(stack)
    assert not keyframe.is_empty


@pytest.mark.parametrize(
    ("keyframe", "message"),
    [
        (Keyframe(10, box=BOX), "no slice 10 along axis k; it has 0 to 9"),
        (Keyframe(-1, box=BOX), "no slice -1"),
        (Keyframe(4), "no prompts"),
        (Keyframe(4, (Point(20, 3),)), r"\(20, 3\) lies outside the slice, which has x 0 to 19 and y 0 to 15"),
        (Keyframe(4, (Point(float("nan"), 3),)), "lies outside"),
        (Keyframe(4, box=Box(-2, 3, 5, 9)), r"\(-2, 3\) lies outside"),
        (Keyframe(4, line=Line(3, 3, 3, 16)), r"\(3, 16\) lies outside"),
        (Keyframe(4, scribbles=(Scribble(((3, 3), (3, 99))),)), r"\(3, 99\) lies outside"),
        (Keyframe(4, (Point(5, 5), Point(5.2, 4.9, positive=False))), r"pixel \(5, 5\) is marked as inside and as outside"),
        (Keyframe(4, (Point(5, 5),), scribbles=(Scribble(((5, 5),), positive=False),)), "contradict"),
        (Keyframe(4, (Point(15, 5),), BOX), r"positive point \(15, 5\) lies outside the box"),
        (Keyframe(4, (Point(5, 5, positive=False),)), "only negative points"),
        (Keyframe(4, mask=painted(20, 16)), r"\(20, 16\) rows and columns, the slice has \(16, 20\)"),
        (Keyframe(4, mask=painted(filled=False)), "mask is empty"),
        (Keyframe(4, (Point(5, 5),) * 100_000), "100000 points and scribbles; a network takes 500 at most. Paint a mask instead"),
        (Keyframe(4, scribbles=(Scribble(((5, 5),)),) * 501), "501 points and scribbles"),
    ],
)
def test_prompts_that_do_not_fit_are_refused_by_segment_and_slice(stack, keyframe, message):
    with pytest.raises(InputError, match=message) as error:
        PromptSet((Segment("liver", (keyframe,)),)).check(stack)
    assert str(error.value).startswith(f"segment 'liver', slice {keyframe.slice}: ")


@pytest.mark.parametrize(
    ("keyframe", "x", "y"),
    [
        (Keyframe(4, box=Box(2, 2, 10, 10)), (4, 8), (4, 8)),
        (Keyframe(4, (Point(10, 8), Point(1, 1, positive=False))), (8, 12), (6, 10)),
        (Keyframe(4, (Point(19.5, 15.5),)), (18, 19), (14, 15)),
        (Keyframe(4, line=Line(4, 8, 12, 8)), (4, 12), (6, 10)),
        (Keyframe(4, scribbles=(Scribble(((5, 5), (9, 5))), Scribble(((1, 14),), positive=False))), (3, 11), (3, 7)),
        (Keyframe(4, (Point(1, 1),), mask=painted()), (5, 8), (4, 7)),
    ],
)
def test_intensities_are_looked_at_where_the_prompts_say_the_segment_is(keyframe, x, y):
    voxels = np.arange(10 * 16 * 20).reshape(10, 16, 20)
    near = intensities_near(PromptSet((Segment("liver", (keyframe,)),)), FrameStack(Volume(voxels)))
    rows, columns = np.unravel_index(near - voxels[4, 0, 0], (16, 20))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (*x, *y)
    assert len(near) == (x[1] - x[0] + 1) * (y[1] - y[0] + 1)


def test_a_stroke_may_have_many_positions(stack):
    path = tuple((5 + n / 1e5, 6.0) for n in range(100_000))
    check_keyframe(Keyframe(4, scribbles=(Scribble(path),)), stack)


def test_without_prompts_there_are_no_intensities_near(stack):
    assert intensities_near(PromptSet((Segment("liver"),)), stack).size == 0


def test_something_must_be_marked(stack):
    with pytest.raises(InputError, match="no segments"):
        PromptSet().check(stack)
    with pytest.raises(InputError, match="'liver' has no prompts"):
        PromptSet((Segment("liver"),)).check(stack)


def test_messages_say_what_users_call_a_segment(stack):
    unmarked = PromptSet((Segment("S_k3x", title="Liver"),))
    outside = PromptSet((Segment("S_k3x", (Keyframe(1, (Point(-9, 0),)),), title="Liver"),))
    for prompts in (unmarked, outside):
        with pytest.raises(InputError, match="segment 'Liver'") as refused:
            prompts.check(stack)
        assert "S_k3x" not in str(refused.value)
    assert Segment("S_k3x", title="Liver") == Segment("S_k3x", title="Leber")
    assert Segment("liver").title == "liver"
