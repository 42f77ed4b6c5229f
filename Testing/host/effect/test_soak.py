"""Hundreds of actions in an order that nobody planned: nothing is raised, and no segment changes but by Apply, undo, redo or a brush.

SAMSEGMENTER_SOAK=80 in the environment makes them two thousand.
"""

import os

import numpy as np
import slicer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from slicerhost.host import new_segment_id
from support.effect_steps import fingerprint, lps, two_balls

EXAMPLES = int(os.environ.get("SAMSEGMENTER_SOAK", "12"))
SHAPE = (12, 32, 32)
MORE_NODES = 6  # that a scene may hold beside those it began with: previews of two segments, with their displays

PLACES = st.tuples(st.integers(-4, 36), st.integers(-4, 36), st.integers(-1, 12))
MODIFIERS = st.sampled_from([(), (), ("Control",), ("Shift",)])
KEYS = st.sampled_from(["P", "B", "S", "L", "D", "M", "T", "U", "Shift+U", "R", "K", "G", "X", "A", "N", "Shift+N", "Del"])
BUTTONS = st.sampled_from(
    ["polarity", "use_slice", "undo", "redo", "clear", "propagate", "stop_keep", "stop_drop", "remove", "answer", "answer"]
)
CHOICES = {
    "direction": ("both", "forward", "backward"),
    "range": ("volume", "slices", "keyframes", "roi"),
    "axis": ("auto", "k", "j", "i"),
    "window": ("auto", "display", "manual"),
    "mode": ("auto", "fast"),
}
MASK_MODES = st.sampled_from(["EditAllowedEverywhere", "EditAllowedOutsideAllSegments", "EditAllowedInsideVisibleSegments"])


class User(RuleBasedStateMachine):
    """Anything that a user can do, in any order. `sit_down` gives a new editor; `network`, if not None, is a quick one."""

    sit_down, network = None, None

    def __init__(self):
        super().__init__()
        voxels, truth = two_balls(SHAPE)
        self.work = type(self).sit_down(voxels, truth)
        self.host = self.work.host
        self.host.exceptions.clear()  # of an example that has failed
        self.volumes = [self.work.volume, self.host.make_volume(voxels[::-1].copy(), lps(), "other")]
        self.work.editor.setSourceVolumeNode(self.volumes[0])
        self.fingerprints = [fingerprint(volume) for volume in self.volumes]
        self.nodes = count_nodes()
        self.known = self.voxels()

    def voxels(self):
        """Of every segment, as far as it is filled."""
        ids = self.work.segmentation.GetSegmentation().GetSegmentIDs()
        return {self.work.name_of(segment): filled(self.work.segmentation, segment) for segment in ids}

    def is_active(self):
        return self.work.editor.activeEffect() is not None

    # The mouse

    @rule(tool=st.sampled_from(["point", "box", "scribble", "lasso", "line", "move"]))
    def take(self, tool):
        self.work.take(tool)

    @rule(place=PLACES, modifiers=MODIFIERS)
    def click(self, place, modifiers):
        self.work.view.go_to(self.work.ras(*place))
        self.work.view.click(self.work.ras(*place), modifiers)

    @rule(start=PLACES, ends=st.lists(PLACES, min_size=1, max_size=3), modifiers=MODIFIERS)
    def drag(self, start, ends, modifiers):
        self.work.view.drag(*(self.work.ras(*place[:2], start[2]) for place in (start, *ends)), modifiers=modifiers)

    @rule(label=st.sampled_from([1, 2]), slices_higher=st.integers(-2, 2))
    def draw_box(self, label, slices_higher):
        k = self.work.middle(label)[2] + slices_higher
        if (self.work.truth[k] == label).any():
            self.work.draw_box(k, label)

    @rule(orientation=st.sampled_from(["Axial", "Sagittal", "Coronal"]))
    def turn_the_view(self, orientation):
        self.work.view.set_orientation(orientation)
        self.work.view.fit()

    # What it is for, whatever was done before

    @precondition(lambda self: self.is_active())
    @rule(label=st.sampled_from([1, 2]), slices_higher=st.integers(-1, 1), wait=st.booleans())
    def segment(self, label, slices_higher, wait):
        self.draw_box(label, slices_higher)
        self.propagate() if wait else self.press_button("propagate")

    @precondition(lambda self: self.is_active() and self.known)
    @rule(label=st.sampled_from([1, 2]))
    def segment_from_the_beginning_and_apply(self, label):
        for name in ("range", "direction", "axis", "window"):
            self.choose_value(name, CHOICES[name][0])
        self.turn_the_view("Axial")
        self.wait()
        self.press_button("clear")
        self.segment(label, 0, True)
        self.apply()

    # Keys, buttons, choices

    @rule(key=KEYS)
    def press_key(self, key):
        if key == "A":
            self.apply()
        else:
            assert self.work.key(key) == self.is_active()

    @precondition(lambda self: self.is_active())
    @rule(name=BUTTONS)
    def press_button(self, name):
        self.work.panel.actions[name].click()

    @rule(name=st.sampled_from(sorted(CHOICES)), data=st.data())
    def choose(self, name, data):
        self.choose_value(name, data.draw(st.sampled_from(CHOICES[name])))

    def choose_value(self, name, value):
        self.work.choose(getattr(self.work.panel, name), value)

    @rule(first=st.integers(0, 11), last=st.integers(0, 11), everything=st.booleans(), live=st.booleans())
    def set_more(self, first, last, everything, live):
        self.work.panel.first.setValue(first)
        self.work.panel.last.setValue(last)
        self.work.panel.all_segments.setChecked(everything)
        self.work.panel.live_preview.setChecked(live)

    @precondition(lambda self: self.is_active())
    @rule(row=st.integers(0, 3), remove=st.booleans())
    def use_a_list(self, row, remove):
        table = self.work.panel.keyframes if remove else self.work.panel.review
        if row < table.count:
            table.setCurrentRow(row)
            if remove:
                self.work.panel._remove_keyframe()
            else:
                table.itemDoubleClicked(table.item(row))

    # Time

    @rule()
    def wait(self):
        if self.is_active():
            self.work.wait()

    @rule()
    def look_away_for_a_moment(self):
        self.host.process_events()

    @precondition(lambda self: self.is_active())
    @rule()
    def propagate(self):
        self.wait()
        self.work.panel.actions["propagate"].click()
        self.wait()

    @precondition(lambda self: type(self).network)
    @rule(error=st.sampled_from([MemoryError("no memory"), RuntimeError("odd")]))
    def let_the_network_fail(self, error):
        self.network.error = error

    # What may change segments

    @rule()
    def apply(self):
        before = self.voxels()
        assert self.work.key("A") == self.is_active()
        self.known = self.voxels()
        if self.known != before:
            self.work.editor.undo()
            assert self.voxels() == before
            self.work.editor.redo()
            assert self.voxels() == self.known

    @rule(undo=st.booleans())
    def undo_in_the_editor(self, undo):
        (self.work.editor.undo if undo else self.work.editor.redo)()
        self.known = self.voxels()

    @rule(name=st.sampled_from(["liver", "spleen"]), place=st.tuples(st.integers(2, 9), st.integers(2, 29), st.integers(2, 29)))
    def paint(self, name, place):
        if name not in self.known:
            return
        k, j, i = place
        mask = self.work.segment(name)
        mask[k, j - 1 : j + 2, i - 1 : i + 2] = True
        self.work.editor.saveStateForUndo()
        self.work.paint(mask, name)
        self.known = self.voxels()

    # Around the effect

    @rule(name=st.sampled_from(["liver", "spleen"]))
    def select(self, name):
        if name in self.known:
            self.work.select(name)

    @rule()
    def add_or_remove_a_segment(self):
        segments = self.work.segmentation.GetSegmentation()
        if "spleen" in self.known:
            segments.RemoveSegment(self.work.id("spleen"))
        else:
            segments.AddEmptySegment(new_segment_id(), "spleen")
            self.work.id("spleen")
        self.known = self.voxels()

    @rule()
    def leave_or_come_back(self):
        (self.work.switch_away if self.is_active() else self.work.switch_back)()

    @rule(number=st.integers(0, 1))
    def switch_the_volume(self, number):
        self.work.editor.setSourceVolumeNode(self.volumes[number])

    @rule(mode=MASK_MODES, intensities=st.booleans())
    def set_masking(self, mode, intensities):
        node = self.work.editor.mrmlSegmentEditorNode()
        node.SetMaskMode(getattr(slicer.vtkMRMLSegmentationNode, mode))
        node.SetSourceVolumeIntensityMask(intensities)
        node.SetSourceVolumeIntensityMaskRange(100.0, 400.0)

    # What always holds

    @invariant()
    def nothing_was_raised(self):
        assert not self.host.exceptions

    @invariant()
    def nobody_reads_an_id(self):
        told = self.work.effect.messages.shown
        assert "S_" not in f"{self.work.message} {told.details}"

    @invariant()
    def segments_are_as_they_were(self):
        assert self.voxels() == self.known

    @invariant()
    def volumes_are_as_they_were(self):
        assert [fingerprint(volume) for volume in self.volumes] == self.fingerprints

    @invariant()
    def previews_are_few_and_never_saved(self):
        assert not any(node.GetSaveWithScene() for node in self.work.preview_nodes())
        assert count_nodes() <= self.nodes + MORE_NODES

    def teardown(self):
        if type(self).network:
            self.network.error = None
        if not self.is_active():
            self.work.switch_back()
        self.work.wait()
        assert not self.host.exceptions
        self.host.clear()


def count_nodes():
    """In the scene, but for those that `slicer.util` leaves there when the test's own brush paints."""
    nodes = [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    return sum(not node.IsA("vtkMRMLLabelMapVolumeDisplayNode") for node in nodes)


def filled(segmentation, name):
    """Where a segment has voxels, in a form that can be compared."""
    from SAMSegmenterLib.in_slicer.mrml import array_of  # its texts need the host

    image = slicer.vtkOrientedImageData()
    segmentation.GetBinaryLabelmapRepresentation(name, image)
    if image.GetNumberOfPoints() == 0 or not image.GetPointData().GetScalars():
        return ()
    places = np.argwhere(array_of(image) > 0)[:, ::-1] + np.array(image.GetExtent()[::2])
    return (image.GetOrigin(), places.tobytes()) if len(places) else ()


def soak(sit_down, network, examples, actions):
    machine = type("User", (User,), {"sit_down": staticmethod(sit_down), "network": network})
    how = settings(
        max_examples=examples,
        stateful_step_count=actions,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=how)


def test_hundreds_of_actions_with_the_quick_network(quick_network, at_work):
    soak(at_work, quick_network, examples=EXAMPLES, actions=25)


def test_some_actions_with_the_shipped_network(at_work):
    soak(at_work, None, examples=6, actions=12)
