"""A NIfTI volume lies where its header says; where other programs see it elsewhere, that is told, and known to comparisons."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.volume import apart
from SAMSegmenterLib.imageio import read_labelmap, read_volume
from SAMSegmenterLib.imageio.nifti_place import itk_places, place, sform_readers_place
from support.geometry import affines
from support.images import painted
from support.nifti_files import at, header_of, store

QFORM = np.array([[2.0, 0, 0, -50], [0, 3, 0, 20], [0, 0, 4, 7], [0, 0, 0, 1]])
SFORM = np.array([[-2.0, 0, 0, 60], [0, 3, 0, 20], [0, 0, 4, 7], [0, 0, 0, 1]])
MIRRORED = QFORM @ np.diag([-1, 1, 1, 1])
SHEARED = SFORM @ (np.eye(4) + np.diag([0, 0, 0.3, 0])[[0, 2, 1, 3]])
LONGER = SFORM @ np.diag([1.5, 1, 1.2, 1])
ITK, SFORM_READERS = "3D Slicer and others that use ITK", "nibabel and others that follow the sform"


def by_simpleitk(path):
    """The IJK-to-RAS matrix by which SimpleITK places a file; None if it refuses it."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
    matrix[:3, 3] = reader.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ matrix


@st.composite
def headers(draw):
    """Headers with forms that agree or not, are sheared or singular, and with odd codes, pixdim, quaternions and units."""
    sform, qform = draw(affines()), draw(affines())
    header = header_of(sform=(sform, 0), qform=(qform, 0))
    kind = draw(st.sampled_from(["agree", "differ", "pixdim", "shear", "singular"]))
    if kind == "agree":
        header.set_qform(sform, 0)
    elif kind == "differ":
        header.set_sform(qform @ np.diag(draw(st.sampled_from([(-1, -1, 1, 1), (-1, 1, 1, 1), (1, 1, -1, 1)]))), 0)
        header["srow_x"][3] += draw(st.sampled_from([0, 1e-4, 0.1, 50]))
    elif kind == "shear":
        shear = np.eye(4)
        shear[draw(st.sampled_from([(0, 1), (0, 2), (1, 2)]))] = 10.0 ** draw(st.floats(-7, 0))
        header.set_sform(qform @ shear, 0)
    elif kind == "singular":
        header["srow_z"][:3] = 0
    header["sform_code"], header["qform_code"] = draw(st.tuples(*[st.integers(-1, 5)] * 2))
    if draw(st.integers(0, 4)) == 0:
        header["pixdim"][draw(st.integers(0, 3))] = draw(st.sampled_from([0, 1, -1, -2, 5, np.nan]))
    if draw(st.integers(0, 4)) == 0:
        header["quatern_b"] = draw(st.sampled_from([0, 1, -1, 1.2, 0.99999, np.nan]))
    header["xyzt_units"] = draw(st.sampled_from([0, 1, 2, 3, 8, 10, 11, 66]))
    return header


@given(header=headers())
@settings(max_examples=250, deadline=None, phases=[Phase.generate])
def test_simpleitk_and_nibabel_place_any_header_as_is_expected_of_them(tmp_path_factory, header):
    path = store(tmp_path_factory.getbasetemp() / "any.nii", header)
    expected, seen = itk_places(header), by_simpleitk(path)
    assert bool(expected) == (seen is not None)
    assert seen is None or any(each == pytest.approx(seen, rel=1e-4, abs=1e-3 * np.abs(seen[:3, :3]).max()) for each in expected)
    try:
        seen = nib.load(path).affine
    except (ValueError, nib.spatialimages.HeaderDataError):
        seen = None
    expected = sform_readers_place(header)
    assert np.array_equal(expected, seen, equal_nan=True) if seen is not None else expected is None


@given(header=headers())
@settings(max_examples=100, deadline=None, phases=[Phase.generate])
def test_every_place_that_a_program_sees_is_ours_or_told_and_known(header):
    try:
        placed = place(header, "a.nii")
    except InputError:
        return
    nibabel = sform_readers_place(header)
    for names, places in ((ITK, itk_places(header)), (SFORM_READERS, [] if nibabel is None else [nibabel])):
        told = [words for words in placed.warnings if words.startswith(names)]
        if not places or not np.isfinite(places[0]).all() or np.linalg.det(places[0][:3, :3]) == 0:
            assert "cannot open it" in told[0]
        for seen in places if not told else ():
            assert apart(seen, placed.ijk_to_ras, (7, 6, 5))[0] <= 0.01
        for seen in places if told and "elsewhere" in told[0] else ():
            assert any(np.array_equal(seen, each) for each in placed.elsewhere)


@pytest.mark.parametrize(
    ("fields", "placed", "geometry", "told"),
    [
        ({"sform": (SFORM, 1), "qform": (SFORM, 1)}, SFORM, "sform (code 1)", []),
        ({"sform": (SFORM, 4), "qform": (SFORM, 1)}, SFORM, "sform (code 4)", []),
        ({"sform": (MIRRORED, 4), "qform": (QFORM, 1)}, MIRRORED, "sform (code 4)", [(ITK + " may place", 24)]),
        ({"sform": (SFORM, 3)}, SFORM, "sform (code 3)", []),
        ({"qform": (QFORM, 1)}, QFORM, "qform (code 1)", []),
        ({"sform": (SFORM, 1), "qform": (QFORM, 1)}, SFORM, "sform (code 1)", []),
        ({"sform": (SFORM, 2), "qform": (QFORM, 1)}, QFORM, "qform (code 1)", [(SFORM_READERS, 110)]),
        ({"sform": (SFORM, 4), "qform": (QFORM, 2)}, QFORM, "qform (code 2)", [(SFORM_READERS, 110)]),
        ({"sform": (SHEARED, 1), "qform": (SFORM, 1)}, SHEARED, "sform (code 1)", [(ITK, 3.6)]),
        ({"sform": (SHEARED, 4), "qform": (QFORM, 1)}, SHEARED, "sform (code 4)", [(ITK, 110)]),
        ({"sform": (SHEARED, 2)}, SHEARED, "sform (code 2)", [(ITK, None)]),
        ({"sform": (LONGER, 1), "qform": (SFORM, 1)}, LONGER, "sform (code 1)", [(ITK, 6.8)]),
        ({"sform": (LONGER, 3), "qform": (QFORM, 1)}, LONGER, "sform (code 3)", [(ITK, 110)]),
        ({"sform": (LONGER, 2), "pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, LONGER, "sform (code 2)", [(ITK, 21.8)]),
        ({"sform": (SFORM, 2), "pixdim": [1, -2, 3, 4, 1, 1, 1, 1]}, SFORM, "sform (code 2)", [(ITK, 24)]),
        (
            {"sform": (0 * SFORM, 2), "qform": (QFORM, 1)},
            QFORM,
            "qform (code 1)",
            [("its sform places nothing", None), (SFORM_READERS, None)],
        ),
        (
            {},
            np.diag([2, 3, 4, 1]),
            "pixdim (neither sform nor qform)",
            [("it does not say where", None), (SFORM_READERS, 21.1), (ITK, 38.4)],
        ),
        ({"qform": (QFORM, 1), "pixdim": [0, 2, 3, 4, 1, 1, 1, 1]}, QFORM, "qform (code 1)", []),
    ],
)
def test_a_volume_lies_where_the_standard_and_slicer_have_it(tmp_path, fields, placed, geometry, told):
    volume = read_volume(store(tmp_path / "a.nii", header_of(**fields)))
    assert volume.ijk_to_ras == pytest.approx(np.array(placed, float), abs=1e-4)
    assert volume.source.geometry == geometry
    assert len(volume.source.warnings) == len(told)
    for words, (start, mm) in zip(volume.source.warnings, told, strict=True):
        assert words.startswith(f"a.nii: {start}")
        if mm is not None:
            assert float(words.split(" mm ")[0].split()[-1]) == pytest.approx(mm, rel=0.05)


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (10, 1), (11, 0.001)])
def test_units_become_mm(tmp_path, units, factor):
    matrix = np.diag([0.9, 0.8, 0.7, 1])
    matrix[:3, 3] = 4, 5, 6
    volume = read_volume(store(tmp_path / "a.nii", at(matrix, xyzt_units=units)))
    assert volume.ijk_to_ras[:3] == pytest.approx(matrix[:3] * factor, rel=1e-6)
    assert [SFORM_READERS in words for words in volume.source.warnings] == [True] * (factor != 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sform": (np.diag([2, 3, 0, 1]), 1)}, "its sform is no place for three axes"),
        ({"sform": (np.diag([2, 3, np.nan, 1]), 1)}, "its sform is no place for three axes"),
        ({"qform": (QFORM, 1), "pixdim": [1, 2, 0, 4, 1, 1, 1, 1]}, "the spacing in pixdim is 2 x 0 x 4"),
        ({"qform": (QFORM, 1), "pixdim": [1, 2, -3, 4, 1, 1, 1, 1]}, "the spacing in pixdim is 2 x -3 x 4"),
        ({"qform": (QFORM, 1), "quatern_b": 1.5}, "its qform's numbers are no rotation"),
        ({"qform": (QFORM, 1), "quatern_c": np.inf}, "its qform's numbers are no rotation"),
        ({"qform": (QFORM, 1), "qoffset_x": np.nan}, "its qform's numbers are no rotation and place"),
        ({"pixdim": [1, 2, 3, 0, 1, 1, 1, 1]}, "it has no form, and the spacing in pixdim is 2 x 3 x 0"),
    ],
)
def test_a_header_that_places_nothing_is_refused_in_words(tmp_path, fields, message):
    with pytest.raises(InputError, match=rf"a\.nii: its header places no voxels: .*{message}"):
        read_volume(store(tmp_path / "a.nii", header_of(**fields)))


# ---------------------------------------------------------------- images and their masks


@pytest.fixture(params=["disagreeing", "no form", "microns"])
def image(request, tmp_path):
    """A file that programs place differently."""
    fields = {"disagreeing": {"sform": (SFORM, 2), "qform": (QFORM, 1)}, "no form": {}, "microns": {"sform": (SFORM, 1), "xyzt_units": 3}}
    header = header_of(**fields[request.param])
    return store(tmp_path / "image.nii.gz", header)


def test_a_mask_of_any_program_lies_on_the_image_that_it_was_made_from(image, tmp_path):
    volume = read_volume(image)
    assert volume.source.elsewhere
    store(tmp_path / "both.nii", nib.load(image).header, painted())
    nib.save(nib.Nifti1Image(painted().T, nib.load(image).affine), tmp_path / "sform.nii")
    mask = sitk.GetImageFromArray(painted())
    mask.CopyInformation(sitk.ReadImage(str(image)))
    sitk.WriteImage(mask, str(tmp_path / "itk.nii"))
    sitk.WriteImage(mask, str(tmp_path / "itk.nrrd"))
    for name in ("both.nii", "sform.nii", "itk.nii", "itk.nrrd"):
        labelmap = read_labelmap(tmp_path / name)
        labelmap.check_grid(volume)
        assert np.array_equal(labelmap.voxels, painted())


def test_a_mask_that_lies_elsewhere_is_refused(image, tmp_path):
    shifted = read_volume(image).ijk_to_ras.copy()
    shifted[:3, 3] += shifted[:3, 0] * 3
    labelmap = read_labelmap(store(tmp_path / "mask.nii", at(shifted), painted()))
    with pytest.raises(InputError, match=r"mask\.nii lies elsewhere than image\.nii\.gz"):
        labelmap.check_grid(read_volume(image))
