"""Marks in mm: moving, undo, JSON, and the prompts that they are on a stack."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.stack import FrameStack, TimeStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.prompts.from_marks import contradicted_by, mask_mark, prompt_set, slices_of
from SAMSegmenterLib.prompts.marks import Mark, Marks, dumps, loads
from SAMSegmenterLib.prompts.types import Line, Point, check_keyframe
from support.geometry import AXES, volumes

SQUARE = [(10, 10), (30, 10), (30, 26), (10, 26)]


@pytest.fixture
def stack():
    """40 x 40 x 12 voxels of 2 x 2 x 5 mm, flipped as CT is."""
    voxels = np.random.default_rng(0).integers(0, 255, (12, 40, 40), dtype=np.uint8)
    return FrameStack(Volume(voxels, np.diag([-2.0, -2.0, 5.0, 1.0])), "k", Window(0, 255))


def mark(stack, kind, xy, index=5, **more):
    return Mark("s", kind, stack.to_ras(index, np.array(xy, float).reshape(-1, 2)), **more)


def only_keyframe(stack, *marks):
    (segment,) = prompt_set(marks, stack).segments
    (keyframe,) = segment.keyframes
    return keyframe


@given(volumes(), AXES, st.data())
def test_a_point_comes_back_wherever_the_volume_lies(volume, axis, data):
    stack = FrameStack(volume, axis, Window(0, 1))
    rows, columns = stack.shape
    index = data.draw(st.integers(0, len(stack) - 1))
    x, y = data.draw(st.floats(0, columns - 1)), data.draw(st.floats(0, rows - 1))
    keyframe = only_keyframe(stack, mark(stack, "point", (x, y), index, positive=False))
    assert keyframe.slice == index
    assert keyframe.points[0].positive is False
    np.testing.assert_allclose((keyframe.points[0].x, keyframe.points[0].y), (x, y), atol=1e-6)


def test_each_kind_becomes_its_prompt(stack):
    keyframe = only_keyframe(stack, mark(stack, "box", SQUARE), mark(stack, "line", [(12, 12), (28, 20)]), mark(stack, "point", (20, 20)))
    assert np.allclose([keyframe.box.x0, keyframe.box.y0, keyframe.box.x1, keyframe.box.y1], (10, 10, 30, 26))
    assert isinstance(keyframe.line, Line)
    assert keyframe.points == (Point(pytest.approx(20), pytest.approx(20), True),)


def test_of_two_boxes_the_later_counts_and_points_add_up(stack):
    later = mark(stack, "box", np.array(SQUARE) + 4)
    keyframe = only_keyframe(stack, mark(stack, "box", SQUARE), mark(stack, "point", (20, 20)), later, mark(stack, "point", (22, 20)))
    assert keyframe.box.x0 == pytest.approx(14)
    assert len(keyframe.points) == 2


def test_a_box_that_slips_over_the_border_ends_there(stack):
    box = only_keyframe(stack, mark(stack, "box", [(-5, 10), (20, 10), (20, 50), (-5, 50)])).box
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((-0.5, 10, 20, 39.5))


def test_a_scribble_across_slices_marks_each_of_them(stack):
    path = stack.volume.to_ras(np.array([(20, 20, k) for k in np.linspace(3, 6, 13)]))
    scribble = Mark("s", "scribble", path)
    assert slices_of(scribble, stack) == [3, 4, 5, 6]
    (segment,) = prompt_set([scribble], stack).segments
    assert sum(len(keyframe.scribbles[0].path) for keyframe in segment.keyframes) == 13


def test_a_lasso_becomes_its_box_a_point_inside_and_points_in_empty_corners(stack):
    triangle = only_keyframe(stack, mark(stack, "lasso", [(10, 10), (30, 10), (10, 30)]))
    assert np.allclose([triangle.box.x0, triangle.box.y0, triangle.box.x1, triangle.box.y1], (10, 10, 30, 30))
    inside = [point for point in triangle.points if point.positive]
    outside = [point for point in triangle.points if not point.positive]
    assert len(inside) == 1
    assert inside[0].x + inside[0].y < 40
    assert [(point.x > 25, point.y > 25) for point in outside] == [(True, True)]
    negative = only_keyframe(stack, mark(stack, "lasso", [(10, 10), (30, 10), (10, 30)], positive=False), mark(stack, "point", (35, 35)))
    assert negative.box is None
    assert [point.positive for point in negative.points] == [False, True]


def test_a_lasso_that_slips_over_the_border_means_the_border(stack):
    slipped = only_keyframe(stack, mark(stack, "lasso", [(-8, -6), (20, -6), (20, 12), (-8, 12)]))
    check_keyframe(slipped, stack)
    assert (slipped.box.x0, slipped.box.y0) == (-0.5, -0.5)
    assert slipped.points[0].x > 5


def test_a_mask_comes_back_on_its_own_slices_and_on_a_shifted_grid(stack):
    painted = np.zeros(stack.shape, bool)
    painted[8:20, 5:17] = True
    found = mask_mark("s", stack, 4, painted)
    keyframe = only_keyframe(stack, found)
    assert keyframe.slice == 4
    np.testing.assert_array_equal(keyframe.mask.mask, painted)
    moved = stack.volume.ijk_to_ras.copy()
    moved[:3, 3] = stack.volume.to_ras(np.array([3, 2, 1]))  # the grid begins three columns, two rows and a slice later
    other = FrameStack(Volume(stack.volume.voxels, moved), "k", Window(0, 255))
    keyframe = only_keyframe(other, found)
    assert keyframe.slice == 3
    np.testing.assert_array_equal(keyframe.mask.mask[6:18, 2:14], True)
    assert keyframe.mask.mask.sum() == painted.sum()


def test_a_prior_is_no_mask(stack):
    found = np.zeros(stack.shape, bool)
    found[3:9, 3:9] = True
    keyframe = only_keyframe(stack, mask_mark("s", stack, 2, found, "prior"), mark(stack, "point", (4, 4), 2))
    assert keyframe.mask is None
    np.testing.assert_array_equal(keyframe.prior.mask, found)


@pytest.mark.parametrize("kind", ["box", "lasso", "line"])
def test_a_shape_across_the_slices_is_refused_and_says_what_to_do(stack, kind):
    count = {"box": 4, "line": 2, "lasso": 5}[kind]
    across = stack.volume.to_ras(np.array([(20, 5 * n, 2 * n) for n in range(count)]))
    with pytest.raises(InputError, match="drawn across the slices"):
        prompt_set([Mark("s", kind, across)], stack)


@pytest.mark.parametrize("kind", ["point", "scribble"])
def test_a_mark_outside_the_volume_is_refused(stack, kind):
    with pytest.raises(InputError, match="outside the volume"):
        prompt_set([mark(stack, kind, (5, 5), 40)], stack)


@pytest.mark.parametrize(("kind", "count"), [("point", 2), ("box", 3), ("line", 1), ("scribble", 0), ("dot", 1)])
def test_an_impossible_mark_cannot_be_made(kind, count):
    with pytest.raises(InputError, match="cannot be used"):
        Mark("s", kind, np.zeros((count, 3)))
    with pytest.raises(InputError, match="cannot be used"):
        Mark("s", "point", [[0, 0, np.nan]])


# ---------------------------------------------------------------- one slice through time


@pytest.fixture
def film(stack):
    """Slice 5 of the stack at eight times."""
    matrix = stack.volume.ijk_to_ras.copy()
    matrix[:3, 3] = stack.volume.to_ras(np.array([0, 0, 5]))
    return TimeStack(Volume(np.zeros((8, 40, 40), np.uint8), matrix), Window(0, 255))


def test_a_mark_lies_at_the_time_it_was_placed_at(stack, film):
    point = mark(stack, "point", (7, 9), 5, item=6)
    assert slices_of(point, film) == [6]
    keyframe = only_keyframe(film, point)
    assert (keyframe.points[0].x, keyframe.points[0].y) == pytest.approx((7, 9))
    np.testing.assert_allclose(film.to_ras(6, (7, 9)), stack.to_ras(5, (7, 9)))
    assert loads(dumps(Marks((point,)))).all[0].item == 6


def test_a_mask_through_time_keeps_its_time(film):
    painted = np.zeros(film.shape, bool)
    painted[3:9, 4:7] = True
    keyframe = only_keyframe(film, mask_mark("s", film, 2, painted))
    assert keyframe.slice == 2
    np.testing.assert_array_equal(keyframe.mask.mask, painted)


@pytest.mark.parametrize(("index", "item"), [(5, None), (8, 2)])
def test_a_mark_without_a_time_or_beside_the_slice_is_refused(stack, film, index, item):
    with pytest.raises(InputError, match="does not lie on the slice"):
        prompt_set([mark(stack, "point", (7, 9), index, item=item)], film)


# ---------------------------------------------------------------- moving


def test_a_moved_corner_keeps_the_box_a_rectangle_with_its_opposite_corner(stack):
    box = mark(stack, "box", SQUARE)
    target = stack.to_ras(5, np.array([[36, 30]]))[0]
    moved = only_keyframe(stack, box.moved(2, target, np.zeros(3))).box
    assert np.allclose([moved.x0, moved.y0, moved.x1, moved.y1], (10, 10, 36, 30))


def test_a_mark_moved_as_a_whole_keeps_its_shape(stack):
    lasso = mark(stack, "lasso", SQUARE)
    moved = lasso.moved(None, np.zeros(3), np.array([1.0, 2, 3]))
    np.testing.assert_allclose(moved.positions - lasso.positions, [(1, 2, 3)] * 4)


# ---------------------------------------------------------------- undo, JSON


def test_undo_and_redo_restore_every_change():
    marks, first, second = Marks(), Mark("a", "point", [0, 0, 0]), Mark("b", "point", [1, 1, 1])
    marks.replace_all([first])
    marks.add(second)
    marks.exchange(first, second)
    marks.remove(second)
    assert marks.all == ()
    for expected in [(second, second), (first, second), (first,), ()]:
        assert marks.undo()
        assert marks.all == expected
    assert not marks.undo()
    assert marks.redo()
    assert marks.all == (first,)
    marks.add(second)
    assert not marks.can_redo


def test_every_segment_has_the_plane_of_its_own_marks():
    oblique = np.eye(4).tolist()
    axial, other = Mark("a", "point", [0, 0, 0], plane="k"), Mark("b", "point", [0, 0, 0], plane=oblique)
    marks = loads(dumps(Marks((axial, other))))
    assert (marks.plane_of("a"), marks.plane_of("b"), marks.plane_of("c")) == ("k", oblique, None)
    marks.remove(marks.all[0])
    assert marks.plane_of("a") is None
    marks.undo()
    assert marks.plane_of("a") == "k"


def test_marks_that_were_saved_with_one_plane_for_all_lie_in_it():
    entry = {"segment": "a", "kind": "point", "positive": True, "positions": [[0, 0, 0]]}
    marks = loads(json.dumps({"version": 1, "plane": "j", "marks": [entry]}))
    assert marks.plane_of("a") == "j"


def test_an_older_mark_that_a_new_one_contradicts_is_named(stack):
    box, inside, beside = mark(stack, "box", SQUARE), mark(stack, "point", (17, 19)), mark(stack, "point", (35, 35))
    assert contradicted_by(inside, [box], stack) == ([], -1)
    wrong, index = contradicted_by(beside, [inside, box], stack)
    assert (wrong, index) == ([box], slices_of(beside, stack)[0])
    against = mark(stack, "point", (17, 19), positive=False)
    assert contradicted_by(against, [box, inside, beside], stack)[0] == [inside]
    larger = mark(stack, "box", [(0, 0), (39, 0), (39, 39), (0, 39)])
    assert contradicted_by(beside, [box, larger], stack) == ([], -1)


def test_marks_survive_json_exactly(stack):
    painted = np.random.default_rng(1).random(stack.shape) > 0.5
    before = Marks((mark(stack, "box", SQUARE), mark(stack, "point", (1 / 3, 7), positive=False), mask_mark("t", stack, 3, painted)))
    after = loads(dumps(before))
    for old, new in zip(before.all, after.all, strict=True):
        assert (old.segment, old.kind, old.positive) == (new.segment, new.kind, new.positive)
        np.testing.assert_array_equal(old.positions, new.positions)
        np.testing.assert_array_equal(old.mask, new.mask)


def test_no_marks_are_no_text():
    assert dumps(Marks()) == ""
    assert loads("") == Marks()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"version": 2}',
        '{"version": 1, "plane": "x", "marks": []}',
        '{"version": 1, "plane": "k", "marks": [{"segment": "a"}]}',
        '{"version": 1, "plane": "k", "marks": 7}',
        '{"version": 1, "plane": [[1]], "marks": []}',
        '{"version": 1, "plane": "k", "marks": [{"segment": "a", "kind": "mask", "positive": true, '
        '"positions": [[0,0,0],[1,0,0],[0,1,0]], "mask": {"shape": [9, 9], "bits": "AAAA"}}]}',
    ],
)
def test_damaged_json_is_refused_with_a_clear_error(text):
    with pytest.raises(InputError, match="saved"):
        loads(text)


def test_a_mask_that_unpacks_to_more_than_it_says_is_refused(stack):
    text = json.loads(dumps(Marks((mask_mark("a", stack, 0, np.ones(stack.shape)),))))
    text["marks"][0]["mask"]["shape"] = [2, 2]
    with pytest.raises(InputError, match="another size"):
        loads(json.dumps(text))
