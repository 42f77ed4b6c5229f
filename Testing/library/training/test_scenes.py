"""The anatomy that training makes up: one world, whichever part of it is looked at, and how it appears."""

import math

import pytest
import torch

from SAMSegmenterLib.training.random_fields import SmoothField, rotations
from SAMSegmenterLib.training.rendering import Renderer, blurred
from SAMSegmenterLib.training.scenes import PRIMITIVES, Scenes, Seen
from SAMSegmenterLib.training.squares import Slices, whole
from support.training_steps import CPU

pytestmark = pytest.mark.usefixtures("seeded")


def test_rotations_turn_without_stretching():
    turns = rotations((5, 2), CPU)
    torch.testing.assert_close(turns @ turns.transpose(-1, -2), torch.eye(3).expand(5, 2, 3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(5, 2))


def test_smooth_field_is_one_function_of_space():
    field, places = SmoothField(2, 3, 6, CPU), torch.rand(2, 10, 3)
    together = field.at(places)
    apart = torch.cat([field.at(places[:, n : n + 1]) for n in range(10)], -1)
    torch.testing.assert_close(together, apart)
    assert (field.at(places + 1e-4) - together).abs().max() < 0.01


def test_scene_looks_the_same_at_every_resolution():
    slices = Slices(2, 2, CPU)
    scenes = Scenes(2, slices.focus)
    coarse = scenes.look(slices.positions(whole(slices), 16)).labels.view(2, 2, 16, 16)
    fine = scenes.look(slices.positions(whole(slices), 48)).labels.view(2, 2, 48, 48)
    assert torch.equal(fine[..., 1::3, 1::3], coarse)  # their middles coincide
    assert coarse.min() >= 0
    assert coarse.max() <= PRIMITIVES + 1
    assert coarse.unique().numel() > 3


def test_view_shows_its_part_of_the_slice():
    slices = Slices(1, 1, CPU)
    scenes = Scenes(1, slices.focus)
    complete = scenes.look(slices.positions(whole(slices), 64)).labels.view(64, 64)
    quarter = torch.tensor([[[0.5, -0.5, 0.5]]])
    part = scenes.look(slices.positions(quarter, 32)).labels.view(32, 32)
    assert torch.equal(part, complete[:32, 32:])


def test_blur_keeps_the_mean_and_spreads():
    image = torch.zeros(1, 1, 21, 21)
    image[0, 0, 10, 10] = 1
    soft = blurred(image, torch.tensor([1.0]))
    assert soft.sum() == pytest.approx(1, abs=1e-4)
    assert soft[0, 0, 10, 10] == pytest.approx(1 / (2 * math.pi), rel=0.01)


def test_contrast_is_the_step_at_the_border():
    look = Renderer(1, 3, None, CPU)
    look._grey[0] = torch.tensor([0.0, 0.5, 0.6, 0.0])
    look._rim[0] = torch.tensor([0.0, 0.8, 0.6, 0.0])
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    labels[0, 2:4, 2:4] = 1
    assert look.contrasts(labels)[0, :3].tolist() == pytest.approx([0.5, 0.8, 0])  # of what is on either side the rim is seen


def test_rims_are_the_outer_layers_of_objects():
    slices = Slices(20, 1, CPU)
    seen = Scenes(20, slices.focus).look(slices.positions(whole(slices), 64))
    labels, rims = seen.labels.view(20, 64, 64), seen.rims.view(20, 64, 64)
    objects = (labels > 0) & (labels <= PRIMITIVES)
    assert not (rims & ~objects).any()
    assert 0.1 < rims.sum() / objects.sum() < 0.8
    surface = (labels[:, 1:] == 0) & (labels[:, :-1] == 1) & rims.any((1, 2))[:, None, None]  # of the body
    assert surface.any()
    assert rims[:, :-1][surface].all()


def test_a_rim_has_a_grey_value_of_its_own():
    look = Renderer(1, 3, None, CPU)
    look._grey[:], look._rim[:], look._texture[:], look._blur[:] = 0.3, 0.9, 0, 0.05
    look._scanned = lambda image: image
    labels, rims = torch.ones(1, 64, dtype=torch.long), torch.arange(64)[None] < 32
    image = look.render(Seen(labels, torch.zeros(1, 4, 64), rims), torch.zeros(1, 64, 3), 1, 8)
    assert (image[0, 0, :3] > 2 * image[0, 0, 5:]).all()
