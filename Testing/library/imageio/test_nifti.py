"""NIfTI is read in every version, packing and type, and refused in words where a file is something else."""

import gzip
import shutil
import struct
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import read_volume
from support.images import noise, oblique
from support.nifti_files import at, content_of, header_of, store

RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
RGBA = np.dtype([*RGB.descr, ("A", "u1")])


def reads_as_noise(path, dtype=np.int16):
    volume = read_volume(path)
    assert volume.ijk_to_ras == pytest.approx(oblique(), abs=5e-5)
    assert volume.source.warnings == ()
    return volume.voxels.dtype == dtype and np.array_equal(volume.voxels, noise())


# ---------------------------------------------------------------- names and versions


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.NII", "A.Nii.GZ", "a.img", "a", "a.nrrd", "a.nii.gz.part"])
def test_files_are_known_by_their_content_under_any_name(tmp_path, version, packed, name):
    content = content_of(at(oblique(), version=version))
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    assert reads_as_noise(tmp_path / name)


@pytest.mark.parametrize("pair", [nib.Nifti1Pair, nib.Nifti2Pair])
@pytest.mark.parametrize("packed", [(), ("img",), ("hdr", "img")], ids=" ".join)
@pytest.mark.parametrize("spelt", [str.lower, str.upper])
@pytest.mark.parametrize("named", ["hdr", "img"])
def test_either_file_of_a_pair_stands_for_both(tmp_path, pair, packed, spelt, named):
    nib.save(pair(noise().T, None, at(oblique(), version=1 if pair is nib.Nifti1Pair else 2)), tmp_path / "a.img")
    paths = {}
    for part in ("hdr", "img"):
        path = tmp_path / f"a.{part}"
        content = path.read_bytes()
        path.unlink()
        paths[part] = tmp_path / spelt(path.name + (".gz" if part in packed else ""))
        paths[part].write_bytes(gzip.compress(content) if part in packed else content)
    assert reads_as_noise(paths[named])


def test_the_file_that_is_named_is_read_not_one_beside_it(tmp_path):
    store(tmp_path / "a.nii", at(oblique()), noise() + 1)
    assert reads_as_noise(store(tmp_path / "a.nii.gz", at(oblique())))
    assert np.array_equal(read_volume(tmp_path / "a.nii").voxels, noise() + 1)


@pytest.mark.parametrize("name", ["a.hdr", "a.img", "a.nii"])
def test_analyze_is_refused_as_it_does_not_say_which_side_is_left(tmp_path, name):
    nib.save(nib.AnalyzeImage(noise().T, np.diag([-2, 3, 4, 1])), tmp_path / "a.img")
    if name == "a.nii":
        shutil.copyfile(tmp_path / "a.hdr", tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}: this is an Analyze image, not NIfTI; it does not say which side is left"):
        read_volume(tmp_path / name)


# ---------------------------------------------------------------- sizes, types and values


def test_axes_of_length_1_after_the_third_count_for_nothing(tmp_path):
    for shape in ((7, 6, 5, 1), (7, 6, 5, 1, 1), (7, 6, 5, 1, 1, 1, 1)):
        assert reads_as_noise(store(tmp_path / "a.nii", at(oblique(), shape_ijk=shape)))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_type_of_number_is_read_in_either_byte_order(tmp_path, version, order, kind):
    header = at(oblique(), version=version, dtype=np.dtype(kind)).as_byteswapped(order)
    assert reads_as_noise(store(tmp_path / "a.nii.gz", header), np.float32 if kind == "f8" else np.dtype(kind))


@pytest.mark.parametrize("type_", [RGB, RGBA])
def test_colours_lose_their_alpha(tmp_path, type_):
    voxels = noise(np.uint8, (5, 6, 7, len(type_)))
    volume = read_volume(store(tmp_path / "a.nii", header_of(dtype=type_), voxels.view(type_)[..., 0]))
    assert volume.is_rgb
    assert np.array_equal(volume.voxels, voxels[..., :3])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (header_of(shape_ijk=(7, 30)), r"2-D image \(7 x 30\)"),
        (header_of(shape_ijk=(7, 6, 5, 3)), r"4-D images \(7 x 6 x 5 x 3\) are not supported"),
        (header_of(shape_ijk=(7, 6, 5, 1, 3)), r"vectors \(7 x 6 x 5 x 1 x 3\)"),
        (header_of(dtype=np.complex64), "complex"),
        (header_of(datatype=1536), r"datatype 1536\) that cannot be read"),
        (header_of(datatype=1), "datatype"),
        (header_of(datatype=77), "no type of voxels 77"),
        (header_of(dim=[3, 7, 0, 5, 1, 1, 1, 1]), "its header is damaged: the size"),
        (header_of(dim=[9, 7, 6, 5, 1, 1, 1, 1]), "its header is damaged: the size"),
        (header_of(scl_slope=2, scl_inter=np.nan), "scl_inter is nan"),
    ],
)
def test_what_is_no_volume_of_numbers_is_refused_in_words(tmp_path, header, message):
    header["vox_offset"] = header.single_vox_offset
    path = tmp_path / "a.nii"
    path.write_bytes(header.binaryblock + bytes(10_000))
    with pytest.raises(InputError, match=rf"a\.nii: .*{message}"):
        read_volume(path)


@pytest.mark.parametrize("slope", [0, np.nan, np.inf, 1])
def test_values_stay_as_stored_where_the_slope_says_nothing(tmp_path, slope):
    header = at(oblique(), scl_slope=slope, scl_inter=0 if slope == 1 else -1024)
    assert reads_as_noise(store(tmp_path / "a.nii", header))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
def test_slope_and_intercept_are_applied(tmp_path, dtype):
    volume = read_volume(store(tmp_path / "a.nii.gz", header_of(dtype=dtype, scl_slope=0.5, scl_inter=-1024)))
    assert volume.voxels.dtype == np.float32
    assert np.array_equal(volume.voxels, noise() * 0.5 - 1024)


def test_precision_is_kept_where_float32_would_lose_the_contrast(tmp_path):
    scaled = read_volume(store(tmp_path / "a.nii", header_of(scl_slope=1, scl_inter=2**40)))
    wide = read_volume(store(tmp_path / "b.nii", header_of(dtype=np.float64), noise(np.float64) + 2**40))
    for volume in (scaled, wide):
        assert volume.voxels.dtype == np.float64
        assert np.array_equal(volume.voxels - 2**40, noise())


@pytest.mark.parametrize(("dtype", "fields"), [(np.int16, {}), (">i2", {}), (np.int16, {"scl_slope": 0.5}), (np.float64, {}), (RGBA, {})])
def test_reading_takes_the_memory_of_the_voxels_once(tmp_path, dtype, fields):
    shape = (60, 200, 210)
    header = header_of(dtype=np.dtype(dtype), shape_ijk=shape[::-1], **fields)
    voxels = np.zeros(shape, np.dtype(dtype))
    for name in ("a.nii", "a.nii.gz"):
        path = store(tmp_path / name, header.as_byteswapped(">" if str(dtype).startswith(">") else "<"), voxels)
        tracemalloc.start()
        volume = read_volume(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1.25 * volume.voxels.nbytes


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("dims", [(30000, 30000, 30000), (2000, 2000, 200)])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_memory_is_not_taken_for_voxels_that_are_not_there(tmp_path, name, dims):
    path = store(tmp_path / name, header_of(dim=[3, *dims, 1, 1, 1, 1]))
    tracemalloc.start()
    with pytest.raises(InputError, match=rf"{name}: the file is truncated \(772 of {np.prod(dims, dtype=object) * 2 + 352} bytes\)"):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_packed_file_may_come_in_several_parts_and_is_checked_in_each(tmp_path):
    content, path = content_of(at(oblique())), tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    assert reads_as_noise(path)
    path.write_bytes(gzip.compress(content[:400]))
    with pytest.raises(InputError, match="truncated"):
        read_volume(path)


def test_a_checksum_behind_the_voxels_is_compared(tmp_path):
    packed = bytearray(gzip.compress(content_of(header_of()) + bytes(100_000)))
    packed[-8] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(packed)
    with pytest.raises(InputError, match=r"a\.nii\.gz: the file is truncated or damaged \(CRC"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("offset", [0, 100, -5, np.nan, np.inf])
def test_voxels_cannot_start_inside_the_header(tmp_path, offset):
    content = bytearray(content_of(header_of()))
    content[108:112] = struct.pack("<f", offset)
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InputError, match="its header is damaged: voxels cannot start at byte"):
        read_volume(tmp_path / "a.nii")


def test_extensions_of_the_header_are_passed_over(tmp_path):
    image = nib.Nifti1Image(noise().T, oblique())
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))
    nib.save(image, tmp_path / "a.nii.gz")
    assert reads_as_noise(tmp_path / "a.nii.gz")
