"""The contact sheet: the patient the right way round, in millimetres, with what was marked."""

import itertools

import numpy as np
import pytest

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, Point, PromptSet, Scribble, Segment
from SAMSegmenterLib.session.contact_sheet import BACKGROUND, CAPTION, GAP, LEGEND, PROMPT, TILE, contact_sheet

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
SHAPE = 20, 24, 28  # i, j, k
DIRECTIONS = [
    np.diag(signs) @ np.eye(3)[list(order)] for order in itertools.permutations(range(3)) for signs in itertools.product((-1, 1), repeat=3)
]


def stack_of(directions=None, spacing_mm=(1, 1, 1), axis="k", shape=SHAPE):
    """A dark volume whose axes run in the columns of `directions` (RAS)."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if directions is None else directions) * np.array(spacing_mm)
    return FrameStack(Volume(np.zeros(shape[::-1], np.uint8), affine), axis, Window(0, 255))


def prompts_on(index, name="organ", **prompts):
    return PromptSet((Segment(name, (Keyframe(index, **(prompts or {"points": (Point(5, 5),)})),)),))


def pixels(sheet):
    return np.asarray(sheet).astype(int)


def reddish(sheet):
    """Where the tiles of a dark volume show a red segment."""
    red, green, blue = np.moveaxis(pixels(sheet)[:-LEGEND], -1, 0)
    return (red > 60) & (green < 15) & (blue < 15)


@pytest.mark.parametrize("directions", DIRECTIONS, ids=lambda matrix: "".join(f"{n:+.0f}" for n in matrix.flat if n))
def test_the_patient_lies_the_right_way_round(directions):
    """Whatever the axes, what is right, front and up is drawn where a radiologist expects it."""
    for axis in "ijk":
        stack = stack_of(directions, axis=axis)
        normal = int(np.abs(directions[:, "ijk".index(axis)]).argmax())
        toward_left_edge, toward_top = {2: ("R", "A"), 1: ("R", "S"), 0: ("A", "S")}[normal]
        for letter, across in ((toward_left_edge, True), (toward_top, False)):
            assert_drawn_first(stack, letter, across)


def assert_drawn_first(stack, letter, across):
    """A segment at the patient's `letter` end is drawn in the left (if `across`) or the upper half of its tile."""
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), -1)
    place = stack.volume.to_ras(voxels)[..., "RAS".index(letter)].transpose(2, 1, 0)
    labels = (place > np.quantile(place, 0.75)).astype(np.uint8)
    index = next(n for n in range(len(stack)) if stack.place(labels, n).any())
    sheet = contact_sheet(stack, labels, prompts_on(index, points=(Point(0, 0, False),)), [RED], tiles=1)
    rows, columns = np.nonzero(reddish(sheet))
    centre = columns.mean() / sheet.width if across else (rows.mean() - CAPTION - GAP) / TILE
    assert centre < 0.5


def test_tiles_are_in_millimetres():
    """Slices of 20 by 24 voxels with pixels of 3 by 1 mm are broader than high."""
    stack = stack_of(spacing_mm=(3, 1, 1))
    sheet = contact_sheet(stack, np.zeros(SHAPE[::-1], np.uint8), prompts_on(3), [RED], tiles=1)
    assert sheet.width - 2 * GAP == TILE
    tile_height = round(TILE * 24 / 60)
    row = pixels(sheet)[:, sheet.width // 2]
    assert (row == 0).all(axis=-1).sum() == pytest.approx(tile_height, abs=2)


def test_a_box_is_drawn_around_its_segment():
    stack = stack_of()
    labels = np.zeros(SHAPE[::-1], np.uint8)
    labels[9, 6:14, 4:12] = 1
    sheet = contact_sheet(stack, labels, prompts_on(9, box=Box(3.5, 5.5, 11.5, 13.5)), [RED], tiles=2)
    drawn = (pixels(sheet) == PROMPT).all(axis=-1)
    drawn[: GAP + CAPTION] = False  # the caption has the prompts' colour, too
    for box_edge, segment_edge in zip(extent(drawn), extent(reddish(sheet)), strict=True):
        assert abs(box_edge - segment_edge) <= 5


def extent(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max(), columns.min(), columns.max()


@pytest.mark.parametrize(
    "prompt",
    [
        {"points": (Point(5, 5),)},
        {"points": (Point(5, 5), Point(12, 12, False))},
        {"scribbles": (Scribble(((4.0, 4.0), (9.0, 12.0), (12.0, 5.0))),)},
        {"line": Line(3, 3, 14, 15)},
    ],
    ids=["a point", "points", "a scribble", "a line"],
)
def test_every_prompt_is_drawn(prompt):
    sheet = contact_sheet(stack_of(), np.zeros(SHAPE[::-1], np.uint8), prompts_on(9, **prompt), [RED], tiles=2)
    drawn = (pixels(sheet) == PROMPT).all(axis=-1)
    assert drawn[GAP + CAPTION + 2 :].sum() > 10


def test_a_prompt_is_drawn_on_its_slice_only():
    labels = np.ones(SHAPE[::-1], np.uint8)
    sheet = contact_sheet(stack_of(), labels, prompts_on(14, box=Box(3, 3, 12, 12)), [RED], tiles=4)
    drawn = (pixels(sheet) == PROMPT).all(axis=-1)
    width = round(TILE * 20 / 24) + GAP
    columns = (sheet.width - GAP) // width
    assert columns > 1
    assert sum(bool(drawn[:, GAP + n * width : (n + 1) * width].any()) for n in range(columns)) == 1


def test_segments_have_their_colours_and_a_legend():
    labels = np.zeros(SHAPE[::-1], np.uint8)
    labels[9, 2:10, 2:10], labels[9, 12:20, 10:18] = 1, 2
    prompts = PromptSet((*prompts_on(9, "liver").segments, *prompts_on(9, "spleen", points=(Point(13, 15),)).segments))
    seen = pixels(contact_sheet(stack_of(), labels, prompts, [RED, BLUE], tiles=1))
    for color in ((255, 0, 0), (0, 0, 255)):
        assert (seen[-30:] == color).all(axis=-1).sum() > 100, "a swatch in the legend"
        assert (seen[CAPTION:-40] == color).all(axis=-1).sum() > 50, "a contour in the tile"


@pytest.mark.parametrize("tiles", [1, 3, 8])
@pytest.mark.parametrize("marked", [(9,), (2, 9, 25), tuple(range(28))], ids=["one", "three", "all"])
def test_there_are_never_more_tiles_than_asked_for(tiles, marked):
    labels = np.ones(SHAPE[::-1], np.uint8)
    keyframes = tuple(Keyframe(index, points=(Point(5, 5),)) for index in marked)
    sheet = contact_sheet(stack_of(), labels, PromptSet((Segment("organ", keyframes),)), [RED], tiles=tiles)
    columns = round((sheet.width - GAP) / (TILE * 20 / 24 + GAP))
    rows = round((sheet.height - GAP) / (TILE + CAPTION + GAP))
    assert columns * rows <= tiles
    assert columns * rows >= 1


def test_nothing_found_still_gives_a_picture():
    sheet = contact_sheet(stack_of(), np.zeros(SHAPE[::-1], np.uint8), prompts_on(9), [RED])
    assert sheet.mode == "RGB"
    assert not reddish(sheet).any()
    assert tuple(pixels(sheet)[0, 0]) == BACKGROUND


def test_colour_volumes_are_drawn_in_colour():
    voxels = np.zeros((*SHAPE[::-1], 3), np.uint8)
    voxels[..., 1] = 200
    stack = FrameStack(Volume(voxels))
    sheet = contact_sheet(stack, np.zeros(SHAPE[::-1], np.uint8), prompts_on(9), [RED], tiles=1)
    assert (pixels(sheet) == (0, 200, 0)).all(axis=-1).sum() > 10_000


NAMES = [f"segment number {number}" for number in range(40)]


@pytest.mark.parametrize("names", [NAMES, ["M" * 500], ["left\nkidney", "spleen"]], ids=["many", "long", "on two lines"])
def test_every_segment_is_in_the_legend(names):
    """As swatches of one size, next to each other or below each other, none of them cut off."""
    prompts = PromptSet(tuple(segment for name in names for segment in prompts_on(9, name).segments))
    sheet = contact_sheet(stack_of(), np.zeros(SHAPE[::-1], np.uint8), prompts, [RED] * len(names))
    one = legend_swatches(contact_sheet(stack_of(), np.zeros(SHAPE[::-1], np.uint8), prompts_on(9), [RED]))
    assert legend_swatches(sheet) == len(names) * one


def legend_swatches(sheet):
    """The pixels of all swatches of red segments, of which nothing else shows."""
    return (pixels(sheet) == (255, 0, 0)).all(axis=-1).sum()


def test_a_name_leaves_the_right_edge_free():
    """A name of 500 letters ends within the picture."""
    sheet = contact_sheet(stack_of(), np.zeros(SHAPE[::-1], np.uint8), prompts_on(9, "m" * 500), [RED])
    assert (pixels(sheet)[-LEGEND:, -GAP:] == BACKGROUND).all()


@pytest.fixture
def drawn_slices(monkeypatch):
    """The slices that a sheet with what is segmented from `first` to `last` and marked on slice 9 shows."""
    seen, original = [], FrameStack.frame
    monkeypatch.setattr(FrameStack, "frame", lambda self, index: seen.append(index) or original(self, index))

    def draw(first, last, tiles):
        seen.clear()
        labels = np.zeros(SHAPE[::-1], np.uint8)
        labels[first : last + 1] = 1
        contact_sheet(stack_of(), labels, prompts_on(9), [RED], tiles)
        return list(seen)

    return draw


def test_slices_beside_the_keyframes_are_spread_from_the_first_to_the_last(drawn_slices):
    assert drawn_slices(4, 24, tiles=4) == [4, 9, 15, 24]
    assert drawn_slices(4, 6, tiles=8) == [4, 5, 6, 9]
    assert drawn_slices(9, 9, tiles=8) == [9]
    assert drawn_slices(4, 24, tiles=1) == [9]
