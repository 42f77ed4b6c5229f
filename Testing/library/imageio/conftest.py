"""Fixtures of the tests of reading and writing."""

import numpy as np
import pytest
import SimpleITK as sitk

from SAMSegmenterLib.image.volume import Volume
from support.images import image_of, noise, oblique


@pytest.fixture
def knee():
    """A volume of noise at an oblique place."""
    return Volume(noise(), oblique(), "knee.nrrd")


@pytest.fixture
def stored(tmp_path):
    """A function that stores voxels with SimpleITK and gives the file's path."""

    def store(name, voxels, matrix=None):
        image = image_of(voxels, matrix) if isinstance(voxels, np.ndarray) else voxels
        sitk.WriteImage(image, str(tmp_path / name))
        return tmp_path / name

    return store


@pytest.fixture
def folder_of(tmp_path):
    """A function that writes DICOM images to a folder in the order given."""

    def write(*images):
        folder = tmp_path / "scan"
        folder.mkdir()
        for number, image in enumerate(images):
            image.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)
        return folder

    return write
