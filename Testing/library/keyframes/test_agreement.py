"""Of many masks that prompts may mean, the one that agrees best with all of them."""

import numpy as np
import pytest
import torch

from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.keyframes.agreement import OWN, Places, expected

MIDDLE = np.array([50.0, 60.0])
SHAPE = 120, 100
SQUARE, WIDE = View(30, 40, 40, 40, 64), View(10, 20, 80, 80, 64)


def places(spacing_mm=(1.0, 1.0), views=(SQUARE, WIDE)):
    return Places.around(MIDDLE, views, np.array(spacing_mm))


def disc(view, radius, middle=MIDDLE):
    """The logits of a disc of a radius in slice pixels, as a view shows it."""
    uv = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1) * 4 + 1.5
    distance = np.linalg.norm(view.to_slice(uv) - middle, axis=-1)
    return torch.from_numpy(radius - distance).float()[None]


def area(inside, around):
    return float((inside.float() * around.areas).sum())


def test_areas_of_masks_are_compared_in_the_same_unit_whatever_the_view():
    around = places()
    small, large = (area(around.inside(disc(view, radius), view, SHAPE), around) for view, radius in ((SQUARE, 8), (WIDE, 16)))
    assert large / small == pytest.approx(4, rel=0.15)


def test_a_mask_seen_through_two_views_is_nearly_the_same():
    around = places()
    one, other = (around.inside(disc(view, 12), view, SHAPE) for view in (SQUARE, WIDE))
    assert (one ^ other).float().mean() < 0.03


def test_places_reach_as_far_along_both_sides_in_mm():
    around = places((1.0, 0.5))
    reach = np.abs(around.xy - MIDDLE).max(0)
    assert reach[1] == pytest.approx(2 * reach[0], rel=0.01)


def test_no_place_lies_in_a_mask_beyond_its_view_or_the_slice():
    around, everything = places(), torch.ones(1, 16, 16)
    inside = around.inside(everything, SQUARE, SHAPE)[0].numpy()
    x, y = around.xy[inside].T
    assert 29.5 <= x.min() <= x.max() <= 69.5
    assert 39.5 <= y.min() <= y.max() <= 79.5
    narrow = around.inside(everything, WIDE, (70, 60))[0].numpy()
    assert (around.xy[narrow] <= [59.5, 69.5]).all()


def test_the_mask_that_agrees_with_most_is_taken_though_another_is_a_little_fitter():
    inside = torch.zeros(4, 100, dtype=torch.bool)
    inside[0, :10] = True
    for n, last in enumerate((58, 60, 62), 1):
        inside[n, 10:last] = True
    areas, fitness = torch.ones(100), torch.tensor([1.5, 1.0, 1.0, 1.0])
    assert expected(inside, areas, fitness).argmax() == 2
    assert expected(inside, areas, fitness + torch.tensor([9.0, 0, 0, 0])).argmax() == 0


def test_expected_dice_weighs_places_by_their_area():
    inside = torch.tensor([[True, True, False], [True, False, False]])
    values = expected(inside, torch.tensor([3.0, 1.0, 5.0]), torch.zeros(2))
    assert values.tolist() == pytest.approx([(1 + 6 / 7) / 2] * 2)


def test_an_empty_mask_agrees_with_none():
    inside = torch.tensor([[False, False], [True, False], [True, True]])
    values = expected(inside, torch.ones(2), torch.zeros(3))
    assert values[0] == 0
    assert values.isfinite().all()


def test_one_answer_is_taken_as_it_is():
    assert expected(torch.ones(1, 5, dtype=torch.bool), torch.ones(5), torch.tensor([2.0])).tolist() == pytest.approx([1 + OWN * 2])
