"""Padding does not count: not for the window, not for what is taken for a CT, not for what is found."""

import time

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from SAMSegmenterLib.evidence.appearance import Appearance
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.padding import LEAST, MOST, Padding
from SAMSegmenterLib.image.stack import FrameStack, TimeStack
from SAMSegmenterLib.image.view import View
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import CT_PRESETS, Window, automatic_window, looks_like_ct
from SAMSegmenterLib.keyframes.seed import Seed
from SAMSegmenterLib.keyframes.sharpening import sharpened
from SAMSegmenterLib.network.slice_result import SliceResult
from SAMSegmenterLib.phantom import NAMES, make_phantom
from SAMSegmenterLib.prompts.focus import intensities_near
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, Point, PromptSet, Segment
from SAMSegmenterLib.propagation.cells import CellGrid
from SAMSegmenterLib.session.session import Session
from support.session_steps import marked

HUGE = float(np.finfo(np.float32).max)
ORGANS = ("liver", "kidney_right", "spleen")
IMPLANT_HU = 20000
VALUES = [-2000, -8192, -32768, -HUGE, 4095, 65535, HUGE]


def type_of(*values):
    return np.int16 if all(-32768 <= value <= 32767 for value in values) else np.float32 if HUGE in map(abs, values) else np.int32


def padded(voxels, where, *values):
    """The voxels with padding in some places; of several values, each one in its part of them."""
    result = voxels.astype(np.promote_types(voxels.dtype, type_of(*values)))
    for part, value in enumerate(values):
        result[where & (np.indices(where.shape).sum(0) // 7 % len(values) == part)] = value
    return result


def places(shape):
    """Where scanners leave padding: beyond a circle and beyond a tilted frame; on some slices; where some have a smaller circle."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = np.hypot(x, y)
    return {
        "circle": radius > 1,
        "circle that cuts the body": radius > 0.8,
        "tilt": abs(y - 0.35 * z) > 0.85,
        "slices": abs(z) > 0.8,
        "circle on some slices": (radius > 0.9) & (abs(z) < 0.3),
    }


@pytest.fixture
def noise():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def phantom():
    volume, labels, _ = make_phantom()
    return volume.voxels, labels


@pytest.fixture(scope="module")
def small():
    return make_phantom(shape_ijk=(48, 48, 24))[0].voxels


def mr_like(noise, shape=(8, 30, 30), brightest=900):
    """A magnitude image: background near 0, tissues above it."""
    voxels = abs(noise.normal(0, 8, shape))
    voxels[:, 6:24, 6:24] += noise.uniform(0.2, 1, (shape[0], 18, 18)) * brightest
    return voxels.astype(np.int16)


# ---------------------------------------------------------------- what padding is


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", ["circle", "tilt", "slices", "circle on some slices"])
def test_a_value_apart_from_the_rest_is_padding(small, place, value):
    where = places(small.shape)[place]
    found = Padding.of(padded(small, where, value))
    assert found.values == (value,)
    assert found.voxels == where.sum()
    assert (found.low, found.high) == (small[~where].min(), small[~where].max())


@pytest.mark.parametrize("values", [(-3024, -2000), (-2048, -2000), (-32768, -32767), (-HUGE, HUGE), (-2000, 65535), (-8192, -3024, -2000)])
def test_several_values_are_padding(small, values):
    where = places(small.shape)["circle"]
    found = Padding.of(padded(small, where, *values))
    assert found.values == values
    assert found.voxels == where.sum()


@pytest.mark.parametrize("value", [-2000, -HUGE])
def test_padding_that_resampling_has_blurred_is_padding(phantom, value):
    voxels = padded(phantom[0], places(phantom[0].shape)["circle"], value).astype(np.float64)
    blurred = ((voxels[:, :, 1:] + voxels[:, :, :-1]) / 2).astype(np.float32)
    found = Padding.of(blurred)
    assert found.values[0] == value
    assert found.low > -1250
    assert automatic_window(Volume(blurred)) == CT_PRESETS["soft tissue"]


@pytest.mark.parametrize("value", VALUES)
def test_little_padding_in_a_large_volume_is_found(small, value):
    voxels = np.tile(small, (10, 3, 3)).astype(type_of(value))
    voxels[-1, -3:, -5:] = value
    assert Padding.of(voxels).voxels == 15


@pytest.mark.parametrize("value", [-2000, 65535])
def test_little_that_is_no_padding_in_a_large_volume_counts(noise, value):
    voxels = np.full((200, 150, 150), value, np.int32)
    voxels[77, 20:70, 30:90] = noise.normal(40, 15, (50, 60))
    voxels[77, 20:30, 30:90] = -1000
    assert looks_like_ct(Volume(voxels))
    assert automatic_window(Volume(np.maximum(voxels, 0) if value > 0 else voxels)) != Window(float(voxels.min()), float(voxels.max()))


def test_resampled_metal_beside_padding_counts(small, noise):
    voxels = padded(small, places(small.shape)["circle"], 65535)
    voxels[10:12, 20:23, 20:23] = noise.uniform(3000, 20000, (2, 3, 3))
    found = Padding.of(voxels)
    assert found.values == (65535,)
    assert found.high == voxels[10:12, 20:23, 20:23].max()


def test_an_implant_that_is_clipped_to_one_value_is_no_padding(small):
    voxels = small.copy()
    voxels[:, 20:24, 20:24] = IMPLANT_HU
    assert not Padding.of(voxels)


def as_labels(noise, *values):
    return np.array(values)[noise.integers(0, len(values), (6, 20, 20))]


NO_PADDING = {
    "CT air at -1024": lambda noise: np.maximum(make_phantom(shape_ijk=(40, 40, 20))[0].voxels - 20, -1024),
    "CT air at -1000, even": lambda noise: np.pad(noise.normal(40, 15, (4, 12, 12)), 6, constant_values=-1000).astype(np.int16),
    "CT noise below -1024": lambda noise: np.where(noise.random((9, 40, 40)) > 0.7, 40, -1000) + noise.normal(0, 50, (9, 40, 40)),
    "the same, clipped": lambda noise: np.maximum(noise.normal(-1000, 60, (20, 40, 40)), -1100).astype(np.int16),
    "MR with zeros": lambda noise: np.pad(noise.normal(700, 60, (4, 12, 12)), 6).astype(np.int16),
    "MR in 16 bits": lambda noise: (mr_like(noise) * 60.0).clip(0, 65535).astype(np.uint16),
    "PET of zeros and few hot voxels": lambda noise: np.where(noise.random((9, 30, 30)) > 0.99, noise.uniform(0, 32767, (9, 30, 30)), 0),
    "saturated in 8 bits": lambda noise: noise.normal(200, 60, (6, 20, 20)).clip(0, 255).astype(np.uint8),
    "saturated in 16 bits": lambda noise: noise.normal(40000, 20000, (6, 20, 20)).clip(0, 65535).astype(np.uint16),
    "thresholded": lambda noise: np.where(mr_like(noise) > 300, mr_like(noise), 0),
    "a mask of 0 and 65535": lambda noise: as_labels(noise, 0, 65535).astype(np.uint16),
    "a mask of -32768 and 32767": lambda noise: as_labels(noise, -32768, 32767).astype(np.int16),
    "labels": lambda noise: as_labels(noise, 0, 1, 2, 3, 255),
    "labels of many digits": lambda noise: as_labels(noise, 0, 17, 2035, 14175),
    "few values": lambda noise: as_labels(noise, -2000, 0, 40),
    "signed in the whole range": lambda noise: noise.integers(-5000, 5000, (6, 20, 20)),
    "signed and clipped": lambda noise: noise.normal(0, 3000, (20, 40, 40)).clip(-6500, 6500).astype(np.int16),
    "standardised": lambda noise: (mr_like(noise) - 300.0) / 200,
    "colours": lambda noise: noise.integers(0, 256, (3, 9, 9, 3), dtype=np.uint8),
    "one value": lambda noise: np.full((3, 9, 9), -2000),
    "one value far off": lambda noise: np.where(np.arange(9 * 81).reshape(9, 9, 9) == 300, -9000, noise.integers(0, 99, (9, 9, 9))),
}


@pytest.mark.parametrize("kind", NO_PADDING)
def test_this_is_no_padding(noise, kind):
    voxels = NO_PADDING[kind](noise)
    found = Padding.of(voxels)
    assert (found.values, found.voxels, found.low, found.high) == ((), 0, voxels.min(), voxels.max())


@example(0, "int16", 257.0, -436.0)  # a handful of equal values far from the rest, by chance
@given(st.integers(0, 99), st.sampled_from(["int16", "int32", "float32", "float64"]), st.floats(10, 3e4), st.floats(-500, 500))
def test_no_padding_is_seen_in_noise(seed, dtype, spread, mean):
    voxels = np.random.default_rng(seed).normal(mean, spread, (8, 16, 16)).clip(-32768, 32767).astype(dtype)
    assert not Padding.of(voxels)


@given(st.integers(0, 99), st.integers(LEAST, MOST - 1), st.integers(1, 4000))
def test_no_padding_is_seen_within_hounsfield_units(seed, first, width):
    random = np.random.default_rng(seed)
    voxels = random.integers(first, min(first + width, MOST) + 1, (4, 9, 9))
    voxels[:, :3] = random.choice([LEAST, MOST, 0])
    assert not Padding.of(voxels)


def test_a_look_for_padding_in_vain_takes_two_passes(noise):
    voxels = noise.integers(LEAST, MOST, (60, 256, 256), dtype=np.int16)
    start = time.process_time()
    passes = [voxels.min(), voxels.max()]
    two = time.process_time() - start
    start = time.process_time()
    found = Padding.of(voxels)
    assert [found.low, found.high] == passes
    assert time.process_time() - start < 3 * two + 0.01


# ---------------------------------------------------------------- what does not count


def slabs(voxels, value, above, below):
    """The voxels with slices of padding in front and behind."""
    wide = voxels.astype(np.promote_types(voxels.dtype, type_of(value)))
    return np.pad(wide, ((above, below), (0, 0), (0, 0)), constant_values=value)


@given(st.integers(0, 20), st.booleans(), st.sampled_from(VALUES), st.integers(1, 200))
def test_padding_changes_neither_the_window_nor_what_is_taken_for_ct(seed, ct, value, slices):
    assume(ct or value != 4095)  # which an MR may well reach
    noise = np.random.default_rng(seed)
    voxels = make_phantom(seed, (24, 24, 12))[0].voxels if ct else mr_like(noise, (6, 30, 30), noise.uniform(50, 3000))
    clean, dirty = Volume(voxels), Volume(slabs(voxels, value, slices, slices // 2))
    assert looks_like_ct(clean) == looks_like_ct(dirty) == ct
    for focus in (None, np.array([-800]), np.array([700])):
        assert automatic_window(dirty, focus) == automatic_window(clean, focus)


def test_padding_of_nearly_all_of_a_large_volume_changes_nothing(noise):
    voxels = mr_like(noise)
    clean, dirty = Volume(voxels), Volume(slabs(voxels, -2000, 1700, 1800))
    assert dirty.voxels.size > 3_000_000
    assert automatic_window(dirty) == automatic_window(clean)


def test_a_constant_volume_with_padding_has_a_window():
    voxels = np.zeros((6, 9, 9), np.int16)
    voxels[:, :2] = -2000
    assert automatic_window(Volume(voxels)).width > 0


def test_metal_does_not_spoil_the_window_of_a_small_object(noise):
    voxels = np.zeros((20, 60, 60))
    voxels[5, 10:20, 10:20] = noise.uniform(50, 100, (10, 10))
    voxels[9, 9, 9] = 1e6
    window = automatic_window(Volume(voxels))
    assert (window.low, window.high > 90) == (0, True)
    voxels[9, 9, 9] = 0
    voxels[5, 10:20, 10:20] += 1e5
    voxels[6:8, 10:20, 10:20] = noise.uniform(50, 100, (2, 10, 10))
    assert automatic_window(Volume(voxels)).low == 0


@pytest.mark.parametrize("kind", [FrameStack, TimeStack])
@pytest.mark.parametrize("value", VALUES)
def test_padding_is_as_dark_as_air_and_has_no_intensity(small, kind, value):
    where = places(small.shape)["circle"]
    stack = kind(Volume(padded(small, where, value)), window=Window(-1200, -900))
    np.testing.assert_array_equal(stack.measured(5), ~where[5])
    np.testing.assert_array_equal(np.isnan(stack.grey(5)), where[5])
    assert set(stack.frame(5)[where[5]]) == {stack.window.apply(small[~where].min()).item()}
    np.testing.assert_array_equal(stack.frame(5)[~where[5]], stack.window.apply(small[5])[~where[5]])


def test_intensities_near_prompts_leave_padding_out(small):
    where = places(small.shape)["circle"]
    stack = FrameStack(Volume(padded(small, where, -8192)))
    everywhere = Keyframe(5, mask=MaskPrompt(np.ones(stack.shape, bool)))
    corner = Keyframe(6, points=(Point(1, 1),))
    near = intensities_near(PromptSet((Segment("all", (everywhere, corner)),)), stack)
    np.testing.assert_array_equal(np.sort(near), np.sort(small[5][~where[5]]))


def test_an_object_beside_padding_stands_out_from_what_was_measured_around_it(noise):
    shape, (y, x) = (9, 64, 64), np.mgrid[:64, :64]
    mask, where = np.hypot(x - 32, y - 32) <= 10, np.broadcast_to(x < 22, (9, 64, 64))
    voxels = np.where(mask, 120, 40) + noise.normal(0, 10, shape)
    stack = FrameStack(Volume(padded(voxels, where, -2000)), window=Window(-160, 240))
    result = SliceResult(4, View(0, 0, 64, 64, 64), np.where(mask, 10, -10).astype(np.float32), 5.0, 1.0)
    grid = CellGrid(stack, [Seed(result, mask, Appearance.of(mask, stack.frame(4)))], [])
    image = grid.image(4)
    inside, padding = grid.mask(mask) > 0.5, grid.cells(where[4]) > 0
    assert image[inside].mean() - image[~inside & ~padding].mean() > 0.5
    assert grid.evidence(image)[inside].mean() > 1 > -1 > grid.evidence(image)[~inside & ~padding].mean()


def test_a_box_is_sharpened_beside_padding(noise):
    y, x = np.mgrid[:64, :64]
    disc = np.hypot(x - 32, y - 32) <= 12.5
    picture = (np.where(disc, 100.0, 40.0) + noise.normal(0, 10, disc.shape)).astype(np.float32)
    logits = np.where(np.hypot(x - 36, y - 29) <= 11, 2.0, -2.0).astype(np.float32)
    box = Box(19.5, 19.5, 44.5, 44.5)
    picture[x > 46] = np.nan
    assert dice(sharpened(logits, picture, box), disc) > 0.94
    assert sharpened(logits, np.full_like(picture, np.nan), box).any()


# ---------------------------------------------------------------- what is found


def prompted(labels, kind):
    """Every organ marked on its middle slice."""
    return PromptSet(tuple(Segment(name, (marked(labels == NAMES.index(name) + 1, kind),)) for name in ORGANS))


@pytest.fixture(scope="module")
def found_in(phantom, shipped_model):
    """Run a volume without a modality, and return the Dice of each organ."""
    labels = phantom[1]

    def run(voxels, kind):
        volume = Volume(voxels, np.diag([-1.5, -1.5, 3, 1]))
        prompts = prompted(labels, kind)
        window = automatic_window(volume, intensities_near(prompts, FrameStack(volume)))
        session = Session(FrameStack(volume, window=window), shipped_model, prompts=prompts)
        list(session.propagate())
        result = session.labelmap()
        return np.array([dice(result == number, labels == NAMES.index(name) + 1) for number, name in enumerate(ORGANS, 1)])

    return run


@pytest.fixture(scope="module")
def clean_dice(phantom, found_in):
    return {kind: found_in(phantom[0], kind) for kind in ("box", "point", "mask")}


# Every value, place and kind of prompt comes up, not every combination: a padded volume looks the same to the network with any value.
@pytest.mark.parametrize(
    ("place", "values", "kind"),
    [
        ("circle", (-2000,), "box"),
        ("circle", (-HUGE,), "point"),
        ("circle", (65535,), "mask"),
        ("circle that cuts the body", (-8192,), "box"),
        ("circle that cuts the body", (-32768,), "mask"),
        ("circle that cuts the body", (HUGE,), "point"),
        ("tilt", (-3024, -2000), "point"),
        ("slices", (-32768,), "mask"),
        ("circle on some slices", (-HUGE, HUGE), "box"),
    ],
)
def test_padding_leaves_the_masks_as_they_are(phantom, found_in, clean_dice, place, values, kind):
    voxels = padded(phantom[0], places(phantom[0].shape)[place], *values)
    assert found_in(voxels, kind) == pytest.approx(clean_dice[kind], abs=0.005)


@pytest.mark.parametrize("kind", ["box", "point", "mask"])
def test_an_implant_leaves_the_masks_elsewhere_as_they_are(phantom, found_in, clean_dice, kind):
    voxels = phantom[0].copy()
    voxels[:, 110:116, 78:84] = IMPLANT_HU
    voxels[places(voxels.shape)["circle"]] = -2000
    assert found_in(voxels, kind) == pytest.approx(clean_dice[kind], abs=0.005)
