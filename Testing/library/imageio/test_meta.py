"""MetaImages lie where their header says; what it leaves open is told, what it contradicts refused; all voxels are there."""

import gzip
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.volume import RAS_TO_LPS
from SAMSegmenterLib.imageio import SegmentInfo, holds_voxels_of, read_labelmap, read_volume, write_segmentation
from support.geometry import affines
from support.headers import CONTENT, LPS, META, SHAPE, VOXELS, meta_file, slices

SYNONYMS = ("Offset", "Position", "Origin"), ("TransformMatrix", "Rotation", "Orientation")
PACKED = zlib.compress(CONTENT)


@pytest.fixture
def not_decoded(monkeypatch):
    """ITK is not asked for voxels."""
    monkeypatch.setattr(sitk.ImageFileReader, "Execute", lambda self: pytest.fail("a decoder was called"))


def joined(values):
    return " ".join(repr(float(value)) for value in np.ravel(values))


@given(
    matrix=affines(),
    shear=st.floats(-0.5, 0.5),
    unit=st.sampled_from([("mm", 1), ("um", 1e-3), ("cm", 10), ("?", 1), ("m", 1e3)]),
    names=st.tuples(*map(st.sampled_from, SYNONYMS)),
    dimensions=st.sampled_from([3, 4]),
)
@settings(max_examples=60, deadline=None)
def test_any_header_places_its_voxels_by_the_formats_formula(tmp_path_factory, matrix, shear, unit, names, dimensions):
    matrix[:3, 1] += shear * matrix[:3, 0]
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    assume(abs(spacing.max() * unit[1] - 1000) > 1e-6)  # at the limit itself, rounding decides
    axes, more = np.eye(dimensions), dimensions - 3
    axes[:3, :3] = (matrix[:3, :3] / spacing).T
    fields = {"NDims": dimensions, "DimSize": "7 6 5" + " 1" * more, "ElementType": "MET_UCHAR", "DistanceUnits": unit[0]}
    fields |= {"ElementSpacing": joined([*spacing, *[1] * more]), names[0]: joined([*matrix[:3, 3], *[0] * more]), names[1]: joined(axes)}
    lps = matrix * np.array([unit[1]] * 3 + [1])[:, None]
    path = meta_file(tmp_path_factory.mktemp("any") / "a.mha", fields=fields)
    if spacing.max() * unit[1] > 1000 or abs(np.linalg.det(axes)) < 1e-3:
        with pytest.raises(InputError, match=r"spacing is|not independent"):
            read_volume(path)
        return
    volume = read_volume(path)
    assert np.array_equal(volume.voxels, VOXELS)
    assert np.allclose(volume.ijk_to_lps, lps, rtol=1e-12, atol=1e-9)
    assert len(volume.source.elsewhere) == (unit[1] != 1)
    write_segmentation(path.with_name("b.mha"), VOXELS // 200, volume, [SegmentInfo("a")])
    assert read_labelmap(path.with_name("b.mha")).same_grid(volume)


def test_a_plain_header_has_nothing_to_be_told(tmp_path):
    source = read_volume(meta_file(tmp_path / "a.mha", TransformMatrix="1 0 0 0 1 0 0 0 1", AnatomicalOrientation="RAI")).source
    assert source.geometry == "ElementSpacing, Offset, TransformMatrix"
    assert source.warnings == ()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ElementSpacing": None}, "1 mm is assumed"),
        ({"ElementSpacing": None, "ElementSize": "2 3 4"}, "taken to touch each other"),
        ({"Offset": None}, "taken to lie at the origin"),
        ({"AnatomicalOrientation": "RAS"}, r"RAS contradicts its matrix \(RAI\)"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "not of length 1"),
        ({"DistanceUnits": "um"}, "ITK .* may place this image up to 6.* mm elsewhere"),
        ({"ElementToIntensityFunctionSlope": 2}, "2 times the stored ones plus 0"),
    ],
)
def test_what_is_assumed_is_told(tmp_path, changed, words):
    with pytest.raises(AssertionError):
        assert read_volume(meta_file(tmp_path / "a.mha")).source.warnings
    source = read_volume(meta_file(tmp_path / "a.mha", **changed)).source
    assert len(source.warnings) == 1
    with pytest.raises(ValueError, match=words):
        raise ValueError(source.warnings[0])
    assert source.unspaced == ("1 mm" in words)


@pytest.mark.parametrize("letters", ["RAI", "LPS", "???"])
def test_letters_that_name_either_end_of_the_axes_agree_with_the_matrix(tmp_path, letters):
    assert not read_volume(meta_file(tmp_path / "a.mha", AnatomicalOrientation=letters)).source.warnings


def test_spacing_counts_more_than_size_and_the_centre_of_rotation_moves_nothing(tmp_path):
    volume = read_volume(meta_file(tmp_path / "a.mha", ElementSize="9 9 9", CenterOfRotation="7 7 7"))
    assert np.array_equal(volume.ijk_to_lps, LPS)


@pytest.mark.parametrize(
    ("dtype", "name"), [(np.uint8, "MET_UCHAR"), (np.int16, "MET_SHORT"), (np.uint16, "MET_USHORT"), (np.int32, "MET_INT")]
)
def test_slope_and_offset_give_the_values(tmp_path, dtype, name):
    stored = VOXELS.astype(dtype)
    fields = {**META, "ElementType": name, "ElementToIntensityFunctionSlope": 2.5, "ElementToIntensityFunctionOffset": -1024}
    volume = read_volume(meta_file(tmp_path / "a.mha", stored.tobytes(), fields))
    assert volume.voxels.dtype == np.float32
    assert np.array_equal(volume.voxels, stored * 2.5 - 1024)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"DistanceUnits": "furlong"}, "'furlong', which is none of"),
        ({"ElementSpacing": "2 0 4"}, "other than 0"),
        ({"ElementSpacing": "2 nan 4"}, "finite"),
        ({"ElementSpacing": "2,5 3 4"}, "not all numbers"),
        ({"ElementSpacing": "2 3"}, "2 numbers where 3"),
        ({"ElementSpacing": "2 3 4 5"}, "4 numbers where 3"),
        ({"ElementSpacing": "2 3 5000"}, "spacing is 2 x 3 x 5000 mm"),
        ({"ElementSpacing": "2 3 1e-11"}, "spacing is 2 x 3 x 1e-11 mm"),
        ({"Offset": "inf 0 0"}, "finite"),
        ({"Position": "1 2 3"}, "'Position' contradicts Offset"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "not independent"),
        ({"TransformMatrix": "1 0 0 0"}, "4 numbers where 9"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 1", "Rotation": "0 1 0 1 0 0 0 0 1"}, "'Rotation' contradicts TransformMatrix"),
        ({"ElementToIntensityFunctionSlope": 0}, "all values would be the same"),
        ({"ElementToIntensityFunctionOffset": "nan"}, "finite"),
        ({"ElementType": "MET_STRING"}, "not numbers"),
        ({"ElementType": "met_uchar"}, "not numbers"),
        ({"ElementNumberOfChannels": 2}, r"vectors \(2 components\)"),
        ({"ElementType": "MET_SHORT", "ElementNumberOfChannels": 3}, r"vectors \(3 components\)"),
        ({"ElementNumberOfChannels": 0}, "vectors"),
        ({"DimSize": "7 6"}, "3 whole numbers above 0"),
        ({"DimSize": "7 6 5 9"}, "3 whole numbers above 0"),
        ({"DimSize": "7 6 -5"}, "3 whole numbers above 0"),
        ({"NDims": 4, "DimSize": "7 6 5 3"}, r"4-D images \(7 x 6 x 5 x 3\)"),
        ({"NDims": 2, "DimSize": "7 30"}, "2-D image"),
        ({"NDims": 10**15}, "'NDims' is 1000000000000000"),
        ({"ObjectType": "Tube"}, "no image"),
        ({"BinaryData": "False"}, "numbers in text"),
        ({"BinaryDataByteOrderMSB": "False", "ElementByteOrderMSB": "True"}, "contradicts BinaryDataByteOrderMSB"),
        ({"HeaderSize": 10}, "though the voxels follow"),
        ({"HeaderSize": -2}, "'HeaderSize' is -2"),
        ({"DimSize": "100000 100000 100000"}, "truncated"),
        ({"CompressedData": "True", "CompressedDataSize": 99, "DimSize": "100000 100000 100000"}, "cannot hold them"),
    ],
)
def test_headers_that_mean_nothing_are_refused_before_a_decoder_is_called(tmp_path, not_decoded, changed, message):
    with pytest.raises(InputError, match=message) as error:
        read_volume(meta_file(tmp_path / "a.mha", **changed))
    assert "a.mha" in str(error.value)


def test_a_field_twice_or_none_where_the_voxels_are_is_refused(tmp_path, not_decoded):
    for old, new, message in (
        (b"Offset", b"Offset = 0 0 0\nOffset", "is there twice"),
        (b"ElementDataFile = LOCAL\n", b"", "damaged|missing"),
    ):
        path = meta_file(tmp_path / "a.mha")
        path.write_bytes(path.read_bytes().replace(old, new))
        with pytest.raises(InputError, match=message):
            read_volume(path)


@pytest.mark.parametrize("count", [3, 4])
def test_channels_of_8_bits_are_colours(tmp_path, count):
    colours = np.random.default_rng(0).integers(0, 256, (*SHAPE, count), dtype=np.uint8)
    assert np.array_equal(
        read_volume(meta_file(tmp_path / "a.mha", colours.tobytes(), ElementNumberOfChannels=count)).voxels, colours[..., :3]
    )


@pytest.mark.parametrize("order", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
@pytest.mark.parametrize("msb", [False, True])
def test_numbers_are_read_in_either_byte_order(tmp_path, order, msb):
    voxels = (VOXELS * np.int64(100)).astype(">i2" if msb else "<i2")
    for content, packed in ((voxels.tobytes(), {}), (zlib.compress(voxels.tobytes()), {"CompressedData": "True"})):
        size = {"CompressedDataSize": len(content)} if packed else {}
        path = meta_file(tmp_path / "a.mha", content, {**META, "ElementType": "MET_SHORT", order: msb, **packed, **size})
        assert np.array_equal(read_volume(path).voxels, voxels)


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (CONTENT, {}),
        (CONTENT + b"\n", {}),
        (b"x" * 9 + CONTENT, {"HeaderSize": 9}),
        (b"x" * 9 + CONTENT, {"HeaderSize": -1}),
        (PACKED, {"CompressedData": "True"}),
        (PACKED, {"CompressedData": "True", "CompressedDataSize": len(PACKED)}),
        (gzip.compress(CONTENT), {"CompressedData": "True"}),
    ],
)
def test_voxels_in_a_file_beside_it_are_read(tmp_path, content, changed):
    (tmp_path / "größe 1.raw").write_bytes(content)
    header = meta_file(tmp_path / "a.mhd", b"", ElementDataFile="größe 1.raw", **changed)
    volume = read_volume(header)
    assert np.array_equal(volume.voxels, VOXELS)
    assert bool(volume.source.warnings) == content.endswith(b"\n")
    assert holds_voxels_of(header, tmp_path / "größe 1.raw")


@pytest.mark.parametrize("header", [{}, {"HeaderSize": 3}, {"HeaderSize": -1}])
@pytest.mark.parametrize(
    "listed", ["s%03d.raw 1 5 1", *("\n".join([first, *(f"s{n:03}.raw" for n in range(1, 6))]) for first in ("LIST", "LIST 2"))]
)
def test_a_file_for_each_slice_is_read_and_known_as_part_of_the_image(tmp_path, header, listed):
    slices(tmp_path, [f"s{n:03}.raw" for n in range(1, 6)], b"abc" if header else b"")
    path = meta_file(tmp_path / "a.mhd", b"", ElementDataFile=listed, **header)
    assert np.array_equal(read_volume(path).voxels, VOXELS)
    assert holds_voxels_of(path, tmp_path / "s003.raw")
    assert not holds_voxels_of(path, tmp_path / "s006.raw")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ElementDataFile": "LIST\ns1.raw\ns2.raw\ns3.raw"}, "names 3 data files, and its sizes need 5"),
        ({"ElementDataFile": "LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw\ns4.raw\ns4.raw"}, "names 6 data files, and its sizes need 5"),
        ({"ElementDataFile": "LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw\ns5.raw"}, "data file beside it is missing"),
        ({"ElementDataFile": "LIST"}, "names 0 data files"),
        ({"ElementDataFile": "LIST 3\ns0.raw"}, "one file for each slice"),
        ({"ElementDataFile": "s%d.raw 0 2 1"}, "names 3 data files, and its sizes need 5"),
        ({"ElementDataFile": "s%d.raw 0 6 1"}, "names 7 data files, and its sizes need 5"),
        ({"ElementDataFile": "s%d.raw 1 5 1"}, "data file beside it is missing"),
        ({"ElementDataFile": "s%d.raw zero 4 1"}, "are not understood"),
        ({"ElementDataFile": "s%d.raw 0 4 1 2"}, "are not understood"),
        ({"ElementDataFile": "s%d.raw 4 0 -1"}, "counts down"),
        ({"ElementDataFile": "s%s%n.raw 0 4 1"}, "are not understood"),
        ({"ElementDataFile": "50%.raw"}, "are not understood"),
        ({"ElementDataFile": "LIST\ns0.raw\ns1.raw\ns2.raw\ns3.raw\ns4.raw", "CompressedData": "True"}, "uncompressed only"),
        ({"ElementDataFile": "a.mhd"}, "names itself"),
        ({"ElementDataFile": "."}, "is a folder"),
        ({"ElementDataFile": ""}, "is a folder|missing"),
        ({"ElementDataFile": "s0.raw"}, r"s0\.raw: the file is truncated \(42 of 210 bytes\)"),
        ({"ElementDataFile": "s0.raw", "HeaderSize": -1}, r"s0\.raw: the file is truncated \(42 of 210 bytes\)"),
        ({"ElementDataFile": "s0.raw", "HeaderSize": 10**9}, r"s0\.raw: the file is truncated \(0 of 210 bytes\)"),
        ({"ElementDataFile": "s0.raw", "HeaderSize": 3, "CompressedData": "True"}, "compressed voxels do not go with"),
        ({"ElementDataFile": "short.raw"}, r"short\.raw: the file is truncated"),
    ],
)
def test_data_files_that_do_not_fit_are_refused_before_a_decoder_is_called(tmp_path, not_decoded, changed, message):
    slices(tmp_path, [f"s{n}.raw" for n in range(5)])
    (tmp_path / "short.raw").write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match=message) as error:
        read_volume(meta_file(tmp_path / "a.mhd", b"", **changed))
    assert "raw" in str(error.value) or "a.mhd" in str(error.value)


def test_the_place_by_other_programs_is_recorded(tmp_path):
    volume = read_volume(meta_file(tmp_path / "a.mha", DistanceUnits="um"))
    assert np.allclose(volume.ijk_to_lps[:3], LPS[:3] / 1000)
    assert np.allclose(volume.source.elsewhere[0], RAS_TO_LPS @ LPS)


def test_a_list_whose_last_line_has_no_end_is_refused_as_its_slice_would_be_noise(tmp_path, not_decoded):
    slices(tmp_path, [f"s{n}.raw" for n in range(5)])
    path = meta_file(tmp_path / "a.mhd", b"", ElementDataFile="LIST\n" + "\n".join(f"s{n}.raw" for n in range(5)))
    for end in (b"", b"\r"):
        path.write_bytes(path.read_bytes().rstrip() + end)
        with pytest.raises(InputError, match="does not end with a line break"):
            read_volume(path)
