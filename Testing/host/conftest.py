"""Slicer for the tests: one host for all of them, an empty scene for each."""

from pathlib import Path

import pytest

import slicerhost
from SAMSegmenterLib.phantom import make_phantom
from slicerhost.hands import SliceView


@pytest.fixture(scope="session")
def slicer_host():
    yield slicerhost.start()
    slicerhost.stop()


@pytest.fixture
def scene(slicer_host):
    slicer_host.clear()
    yield slicer_host.scene
    slicer_host.clear()


@pytest.fixture
def a_volume(slicer_host, scene):
    """The phantom's torso, 48 x 48 x 24 voxels, shown in all slice views."""
    volume, _, _ = make_phantom(shape_ijk=(48, 48, 24), spacing_mm=(4.0, 4.0, 8.0))
    return slicer_host.make_volume(volume.voxels, volume.ijk_to_ras, "phantom")


@pytest.fixture
def an_editor(slicer_host, a_volume):
    """With the phantom and two empty segments, "liver" (selected) and "spleen"."""
    return slicer_host.make_editor(a_volume, ("liver", "spleen"))


@pytest.fixture
def a_slice_view(slicer_host, scene):
    """The axial one, under the user's hands."""
    return SliceView("Red")


@pytest.fixture
def block_effect(slicer_host, scene):
    """The name of a registered effect that adds a block of voxels where one clicks."""
    assert slicer_host.load_effect(Path(__file__).parent / "BlockLib" / "SegmentEditorEffect.py")
    yield "Block"
    slicer_host.unload_effect("Block")
