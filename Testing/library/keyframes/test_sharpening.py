"""Boxes: the border of what the network found is put where intensities change."""

import numpy as np
import pytest

from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.keyframes import seeder
from SAMSegmenterLib.keyframes.question import question
from SAMSegmenterLib.keyframes.sharpening import sharpened
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, MaskPrompt, Point, Scribble
from SAMSegmenterLib.session.session import Session
from support.phantoms import ball

BOX = Box(19.5, 19.5, 44.5, 44.5)
Y, X = np.mgrid[:64, :64]
DISC = (X - 32) ** 2 + (Y - 32) ** 2 <= 12.5**2
SHIFTED = (X - 36) ** 2 + (Y - 29) ** 2 <= 11**2


@pytest.fixture
def picture():
    """A bright disc in noise, with a bright neighbour outside of the box."""
    noise = np.random.default_rng(0).normal(0, 10, DISC.shape)
    return np.where(DISC | (X > 52), 100.0, 40.0) + noise


def logits(mask, certainty=2.0):
    return np.where(mask, certainty, -certainty).astype(np.float32)


def test_a_mask_beside_the_object_moves_onto_it(picture):
    found = sharpened(logits(SHIFTED), picture, BOX)
    assert dice(SHIFTED, DISC) < 0.8
    assert dice(found, DISC) > 0.95


def test_nothing_lies_outside_of_the_box(picture):
    found = sharpened(logits(np.ones_like(DISC)), picture, BOX)
    assert not found[(X < 19) | (X > 45) | (Y < 19) | (Y > 45)].any()


def test_where_the_network_finds_nothing_the_middle_of_the_box_is_looked_at(picture):
    assert dice(sharpened(logits(np.zeros_like(DISC)), picture, BOX), DISC) > 0.9


def test_a_picture_without_contrast_leaves_the_networks_mask():
    found = sharpened(logits(SHIFTED & DISC, 6.0), np.full(DISC.shape, 7), BOX)
    np.testing.assert_array_equal(found, SHIFTED & DISC)


def test_a_box_at_the_border_of_the_slice_is_no_trouble(picture):
    corner = sharpened(logits(DISC), picture, Box(-0.5, -0.5, 63.5, 63.5))
    assert corner.shape == DISC.shape
    assert sharpened(logits(DISC), picture, Box(60, 60, 63, 63)).sum() <= 16


def test_only_a_box_by_itself_is_sharpened():
    assert question(Keyframe(3, box=BOX)).is_box
    click, stroke, line = (Point(30, 30),), (Scribble(((30, 30),)),), Line(20, 30, 40, 30)
    for beside in ({"points": click}, {"scribbles": stroke}, {"line": line}, {"prior": MaskPrompt(DISC)}):
        assert not question(Keyframe(3, box=BOX, **beside)).is_box
    assert not question(Keyframe(3, points=click)).is_box


def test_a_session_sharpens_boxes_unless_it_is_told_not_to(shipped_model, monkeypatch):
    volume, truth = ball()
    left_half = truth[16] & (X < 32)
    monkeypatch.setattr(seeder, "sharpened", lambda logits, intensities, box, taken: left_half)
    stack, wanted = FrameStack(volume, window=Window(-160, 240)), {False: truth[16], True: left_half}
    for refine, mask in wanted.items():
        session = Session(stack, shipped_model, Options(precision="float32", refine=refine), "cpu")
        session.set_keyframe("ball", Keyframe(16, box=Box(21.5, 21.5, 42.5, 42.5)))
        assert dice(session.preview("ball", 16).mask, mask) > 0.9
