"""NRRD files lie where their header says, by the format's definition; what it leaves open is told, what it contradicts refused."""

import gzip
from itertools import product

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.volume import RAS_TO_LPS
from SAMSegmenterLib.imageio import SegmentInfo, read_labelmap, read_segment_names, read_volume, write_segmentation
from support.geometry import affines
from support.headers import LPS, PLACED, SHAPE, VOXELS, nrrd_file

SPACES = {"left-posterior-superior": (1, 1, 1), "RAS": (-1, -1, 1), "Left-Anterior-Superior": (1, -1, 1), "LPS": (1, 1, 1)}
UNITS = {"mm": 1, "um": 1e-3, "µm": 1e-3, "microns": 1e-3, "m": 1e3, "cm": 10, "": 1, "millimeters": 1}


def text(vector):
    return f"({','.join(repr(float(value)) for value in vector)})"


def repeated(count, last=False):
    """So many copies of the voxels, as the first or the last axis of the file."""
    return np.stack([VOXELS] * count, axis=0 if last else -1).tobytes()


@given(
    matrix=affines(),
    shear=st.floats(-0.5, 0.5),
    space=st.sampled_from(list(SPACES)),
    units=st.tuples(*[st.sampled_from(list(UNITS))] * 3),
    encoding=st.sampled_from(["raw", "gzip"]),
)
@settings(max_examples=60, deadline=None)
def test_any_header_places_its_voxels_by_the_formats_formula(tmp_path_factory, matrix, shear, space, units, encoding):
    matrix[:3, 1] += shear * matrix[:3, 0]
    path = nrrd_file(
        tmp_path_factory.mktemp("any") / "a.nrrd",
        gzip.compress(VOXELS.tobytes()) if encoding == "gzip" else VOXELS.tobytes(),
        encoding=encoding,
        space=space,
        space_directions=" ".join(text(column) for column in matrix[:3, :3].T),
        space_origin=text(matrix[:3, 3]),
        space_units=" ".join(f'"{unit}"' for unit in units),
    )
    lps = np.diag([*(UNITS[unit] * sign for unit, sign in zip(units, SPACES[space], strict=True)), 1]) @ matrix
    spacing_mm = np.linalg.norm(lps[:3, :3], axis=0)
    if spacing_mm.max() > 1000 or abs(np.linalg.det(lps[:3, :3] / spacing_mm)) < 1e-3:
        with pytest.raises(InputError, match=r"spacing is|not independent"):
            read_volume(path)
        return
    volume = read_volume(path)
    assert np.array_equal(volume.voxels, VOXELS)
    assert np.allclose(volume.ijk_to_lps, lps, rtol=1e-12, atol=1e-9)
    by_itk = sitk.ReadImage(str(path)).TransformContinuousIndexToPhysicalPoint([6.0, 5.0, 4.0])
    elsewhere = np.linalg.solve(lps, [*by_itk, 1]) - [6, 5, 4, 1]
    assert (len(volume.source.elsewhere) == 1) == bool(np.abs(elsewhere).max() > 1e-3)


@given(matrix=affines(), space=st.sampled_from(["LPS", "RAS", "LAS"]))
@settings(max_examples=20, deadline=None)
def test_what_pynrrd_writes_is_read_and_a_result_lies_on_it_in_pynrrd(tmp_path_factory, matrix, space):
    folder = tmp_path_factory.mktemp("pynrrd")
    header = {"space": space, "space directions": matrix[:3, :3].T, "space origin": matrix[:3, 3], "space units": ["um"] * 3}
    nrrd.write(str(folder / "a.nrrd"), VOXELS.T, header)
    volume = read_volume(folder / "a.nrrd")
    assert np.array_equal(volume.voxels, VOXELS)
    signs = {"LPS": (1, 1, 1), "RAS": (-1, -1, 1), "LAS": (1, -1, 1)}[space]
    assert np.allclose(volume.ijk_to_lps[:3], matrix[:3] * np.array(signs)[:, None] * 1e-3, atol=1e-9)
    write_segmentation(folder / "b.seg.nrrd", VOXELS // 200, volume, [SegmentInfo("a")])
    written = nrrd.read_header(str(folder / "b.seg.nrrd"))
    for name in ("space", "space units"):
        assert written[name] == header[name]
    assert np.allclose(written["space directions"], header["space directions"])
    assert np.allclose(written["space origin"], header["space origin"])


@pytest.mark.parametrize("times", [2, 3, 4, 5])
@pytest.mark.parametrize(("kind", "last"), [*product(["list", "time"], [False, True]), ("???", False)])
def test_time_points_are_never_colours(tmp_path, times, kind, last):
    kinds, directions = ["domain"] * 3, PLACED["space directions"].split()
    kinds.insert(3 if last else 0, kind)
    directions.insert(3 if last else 0, "none")
    sizes = f"7 6 5 {times}" if last else f"{times} 7 6 5"
    path = tmp_path / "a.seq.nrrd"
    nrrd_file(path, repeated(times, last), PLACED, dimension=4, sizes=sizes, kinds=" ".join(kinds), space_directions=" ".join(directions))
    with pytest.raises(InputError, match=r"a\.seq\.nrrd: 4-D images \(7 x 6 x 5 x \d\) are not supported"):
        read_volume(path)


@pytest.mark.parametrize("last", [False, True])
def test_one_time_point_is_a_volume(tmp_path, last):
    changed = {"sizes": "7 6 5 1", "kinds": "domain domain domain list", "space directions": PLACED["space directions"] + " none"}
    if not last:
        changed = {"sizes": "1 7 6 5", "kinds": "list domain domain domain", "space directions": "none " + PLACED["space directions"]}
    volume = read_volume(nrrd_file(tmp_path / "a.nrrd", fields={**PLACED, **changed}, dimension=4))
    assert np.array_equal(volume.voxels, VOXELS)
    assert np.array_equal(volume.ijk_to_lps, LPS)


@pytest.mark.parametrize("kinds", ["domain domain time", "domain domain list", "space space time"])
def test_slices_in_time_are_no_volume(tmp_path, kinds):
    with pytest.raises(InputError, match="2-D image"):
        read_volume(nrrd_file(tmp_path / "a.nrrd", kinds=kinds))


@pytest.mark.parametrize(
    ("kind", "count"), [("RGB-color", 3), ("3-color", 3), ("RGBA-color", 4), ("4-color", 4), ("vector", 3), ("vector", 4)]
)
@pytest.mark.parametrize("last", [False, True])
def test_colours_are_what_is_called_so(tmp_path, kind, count, last):
    colours = np.random.default_rng(0).integers(0, 256, (*SHAPE, count), dtype=np.uint8)
    words = ["domain domain domain", kind]
    sizes = ["7 6 5", str(count)]
    content = np.moveaxis(colours, -1, 0).tobytes() if last else colours.tobytes()
    order = slice(None) if last else slice(None, None, -1)
    path = nrrd_file(tmp_path / "a.nrrd", content, dimension=4, sizes=" ".join(sizes[order]), kinds=" ".join(words[order]), spacings=None)
    volume = read_volume(path)
    assert volume.is_rgb
    assert np.array_equal(volume.voxels, colours[..., :3])


@pytest.mark.parametrize("kind", ["covariant-vector", "normal", "3-vector", "HSV-color", "XYZ-color", "point", "3-gradient"])
def test_vectors_are_no_colours(tmp_path, kind):
    with pytest.raises(InputError, match="its voxels are vectors"):
        read_volume(nrrd_file(tmp_path / "a.nrrd", repeated(3), dimension=4, sizes="3 7 6 5", kinds=f"{kind} domain domain domain"))


def test_deep_colours_and_axes_of_no_kind_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"vectors \(3 components\)"):
        read_volume(
            nrrd_file(
                tmp_path / "a.nrrd",
                repeated(6),
                type="int16",
                endian="little",
                dimension=4,
                sizes="3 7 6 5",
                kinds="RGB-color domain domain domain",
            )
        )
    with pytest.raises(InputError, match=r"4-D images \(3 x 7 x 6 x 5\)"):
        read_volume(nrrd_file(tmp_path / "b.nrrd", repeated(3), dimension=4, sizes="3 7 6 5"))


@pytest.mark.parametrize(
    ("fields", "spacing", "first"),
    [
        ({"spacings": "2 3 4"}, (2, 3, 4), (0, 0, 0)),
        ({"spacings": "2 -3 4"}, (2, -3, 4), (0, 0, 0)),
        ({"spacings": "2000 3000 4000", "units": '"um" "um" "um"'}, (2, 3, 4), (0, 0, 0)),
        ({"axis mins": "0 10 20", "axis maxs": "7 22 40"}, (1, 2, 4), (0.5, 11, 22)),
        ({"axis mins": "0 10 20", "axis maxs": "7 22 40", "centers": "cell cell cell"}, (1, 2, 4), (0.5, 11, 22)),
        ({"axis mins": "0 10 20", "axis maxs": "6 20 36", "centerings": "node node node"}, (1, 2, 4), (0, 10, 20)),
        ({"axis mins": "0 10 20", "axis maxs": "6 20 nan", "spacings": "nan 2 4", "centerings": "node node node"}, (1, 2, 4), (0, 10, 20)),
        ({"axismins": "0 10 20", "spacings": "2 3 4"}, (2, 3, 4), (1, 11.5, 22)),
        ({"axis maxs": "14 18 20", "spacings": "2 3 4"}, (2, 3, 4), (1, 1.5, 2)),
        ({"axis mins": "7 0 0", "axis maxs": "0 6 5"}, (-1, 1, 1), (6.5, 0.5, 0.5)),
        ({}, (1, 1, 1), (0, 0, 0)),
        ({"thicknesses": "nan nan 5"}, (1, 1, 1), (0, 0, 0)),
    ],
)
def test_spacings_and_ends_of_axes_are_honoured_without_a_space(tmp_path, fields, spacing, first):
    volume = read_volume(nrrd_file(tmp_path / "a.nrrd", fields=fields))
    assert np.allclose(volume.ijk_to_lps, np.block([[np.diag(spacing), np.array([first]).T], [np.zeros((1, 3)), 1]]))
    assert "Which way its axes run in the patient is not said" in volume.source.warnings[0]
    assert volume.source.unspaced == ("1 mm is assumed" in " ".join(volume.source.warnings)) == (not fields or "thicknesses" in fields)
    for name in ("b.nrrd", "b.seg.nrrd"):  # and a result lies on it in other programs, whatever they make of such a header
        write_segmentation(tmp_path / name, VOXELS // 200, volume, [SegmentInfo("a")])
        image, result = (sitk.ReadImage(str(tmp_path / each)) for each in ("a.nrrd", name))
        assert image.GetOrigin() == result.GetOrigin()
        assert image.GetSpacing() == result.GetSpacing()
        assert image.GetDirection() == result.GetDirection()
        assert np.allclose(read_labelmap(tmp_path / name).ijk_to_ras, volume.ijk_to_ras)


@pytest.mark.parametrize(
    "space", [{"space": "scanner-xyz"}, {"space": "3D-right-handed"}, {"space": "3D-left-handed"}, {"space": None, "space dimension": 3}]
)
def test_where_programs_disagree_about_the_axes_it_is_told_how_far(tmp_path, space):
    volume = read_volume(
        nrrd_file(
            tmp_path / "a.nrrd",
            fields={
                **{"space dimension": None},
                **{"space": None},
                **space,
                **{key: PLACED[key] for key in ("space directions", "space origin")},
            },
        )
    )
    assert np.array_equal(volume.ijk_to_lps, LPS)
    assert len(volume.source.elsewhere) == 1
    assert np.array_equal(volume.source.elsewhere[0], LPS)  # as RAS
    farthest = 2 * np.hypot(10 + 6 * 2, 20 + 5 * 3)
    assert any(f"up to {farthest:.3g} mm elsewhere" in warning for warning in volume.source.warnings)


def test_a_plain_header_has_nothing_to_be_told(tmp_path):
    source = read_volume(nrrd_file(tmp_path / "a.nrrd", fields=PLACED)).source
    assert source.geometry == "space directions and origin (left-posterior-superior)"
    assert source.warnings == ()
    assert source.elsewhere == ()


def test_a_missing_origin_and_quantized_values_are_told(tmp_path):
    source = read_volume(nrrd_file(tmp_path / "a.nrrd", fields=PLACED, space_origin=None, old_min=-1000, old_max=1000)).source
    assert "where its first voxel lies" in source.warnings[0]
    assert "from '-1000' to '1000'" in source.warnings[1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"space_units": '"um" "furlong" "um"'}, "'furlong', which is none of nm, um, mm"),
        ({"space_units": '"um"'}, "one unit in quotes for each axis"),
        ({"space_directions": "(2,0,0) (0,nan,0) (0,0,4)"}, "finite numbers"),
        ({"space_directions": "(2,0,0) (0,inf,0) (0,0,4)"}, "finite numbers"),
        ({"space_directions": "(2,0,0) (0,0,0) (0,0,4)"}, "spacing is 2 x 0 x 4"),
        ({"space_directions": "(2,0,0) (0,3,0) (0,3,0)"}, "not independent"),
        ({"space_directions": "(2,0,0) (0,3,0)"}, "a vector or none for each of 3 axes"),
        ({"space_directions": "(2,0) (0,3) (0,0)"}, "space of the origin"),
        ({"space_directions": "(2,0,x) (0,3,0) (0,0,4)"}, "not all numbers"),
        ({"space_directions": None}, "is missing, though there is a space"),
        ({"space_directions": None, "spacings": "2 3 4"}, "is missing, though there is a space"),
        ({"space_origin": "(1,nan,3)"}, "finite numbers"),
        ({"space": "left-posterior-superior-time"}, "with time"),
        ({"space": "RAST"}, "with time"),
        ({"space": "right-up"}, "cannot be read"),
    ],
)
def test_places_that_do_not_follow_from_the_header_are_refused(tmp_path, changed, message):
    with pytest.raises(InputError, match=message) as error:
        read_volume(nrrd_file(tmp_path / "a.nrrd", fields=PLACED, **changed))
    assert "a.nrrd" in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"spacings": "2 nan 4"}, "no distance between the voxels of every axis"),
        ({"spacings": "nan nan nan"}, "no distance"),
        ({"spacings": "2 0 4"}, "no distance"),
        ({"spacings": "2 inf 4"}, "no distance"),
        ({"spacings": "2 3"}, "2 numbers where 3"),
        ({"axis_mins": "0 0 0", "axis_maxs": "7 nan 5"}, "no distance"),
        ({"axis_mins": "0 0 0", "axis_maxs": "7 6 5", "spacings": "1 1 2"}, "contradicts its axis mins and maxs"),
        ({"spacings": "1 1 1", "units": '"mm" "s" "mm"'}, "'s', which is none of"),
        ({"centerings": "cell cell"}, "expected 3 words"),
        ({"kinds": "domain domain"}, "expected 3 words"),
        ({"sizes": "7 6"}, "expected 3 whole numbers above 0"),
        ({"sizes": "7 6 0"}, "whole numbers above 0"),
        ({"sizes": "7 6 -5"}, "whole numbers above 0"),
        ({"dimension": "3.5"}, "not a whole number"),
        ({"dimension": "9" * 17}, "its field 'dimension' is 9"),
        ({"type": "block", "block size": 2, "endian": "little"}, "not numbers"),
        ({"type": None}, "'type' is missing"),
        ({"Sizes": "5 6 7"}, "is there twice"),
        ({"dimension": 2, "sizes": "7 30"}, "2-D image"),
        ({"byte skip": -5}, "negative"),
        ({"line skip": -1}, "negative"),
    ],
)
def test_damaged_headers_are_refused_by_field(tmp_path, changed, message):
    with pytest.raises(InputError, match=message) as error:
        read_volume(nrrd_file(tmp_path / "a.nrrd", **changed))
    assert "a.nrrd" in str(error.value)


def test_layers_of_segments_are_told_from_time_points(tmp_path):
    path = nrrd_file(tmp_path / "a.seg.nrrd", repeated(3), dimension=4, sizes="3 7 6 5", kinds="list domain domain domain")
    path.write_bytes(path.read_bytes().replace(b"\n\n", b"\nSegment0_ID:=x\nSegment0_LabelValue:=1\nSegment0_Name:=a: b\n\n", 1))
    with pytest.raises(InputError, match="its segments overlap, in 3 layers"):
        read_volume(path)
    path.write_bytes(path.read_bytes().replace(b"sizes: 3", b"sizes: 1"))
    assert np.array_equal(read_labelmap(path).voxels.ravel()[:3], [0, 0, 0])
    assert read_segment_names(path) == {1: "a: b"}


def test_slicers_units_reach_the_labelmap_and_its_source(tmp_path):
    labelmap = read_labelmap(
        nrrd_file(tmp_path / "a.nrrd", VOXELS.astype("<f4").tobytes(), PLACED, type="float", endian="little", space_units='"um" "um" "um"')
    )
    assert labelmap.voxels.dtype == np.int32
    assert np.allclose(labelmap.ijk_to_lps[:3], LPS[:3] / 1000)
    assert np.allclose(labelmap.source.elsewhere[0], RAS_TO_LPS @ LPS)
