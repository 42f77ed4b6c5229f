"""Large holes of masks are filled, but for those that were marked as outside."""

import numpy as np
import pytest

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.keyframes import search, seeder
from SAMSegmenterLib.keyframes.holes import filled
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.prompts.types import Box, Keyframe, Point
from SAMSegmenterLib.session.session import Session
from support.phantoms import ball

NOWHERE = np.empty((0, 2))


def ring(middle=(20, 20), size=40, inner=4, outer=8):
    y, x = np.mgrid[:size, :size]
    away = np.hypot(x - middle[0], y - middle[1])
    return (away > inner) & (away < outer), away < outer


def test_a_rim_is_filled():
    mask, disc = ring(inner=9, outer=11)
    assert np.array_equal(filled(mask, NOWHERE), disc)


def test_a_small_hole_stays():
    mask, _ = ring(inner=3, outer=9)
    assert np.array_equal(filled(mask, NOWHERE), mask)


def test_each_hole_is_judged_by_itself():
    (large, disc), (small, _) = ring((9, 9), inner=6), ring((29, 9), inner=2)
    assert np.array_equal(filled(large | small, NOWHERE), disc | small)


def test_a_hole_that_was_clicked_as_outside_stays():
    (one, one_disc), (other, _) = ring((9, 9), inner=6), ring((29, 9), inner=6)
    assert np.array_equal(filled(one | other, np.array([[28.6, 10.2]])), one_disc | other)


def test_clicks_beside_a_mask_keep_no_hole_open():
    mask, disc = ring()
    assert np.array_equal(filled(mask, np.array([[0.0, 0.0], [39.5, 39.5], [-0.5, 20.0]])), disc)


def test_a_bay_at_the_border_of_the_slice_is_no_hole():
    mask, _ = ring((0, 20))
    assert np.array_equal(filled(mask, NOWHERE), mask)


def test_a_mask_without_holes_comes_back_as_it_is():
    _, disc = ring()
    assert np.array_equal(filled(disc, NOWHERE), disc)
    assert not filled(np.zeros((5, 6), bool), NOWHERE).any()


@pytest.fixture
def preview(shipped_model, monkeypatch):
    """The mask in the middle of a ball, of which the network is made to see the rim."""
    rim, _ = ring((32, 32), size=64)

    def see_the_rim(self, index, asked):
        view = self._view(asked.extent)
        return view, self._taken_over(index, rim, view)

    def ask(options, *clicks):
        monkeypatch.setattr(seeder.Seeder, "_found", see_the_rim)
        session = Session(FrameStack(ball()[0], window=Window(-160, 240)), shipped_model, options, "cpu")
        session.set_keyframe("ball", Keyframe(16, box=Box(23.5, 23.5, 40.5, 40.5), points=clicks))
        return session.preview("ball", 16).mask

    return ask


IN_THE_RIM, IN_THE_HOLE = Point(32, 26), Point(32, 32, positive=False)


def test_what_a_small_network_finds_is_filled(preview):
    assert preview(Options(), IN_THE_RIM)[32, 32]


def test_a_click_says_that_a_hole_is_meant(preview):
    assert not preview(Options(), IN_THE_RIM, IN_THE_HOLE)[32, 32]


def test_large_networks_know_what_has_a_hole(preview, monkeypatch):
    monkeypatch.setattr(search, "SMALL_INPUT", 64)
    assert not preview(Options(), IN_THE_RIM)[32, 32]


def test_nothing_is_filled_where_nothing_shall_be_refined(preview):
    assert not preview(Options(refine=False), IN_THE_RIM)[32, 32]
