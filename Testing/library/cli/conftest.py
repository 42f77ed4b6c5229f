"""Fixtures of the tests of the command line."""

import json

import pytest

from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from support.cli_steps import INVERSE, SIDE, SLICES, segment
from support.phantoms import ball


@pytest.fixture(scope="session")
def scan(tmp_path_factory):
    """A file with a bright ball, in the middle of 20 slices with uneven spacing."""
    path = tmp_path_factory.mktemp("scan") / "ball.nrrd"
    write_volume(path, Volume(ball(SLICES, SIDE, 9)[0].voxels, INVERSE))
    return path


@pytest.fixture
def marked(tmp_path):
    """Write a prompt file for some segments."""

    def write(*segments, **fields):
        path = tmp_path / "prompts.json"
        path.write_text(json.dumps({"version": 1, "axis": "k", "space": "ijk", "segments": segments, **fields}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def out(tmp_path):
    """Where `propagate` writes unless told otherwise."""
    return tmp_path / "out.nii.gz"


@pytest.fixture
def propagate(samsegmenter, scan, marked, out):
    """Segment the ball, with whatever is given changed."""

    def run(*options, volume=scan, prompts=None, output=out):
        return samsegmenter("propagate", volume, "--prompts", prompts or marked(segment()), "--output", output, *options)

    return run
