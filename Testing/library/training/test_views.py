"""Training shows the network what the engine would show it: moving views of sequences, memories carried between them."""

import pytest
import torch

from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.training.scenes import Scenes
from SAMSegmenterLib.training.sequences import OVERVIEW, _followed, look_through
from SAMSegmenterLib.training.squares import Extents, Slices, carried, following, on_slice
from support.training_steps import CPU

pytestmark = pytest.mark.usefixtures("seeded")


def test_extents_are_those_of_the_object():
    mask = torch.zeros(1, 2, 8, 8)
    mask[0, 0, 2:5, 1:7] = 1
    extents = Extents.of(mask)
    assert extents.boxes[0, 0].tolist() == [-0.75, -0.5, 0.75, 0.25]
    assert extents.present.tolist() == [[True, False]]


def test_views_follow_the_object_and_wait_where_it_is_absent():
    boxes = torch.tensor([[[-0.2, -0.2, 0.2, 0.2], [0.3, 0.3, 0.7, 0.7], [0.3, 0.3, 0.7, 0.7], [0, 0, 0, 0]]]).repeat(200, 1, 1)
    present = torch.tensor([[True, True, True, False]]).repeat(200, 1)
    views = following(Extents(boxes, present))
    after = views[:, 2]  # the object has been seen at its new place
    assert (after[:, :2] - after[:, 2:] < 0.3).all()
    assert (after[:, :2] + after[:, 2:] > 0.7).all()
    still = (views[:, 3] == views[:, 2]).all(1).float().mean()
    assert 0.8 < still < 1


def test_memories_are_carried_as_the_engine_carries_them():
    old, new = View(10, 20, 64, 64, 64), View(18, 12, 48, 48, 64)
    maps = torch.rand(1, 4, 16, 16)
    by_row, by_column = (torch.from_numpy(matrix) for matrix in new.transfer(old, 16))
    expected = by_row @ maps @ by_column.T
    units = [torch.tensor([[view.left + view.width / 2, view.top + view.height / 2, view.width / 2]]) for view in (old, new)]
    inside = slice(4, 12)  # at the border of the old view the two fade out differently
    torch.testing.assert_close(carried(maps, *units)[..., inside, inside], expected[..., inside, inside], rtol=1e-3, atol=1e-3)


def test_beyond_the_slice_there_is_nothing_to_see():
    slices = Slices(40, 1, CPU)
    sequences = look_through(slices, Scenes(40, slices.focus), 3, 64, 64, 64)
    beyond = on_slice(sequences.views, 64) == 0
    assert beyond.any()
    assert (sequences.images[beyond] == 0).all()
    assert not sequences.masks[beyond[:, None].expand_as(sequences.masks)].any()


def test_all_parts_of_a_label_are_followed_or_the_one_that_was_chosen():
    overview = torch.zeros(2, 1, OVERVIEW, OVERVIEW, dtype=torch.long)
    overview[:, 0, 5:15, 5:15] = overview[:, 0, 40:60, 40:60] = 3
    seeds = torch.tensor([[10 * OVERVIEW + 10]]).expand(2, 1)
    masks = _followed(overview, seeds, torch.tensor([True, False]).view(2, 1, 1, 1, 1))
    assert masks.sum((1, 2, 3, 4)).tolist() == [100 + 400, 100]


def test_sequences_are_what_the_engine_would_see():
    slices = Slices(4, 5, CPU)
    sequences = look_through(slices, Scenes(4, slices.focus), 3, 64, 40, 32)
    assert sequences.images.shape == (4, 5, 64, 64)
    assert sequences.masks.shape == (4, 3, 5, 32, 32)
    steps = sequences.images * 255
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    assert set(sequences.masks.unique().tolist()) <= {0.0, 1.0}
    followed = sequences.masks[:, 0, 0][sequences.usable[:, 0]]
    middle = followed[:, 4:28, 4:28].sum((1, 2)) / followed.sum((1, 2))
    assert (middle > 0.6).all()  # the object that the view follows lies within it
