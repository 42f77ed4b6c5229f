"""What other segments have: which voxels, whose they are, and where the user overrules them."""

from dataclasses import replace

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.neighbours import ALONE, Neighbours
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume

VOXELS = np.random.default_rng(0).integers(0, 99, (4, 5, 6)).astype(np.int16)


def labels(**places):
    made = np.zeros(VOXELS.shape, np.uint8)
    for label, place in places.items():
        made[place] = int(label[1:])
    return made


@pytest.mark.parametrize("axis", "ijk")
def test_all_labels_of_all_layers_are_taken(axis):
    layers = [labels(_1=(1, 2, 3)), labels(_7=(1, 3, 3))]
    stack = FrameStack(Volume(VOXELS), axis)
    taken = Neighbours(stack, layers).of("liver").on({"i": 3, "j": 2, "k": 1}[axis])
    assert taken.dtype == bool
    assert taken.shape == stack.shape
    assert taken.sum() == (1 if axis == "j" else 2)


def test_nothing_is_taken_where_nothing_lies():
    assert ALONE.on(0) is None
    assert Neighbours(FrameStack(Volume(VOXELS)), [labels(_1=(1, 2, 3))]).of("liver").on(0) is None


def test_what_is_there_of_a_segment_is_not_beside_it():
    neighbours = Neighbours(FrameStack(Volume(VOXELS)), [labels(_1=(1, 2, 3), _2=(1, 0, 0)), labels(_1=(1, 4, 4))], {"liver": (1,)})
    assert np.argwhere(neighbours.of("liver").on(1)).tolist() == [[0, 0], [4, 4]]  # label 1 of the other layer is another segment
    assert neighbours.of("spleen").on(1).sum() == 3


def test_a_slice_on_which_the_user_knows_better_has_no_neighbours():
    beside = Neighbours(FrameStack(Volume(VOXELS)), [np.ones(VOXELS.shape, bool)]).of("liver")
    obeying = replace(beside, obeyed=frozenset({2}))
    assert obeying.on(2) is None
    assert obeying.on(1).all()


def test_labels_on_another_grid_are_refused():
    with pytest.raises(InputError, match=r"neighbours: expected labels of the volume's shape \(4, 5, 6\), got \(4, 5, 7\)"):
        Neighbours(FrameStack(Volume(VOXELS)), [np.zeros((4, 5, 7), np.uint8)])
