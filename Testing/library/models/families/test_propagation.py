"""Networks of several families work together on a volume: from a file of weights to slices that a session has followed."""

import numpy as np
import pytest
import torch

from SAMSegmenterLib.keyframes.slice_models import Embeddings, KeyframeMaker
from SAMSegmenterLib.models.loading import load_model, load_slice_model
from SAMSegmenterLib.network.options import Options
from SAMSegmenterLib.prompts.types import Box, Keyframe, PromptSet, Segment
from SAMSegmenterLib.session.session import Session
from support import layouts
from support.networks import random_network
from support.phantoms import cells
from support.upstream import propagate_upstream

PX = 512
MARKED = Keyframe(0, box=Box(20, 14, 41, 37))


@pytest.fixture(scope="module")
def theirs():
    """Upstream's predictor at the size of MedSAM2."""
    return random_network("t", PX)


@pytest.fixture(scope="module")
def medsam2(theirs, tmp_path_factory):
    """The same weights from a file as MedSAM2's authors publish it."""
    path = tmp_path_factory.mktemp("models") / "MedSAM2_CTLesion.pt"
    torch.save({"model": theirs.state_dict()}, path)
    return load_model(path)


@pytest.fixture(scope="module")
def mobile_sam(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mobile_sam.pt"
    torch.save(layouts.filled(layouts.mobile_sam_shapes()), path)
    return load_slice_model(path)


@pytest.fixture
def stack():
    return cells(slices=3)


def followed(session):
    """The logits of all slices."""
    for _ in session.propagate():
        pass
    return [session.composition.logits(session.prompts.segment("cell"), index) for index in range(len(session.stack))]


def test_medsam2_propagates_at_512_px_as_upstreams_predictor_does(medsam2, theirs, stack):
    assert (medsam2.native_size, medsam2.sizes, medsam2.network.image_size) == (PX, (PX,), PX)
    session = Session(stack, medsam2, Options.strict(), "cpu", PromptSet((Segment("cell", (MARKED,)),), stack.axis))
    ours = followed(session)
    wanted = [logits.numpy() for logits in propagate_upstream(theirs, stack, [MARKED], reverse=False)[0].values()]
    assert np.std(wanted) > 0.1, "flat logits would agree whatever is computed"
    np.testing.assert_allclose(ours, wanted, atol=1e-3)


def test_medsam2_carries_on_what_a_sam_makes_of_a_box(medsam2, mobile_sam, stack):
    marked = PromptSet((Segment("cell", (MARKED,)),), stack.axis)
    made = KeyframeMaker(Embeddings(mobile_sam, stack))(marked)
    session = Session(stack, medsam2, Options(early_stop=False), "cpu", made)
    followed_on = followed(session)
    painted = made.segments[0].keyframes[0].mask.mask
    assert 0 < painted.mean() < 1
    assert np.array_equal(session.slice_mask("cell", 0).mask, painted), "what the SAM made is kept as it is"
    assert [(report.start, report.reached) for report in session.reports()] == [(0, 2)]
    assert all(np.std(logits) > 0.05 for logits in followed_on[1:])
