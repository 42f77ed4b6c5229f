"""A mask lies on its image in every program that opens both, whichever program wrote the image."""

import numpy as np
import pytest

from SAMSegmenterLib.imageio import SegmentInfo, read_volume, write_segmentation
from support import programs
from support.images import noise
from support.nifti_files import header_of

GEOMETRIES = 30
SHAPE = (11, 24, 31)
NEAR = 0.01  # of a voxel

# What a reader opens, beside which formats it knows at all (see `programs`).
CANNOT_OPEN = {("sform with shear, no qform", "SimpleITK"), ("sform with shear, no qform", "slicer-core")}
NIFTI_KINDS = [
    *("forms agree", "forms disagree", "forms mirror each other", "sform with shear", "sform with shear, no qform"),
    *("pixdim of another length", "sform only", "qform only", "no form"),
]
WRITERS = {
    ("SimpleITK", ".nii.gz"): programs.write_by_simpleitk,
    ("SimpleITK", ".nrrd"): programs.write_by_simpleitk,
    ("SimpleITK", ".mha"): programs.write_by_simpleitk,
    ("pynrrd", ".nrrd"): programs.write_by_pynrrd,
    ("slicer-core", ".nii.gz"): programs.write_by_slicer,
    ("slicer-core", ".nrrd"): programs.write_by_slicer,
    ("pydicom", ""): programs.write_by_pydicom,
}
RESULTS = {".nii.gz": [".nii.gz"], ".nrrd": [".nrrd", ".seg.nrrd"], ".mha": [".mha"], "": [".nrrd", ".seg.nrrd", ".nii.gz"]}


def geometry(random, mirrored):
    """An IJK-to-RAS matrix: oblique, or only flipped and swapped; left-handed only if `mirrored`, which DICOM cannot store."""
    axes = np.linalg.qr(random.normal(size=(3, 3)))[0] if random.random() < 0.6 else np.eye(3)[random.permutation(3)]
    axes *= random.choice([-1, 1], 3)
    if not mirrored and np.linalg.det(axes) < 0:
        axes[:, 2] *= -1
    matrix = np.eye(4)
    matrix[:3, :3] = axes * random.uniform(0.4, 5, 3)
    matrix[:3, 3] = random.uniform(-300, 300, 3)
    return matrix


def nifti_header(random, kind):
    one, other = geometry(random, True), geometry(random, True)
    other[:3, :3] *= np.linalg.norm(one[:3, :3], axis=0) / np.linalg.norm(other[:3, :3], axis=0)
    sheared = one @ (np.eye(4) + np.diag([random.uniform(-0.4, 0.4), 0, 0], 1))
    codes = random.integers(1, 5, 2).tolist()
    forms = {
        "forms agree": (one, one),
        "forms disagree": (one, other),
        "forms mirror each other": (one @ np.diag([-1, 1, 1, 1]), one),
        "sform with shear": (sheared, one),
        "sform with shear, no qform": (sheared, None),
        "pixdim of another length": (one @ np.diag([1.5, 1, 0.7, 1]), one),
        "sform only": (one, None),
        "qform only": (None, one),
        "no form": (None, None),
    }[kind]
    fields = {name: (form, code) for name, form, code in zip(("sform", "qform"), forms, codes, strict=True) if form is not None}
    return header_of(shape_ijk=SHAPE[::-1], xyzt_units=random.choice([0, 2, 10]), **fields)


def right_handed(matrix):
    """The same place with the slices counted from the other end if need be, as 3D Slicer counts them."""
    if np.linalg.det(matrix[:3, :3]) > 0:
        return matrix
    return matrix @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, SHAPE[0] - 1], [0, 0, 0, 1]])


def places(path):
    found = {name: place(path) for name, place in programs.READERS.items()}
    return {name: right_handed(matrix) for name, matrix in found.items() if matrix is not None}


def apart(one, other):
    """How far two matrices place the corners of the volume from each other, in voxels."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in SHAPE[::-1]])).reshape(3, -1)
    moved = np.linalg.solve(one[:3, :3], (other - one)[:3, :3] @ corners + (other - one)[:3, 3:])
    return np.linalg.norm(moved, axis=0).max()


def masks_of(image, ending):
    """Where programs place the image, and the masks of it in each format that is written for images like it."""
    volume = read_volume(image)
    for result in RESULTS[ending]:
        mask = image.with_name(f"mask{result}")
        write_segmentation(mask, np.ones(SHAPE, np.uint8), volume, [SegmentInfo("all")])
        yield result, places(mask)


@pytest.mark.parametrize(("writer", "ending"), WRITERS, ids="".join)
def test_a_mask_lies_on_the_image_that_a_program_wrote(tmp_path, writer, ending):
    random = np.random.default_rng(0)
    for number in range(GEOMETRIES):
        (tmp_path / str(number)).mkdir()
        image = tmp_path / str(number) / f"image{ending}"
        WRITERS[writer, ending](image, noise(np.int16, SHAPE), geometry(random, mirrored=ending != ""))
        seen = places(image)
        assert writer in seen
        for result, masks in masks_of(image, ending):
            assert len(masks) == (2 if result == ".mha" else 3)
            for mask in masks.values():
                assert max(apart(each, mask) for each in seen.values()) < NEAR, result


@pytest.mark.parametrize("kind", NIFTI_KINDS)
def test_a_mask_lies_on_a_nifti_image_in_every_program_though_they_disagree(tmp_path, kind):
    random = np.random.default_rng(NIFTI_KINDS.index(kind))
    refused = set()
    for number in range(GEOMETRIES // 2):
        (tmp_path / str(number)).mkdir()
        image = tmp_path / str(number) / "image.nii.gz"
        programs.write_by_nibabel(image, noise(np.int16, SHAPE), nifti_header(random, kind))
        seen = places(image)
        refused |= {(kind, reader) for reader in ("nibabel", "SimpleITK", "slicer-core") if reader not in seen}
        ((_, masks),) = masks_of(image, ".nii.gz")
        assert masks.keys() == seen.keys()
        assert max(apart(seen[reader], masks[reader]) for reader in seen) < NEAR
        volume = read_volume(image)
        known = [right_handed(each) for each in (volume.ijk_to_ras, *volume.source.elsewhere)]
        assert all(min(apart(each, matrix) for each in known) < 2 * NEAR for matrix in seen.values())
    assert refused == {each for each in CANNOT_OPEN if each[0] == kind}
