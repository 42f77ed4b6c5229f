"""Small images and segmentations for tests of reading and writing, and the formats they come in."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SAMSegmenterLib.image.volume import RAS_TO_LPS
from SAMSegmenterLib.imageio import SegmentInfo

VOLUME_FORMATS = ["a.nrrd", "a.nhdr", "a.nii", "a.nii.gz", "a.mha", "a.mhd"]
EXACT_FORMATS = ["a.seg.nrrd", "a.nrrd", "a.mha"]
SEGMENTATION_FORMATS = [*EXACT_FORMATS, "a.nii", "a.nii.gz"]
LIVER_AND_CYST = [SegmentInfo("liver", (0.9, 0.4, 0.3)), SegmentInfo("cyst, größte \\ 2\n")]


def oblique(seed=0):
    """An IJK-to-RAS matrix with oblique, partly negative directions and uneven numbers."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] * [0.7123456789, 0.9, 10 / 3]
    matrix[:3, 3] = -123.456789012, 77.7, 1000 / 3
    return matrix


def noise(dtype=np.int16, shape=(5, 6, 7)):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def painted(dtype=np.uint8):
    """The labels 1 and 2, in the shape of `noise`."""
    labels = np.zeros((5, 6, 7), dtype)
    labels[1:4, 1:3, 2:5] = 1
    labels[2:5, 4:6, 1:6] = 2
    return labels


def nrrd_header(encoding):
    """The header of an NRRD file that holds `noise`."""
    return f"NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nendian: little\nencoding: {encoding}\n\n".encode()


def image_of(voxels, matrix=None):
    """SimpleITK's image of these voxels, at the place that an IJK-to-RAS matrix gives."""
    image = sitk.GetImageFromArray(voxels, isVector=voxels.ndim == 4)
    if voxels.ndim == 2:
        return image
    lps = RAS_TO_LPS @ (np.eye(4) if matrix is None else matrix)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image
