"""Prompts as JSON: there and back, in voxels and in mm, and every field that can be wrong."""

import copy
import json
import os
import re
import time
import weakref
from threading import Thread

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Source, Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.imageio import SegmentInfo, read_labelmap, write_segmentation
from SAMSegmenterLib.prompts.json_file import PromptFile, prompts_from_dict, prompts_to_dict, read_prompts
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, MaskPrompt, Point, PromptSet, Scribble, Segment
from support.geometry import AXES, affines

SHAPE = (9, 12, 15)  # k, j, i


def stack_at(matrix=None, axis="k"):
    matrix = np.eye(4) if matrix is None else matrix
    return FrameStack(Volume(np.zeros(SHAPE), matrix, "knee.nrrd"), axis, Window(0, 1))


@st.composite
def keyframes(draw, index, shape, masks=True):
    """Any prompts that agree with each other: all positive ones lie in the box, no pixel has two of them."""
    rows, columns = shape
    box = Box(*draw(st.tuples(st.floats(0, 2), st.floats(0, 2), st.floats(columns - 3, columns - 1), st.floats(rows - 3, rows - 1))))
    pixels = draw(st.lists(st.tuples(st.integers(3, columns - 4), st.integers(3, rows - 4)), min_size=2, max_size=6, unique=True))
    moved = [(x + draw(st.floats(-0.4, 0.4)), y + draw(st.floats(-0.4, 0.4))) for x, y in pixels]
    cut = draw(st.integers(1, len(moved)))
    points = tuple(Point(x, y, n == 0 or draw(st.booleans())) for n, (x, y) in enumerate(moved[:cut]))
    scribbles = (Scribble(tuple(moved[cut:]), draw(st.booleans())),) if moved[cut:] else ()
    line = draw(st.sampled_from([None, Line(1.5, 2, 7.25, 4)]))
    bits = np.random.default_rng(draw(st.integers(0, 99))).random(shape) < 0.5
    mask = draw(st.sampled_from([None, MaskPrompt(bits)])) if masks else None
    prior = draw(st.sampled_from([None, MaskPrompt(~bits)])) if masks else None
    return Keyframe(index, points, draw(st.sampled_from([None, box])), scribbles, line, mask, prior)


@st.composite
def prompt_sets(draw):
    axis = draw(AXES)
    stack = stack_at(axis=axis)
    segments = []
    for name in draw(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=3, unique=True)):
        slices = draw(st.lists(st.integers(0, len(stack) - 1), min_size=1, max_size=3, unique=True))
        color = draw(st.none() | st.tuples(*[st.floats(0, 1)] * 3))
        segments.append(Segment(name, tuple(draw(keyframes(index, stack.shape)) for index in slices), color))
    return PromptSet(tuple(segments), axis)


@pytest.fixture
def stack():
    return stack_at()


@pytest.fixture
def document():
    """A prompt file that uses every field except mask files."""
    mask = {"shape": [12, 15], "runs": [20, 5, 155]}
    strokes = [{"path": [[4, 4], [4, 5]], "label": 1}]
    marks = {"points": [[5, 5, 1], [1, 1, 0]], "box": [2, 2, 9, 9], "line": [3, 3, 8, 8], "scribbles": strokes}
    keyframes = [{"slice": 4, **marks}, {"slice": 6, "mask": mask}]
    return {"version": 1, "axis": "k", "space": "ijk", "segments": [{"name": "liver", "color": [0.9, 0.4, 0.3], "keyframes": keyframes}]}


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "prompts.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


# ---------------------------------------------------------------- there and back


@given(prompt_sets())
def test_prompts_survive_json(prompts):
    text = json.dumps(prompts_to_dict(prompts))
    assert prompts_from_dict(json.loads(text), stack_at(axis=prompts.axis)) == prompts


def test_numbers_from_numpy_can_be_written():
    x, y = np.array([2, 9]), np.array([3, 8], np.float32)
    keyframe = Keyframe(np.int64(4), (Point(x[0], y[0]),), Box(x[0], y[0], x[1], y[1]), (Scribble(((x[1], y[1]),)),))
    prompts = PromptSet((Segment("liver", (keyframe,), tuple(np.float32([1, 0, 0.5]))),))
    assert prompts_from_dict(json.loads(json.dumps(prompts_to_dict(prompts))), stack_at()) == prompts


def test_the_documented_fields_are_read(stack, document, written):
    keyframe = Keyframe(4, (Point(5, 5), Point(1, 1, False)), Box(2, 2, 9, 9), (Scribble(((4, 4), (4, 5))),), Line(3, 3, 8, 8))
    prompts = read_prompts(written(document), stack, read_labelmap)
    (liver,) = prompts.segments
    assert (liver.name, liver.color, liver.keyframes[0]) == ("liver", (0.9, 0.4, 0.3), keyframe)
    assert np.flatnonzero(liver.keyframes[1].mask.mask).tolist() == [20, 21, 22, 23, 24]


def test_axis_space_and_labels_have_defaults(stack, written):
    path = written({"version": 1, "segments": [{"name": "a", "keyframes": [{"slice": 1, "scribbles": [{"path": [[3, 3]]}]}]}]})
    assert PromptFile(path).axis == "k"
    assert read_prompts(path, stack, read_labelmap).segments[0].keyframes[0].scribbles[0].positive


def test_the_axis_is_known_before_the_prompts_are_read(document, written):
    assert PromptFile(written(document | {"axis": "i"})).axis == "i"
    with pytest.raises(InputError, match=r'prompts\.json: axis: expected "i", "j" or "k", got "z"'):
        PromptFile(written(document | {"axis": "z"}))


def test_a_byte_order_mark_does_no_harm(stack, document, written):
    assert read_prompts(written("\ufeff" + json.dumps(document)), stack, read_labelmap).segments[0].name == "liver"


# ---------------------------------------------------------------- positions in mm


@given(affines(), AXES, st.data())
def test_positions_in_mm_find_their_slice_and_pixel(matrix, axis, data):
    stack = stack_at(matrix, axis)
    index = data.draw(st.integers(0, len(stack) - 1))
    keyframe = data.draw(keyframes(index, stack.shape, masks=False))
    read = prompts_from_dict(in_mm(keyframe, stack), stack).segments[0].keyframes[0]
    assert read.slice == index
    assert read.positions() == pytest.approx(keyframe.positions(), abs=1e-6)
    assert [point.positive for point in read.points] == [point.positive for point in keyframe.points]


def in_mm(keyframe, stack):
    """The JSON document of one keyframe with its positions in RAS mm and without its slice."""

    def ras(*xy):
        return stack.to_ras(keyframe.slice, np.array(xy)).tolist()

    entry = {"points": [[*ras(p.x, p.y), int(p.positive)] for p in keyframe.points]}
    entry["scribbles"] = [{"path": [ras(*xy) for xy in s.path], "label": int(s.positive)} for s in keyframe.scribbles]
    for name, shape in (("box", keyframe.box), ("line", keyframe.line)):
        if shape:
            entry[name] = ras(shape.x0, shape.y0) + ras(shape.x1, shape.y1)
    return {"version": 1, "axis": stack.axis, "space": "ras", "segments": [{"name": "liver", "keyframes": [entry]}]}


def test_positions_in_mm_off_the_slice_are_refused(stack):
    document = {"version": 1, "space": "ras", "segments": [{"name": "a", "keyframes": [{"slice": 2, "points": [[3, 3, 6, 1]]}]}]}
    with pytest.raises(InputError, match=r"all positions on slice 2 of axis k, got 6\.0"):
        prompts_from_dict(document, stack)
    document["segments"][0]["keyframes"] = [{"box": [3, 3, 2, 8, 8, 6]}]
    with pytest.raises(InputError, match="all positions on slice 4"):
        prompts_from_dict(document, stack)
    document["segments"][0]["keyframes"] = [{"points": [[3, 3, 60, 1]]}]
    with pytest.raises(InputError, match=r"keyframes\[0\]\.slice: .*no slice 60"):
        prompts_from_dict(document, stack)


# ---------------------------------------------------------------- masks in files


@pytest.fixture
def labelled(tmp_path, stack, written):
    """A function that writes a labelmap, with label 5 on slice 3 only, and a prompt file that names it."""

    def write(file="labels.nii.gz", slice_index=3, matrix=None, **mask):
        labels = np.zeros(SHAPE, np.uint8)
        labels[3, 2:6, 4:9] = 5
        volume = stack.volume if matrix is None else Volume(stack.volume.voxels, matrix)
        write_segmentation(tmp_path / file, labels, volume, [SegmentInfo(f"organ {n}") for n in range(5)])
        keyframe = {"slice": slice_index, "mask": {"file": file, "value": 5} | mask}
        return written({"version": 1, "segments": [{"name": "liver", "keyframes": [keyframe]}]})

    return write


@pytest.mark.parametrize("file", ["labels.nii.gz", "labels.seg.nrrd", "labels.nrrd", "labels.mha"])
def test_a_mask_is_read_from_a_file_beside_the_prompts(labelled, stack, file):
    mask = read_prompts(labelled(file), stack, read_labelmap).segments[0].keyframes[0].mask.mask
    expected = np.zeros(SHAPE[1:], bool)
    expected[2:6, 4:9] = True
    assert np.array_equal(mask, expected)


def test_a_mask_file_of_whole_numbers_in_floating_point_will_do(labelled, stack, tmp_path):
    path = labelled()
    image = sitk.ReadImage(str(tmp_path / "labels.nii.gz"))
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat64), str(tmp_path / "labels.nii.gz"))
    assert read_prompts(path, stack, read_labelmap).segments[0].keyframes[0].mask.mask.sum() == 20


@pytest.mark.parametrize("matrix", [np.diag([2.0, 2, 2, 1]), np.diag([-1.0, 1, 1, 1])])
def test_a_mask_on_another_grid_is_refused(labelled, stack, matrix):
    with pytest.raises(InputError, match=r"mask\.file: labels\.nii\.gz lies elsewhere than knee\.nrrd .*; resample it to that image"):
        read_prompts(labelled(matrix=matrix), stack, read_labelmap)


def test_a_mask_of_another_size_is_refused(labelled, stack):
    smaller = "labels.nii.gz has 14 x 12 x 9 voxels, knee.nrrd 15 x 12 x 9; resample it to that image."
    with pytest.raises(InputError, match=re.escape(f"mask.file: {smaller}")):
        read_prompts(labelled(), stack, lambda path: Volume(np.zeros((9, 12, 14), np.uint8), name=path.name))


@pytest.mark.parametrize("absent", [{"value": 4}, {"value": 10**30}, {"slice_index": 2}])
def test_a_label_that_does_not_occur_on_the_slice_is_refused(labelled, stack, absent):
    with pytest.raises(InputError, match=r"mask\.value: expected a label that occurs on slice [23] of labels\.nii\.gz"):
        read_prompts(labelled(**absent), stack, read_labelmap)


def test_a_missing_mask_file_is_named(labelled, stack, tmp_path):
    path = labelled()
    (tmp_path / "labels.nii.gz").unlink()
    with pytest.raises(InputError, match=r"keyframes\[0\]\.mask\.file: .*labels\.nii\.gz: there is no such file"):
        read_prompts(path, stack, read_labelmap)


def test_a_mask_file_needs_a_reader(stack):
    document = {"version": 1, "segments": [{"name": "a", "keyframes": [{"slice": 1, "mask": {"file": "a.nrrd"}}]}]}
    with pytest.raises(InputError, match=r"mask\.file: expected an inline mask"):
        prompts_from_dict(document, stack)


def test_one_keyframe_may_have_points_a_box_and_a_mask_from_memory(stack, written, tmp_path):
    marks = {"points": [[6, 4, 1], [1, 1, 0]], "box": [9, 7, 3, 2], "mask": {"file": "masks/m.nii.gz", "value": 5}}
    path = written({"version": 1, "axis": "k", "space": "ijk", "segments": [{"name": "liver", "keyframes": [{"slice": 5, **marks}]}]})
    labels, asked = np.zeros(SHAPE, np.uint8), []
    labels[5, 2:6, 4:9] = 5

    def from_memory(file):
        asked.append(file)
        return Volume(labels)

    (keyframe,) = read_prompts(path, stack, from_memory).segments[0].keyframes
    assert asked == [tmp_path / "masks" / "m.nii.gz"]
    assert keyframe == Keyframe(5, (Point(6, 4), Point(1, 1, False)), Box(3, 2, 9, 7), mask=MaskPrompt(labels[5]))


def test_a_mask_file_is_read_once_and_kept_only_while_it_is_named(stack, written):
    labels, asked, alive = np.zeros(SHAPE, np.uint8), [], []
    labels[:, 2:6, 4:9] = 5

    def read(file):
        asked.append(file.name)
        volume = Volume(labels.copy(), name=file.name)
        alive.append(weakref.ref(volume))
        if file.name == "b.nrrd":
            assert alive[0]() is None, "a.nrrd is named no more"
        return volume

    def painted(name, *files):
        keyframes = [{"slice": index, "mask": {"file": file, "value": 5}} for index, file in enumerate(files)]
        return {"name": name, "keyframes": keyframes}

    segments = [painted("liver", *["a.nrrd"] * 7), painted("spleen", "a.nrrd"), painted("heart", "b.nrrd", "b.nrrd")]
    prompts = read_prompts(written({"version": 1, "segments": segments}), stack, read)
    assert asked == ["a.nrrd", "b.nrrd"]
    assert sum(keyframe.mask.mask.sum() for segment in prompts.segments for keyframe in segment.keyframes) == 10 * 20


def test_what_mask_files_warn_of_is_passed_on(stack, written):
    marks = {"slice": 5, "mask": {"file": "m.nrrd"}}
    file = PromptFile(written({"version": 1, "segments": [{"name": "liver", "keyframes": [marks]}]}))
    file.prompts(stack, lambda path: Volume(np.ones(SHAPE, np.uint8), source=Source(warnings=("m.nrrd: its spacing was assumed.",))))
    assert file.warnings == ["m.nrrd: its spacing was assumed."]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe with a name, which Windows does not have")
def test_a_pipe_is_read_once_and_its_masks_lie_in_the_working_folder(tmp_path, document, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    os.mkfifo(tmp_path / "pipe")
    document["segments"][0]["keyframes"][1]["mask"] = {"file": "m.nrrd", "value": 1}
    writer = Thread(target=(tmp_path / "pipe").write_text, args=(json.dumps(document | {"axis": "j"}),))
    writer.start()
    asked, file = [], PromptFile(tmp_path / "pipe")
    writer.join()
    assert file.axis == "j"
    with pytest.raises(InputError, match="there is no such"):
        file.prompts(stack_at(axis="j"), lambda path: asked.append(path.resolve()) or read_labelmap(path))
    assert asked == [tmp_path / "here" / "m.nrrd"]


# ---------------------------------------------------------------- boxes that leave the slice


def with_box(*corners, **fields):
    return {"version": 1, "segments": [{"name": "liver", "keyframes": [{"slice": 4, "box": list(corners)} | fields]}]}


@pytest.mark.parametrize(
    ("given", "cut"),
    [
        ((-1, 2, 9, 9), (-0.5, 2, 9, 9)),
        ((2, 2, 15, 9), (2, 2, 14.5, 9)),
        ((-1e8, -1e8, 1e8, 1e8), (-0.5, -0.5, 14.5, 11.5)),
        ((9, 12.25, 2, 3), (2, 3, 9, 11.5)),
    ],
)
def test_a_box_that_leaves_the_slice_is_cut_at_its_border_and_told(stack, written, given, cut):
    file = PromptFile(written(with_box(*given)))
    assert file.prompts(stack, read_labelmap).segments[0].keyframes[0].box == Box(*cut)
    (warning,) = file.warnings
    assert warning.startswith("prompts.json: segments[0].keyframes[0].box: the box from (")
    assert warning.endswith("leaves the slice, which has x 0 to 14 and y 0 to 11; it was cut at the border.")


def test_a_box_on_the_slice_is_not_told_of(stack, written):
    for corners in ((-0.5, -0.5, 14.5, 11.5), (0, 0, 14.5000001, 3)):
        file = PromptFile(written(with_box(*corners)))
        assert file.prompts(stack, read_labelmap).segments[0].keyframes[0].box.x1 == 14.5
        assert not file.warnings


@pytest.mark.parametrize("corners", [(15, 2, 20, 9), (-9, 2, -1, 9), (2, 12, 9, 30)])
def test_a_box_beside_the_slice_is_refused(stack, corners):
    with pytest.raises(InputError, match=r"keyframes\[0\]\.box: expected a box on the slice, which has x 0 to 14"):
        prompts_from_dict(with_box(*corners), stack)


def test_other_prompts_beside_the_slice_are_refused_by_segment_and_slice(stack):
    for marks in ({"points": [[15, 5, 1]]}, {"line": [3, 3, 3, 12]}, {"scribbles": [{"path": [[3, 3], [-1, 3]]}]}):
        document = {"version": 1, "segments": [{"name": "liver", "keyframes": [{"slice": 4} | marks]}]}
        with pytest.raises(InputError, match=r"segment 'liver', slice 4: the prompt at \(.*\) lies outside the slice"):
            prompts_from_dict(document, stack)


# ---------------------------------------------------------------- what can be wrong

ABSENT = object()
ONE_POINT = '{"version": 1, "segments": [{"name": "liver", "keyframes": [{"slice": 4, "points": [[%s, 5, 1]]}]}]}'
SEGMENT = ("segments", 0)
FIRST = (*SEGMENT, "keyframes", 0)
MASK = (*SEGMENT, "keyframes", 1, "mask")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("version",), ABSENT, "version: expected 1, got nothing"),
        (("version",), 2, "version: expected 1, got 2"),
        (("axis",), ["k"], 'axis: expected "i", "j" or "k"'),
        (("axis",), "j", 'axis: expected "k", the axis in use, got "j"'),
        (("space",), "lps", 'space: expected "ijk" or "ras", got "lps"'),
        (("colour",), 1, "prompts: unknown field 'colour'; known are axis, segments, space, version"),
        (("segments",), ABSENT, "segments: expected a list that is not empty, got nothing"),
        (("segments",), [], r"prompts: segments: expected a list that is not empty, got \[\]\. Give at least one segment\."),
        (("segments",), {"name": "liver"}, "segments: expected a list"),
        (SEGMENT, "liver", r"prompts: segments\[0\]: expected an object with color, keyframes, name"),
        ((*SEGMENT, "points"), [], r"segments\[0\]: unknown field 'points'"),
        ((*SEGMENT, "name"), " ", r"segments\[0\]\.name: expected a text"),
        ((*SEGMENT, "name"), 7, r"segments\[0\]\.name: expected a text, got 7"),
        ((*SEGMENT, "color"), "red", r"segments\[0\]\.color: expected 3 finite numbers"),
        ((*SEGMENT, "color"), [0, 0, 255], r"segments\[0\]\.color: expected three numbers from 0 to 1"),
        ((*SEGMENT, "keyframes"), [], r"keyframes: expected a list that is not empty, got \[\]\. Mark the segment on at least one slice"),
        ((*SEGMENT, "keyframes", 1, "slice"), 4, r"segments\[0\]: segment 'liver': slice 4 has two keyframes"),
        ((*FIRST, "slice"), ABSENT, r"keyframes\[0\]\.slice: expected a whole number, got nothing"),
        ((*FIRST, "slice"), 4.5, r"keyframes\[0\]\.slice: expected a whole number, got 4.5"),
        ((*FIRST, "slice"), True, r"keyframes\[0\]\.slice: expected a whole number"),
        ((*FIRST, "slice"), 9, r"keyframes\[0\]\.slice: knee\.nrrd: there is no slice 9"),
        ((*FIRST, "slices"), 4, r"prompts: segments\[0\]\.keyframes\[0\]: unknown field 'slices'; did you mean slice\?"),
        ((*FIRST, "points"), {"x": 1}, r"keyframes\[0\]\.points: expected a list"),
        ((*FIRST, "points", 1), [1, 1], r"points\[1\]: expected 3 finite numbers below 1e\+09 in a list, got \[1, 1\]"),
        ((*FIRST, "points", 0), [1, "1", 1], r"points\[0\]: expected 3 finite numbers"),
        ((*FIRST, "points", 0), [1, float("nan"), 1], r"points\[0\]: expected 3 finite numbers"),
        ((*FIRST, "points", 0), [1, 10**400, 1], r"points\[0\]: expected 3 finite numbers"),
        ((*FIRST, "points", 0), [1, 1, 2], r"points\[0\]: expected a label of 1 \(inside\) or 0 \(outside\) at the end, got 2"),
        ((*FIRST, "points", 0), [99, 1, 1], r"segment 'liver', slice 4: the prompt at \(99, 1\) lies outside"),
        ((*FIRST, "points", 0), [1, 1, 1], r"segment 'liver', slice 4: the prompts contradict each other: pixel \(1, 1\)"),
        ((*FIRST, "points", 0), [12, 5, 1], "lies outside the box"),
        ((*FIRST, "box"), [1, 2, 3], r"keyframes\[0\]\.box: expected 4 finite numbers"),
        ((*FIRST, "box"), [2, 2, 2, 9], r"keyframes\[0\]\.box: box: it has no area"),
        ((*FIRST, "line"), [2, 2, 2, 2], r"keyframes\[0\]\.line: line: both ends are at the same place"),
        ((*FIRST, "scribbles", 0), [[4, 4]], r"scribbles\[0\]: expected an object with label, path"),
        ((*FIRST, "scribbles", 0, "path"), [], r"scribbles\[0\]\.path: expected a list that is not empty, got \[\]\. Draw"),
        ((*FIRST, "scribbles", 0, "path", 1), [4], r"scribbles\[0\]\.path\[1\]: expected 2 finite numbers"),
        ((*FIRST, "scribbles", 0, "label"), -1, r"scribbles\[0\]\.label: expected 1 \(inside\) or 0 \(outside\), got -1"),
        (FIRST, {"slice": 4}, "segment 'liver', slice 4: the keyframe has no prompts"),
        (FIRST, {"slice": 4, "points": [[1, 1, 0]]}, "only negative points"),
        (MASK, "labels.nii.gz", r"keyframes\[1\]\.mask: expected an object with file and value"),
        (MASK, {}, r"keyframes\[1\]\.mask\.shape: expected 2 finite numbers below 1e\+09 in a list, got nothing"),
        (MASK, {"file": 5}, r"mask\.file: expected a file name, got 5"),
        (MASK, {"file": "a.nrrd", "value": 1.5}, r"mask\.value: expected a whole number, got 1.5"),
        (MASK, {"file": "a.nrrd", "label": 1}, r"mask: unknown field 'label'"),
        ((*MASK, "shape"), [-12, -15], r"mask\.shape: expected the slice's rows and columns, \[12, 15\], got \[-12, -15\]"),
        ((*MASK, "shape"), [1e6, 1e6], r"mask\.shape: expected the slice's"),
        ((*MASK, "shape"), [12.5, 15], r"mask\.shape: expected the slice's"),
        ((*MASK, "runs"), [20.5, 5.5, 154], r"mask\.runs: expected whole numbers, got \[20\.5"),
        ((*MASK, "runs"), [20, 5], r"mask\.runs: expected lengths that add up to 180, got 25"),
        ((*MASK, "runs"), [200, -20], r"mask\.runs: expected lengths"),
        ((*MASK, "runs"), [], r"mask\.runs: expected lengths"),
        ((*MASK, "runs"), [180], "segment 'liver', slice 6: the mask is empty"),
    ],
)
def test_a_malformed_field_is_named(stack, document, place, value, message):
    broken = copy.deepcopy(document)
    *way, last = place
    entry = broken
    for step in way:
        entry = entry[step]
    if value is ABSENT:
        del entry[last]
    else:
        entry[last] = value
    prompts_from_dict(document, stack)
    with pytest.raises(InputError, match=message):
        prompts_from_dict(broken, stack)


def test_two_segments_of_one_name_are_refused(stack, document):
    document["segments"] *= 2
    with pytest.raises(InputError, match="prompts: segments: two of them have the same name"):
        prompts_from_dict(document, stack)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty, which is not valid JSON"),
        ('{"version": 1,\n "axis": k}', "not valid JSON: Expecting value at line 2, column 10"),
        ("[1, 2]", "expected an object with version, axis, space and segments"),
        ("null", "expected an object"),
        ('{"version": %s}' % ("1" * 5000), "is not usable JSON|version: expected 1"),
        (ONE_POINT % "1e999", r"points\[0\]: expected 3 finite numbers"),
        (ONE_POINT % "NaN", r"points\[0\]: expected 3 finite numbers"),
        (ONE_POINT % "-Infinity", r"points\[0\]: expected 3 finite numbers"),
        (ONE_POINT % ("9" * 4000), r"points\[0\]: expected 3 finite numbers below 1e\+09 in a list, got \[9{79}\.\.\."),
        (ONE_POINT % ("9" * 9000), r"is not usable JSON: it has a number of thousands of digits|expected 3 finite numbers"),
        (ONE_POINT % ("[" * 900 + "]" * 900), r"points\[0\]: expected 3 finite numbers|nested too deeply"),
        ("[" * 200_000, "nested too deeply"),
        ('{"version": 1, "segments": [], "version": 1}', "prompts.json: the field 'version' is given twice; leave one of them out"),
        ('{"version": 1, "segments": [{"name": "a", "name": "b"}]}', r"segments\[0\]: the field 'name' is given twice"),
        (ONE_POINT.replace('"slice": 4', '"slice": 4, "slice": 4') % 5, r"keyframes\[0\]: the field 'slice' is given twice"),
        (ONE_POINT.replace('"slice": 4', '"slice": 1e9') % 5, r"keyframes\[0\]\.slice: expected a whole number, got 1000000000\.0"),
        (ONE_POINT.replace('"slice": 4', '"slice": %s') % ("9" * 4000, 5), r"keyframes\[0\]\.slice: expected a whole number, got 9{80}"),
        ('{"%s": 1, "version": 1}' % ("v" * 10**6), r"unknown field 'v{79}\.\.\.; known are"),
    ],
)
def test_a_file_that_is_no_prompt_file_is_named(stack, written, content, message):
    with pytest.raises(InputError, match=message) as error:
        read_prompts(written(content), stack, read_labelmap)
    assert "prompts.json" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}".encode("utf-16"), r"is not a text file in UTF-8\. .*This one seems to be in UTF-16; save it as UTF-8"),
        (bytes(range(256)), "is not a text file in UTF-8"),
        (b"\0" * 100, "not valid JSON"),
        (b" \n ", "the file is empty"),
        ("\ufeff".encode(), "the file is empty"),
    ],
)
def test_what_is_no_text_is_called_so(tmp_path, content, message):
    (tmp_path / "prompts.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"prompts\.json: .*{message}|prompts\.json: {message}"):
        PromptFile(tmp_path / "prompts.json")


def test_a_file_without_an_end_is_not_read_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr("SAMSegmenterLib.json_text.MOST_BYTES", 2**20)
    (tmp_path / "prompts.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(InputError, match="longer than 1 MiB"):
        PromptFile(tmp_path / "prompts.json")


WRONG = [None, True, 0, -1, 1.5, "", "text", [], [[]], {}, {"a": 1}, [None], 10**300, float("inf")]


@given(place=st.sampled_from(["top", "segment", "keyframe", "mask", "scribble"]), data=st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_field_is_used_or_refused_in_words(place, data):
    stroke, mask = {"path": [[4, 4]], "label": 1}, {"shape": [12, 15], "runs": [20, 5, 155]}
    keyframe = {"slice": 4, "points": [[5, 5, 1]], "box": [2, 2, 9, 9], "line": [3, 3, 8, 8], "scribbles": [stroke]}
    segment = {"name": "liver", "color": [1, 0, 0], "keyframes": [keyframe, {"slice": 6, "mask": mask}]}
    document = {"version": 1, "axis": "k", "space": "ijk", "segments": [segment]}
    entry = {"top": document, "segment": segment, "keyframe": keyframe, "mask": mask, "scribble": stroke}[place]
    entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(st.sampled_from(WRONG))
    said = "prompts: used"
    try:
        prompts_from_dict(document, stack_at())
    except InputError as error:
        said = str(error)
    assert said.startswith("prompts: ")
    assert len(said) < 400


def test_as_many_segments_as_a_labelmap_holds(stack):
    document = {"version": 1, "segments": [{"name": str(n), "keyframes": []} for n in range(65536)]}
    with pytest.raises(InputError, match="segments: expected at most 65535, which a labelmap holds, got 65536"):
        prompts_from_dict(document, stack)


def test_thousands_of_segments_are_read_soon(stack):
    start, many = time.process_time(), 3000
    segments = [{"name": str(n), "keyframes": [{"slice": k, "box": [2, 2, 9, 9]} for k in range(9)]} for n in range(many)]
    prompts = prompts_from_dict({"version": 1, "segments": segments}, stack)
    assert sum(len(prompts.segment(str(n)).keyframe(4).positions()) for n in range(many)) == 2 * many
    assert time.process_time() - start < 10


def test_a_prompt_file_that_cannot_be_read_is_named(stack, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json: cannot be read"):
        read_prompts(tmp_path / "nowhere.json", stack, read_labelmap)
    (tmp_path / "prompts.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"prompts\.json: is not a text file in UTF-8\. Give the prompts as JSON"):
        PromptFile(tmp_path / "prompts.json")
