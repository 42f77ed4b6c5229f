"""Simulated users mark what COSMOS-1050K's users mark, and correct where it is wrong."""

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.evaluation import users
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.prompts.types import Box, Keyframe, Point, check_keyframe


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def block():
    """Rows 10 to 19 and columns 20 to 25 of a slice."""
    mask = np.zeros((40, 50), bool)
    mask[10:20, 20:26] = True
    return mask


@pytest.fixture
def ring():
    y, x = np.ogrid[:40, :40]
    radius = np.hypot(y - 20, x - 20)
    return (radius > 8) & (radius < 12)


@pytest.fixture
def growing():
    """An object on slices 3 to 13, largest on slice 9."""
    mask = np.zeros((20, 30, 30), bool)
    for index in range(3, 14):
        mask[index, 5 : 15 - abs(index - 9), 5:15] = True
    return mask


def test_start_slices(growing):
    assert users.STARTS["edge"](growing) == [3]
    assert users.STARTS["centre"](growing) == [8]
    assert users.STARTS["largest"](growing) == [9]
    assert users.STARTS["several"](growing) == [5, 8, 11]  # rounded places 1.5, 5 and 8.5 of 0 to 10, halves to even


def test_middle_is_one_of_the_slices_that_the_object_is_on(growing):
    growing[5:11] = False
    assert users.middle_slice(growing) == 11
    assert growing[users.several_slices(growing)].any((1, 2)).all()


def test_first_positive_is_the_centre_of_mass(block, random):
    assert users.first_positive(block, random) == Point(22, 14)


def test_first_positive_of_a_ring_lies_in_it_anywhere(ring):
    found = {users.first_positive(ring, np.random.default_rng(seed)) for seed in range(20)}
    assert len(found) > 10
    assert all(ring[int(point.y), int(point.x)] for point in found)


def test_further_positives_are_at_equal_steps_through_the_pixels(block, random):
    points = users.positives(block, 5, random)
    assert points[0] == Point(22, 14)
    others = [(int(point.y) - 10) * 6 + int(point.x) - 20 for point in points[1:]]  # places in the 60 pixels, 6 a row
    assert others == [7, 22, 37, 52]


def test_positives_of_a_tiny_object_are_fewer_and_different(random):
    mask = np.zeros((9, 9), bool)
    mask[4, 4:6] = True
    points = users.positives(mask, 5, random)
    assert len(points) == len(set(points)) == 2


def test_negatives_lie_around_the_object_in_twice_its_box(block):
    points = users.negatives(block, 5)
    assert len(points) == 5
    for point in points:
        assert not point.positive
        assert not block[int(point.y), int(point.x)]
        assert 5 <= point.y <= 25
        assert 17 <= point.x <= 29


def test_no_negatives_where_the_object_fills_the_slice():
    assert users.negatives(np.ones((10, 10), bool), 5) == ()


def test_tight_box_includes_the_edges_of_the_pixels(block):
    assert users.tight_box(block) == Box(19.5, 9.5, 25.5, 19.5)


def test_shaken_box_moves_each_edge_by_at_most_its_part():
    box, moves = Box(20, 30, 40, 70), []
    for seed in range(200):
        each = users.shaken(box, 0.1, (100, 100), np.random.default_rng(seed))
        moves.append([each.x0 - 20, each.y0 - 30, each.x1 - 40, each.y1 - 70])
    furthest = np.abs(moves).max(0)
    assert (furthest <= [2, 4, 2, 4]).all()
    assert (furthest > [1.8, 3.6, 1.8, 3.6]).all()


def test_shaking_is_repeatable_and_stays_on_the_slice():
    box = Box(-0.5, -0.5, 9.5, 9.5)
    for seed in range(50):
        one, other = (users.shaken(box, 0.3, (10, 10), np.random.default_rng(seed)) for _ in range(2))
        assert one == other
        assert min(one.x0, one.y0) >= -0.5
        assert max(one.x1, one.y1) <= 9.5


@pytest.mark.parametrize("kind", users.PROMPTS)
@pytest.mark.parametrize("shape", ["block", "ring"])
def test_every_kind_of_prompt_can_be_used(kind, shape, request, random):
    mask = request.getfixturevalue(shape)
    stack = FrameStack(Volume(np.random.default_rng(0).random((3, *mask.shape))))
    check_keyframe(users.keyframe(kind, 1, mask, random, 0.3 if "box" in kind else 0), stack)


def test_worst_slice_is_one_that_can_be_marked(growing):
    found = growing.copy()
    found[7, :2] = True
    found[15:] = True  # far more wrong pixels, beyond the object
    assert users.worst_slice(found, growing) == 7


def test_corrective_point_lies_in_the_middle_of_the_largest_error(block):
    found = block.copy()
    found[30:35, 30:35] = True
    found[10:12, 20:22] = False
    assert users.corrective_point(found, block) == Point(32, 32, positive=False)


def test_corrective_point_is_positive_where_the_object_was_missed(block):
    found = block.copy()
    found[10:15] = False
    point = users.corrective_point(found, block)
    assert point.positive
    assert block[int(point.y), int(point.x)]
    assert point.y == 12


def test_first_click_on_a_slice_says_where_the_object_is(block, random):
    found = block.copy()
    found[25:40] = True
    first = users.corrected(None, 4, found, block, random)
    assert first == Keyframe(4, points=(users.first_positive(block, random),))
    second = users.corrected(first, 4, found, block, random)
    assert [point.positive for point in second.points] == [True, False]


def test_correction_takes_the_place_of_a_click_on_the_same_pixel(block, random):
    nothing = np.zeros_like(block)
    click = users.corrective_point(nothing, block)
    before = Keyframe(4, points=(Point(click.x, click.y, positive=False), Point(22, 14)))
    assert users.corrected(before, 4, nothing, block, random).points == (Point(22, 14), click)


def test_correction_outside_the_box_replaces_it(block, random):
    before = Keyframe(4, box=Box(40, 30, 45, 35))
    assert users.corrected(before, 4, np.zeros_like(block), block, random).box is None
    kept = Keyframe(4, box=users.tight_box(block))
    assert users.corrected(kept, 4, np.zeros_like(block), block, random).box == kept.box


def test_unusable_prompts_are_refused_by_the_same_check_as_real_ones(block):
    stack = FrameStack(Volume(np.random.default_rng(0).random((3, *block.shape))))
    with pytest.raises(InputError):
        check_keyframe(Keyframe(1, points=users.negatives(block, 5)), stack)
