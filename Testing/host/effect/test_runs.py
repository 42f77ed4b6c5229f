"""Runs: of which segments, over which slices, and how they are stopped."""

import numpy as np
import pytest
import slicer

# ---------------------------------------------------------------- what is run


def test_all_marked_segments_are_found_in_one_run(work, quick_network):
    work.draw_box()
    work.select("spleen")
    work.draw_box(label=2)
    work.wait()
    quick_network.found.clear()
    work.panel.all_segments.setChecked(True)
    work.propagate()
    np.testing.assert_array_equal(work.preview("liver"), work.truth == 1)
    np.testing.assert_array_equal(work.preview("spleen"), work.truth == 2)
    assert {work.name_of(segment) for segment, _index in quick_network.found} == {"liver", "spleen"}


def test_else_the_selected_one_alone(work, quick_network):
    work.draw_box()
    work.select("spleen")
    work.draw_box(label=2)
    work.wait()
    quick_network.found.clear()
    work.propagate()
    assert {work.name_of(segment) for segment, _index in quick_network.found} == {"spleen"}


@pytest.mark.parametrize(("direction", "wanted"), [("forward", slice(12, None)), ("backward", slice(None, 13)), ("both", slice(None))])
def test_a_run_goes_where_it_is_sent(work, direction, wanted):
    work.choose(work.panel.direction, direction)
    work.segment_by_box(12)
    reached = np.zeros(len(work.truth), bool)
    reached[wanted] = True
    np.testing.assert_array_equal(work.preview(), (work.truth == 1) & reached[:, None, None])


def test_a_run_stays_between_the_slices_given(work):
    work.draw_box(12)
    work.choose(work.panel.range, "slices")
    work.panel.first.setValue(10)
    work.panel.last.setValue(13)
    work.propagate()
    np.testing.assert_array_equal(np.flatnonzero(work.preview().any((1, 2))), [10, 11, 12, 13])


def test_a_run_stays_between_the_keyframes(work):
    work.draw_box(10)
    work.draw_box(14)
    work.choose(work.panel.range, "keyframes")
    work.propagate()
    np.testing.assert_array_equal(np.flatnonzero(work.preview().any((1, 2))), [10, 11, 12, 13, 14])


def test_a_run_stays_in_the_region_of_interest(work):
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    roi.SetCenter(*work.ras(20, 20, 12))
    roi.SetSize(60, 60, 4.2 * work.volume.GetSpacing()[2])
    work.draw_box(12)
    work.choose(work.panel.range, "roi")
    work.panel.roi.setCurrentNode(roi)
    work.propagate()
    np.testing.assert_array_equal(np.flatnonzero(work.preview().any((1, 2))), [10, 11, 12, 13, 14])


def test_a_region_without_a_node_is_asked_for(work):
    work.draw_box(12)
    work.wait()
    work.choose(work.panel.range, "roi")
    work.press("propagate")
    assert "region of interest" in work.message
    work.choose(work.panel.range, "volume")
    work.propagate()
    np.testing.assert_array_equal(work.preview(), work.truth == 1)


def test_an_empty_range_is_refused(work):
    work.draw_box(12)
    work.wait()
    work.choose(work.panel.range, "slices")
    work.panel.first.setValue(14)
    work.panel.last.setValue(5)
    work.press("propagate")
    assert work.warned
    assert not work.controller.busy


def test_propagate_without_a_mark_says_what_to_do(work):
    work.press("propagate")
    assert "Mark the segment on a slice first" in work.message


# ---------------------------------------------------------------- stopping


@pytest.fixture
def running(work, quick_network):
    """A run that has found some slices and waits."""
    work.draw_box()
    work.wait()
    work.propagate_and_pause(quick_network, 7)
    return work


def test_slices_appear_while_a_run_goes_on(running):
    assert running.preview().any((1, 2)).sum() > 1
    assert not running.panel.progress.isHidden()
    assert "slices/s" in running.panel.progress.text
    assert not running.panel.actions["propagate"].enabled
    assert not running.segment().any()


def test_stop_and_keep_keeps_what_was_found(running, quick_network):
    running.press("stop_keep")
    assert "Stopping" in running.message
    quick_network.go_on()
    running.wait()
    kept = running.preview().any((1, 2)).sum()
    assert 7 <= kept <= 9
    assert "kept" in running.message
    running.propagate()
    np.testing.assert_array_equal(running.preview(), running.truth == 1)


def test_stop_and_drop_leaves_everything_as_before(running, quick_network):
    k = running.middle()[2]
    running.press("stop_drop")
    quick_network.go_on()
    running.wait()
    np.testing.assert_array_equal(np.flatnonzero(running.preview().any((1, 2))), [k])
    assert "as before" in running.message
    running.propagate()
    np.testing.assert_array_equal(running.preview(), running.truth == 1)


def test_keys_do_nothing_during_a_run_that_their_buttons_would_not(running, quick_network):
    from SAMSegmenterLib.in_slicer.effect.keys import KEYS
    from SAMSegmenterLib.in_slicer.effect.panel import WHEN_IDLE

    marks, shown = running.marks, running.preview()
    disabled = [name for name, button in running.panel.actions.items() if name in KEYS and not button.enabled]
    disabled = [name for name in disabled if name not in ("next", "previous")]  # there is nothing to check yet
    assert WHEN_IDLE & KEYS.keys() == set(disabled)
    running.effect.pointer.picked = [marks[0]]
    for name in disabled:
        assert running.key(KEYS[name])
        assert_refused(running)
    assert running.marks == marks
    assert running.controller.settings.positive
    assert not running.segment().any()
    np.testing.assert_array_equal(running.preview(), shown)
    quick_network.go_on()
    running.wait()
    np.testing.assert_array_equal(running.preview(), running.truth == 1)


def assert_refused(work):
    assert work.warned
    assert "Stop it first" in work.message


def draw_another_box(work):
    work.draw_box(work.middle()[2] + 2)


def move_a_corner(work):
    work.go_to(work.middle()[2])
    corner = work.marks[0].positions[0]
    work.view.drag(corner, corner + 6)


def use_a_line(work):
    work.effect._act("line_markup", None)


def remove_a_keyframe(work):
    work.effect._act("remove_keyframe", work.middle()[2])


@pytest.mark.parametrize("change", [draw_another_box, move_a_corner, use_a_line, remove_a_keyframe])
def test_prompts_cannot_be_changed_during_a_run(running, quick_network, change):
    marks = running.marks
    change(running)
    assert_refused(running)
    quick_network.go_on()
    running.wait()
    assert running.marks == marks
    np.testing.assert_array_equal(running.preview(), running.truth == 1)
    draw_another_box(running)
    assert len(running.marks) == 2


@pytest.mark.parametrize("name", ["remove_keyframe", "line_markup"])
def test_their_buttons_are_disabled_meanwhile(running, quick_network, name):
    assert not running.panel.actions[name].enabled
    quick_network.go_on()
    running.wait()
    assert running.panel.actions[name].enabled


def test_what_is_being_drawn_when_a_run_begins_is_no_prompt(work, quick_network):
    work.draw_box()
    work.wait()
    quick_network.pause_after(3)
    first, last = work.corners(work.middle()[2] + 2)
    work.go_to(work.middle()[2] + 2)
    work.view.press(first)
    work.view.move(last)
    assert work.key("G")
    work.wait_for(lambda: quick_network.is_paused)
    work.view.release(last)
    assert_refused(work)
    quick_network.go_on()
    work.wait()
    assert len(work.marks) == 1


def test_a_run_asked_for_twice_can_still_be_taken_back(running, quick_network):
    k = running.middle()[2]
    running.key("G")
    running.press("stop_drop")
    quick_network.go_on()
    running.wait()
    np.testing.assert_array_equal(np.flatnonzero(running.preview().any((1, 2))), [k])


def test_escape_stops_a_run(running, quick_network):
    assert running.key("X")
    quick_network.go_on()
    running.wait()
    assert "kept" in running.message


def test_the_clock_is_quick_only_while_something_is_waited_for(work, quick_network):
    from SAMSegmenterLib.in_slicer.effect.wiring import IDLE_MS, POLL_MS, QUICK_MS

    clock = work.effect._timer
    work.wait_for(lambda: clock.interval == IDLE_MS)
    work.draw_box()
    assert clock.interval == QUICK_MS
    work.wait_for(lambda: clock.interval == IDLE_MS)
    work.propagate_and_pause(quick_network, 5)
    assert clock.interval == POLL_MS
    quick_network.go_on()
    work.wait_for(lambda: clock.interval == IDLE_MS)
    work.panel.actions["apply"].click()
    assert clock.interval == QUICK_MS
    work.wait_for(lambda: clock.interval == IDLE_MS)
    np.testing.assert_array_equal(work.segment(), work.truth == 1)
