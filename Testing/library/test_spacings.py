"""Voxels of any size: nothing is divided by nothing, and no memory is asked for that the picture does not need."""

import numpy as np
import pytest
import torch

from SAMSegmenterLib.evaluation.metrics import SurfaceDistances
from SAMSegmenterLib.evidence.intensities import Intensities
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.network.region import Extent, region_around
from SAMSegmenterLib.prompts.types import Box, Keyframe, MaskPrompt, Point
from SAMSegmenterLib.session.session import Session
from SAMSegmenterLib.training.labelmaps import Labelmap, Labelmaps
from support.phantoms import ball

EVEN = [(1e-6,) * 3, (1e-9,) * 3, (1e-6, 1e-6, 3e-6), (900.0,) * 3]
NEEDLES = [(1e-6, 1.0, 1.0), (1.0, 1e-6, 1.0), (1000.0, 1e-6, 1.0)]


def sized(voxels, spacing_mm):
    return Volume(voxels, np.diag([*spacing_mm, 1.0]))


@pytest.mark.parametrize("spacing_mm", [*EVEN, *NEEDLES])
def test_sessions(shipped_model, spacing_mm):
    volume, truth = ball(12, 48, 7)
    session = Session(FrameStack(sized(volume.voxels, spacing_mm), window=Window(-160, 240)), shipped_model, device="cpu")
    session.set_keyframe("painted", Keyframe(6, mask=MaskPrompt(truth[6])))
    session.set_keyframe("boxed", Keyframe(6, box=Box(17, 17, 31, 31)))
    session.set_keyframe("clicked", Keyframe(6, points=(Point(24, 24),)))
    with np.errstate(all="raise", under="ignore"):
        list(session.propagate())
    if spacing_mm in EVEN:
        assert all(dice(session.segment_volume(name), truth) > 0.8 for name in ("painted", "boxed", "clicked"))


@pytest.mark.parametrize("spacing_mm", NEEDLES)
def test_regions_stay_small(spacing_mm):
    stack = FrameStack(sized(np.zeros((4, 500, 500), np.uint8) + np.arange(500, dtype=np.uint8), spacing_mm))
    view = region_around(Extent(100, 100, 300, 300), stack, 128, 1.6)
    assert view.width * view.height < 25 * 500 * 500


def test_surroundings_end_with_the_picture():
    image, mask = torch.rand(16, 16), torch.zeros(16, 16, dtype=torch.bool)
    mask[5:9, 5:9] = True
    for cell_mm in (1e-9, 1e-320):
        assert torch.isfinite(Intensities([(image, mask)], cell_mm).evidence(image)).all()


@pytest.mark.parametrize("size", [1e-9, 1e-6, 0.7, 500.0])
def test_distances_grow_with_the_voxels(size):
    found, truth = np.zeros((2, 12, 20, 20), bool)
    found[2:9, 4:12, 5:14] = truth[3:10, 4:14, 5:12] = True
    spacing = np.array([3.0, 1.0, 0.8])
    one, other = (SurfaceDistances.between(found, truth, each) for each in (spacing, spacing * size))
    np.testing.assert_allclose(other.of_found, one.of_found * size, rtol=1e-5, atol=1e-5 * size)
    assert other.hd95_mm() == pytest.approx(one.hd95_mm() * size, rel=1e-5)
    assert other.hd95_mm() > 0


def test_label_maps():
    labels = np.zeros((10, 60, 60), np.uint8)
    labels[2:8, 10:50, 20:40] = 1
    for spacing_mm in (*EVEN, *NEEDLES):
        half_mm = Labelmaps([Labelmap(sized(labels, spacing_mm))], torch.device("cpu")).stock.half_mm
        assert float(half_mm) == pytest.approx(np.prod(np.array([20, 40, 6]) * spacing_mm) ** (1 / 3) / 2, rel=1e-4)
