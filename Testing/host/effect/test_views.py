"""Which slice view a key means, and views that come and go."""

import numpy as np
import pytest

from slicerhost.hands import SliceView


@pytest.fixture
def coronal(work):
    """A view through the object's middle, which is painted on that very slice only."""
    i, j, k = work.middle()
    painted = np.zeros(work.truth.shape, bool)
    painted[:, j] = (work.truth == 1)[:, j]
    work.switch_away()
    work.paint(painted)
    work.switch_back()
    view = SliceView("Green")
    view.fit()
    for each in (view, work.view):
        each.go_to(work.ras(i, j, k))
    return view


def test_a_key_means_the_view_under_the_mouse(work, coronal):
    i, j, k = work.middle()
    coronal.move(coronal.xy(work.ras(i, j, k)))
    work.key("K")
    work.wait()
    assert not work.warned, work.message
    assert work.plane == "j"
    (mark,) = work.marks
    assert mark.mask.sum() == (work.truth == 1)[:, j].sum()


def test_before_the_mouse_was_anywhere_the_first_view_that_is_shown_is_meant(work, coronal):
    work.view.node.SetMappedInLayout(False)
    work.press("use_slice")
    work.wait()
    assert work.plane == "j"


def test_a_view_that_is_not_shown_any_more_is_not_meant(work, coronal):
    work.view.move((200, 200))
    work.view.node.SetMappedInLayout(False)
    work.press("use_slice")
    assert work.plane == "j"


def test_a_slice_is_used_where_a_view_shows_it_not_where_another_view_cuts_it(work, coronal):
    i, j, k = work.middle()
    work.switch_away()
    work.paint(work.truth == 1)
    work.switch_back()
    work.draw_box(k + 1)
    work.wait()
    work.go_to(k - 2)
    coronal.move(coronal.xy(work.ras(i, j, k)))  # on the way to the panel
    work.press("use_slice")
    work.wait()
    assert work.keyframes() == [k - 2, k + 1]


def test_a_slice_that_no_view_shows_is_not_used(work, coronal):
    work.draw_box()
    work.wait()
    marks = work.marks
    work.view.node.SetMappedInLayout(False)
    work.press("use_slice")
    assert work.warned
    assert "No view shows the slices" in work.message
    assert work.marks == marks


def test_without_slice_views_a_layout_is_asked_for(work):
    for name in ("Red", "Green", "Yellow"):
        SliceView(name).node.SetMappedInLayout(False)
    work.press("use_slice")
    assert work.warned
    assert "Choose a layout" in work.message


def test_without_a_segmentation_the_keys_say_what_to_do(work):
    work.editor.setSegmentationNode(None)
    for key in ("K", "G"):
        work.key(key)
        assert "Add a segment" in work.message


def test_what_is_drawn_stays_in_its_view_though_the_mouse_leaves_it(work):
    k = work.middle()[2]
    work.take("box")
    first, last = work.corners(k)
    work.view.press(first)
    SliceView("Green").move((10, 10))
    work.view.move(last)
    work.view.release(last)
    assert [mark.kind for mark in work.marks] == ["box"]


class Deleted:
    """A widget that was deleted, as PythonQt has it: false, and of no use."""

    def __bool__(self):
        return False

    def __getattr__(self, name):
        raise ValueError(f"Trying to call {name!r} on a destroyed object")


def test_the_effect_is_left_though_a_view_was_deleted(work):
    work.draw_box()
    work.wait()
    work.effect.pointer._pictures = {Deleted(): None, **work.effect.pointer._pictures}
    work.effect.pointer.redraw()
    work.switch_away()
    assert not work.key("B")
    assert not work.effect._shortcuts
    work.switch_back()
    assert work.key("B")
