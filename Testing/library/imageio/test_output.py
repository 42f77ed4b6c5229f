"""Nothing is left half-written, and what cannot be written is known before the work starts."""

import errno
import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.errors import InputError, OutOfMemory, OutputError
from SAMSegmenterLib.imageio import check_output, read_labelmap, write_segmentation, write_volume
from support.images import LIVER_AND_CYST, SEGMENTATION_FORMATS, painted


def raising(error):
    def fail(*arguments, **named):
        raise error

    return fail


FULL = OSError(errno.ENOSPC, "No space left on device")


def full_disk_of_itk(image, path, **named):
    """What SimpleITK does on a full disk: half a file, and an error that is no OSError."""
    Path(path).write_bytes(b"half")
    raise RuntimeError("ITK ERROR: MetaImageIO: File cannot be written\nReason: No space left on device")


@pytest.mark.parametrize("before", [None, b"an older result"])
@pytest.mark.parametrize(
    ("name", "target", "failure", "message"),
    [
        ("a.seg.nrrd", "SAMSegmenterLib.imageio.sparse_gzip.SparseGzip.write", raising(FULL), r"No space left on device"),
        ("a.seg.nrrd", "os.fsync", raising(FULL), "No space left on device"),
        ("a.nrrd", "os.replace", raising(PermissionError(errno.EACCES, "Permission denied")), "Permission denied"),
        ("a.nrrd", "tempfile.TemporaryDirectory", raising(PermissionError(errno.EACCES, "Permission denied")), "Permission denied"),
        ("a.mha", "SimpleITK.WriteImage", full_disk_of_itk, "the disk may be full"),
        ("a.nii.gz", "gzip.GzipFile.write", raising(FULL), "No space left on device"),
        ("a.nii", "os.fsync", raising(FULL), "No space left on device"),
        ("a.nii.gz", "gzip.GzipFile.write", lambda stream, content: len(content), "differs"),
        ("a.nii.gz", "nibabel.nifti1.Nifti1Header.write_to", lambda header, file: file.write(b"half" * 200), "differs"),
    ],
)
def test_a_failed_write_leaves_everything_as_it_was(tmp_path, knee, monkeypatch, before, name, target, failure, message):
    path = tmp_path / name
    if before:
        path.write_bytes(before)
    monkeypatch.setattr(target, failure)
    with pytest.raises(OutputError, match=message) as error:
        write_segmentation(path, painted(), knee, LIVER_AND_CYST)
    assert str(path) in str(error.value)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == ({name: before} if before else {})


@pytest.mark.parametrize(
    ("name", "target", "failure"), [("a.mha", "SimpleITK.WriteImage", full_disk_of_itk), ("a.nii.gz", "os.fsync", raising(FULL))]
)
def test_a_volume_that_cannot_be_written_leaves_the_older_one(tmp_path, knee, monkeypatch, name, target, failure):
    (tmp_path / name).write_bytes(b"an older image")
    monkeypatch.setattr(target, failure)
    with pytest.raises(OutputError, match=r"disk may be full|No space left"):
        write_volume(tmp_path / name, knee)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: b"an older image"}


def test_what_was_written_is_compared_with_what_was_meant(tmp_path, knee, monkeypatch):
    write, pack = sitk.WriteImage, gzip.GzipFile.write
    monkeypatch.setattr(sitk, "WriteImage", lambda image, path, **named: write(image * 0, path, **named))
    monkeypatch.setattr("gzip.GzipFile.write", lambda stream, content: pack(stream, content if len(content) > 300 else bytes(len(content))))
    for name in ("a.mha", "a.nii.gz"):
        with pytest.raises(OutputError, match="differs"):
            write_segmentation(tmp_path / name, painted(), knee, LIVER_AND_CYST)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_everything_as_it_was(tmp_path, knee, monkeypatch):
    (tmp_path / "a.seg.nrrd").write_bytes(b"an older result")
    monkeypatch.setattr("SAMSegmenterLib.imageio.sparse_gzip.SparseGzip.write", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_segmentation(tmp_path / "a.seg.nrrd", painted(), knee, LIVER_AND_CYST)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a.seg.nrrd": b"an older result"}


def test_an_image_is_not_written_as_a_segmentation(tmp_path, knee):
    with pytest.raises(InputError, match=r"a\.seg\.nrrd: 3D Slicer takes \.seg\.nrrd for a segmentation"):
        write_volume(tmp_path / "a.seg.nrrd", knee)
    assert not list(tmp_path.iterdir())


def test_a_good_output_is_known_before_the_work_starts(tmp_path, knee):
    for name in SEGMENTATION_FORMATS:
        check_output(tmp_path / name)
        check_output(tmp_path / name, knee)
    assert not list(tmp_path.iterdir())


def test_an_output_without_a_folder_is_refused_before_the_work_starts(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "a.nrrd").mkdir()
    for path in (tmp_path / "missing" / "a.nrrd", tmp_path / "file" / "a.nrrd"):
        with pytest.raises(OutputError, match="no such folder"):
            check_output(path)
    with pytest.raises(OutputError, match="this is a folder"):
        check_output(tmp_path / "a.nrrd")
    with pytest.raises(InputError, match="segmentations are written as"):
        check_output(tmp_path / "a.png")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "touch", raising(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(OutputError, match=r"cannot write to this folder \(Read-only file system\)"):
        check_output(tmp_path / "a.nrrd")


def test_a_protected_file_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "a.nrrd").write_bytes(b"an older result")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(OutputError, match="write-protected"):
        check_output(tmp_path / "a.nrrd")


def test_a_disk_that_is_too_full_is_noticed_before_the_work_starts(tmp_path, knee, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=100))
    check_output(tmp_path / "a.nii")
    with pytest.raises(OutputError, match="the disk is full"):
        check_output(tmp_path / "a.nii", knee)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", SEGMENTATION_FORMATS)
def test_a_result_is_written_through_a_link(tmp_path, knee, name, there):
    store, work = tmp_path / "store", tmp_path / "work"
    store.mkdir()
    work.mkdir()
    if there:
        (store / "5f3a").write_bytes(b"an older result")
        (store / "5f3a").chmod(0o640)
    (work / name).symlink_to(Path("..", "store", "5f3a"))
    check_output(work / name, knee)
    write_segmentation(work / name, painted(), knee, LIVER_AND_CYST)
    assert (work / name).is_symlink()
    assert not (store / "5f3a").is_symlink()
    assert [file.name for folder in (store, work) for file in folder.iterdir()] == ["5f3a", name]
    assert np.array_equal(read_labelmap(work / name).voxels, painted())
    if there:
        assert (store / "5f3a").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_that_leads_nowhere_is_refused_before_the_work_starts(tmp_path, knee):
    (tmp_path / "lost.nrrd").symlink_to(tmp_path / "missing" / "a.nrrd")
    (tmp_path / "one.nrrd").symlink_to(tmp_path / "two.nrrd")
    (tmp_path / "two.nrrd").symlink_to(tmp_path / "one.nrrd")
    lost = r"lost\.nrrd: this link leads to a missing folder\. .*missing: there is no such folder"
    for name, message in (("lost.nrrd", lost), ("one.nrrd", "in a circle")):
        for call in (lambda path: check_output(path), lambda path: write_segmentation(path, painted(), knee, LIVER_AND_CYST)):
            with pytest.raises(OutputError, match=message):
                call(tmp_path / name)
        assert (tmp_path / name).is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_the_permissions_of_an_older_result_are_kept(tmp_path, knee):
    (tmp_path / "a.nrrd").write_bytes(b"an older result")
    (tmp_path / "a.nrrd").chmod(0o660)
    write_segmentation(tmp_path / "a.nrrd", painted(), knee, LIVER_AND_CYST)
    assert (tmp_path / "a.nrrd").stat().st_mode & 0o777 == 0o660


NO_MEMORY = MemoryError("Unable to allocate"), RuntimeError("Failed to allocate memory for image."), RuntimeError("std::bad_alloc")


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("a.seg.nrrd", "SAMSegmenterLib.imageio.sparse_gzip.SparseGzip.write"),
        ("a.mha", "SimpleITK.WriteImage"),
        ("a.mha", "SimpleITK.GetImageFromArray"),
        ("a.nii.gz", "SAMSegmenterLib.imageio.writing.write_nifti"),
        ("a.nii", "SAMSegmenterLib.image.layers.ArrayLayers.array"),
    ],
)
def test_memory_that_runs_out_while_writing_is_called_so(tmp_path, knee, monkeypatch, name, target, error):
    (tmp_path / name).write_bytes(b"an older result")
    monkeypatch.setattr(target, raising(error))
    with pytest.raises(OutOfMemory, match=r"too little free memory\. Close other programs, or write \.seg\.nrrd, which needs least\."):
        write_segmentation(tmp_path / name, painted(), knee, LIVER_AND_CYST)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: b"an older result"}
