"""A volume seen as video: its maps, its views and its one window."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.stack import FrameStack, TimeStack
from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import CT_PRESETS, Window, automatic_window, looks_like_ct
from SAMSegmenterLib.imageio import read_volume
from support.geometry import AXES, volumes

PLACES = st.lists(st.tuples(*[st.floats(-50, 50)] * 2), min_size=1, max_size=5).map(np.array)
GREY = Window(-500, 500)


@st.composite
def views(draw, largest=40):
    left, top = draw(st.tuples(*[st.integers(-15, 30)] * 2))
    width, height = draw(st.tuples(*[st.integers(1, largest)] * 2))
    return View(left, top, width, height, draw(st.integers(1, 64)), draw(st.booleans()))


@pytest.fixture
def noise():
    return np.random.default_rng(0)


# ---------------------------------------------------------------- maps


@given(volumes(), AXES, PLACES, st.data())
def test_slice_pixels_survive_a_trip_to_voxels_and_to_ras(volume, axis, xy, data):
    stack = FrameStack(volume, axis, GREY)
    index = data.draw(st.integers(0, len(stack) - 1))
    for position, back in (stack.from_ijk(stack.to_ijk(index, xy)), stack.from_ras(stack.to_ras(index, xy))):
        assert position == pytest.approx(np.full(len(xy), index), abs=1e-6)
        assert back == pytest.approx(xy, abs=1e-6)


@given(volumes(), AXES, st.data())
def test_a_pixel_shows_the_voxel_it_maps_to(volume, axis, data):
    stack = FrameStack(volume, axis, GREY)
    index, y, x = (data.draw(st.integers(0, n - 1)) for n in (len(stack), *stack.shape))
    i, j, k = stack.to_ijk(index, np.array([x, y])).astype(int)
    assert stack.intensities(index)[y, x] == stack.grey(index)[y, x] + GREY.level == volume.voxels[k, j, i]
    assert stack.frame(index)[y, x] == GREY.apply(volume.voxels[k, j, i])


@given(volumes(), AXES)
def test_a_frame_is_the_windowed_slice(volume, axis):
    stack = FrameStack(volume, axis, GREY)
    for index in range(len(stack)):
        frame = stack.frame(index)
        assert frame.dtype == np.uint8
        assert frame.shape == stack.shape
        assert np.array_equal(frame, GREY.apply(np.take(volume.voxels, index, axis={"i": 2, "j": 1, "k": 0}[axis])))


@given(volumes(), AXES)
def test_spacings_belong_to_the_axes_of_the_slice(volume, axis):
    stack = FrameStack(volume, axis, GREY)
    steps = np.diff(stack.to_ras(0, np.array([[0, 0], [1, 0], [0, 0], [0, 1]])), axis=0)
    assert stack.spacing_mm == pytest.approx(np.linalg.norm(steps[[0, 2]], axis=1))
    across = stack.to_ras(1, np.zeros(2)) - stack.to_ras(0, np.zeros(2))
    assert stack.slice_spacing_mm == pytest.approx(np.linalg.norm(across))


@given(views(), PLACES)
def test_slice_pixels_survive_a_trip_to_the_input_and_back(view, xy):
    assert view.to_slice(view.to_input(xy)) == pytest.approx(xy, abs=1e-6)
    assert view.to_input(view.to_slice(xy)) == pytest.approx(xy, abs=1e-6)


@given(volumes(), AXES, views(), st.data())
def test_a_voxel_goes_all_the_way_to_the_input_and_back(volume, axis, view, data):
    stack = FrameStack(volume, axis, GREY)
    ijk = np.array([data.draw(st.integers(0, n - 1)) for n in volume.shape_ijk])
    position, xy = stack.from_ras(volume.to_ras(ijk))
    assert stack.to_ijk(position, view.to_slice(view.to_input(xy))) == pytest.approx(ijk, abs=1e-6)


@given(views())
def test_the_edges_of_a_view_are_the_edges_of_its_input(view):
    assume(not view.upstream_points)
    edges = view.to_input(np.array([[view.left - 0.5, view.top - 0.5], [view.left + view.width - 0.5, view.top + view.height - 0.5]]))
    assert edges == pytest.approx(np.array([[-0.5, -0.5], [view.size - 0.5, view.size - 0.5]]))


def test_upstream_points_are_placed_as_upstream_places_them():
    assert View(0, 0, 50, 40, 100, upstream_points=True).to_input([10, 20]).tolist() == [20, 50]


@given(AXES)
def test_writing_to_a_place_writes_to_the_array(axis):
    stack = FrameStack(Volume(np.zeros((3, 4, 5))), axis, GREY)
    labels = np.zeros((3, 4, 5), np.uint8)
    stack.place(labels, 1)[2, 1] = 7
    i, j, k = stack.to_ijk(1, np.array([1, 2])).astype(int)
    assert labels[k, j, i] == 7
    assert labels.sum() == 7


# ---------------------------------------------------------------- views


@given(views(), st.integers(1, 12), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_sampling_a_view_equals_interpolating_it_to_its_extent(view, count, shape):
    logits = torch.from_numpy(np.random.default_rng(count).normal(size=(count, count)).astype(np.float32))
    rows, columns, by_row, by_column = view.sampling(count, shape)
    ours = by_row @ logits.numpy() @ by_column.T
    whole = torch.nn.functional.interpolate(logits[None, None], (view.height, view.width), mode="bilinear", align_corners=False)[0, 0]
    expected = whole[rows.start - view.top : rows.stop - view.top, columns.start - view.left : columns.stop - view.left]
    assert ours.shape == (rows.stop - rows.start, columns.stop - columns.start)
    assert 0 <= rows.start <= rows.stop <= shape[0]
    assert 0 <= columns.start <= columns.stop <= shape[1]
    if ours.size:
        assert ours == pytest.approx(expected.numpy(), abs=1e-5)


@given(st.tuples(st.integers(2, 40), st.integers(2, 40)), st.integers(2, 16))
def test_the_whole_slice_is_sampled_completely(shape, count):
    stack = FrameStack(Volume(np.zeros((2, *shape))), "k", GREY)
    rows, columns, by_row, by_column = stack.whole(64).sampling(count, stack.shape)
    assert (rows, columns) == (slice(0, shape[0]), slice(0, shape[1]))
    assert by_row.sum(1) == pytest.approx(np.ones(shape[0]), abs=1e-6)
    assert by_column.sum(1) == pytest.approx(np.ones(shape[1]), abs=1e-6)


@given(views())
def test_a_map_transferred_to_its_own_view_is_the_same(view):
    by_row, by_column = view.transfer(view, 8)
    assert by_row == pytest.approx(np.eye(8), abs=1e-5)
    assert by_column == pytest.approx(np.eye(8), abs=1e-5)


def test_a_transferred_map_keeps_its_place_in_the_slice():
    old, new = View(10, 20, 32, 32, 64), View(18, 24, 16, 16, 64)
    x = np.broadcast_to(old.to_slice(np.stack([np.arange(0, 64, 4) + 1.5] * 2, -1))[:, 0], (16, 16)).astype(np.float32)
    by_row, by_column = new.transfer(old, 16)
    expected = new.to_slice(np.stack([np.arange(0, 64, 4) + 1.5] * 2, -1))[:, 0]
    assert (by_row @ x @ by_column.T)[5] == pytest.approx(expected, abs=1e-4)


@given(views(), views(), st.integers(2, 12))
def test_a_transferred_ramp_goes_on_in_the_other_view(new, old, count):
    def pixels(first, extent):
        return first + (np.arange(count) + 0.5) * extent / count - 0.5

    x, y = pixels(old.left, old.width), pixels(old.top, old.height)
    by_row, by_column = new.transfer(old, count)
    seen_x = np.clip(pixels(new.left, new.width), x[0], x[-1])
    seen_y = np.clip(pixels(new.top, new.height), y[0], y[-1])
    ramp = (2 * x + 3 * y[:, None]).astype(np.float32)
    assert by_row @ ramp @ by_column.T == pytest.approx(2 * seen_x + 3 * seen_y[:, None], abs=1e-3)


@given(views())
def test_a_view_beyond_the_slice_is_black_there(view):
    cut = view.crop(np.full((20, 25), 9, np.uint8))
    y, x = np.mgrid[view.top : view.top + view.height, view.left : view.left + view.width]
    assert np.array_equal(cut, np.where((y >= 0) & (y < 20) & (x >= 0) & (x < 25), 9, 0))


@given(views())
def test_an_extended_view_goes_on_with_the_border_of_the_slice(view):
    places = np.arange(500).reshape(20, 25)
    y, x = np.mgrid[view.top : view.top + view.height, view.left : view.left + view.width]
    assert np.array_equal(view.extended(places), y.clip(0, 19) * 25 + x.clip(0, 24))


@given(st.integers(0, 99), views(largest=30))
def test_a_grey_view_has_the_bytes_of_an_rgb_one(seed, view):
    grey = np.random.default_rng(seed).integers(0, 256, (20, 25), dtype=np.uint8)
    as_rgb = view.resize(np.repeat(grey[..., None], 3, axis=2))
    assert as_rgb.shape == (view.size, view.size, 3)
    assert np.array_equal(as_rgb, np.repeat(view.resize(grey)[..., None], 3, axis=2))


def test_the_whole_slice_is_resized_as_upstream_does(noise):
    pixels = noise.integers(0, 256, (20, 25, 3), dtype=np.uint8)
    upstream = np.asarray(Image.fromarray(pixels).resize((48, 48)))  # PIL's default filter is bicubic
    assert np.array_equal(View(0, 0, 25, 20, 48).resize(pixels), upstream)


# ---------------------------------------------------------------- windows


def ct_like(noise, shape=(6, 20, 20)):
    voxels = np.full(shape, -1000, np.int16)
    voxels[:, 4:16, 4:16] = noise.normal(40, 15, (shape[0], 12, 12))
    return voxels


def test_the_window_is_the_same_on_every_slice(noise):
    ramp = np.arange(8, dtype=np.float32)[:, None, None] * 100 + noise.uniform(0, 10, (8, 9, 9)).astype(np.float32)
    stack = FrameStack(Volume(ramp))
    assert all(np.array_equal(stack.frame(n), stack.window.apply(ramp[n])) for n in range(8))
    assert stack.frame(0).mean() < stack.frame(4).mean() < stack.frame(7).mean()


def test_ct_is_known_by_its_hounsfield_units(noise):
    assert looks_like_ct(Volume(ct_like(noise)))
    assert automatic_window(Volume(ct_like(noise))) == CT_PRESETS["soft tissue"]


@pytest.mark.parametrize(
    ("thousand", "is_ct"),
    [
        ({-1000: 6, 40: 994}, True),
        ({-1000: 5, 40: 995}, False),
        ({-3101: 5, -400: 500, 40: 495}, True),
        ({-3101: 6, -400: 500, 40: 494}, False),
        ({-399: 500, 40: 500}, False),
        ({-1000: 500, -120: 494, -99: 6}, True),
        ({-1000: 500, -120: 495, -99: 5}, False),
        ({-1000: 500, 149: 21, 150: 479}, True),
        ({-1000: 500, 149: 20, 150: 480}, False),
    ],
)
def test_ct_has_air_and_a_body_with_soft_tissue_and_hardly_anything_else(thousand, is_ct):
    voxels = np.repeat(list(thousand), list(thousand.values())).reshape(10, 10, 10)
    assert looks_like_ct(Volume(voxels)) == is_ct


def test_mr_is_not_taken_for_ct(noise):
    mr = Volume(noise.gamma(2, 100, (6, 20, 20)).astype(np.uint16))
    assert not looks_like_ct(mr)
    low, high = np.percentile(mr.voxels, [0.5, 99.5])
    assert (automatic_window(mr).low, automatic_window(mr).high) == pytest.approx((low, high))


def test_a_stated_modality_outweighs_statistics(noise):
    assert not looks_like_ct(Volume(ct_like(noise), modality="MR"))
    assert looks_like_ct(Volume(noise.uniform(0, 9, (3, 9, 9)), modality="CT"))


def test_the_real_ct_volumes_are_known_as_ct(data):
    torso, abdomen = read_volume(data / "ct_torso.nii.gz"), read_volume(data / "ct_abdomen_dicom")
    assert looks_like_ct(torso)
    assert looks_like_ct(Volume(abdomen.voxels))
    assert not looks_like_ct(read_volume(data / "ct_torso_labels.nii.gz"))


@pytest.mark.parametrize(
    ("hounsfield", "preset"), [(-800, "lung"), (-401, "lung"), (-400, "soft tissue"), (250, "soft tissue"), (251, "bone")]
)
def test_a_ct_window_suits_the_tissue_in_focus(noise, hounsfield, preset):
    assert automatic_window(Volume(ct_like(noise)), np.full((5, 5), hounsfield)) == CT_PRESETS[preset]


def test_an_empty_focus_is_no_focus(noise):
    assert automatic_window(Volume(ct_like(noise)), np.array([])) == CT_PRESETS["soft tissue"]


def test_a_few_extreme_voxels_do_not_spoil_the_window(noise):
    voxels = noise.uniform(100, 200, (10, 30, 30))
    voxels[0, 0, 0] = 1e6
    assert automatic_window(Volume(voxels)).high < 201


def test_a_small_object_on_an_even_background_gets_a_window():
    voxels = np.zeros((10, 30, 30))
    voxels[5, 10, 10] = 8
    assert automatic_window(Volume(voxels)) == Window(0, 8)


def test_a_large_volume_of_nearly_all_background_gets_a_window():
    voxels = np.zeros((100, 210, 210), np.uint8)  # so large that statistics skip voxels
    voxels[50, 100, 101] = 8
    assert automatic_window(Volume(voxels)) == Window(0, 8)


def test_a_window_maps_its_limits_to_black_and_white():
    assert Window.from_level(40, 400).apply(np.array([-1000, -160, 40, 240, 3000])).tolist() == [0, 0, 128, 255, 255]
    assert (Window(-160, 240).level, Window(-160, 240).width) == (40, 400)


@pytest.mark.parametrize(
    ("dtype", "offset"), [(np.int64, 2**40), (np.uint64, 2**40), (np.uint32, 2**31), (np.int32, -(2**30)), (np.float64, 2**40)]
)
def test_a_small_contrast_on_a_large_offset_is_kept(dtype, offset):
    ramp = np.broadcast_to(np.arange(6), (3, 4, 6))
    stack = FrameStack(Volume((ramp + offset).astype(dtype)))
    assert np.array_equal(stack.frame(1), 51 * ramp[1])
    assert np.array_equal(stack.grey(1), ramp[1] - 2.5)


def test_rgb_passes_unchanged(noise):
    rgb = noise.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    for axis, expected in {"i": rgb[:, :, 2], "j": rgb[:, 2], "k": rgb[2]}.items():
        assert np.array_equal(FrameStack(Volume(rgb), axis).frame(2), expected)
        assert FrameStack(Volume(rgb), axis).grey(2) == pytest.approx(expected.mean(-1) - 127.5, abs=1e-4)


def test_a_constant_volume_is_refused():
    with pytest.raises(InputError, match=r"flat\.nii: every voxel has the same value \(7\)"):
        FrameStack(Volume(np.full((3, 4, 5), 7), name="flat.nii"))


def test_a_window_is_chosen_once_it_is_asked_for(noise, monkeypatch):
    volume, asked = Volume(noise.normal(0, 100, (3, 4, 5))), []
    monkeypatch.setattr("SAMSegmenterLib.image.stack.automatic_window", lambda volume: asked.append(volume) or GREY)
    stack = FrameStack(volume)
    assert not asked
    assert stack.window is stack.window is GREY
    assert asked == [volume]


def test_other_windows_leave_a_stack_as_it_is(noise):
    stack = TimeStack(Volume(noise.normal(0, 100, (3, 4, 5))), GREY)
    other = stack.windowed(Window(0, 10))
    assert (other.window, stack.window) == (Window(0, 10), GREY)
    assert type(other) is TimeStack
    assert other.volume is stack.volume


@pytest.mark.parametrize("axis", "ijk")
def test_a_single_slice_is_refused(axis):
    shape = [1 if name == axis else 4 for name in "kji"]
    with pytest.raises(InputError, match=f"only one slice along axis {axis}"):
        FrameStack(Volume(np.zeros(shape)), axis, GREY)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, np.nan), (-np.inf, 0)])
def test_a_window_without_width_is_refused(low, high):
    with pytest.raises(InputError, match="upper limit"):
        Window(low, high)


def test_an_unknown_axis_is_refused():
    with pytest.raises(InputError, match="expected i, j or k, got 'z'"):
        FrameStack(Volume(np.zeros((2, 3, 4))), "z", GREY)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_slice_that_does_not_exist_is_refused(index):
    with pytest.raises(InputError, match=r"no slice -?\d+ along axis k; it has 0 to 2"):
        FrameStack(Volume(np.zeros((3, 4, 5))), "k", GREY).frame(index)
