"""What keyframes show of an object sharpens what passes found: patches, the random walk, and masks between keyframes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from SAMSegmenterLib.evidence.appearance import Appearance
from SAMSegmenterLib.evidence.carried_labels import Carrier
from SAMSegmenterLib.evidence.random_walk import walk
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.keyframes.seed import Seed
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.network.slice_result import SliceResult
from SAMSegmenterLib.prompts.types import Keyframe, MaskPrompt
from SAMSegmenterLib.propagation.cells import MOST_CELLS, CellGrid
from SAMSegmenterLib.propagation.refinement import BLOCK, Gap, _met
from SAMSegmenterLib.propagation.track import Track
from SAMSegmenterLib.propagation.trust import Finding
from SAMSegmenterLib.session.saving import restore_session, save_session
from SAMSegmenterLib.session.session import Session
from support.phantoms import ball

WINDOW = Window(-160, 240)
VIEW = View(0, 0, 64, 64, 128)
CUBE_MM = 1.0, 1.0, 1.0


def disc(x, radius=6, side=40):
    rows, columns = np.mgrid[:side, :side]
    return (rows - side // 2) ** 2 + (columns - x) ** 2 <= radius**2


def as_image(mask):
    return torch.from_numpy(np.where(mask, 1.0, 0.0).astype(np.float32))


@pytest.fixture(scope="module")
def stack():
    return FrameStack(ball()[0], window=WINDOW)


@pytest.fixture(scope="module")
def truth():
    return ball()[1]


def seed(index, mask, stack):
    result = SliceResult(index, VIEW, np.where(mask, 10, -10).astype(np.float32), 5.0, 1.0)
    return Seed(result, mask, Appearance.of(mask, stack.frame(index)))


def noted(trust):
    return Finding(Appearance(100, 120.0, 10.0), 5.0, 0.8, 1.0, "the network is not sure", trust)


def unfinished(start, direction, last):
    return Track(start, direction, last, None, VIEW, None, start.mask)


def blind(start, direction, last):
    """A pass that stopped at once, having found nothing."""
    return replace(unfinished(start, direction, last), results=[None, None], findings=[noted(0.0)] * 2)


def faulty(start, last_found, truth):
    """A pass upwards that found a wrong mask up to a slice, and ended two slices behind it."""
    wrong = [np.roll(truth[n], 4, 1) for n in range(start.slice + 1, last_found + 3)]
    results = [SliceResult(start.slice + 1 + n, VIEW, np.where(each, 3, -3).astype(np.float32), 5.0, 0.8) for n, each in enumerate(wrong)]
    findings = [noted(1.0)] * (len(wrong) - 2) + [noted(0.0)] * 2
    return replace(unfinished(start, 1, 31), results=results, findings=findings)


# ---------------------------------------------------------------- patches


def test_labels_follow_what_they_lie_on():
    carrier = Carrier(as_image(disc(15)), as_image(disc(15)), pixel_mm=3.0)
    for x in (17, 19, 21):
        labels = carrier.step(as_image(disc(x)))
    assert dice(labels.numpy() > 0.5, disc(21)) > 0.95


def test_labels_end_where_the_object_does():
    carrier = Carrier(as_image(disc(20, radius=2)), as_image(disc(20, radius=2)), pixel_mm=3.0)
    assert carrier.step(torch.zeros(40, 40)).max() < 0.5


def test_no_labels_stay_none():
    carrier = Carrier(torch.zeros(40, 40), as_image(disc(20)), pixel_mm=1.0)
    assert not carrier.step(as_image(disc(20))).any()


def test_labels_reach_the_border_of_the_slice():
    edge = disc(0)
    carrier = Carrier(as_image(edge), as_image(edge), pixel_mm=3.0)
    assert dice(carrier.step(as_image(edge)).numpy() > 0.5, edge) > 0.95


# ---------------------------------------------------------------- random walk


def corridor(wall):
    """A row of voxels with a step in intensity behind the voxel `wall`; the object begins at the left, background at the right."""
    images = (torch.arange(12) > wall).float()[None, None].expand(3, 3, 12).contiguous()
    start, known = torch.zeros_like(images), torch.zeros(images.shape, dtype=torch.bool)
    start[..., 0], known[..., 0], known[..., -1] = 1, True, True
    return images, start, known


@pytest.mark.parametrize("nearness", [0.1, 0.5, 0.8])
def test_where_labels_from_both_sides_agree_they_stay_as_they_are(nearness):
    labels = torch.rand(12, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(_met(labels, labels, nearness), labels)


@pytest.mark.parametrize("nearness", [0.49, 0.5, 0.55])
def test_where_they_disagree_the_object_is_as_large_as_they_find_it_on_average(nearness):
    one, other = torch.full((2, 20, 20), 0.05)
    one[2:12, 2:12], other[8:14, 9:19] = 0.9, 0.8
    wanted = (1 - nearness) * 100 + nearness * 60
    assert ((1 - nearness) * one + nearness * other > 0.5).sum() < 0.4 * wanted
    assert (_met(one, other, nearness) >= 0.5).sum() >= wanted - 1


@pytest.mark.parametrize("wall", [2, 5, 9])
def test_a_walk_stops_at_edges(wall):
    chances = walk(*corridor(wall), CUBE_MM)
    assert ((chances > 0.5) == (torch.arange(12) <= wall)).all()


def test_what_is_known_stays():
    images, start, known = corridor(5)
    assert torch.equal(walk(images, start, known, CUBE_MM)[known], start[known])


def test_distant_slices_are_harder_to_reach():
    images, known = torch.zeros(5, 1, 5), torch.zeros(5, 1, 5, dtype=torch.bool)
    known[0, 0, 2] = known[2, 0, 0] = True
    start = torch.zeros_like(images)
    start[0, 0, 2] = 1
    near, far = (walk(images, start, known, (z_mm, 1.0, 1.0))[2, 0, 2] for z_mm in (1.0, 4.0))
    assert far < near


# ---------------------------------------------------------------- the grid


def test_the_grid_shows_usual_intensities_between_0_and_1(stack, truth):
    grid = CellGrid(stack, [seed(16, truth[16], stack)], [])
    image, inside = grid.image(16), grid.mask(truth[16]) > 0.5
    assert 0.7 < image[inside].mean() < 1
    assert 0 < image[~inside].mean() < 0.3
    assert grid.evidence(image)[inside].mean() > 2 > -2 > grid.evidence(image)[~inside].mean()


def test_a_large_object_is_seen_coarser():
    voxels = np.zeros((4, 512, 512), np.int16)
    voxels[:, 50:450, 50:450] = 100
    stack = FrameStack(Volume(voxels), window=Window(0, 100))
    mask = voxels[0] > 0
    grid = CellGrid(stack, [seed(1, mask, stack)], [])
    assert grid.size <= MOST_CELLS
    assert grid.coarseness > 1
    shown = SliceResult(1, grid.view, np.where(grid.mask(mask) > 0.5, 10, -10).astype(np.float32), 0.0, 0.0)
    assert dice(shown.mask(stack.shape), mask) > 0.98


@pytest.mark.parametrize(("side", "canvas_side"), [(10, 10 + 16), (20, 20 + 16), (40, 72), (80, 144), (96, 173)])
def test_the_canvas_is_almost_twice_as_wide_as_the_object_and_leaves_room_around_a_small_one(side, canvas_side):
    voxels = np.zeros((3, 200, 200), np.int16)
    voxels[:, 60 : 60 + side, 60 : 60 + side // 2] = 100
    stack = FrameStack(Volume(voxels), window=Window(0, 100))
    canvas = CellGrid(stack, [seed(1, voxels[1] > 0, stack)], [])
    assert (canvas.view.width, canvas.coarseness) == (canvas_side, 1)


def test_what_is_thinner_than_a_cell_is_seen():
    ring = np.zeros((512, 512), bool)
    ring[50:450, 50:450] = True
    ring[51:449, 51:449] = False
    voxels = np.where(ring, 100, 0).astype(np.int16)[None].repeat(4, 0)
    grid = CellGrid(FrameStack(Volume(voxels), window=Window(0, 100)), [seed(1, ring, FrameStack(Volume(voxels)))], [])
    assert grid.coarseness > 2
    assert grid.mask(ring).sum() >= 4 * (400 // grid.coarseness - 1)
    assert not grid.mask(np.zeros_like(ring)).any()


def test_a_grid_may_reach_beyond_the_slice():
    voxels = np.zeros((3, 30, 20), np.int16)
    voxels[:, :10, :8] = 100
    stack = FrameStack(Volume(voxels), window=Window(0, 100))
    grid = CellGrid(stack, [seed(1, voxels[1] > 0, stack)], [])
    assert grid.view.top < 0
    assert grid.image(1)[0, 0] == grid.image(1)[-grid.view.top, -grid.view.left]


# ---------------------------------------------------------------- gaps


def test_between_two_painted_slices_the_object_is_found_though_both_passes_failed(stack, truth):
    ends = seed(9, truth[9], stack), seed(23, truth[23], stack)
    gap = Gap.of((blind(ends[0], 1, 22), blind(ends[1], -1, 10)))
    found = gap.refined(stack)
    assert list(found) == list(range(10, 23))
    assert min(dice(found[n].mask(stack.shape), truth[n]) for n in found) > 0.9


def test_beyond_the_outermost_keyframe_it_is_refined_as_far_as_the_pass_found_it(stack, truth):
    start = seed(16, truth[16], stack)
    found = Gap.of((faulty(start, 24, truth), None)).refined(stack)
    assert list(found) == list(range(17, 25))
    assert min(dice(each.mask(stack.shape), truth[n]) for n, each in found.items()) > 0.9
    assert Gap.of((blind(start, 1, 31), None)).refined(stack) == {}


def test_a_long_gap_is_refined_in_blocks_without_seams():
    voxels = np.zeros((2 * BLOCK + 9, 48, 48), np.int16)
    voxels[:, 16:32, 16:32] = 100
    stack = FrameStack(Volume(voxels), window=Window(0, 100))
    mask = voxels[0] > 0
    ends = seed(0, mask, stack), seed(len(voxels) - 1, mask, stack)
    found = Gap.of((blind(ends[0], 1, len(voxels) - 2), blind(ends[1], -1, 1))).refined(stack)
    assert len(found) == len(voxels) - 2
    assert all(dice(each.mask(stack.shape), mask) > 0.99 for each in found.values())


def test_nothing_is_refined_where_nothing_is_marked(stack):
    empty = seed(16, np.zeros(stack.shape, bool), stack)
    assert Gap.of((blind(empty, 1, 31), None)).refined(stack) == {}


def test_unfinished_passes_leave_a_gap_alone(stack, truth):
    start = seed(16, truth[16], stack)
    assert Gap.of((unfinished(start, 1, 31), None)) is None
    assert Gap.of((None, None)) is None


def test_colours_are_refined_too(truth):
    grey = np.where(truth, 200, 40).astype(np.uint8)
    stack = FrameStack(Volume(np.repeat(grey[..., None], 3, 3)))
    start = seed(16, truth[16], stack)
    found = Gap.of((faulty(start, 24, truth), None)).refined(stack)
    assert dice(found[18].mask(stack.shape), truth[18]) > 0.9


# ---------------------------------------------------------------- in a session


@pytest.fixture
def session(stack, shipped_model):
    return Session(stack, shipped_model, Options(precision="float32"), device="cpu")


def painted(truth, *slices):
    return [Keyframe(index, mask=MaskPrompt(truth[index])) for index in slices]


def mark(session, keyframes):
    for keyframe in keyframes:
        session.set_keyframe("ball", keyframe)


def test_refined_slices_come_once_more_and_only_once(session, truth):
    mark(session, painted(truth, 10, 22))
    shown = {}
    for found in session.propagate():
        shown[found.slice] = found.mask
    assert all((session.slice_mask("ball", n).mask == mask).all() for n, mask in shown.items())
    assert dice(session.labelmap() == 1, truth) > 0.95
    assert {session.slice_mask("ball", n).source for n in range(11, 22)} == {"both"}
    assert [found.slice for found in session.propagate()] == [10, 22]


def test_refinement_interrupted_goes_on_where_it_was(session, truth):
    mark(session, painted(truth, 10, 22))
    whole = Session(session.stack, session.model, session.options, "cpu", session.prompts)
    expected = [found.slice for found in whole.propagate()]
    count, found = len(expected) - 4, []
    for each in session.propagate():
        found.append(each.slice)
        if len(found) == count:
            break
    found += [each.slice for each in session.propagate() if each.source != "prompted"]
    assert found == expected
    np.testing.assert_array_equal(session.labelmap(), whole.labelmap())


def test_a_wider_range_leaves_what_is_refined_until_it_is_refined_anew(session, truth):
    mark(session, painted(truth, 16))
    list(session.propagate(slices=(12, 20)))
    before = [session.composition.logits(session.prompts.segment("ball"), n) for n in range(12, 21)]
    steps = iter(session.propagate(slices=(8, 24)))
    assert {next(steps).slice for _ in range(4)} & {11, 21}  # on its way
    np.testing.assert_array_equal([session.composition.logits(session.prompts.segment("ball"), n) for n in range(12, 21)], before)
    list(session.propagate(slices=(8, 24)))
    at_once = Session(session.stack, session.model, session.options, "cpu", session.prompts)
    list(at_once.propagate(slices=(8, 24)))
    np.testing.assert_array_equal(session.labelmap(), at_once.labelmap())


def test_a_correction_changes_only_the_slices_next_to_it(session, truth):
    mark(session, painted(truth, 10, 22))
    list(session.propagate())
    before = session.labelmap()
    mark(session, painted(truth, 26))
    list(session.propagate())
    np.testing.assert_array_equal(session.labelmap()[:23], before[:23])


def test_without_refinement_masks_are_the_passes_own(stack, truth, shipped_model):
    plain = Session(stack, shipped_model, Options(precision="float32", refine=False), device="cpu")
    mark(plain, painted(truth, 16))
    list(plain.propagate())
    track = plain.composition.tracks["ball", 16, 1]
    np.testing.assert_array_equal(plain.slice_mask("ball", 18).mask, track.result(18).mask(stack.shape))
    assert not plain.composition.gaps
    assert not Options.strict().refine


def test_a_restored_session_is_as_refined_as_it_was(session, truth, tmp_path):
    mark(session, painted(truth, 10, 22))
    list(session.propagate())
    save_session(session, tmp_path / "ball.session")
    restored = restore_session(tmp_path / "ball.session", session.stack.volume, session.model, "cpu")
    np.testing.assert_array_equal(restored.labelmap(), session.labelmap())
