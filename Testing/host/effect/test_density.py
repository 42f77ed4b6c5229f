"""Screens on which a pixel of the view is half as large as elsewhere: under the hand everything is as large as there."""

import numpy as np
import pytest

PIXELS = {"ordinary": 1, "dense": 2}


@pytest.fixture(params=PIXELS)
def screen(work, request):
    """How many pixels lie side by side where an ordinary screen has one; the axial view has so many more."""
    count = PIXELS[request.param]
    window, node = work.view.widget.sliceView().renderWindow(), work.view.node
    before = window.GetDPI()
    window.SetDPI(before * count)
    node.SetDimensions(*(count * each for each in node.GetDimensions()[:2]), 1)
    yield count
    window.SetDPI(before)


@pytest.fixture
def a_point(work, screen):
    """A point that was clicked; its pixel."""
    work.click(*work.middle())
    work.wait()
    return work.view.xy(work.marks[0].positions[0])


def drag(work, screen, start, *way):
    """From a pixel, over offsets in pixels of an ordinary screen."""
    work.view.drag(start, *(start + screen * np.array(each) for each in way))
    work.wait()


def drawn(work):
    """Extent of all that is drawn in the axial view, and the widest line, in its pixels."""
    from SAMSegmenterLib.in_slicer.effect.mark_icons import INSIDE

    picture = work.effect.pointer._pictures[work.view.widget]
    bounds = picture._data[INSIDE].GetBounds()
    return bounds[1] - bounds[0], max(actor.GetProperty().GetLineWidth() for actor in picture.actors)


def test_a_mark_is_picked_up_from_as_far_away(work, screen, a_point):
    drag(work, screen, a_point + screen * np.array((7, 0)), (20, 0))
    assert len(work.marks) == 1
    moved = work.view.xy(work.marks[0].positions[0]) - a_point
    np.testing.assert_allclose(moved, (27 * screen, 0), atol=1)
    drag(work, screen, a_point + screen * np.array((11, 0)))
    assert len(work.marks) == 2


def test_icons_are_as_large(work, screen, a_point):
    assert drawn(work) == pytest.approx((12 * screen, 4 * screen), rel=1e-3)


def test_a_slip_of_the_hand_is_as_long(work, screen):
    k = work.middle()[2]
    start = work.view.xy(work.corners(k)[0])
    work.take("box")
    drag(work, screen, start, (2, 2))
    assert not work.marks
    drag(work, screen, start, (4, 4))
    assert len(work.marks) == 1


def test_a_stroke_has_as_many_positions(work, screen):
    k = work.middle()[2]
    work.take("scribble")
    start = work.view.xy(work.corners(k)[0])
    work.view.drag(start, start + screen * np.array((8, 0)), steps=8 * screen)
    (mark,) = work.marks
    assert len(mark.positions) == 5
