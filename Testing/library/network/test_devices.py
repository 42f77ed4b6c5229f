"""Networks and training keep to the device they are put on; told without a GPU, by tensors that only know where they would lie."""

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from SAMSegmenterLib.models.families import db_sam, edgetam, mobile_sam, sam, sam2, sam2_unet, sam_med2d
from SAMSegmenterLib.network.memory import MemoryBank
from SAMSegmenterLib.network.network import Network
from SAMSegmenterLib.training.rollout import Rollout
from SAMSegmenterLib.training.scenes import Scenes
from SAMSegmenterLib.training.sequences import look_through
from SAMSegmenterLib.training.squares import Slices
from SAMSegmenterLib.training.trainee import Trainee
from support import layouts
from support.networks import random_network

SIZE = 256


@pytest.fixture
def fake(monkeypatch):
    """Within it tensors have shapes and devices but no values; an operation on tensors of two devices fails as on a real GPU."""

    def placed(data, dtype=None, device="cpu"):
        return torch.empty(np.shape(data), dtype=dtype).to(device)

    with FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()) as mode:
        for name in ("tensor", "as_tensor"):  # these two would look for a real one
            monkeypatch.setattr(torch, name, placed)
        monkeypatch.setattr(torch.Tensor, "numpy", lambda values: np.zeros(values.shape, np.float32))
        yield mode


def on_gpu(network: nn.Module, mode: FakeTensorMode) -> nn.Module:
    for module in network.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = nn.Parameter(mode.from_tensor(value.detach()).to("cuda"), requires_grad=False)
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = mode.from_tensor(value).to("cuda")
    return network


def test_operations_on_two_devices_would_be_noticed(fake):
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(2, device="cuda") + torch.zeros(2)


@pytest.mark.parametrize("name", ["pico", "t", "edgetam"])
def test_propagation_stays_on_its_device(name, request):
    network = random_edgetam() if name == "edgetam" else random_network(name, SIZE)
    fake = request.getfixturevalue("fake")
    ours = Network(on_gpu(network, fake), SIZE, "cuda")
    features = ours.encode(np.zeros((2, SIZE, SIZE), np.uint8))
    points, labels = np.array([[30.0, 40.0]]), np.array([1])
    prompted = ours.prompt(features[0], points, labels)
    corrected = ours.prompt(features[0], points, labels, torch.zeros(SIZE, SIZE))
    offered = ours.candidates(features[0], [(points, labels), (points + 5, labels)])
    bank = MemoryBank(0, ours.remember(features[:1], prompted, prompted=True)[0], ours.memories, ours.max_pointers, 6)
    painted = ours.prompt_mask(features[0], torch.zeros(SIZE, SIZE, dtype=torch.bool))
    bank.add(1, ours.remember(features[:1], painted, prompted=False)[0])
    tracked = ours.track(features[1:], [bank.recall(2, 9)], 9)
    assert {each.logits.device.type for each in (prompted, corrected, offered, painted, tracked)} == {"cuda"}


def random_edgetam():
    return edgetam.build("edgetam", SIZE, layouts.filled(layouts.edgetam_shapes()), "a test")


def random_slice_model(family, config, shapes):
    return family, family.build(config, SIZE, family.clean(layouts.filled(shapes)), "a test")


SLICES = {
    "sam": lambda: random_slice_model(sam, "vit_b", layouts.sam_shapes("vit_b", SIZE)),
    "sam2": lambda: (sam2, random_network("t", SIZE)),
    "edgetam": lambda: (edgetam, random_edgetam()),
    "mobile_sam": lambda: random_slice_model(mobile_sam, "vit_t", layouts.mobile_sam_shapes()),
    "sam_med2d": lambda: random_slice_model(sam_med2d, "vit_b", layouts.sam_med2d_shapes()),
    "db_sam": lambda: random_slice_model(db_sam, "vit_b", layouts.db_sam_shapes(SIZE)),
}


@pytest.mark.parametrize("name", SLICES)
def test_models_of_slices_stay_on_their_device(name, request):
    family, network = SLICES[name]()
    fake = request.getfixturevalue("fake")
    model = family.slice_model(on_gpu(network, fake), SIZE, "sam")
    seen = model.embed(np.zeros((90, 130), np.uint8))
    assert {each.device.type for each in seen.features} == {"cuda"}
    points = {"points": np.array([[30.0, 40.0]]), "labels": np.array([1])} if "point" in model.prompts else {}
    box = np.array([20.0, 15.0, 100.0, 80.0]) if "box" in model.prompts else None
    assert model.masks(seen, **points, box=box).logits.shape[1:] == (90, 130)


def test_proposals_stay_on_their_device(request):
    _, network = random_slice_model(sam2_unet, layouts.SAM2_TINY, layouts.sam2_unet_shapes(layouts.SAM2_TINY))
    fake = request.getfixturevalue("fake")
    proposer = sam2_unet.proposer(on_gpu(network, fake), SIZE)
    assert network(torch.zeros(1, 3, SIZE, SIZE, device="cuda")).device.type == "cuda"
    assert proposer.propose(np.zeros((90, 130), np.uint8)).shape == (90, 130)


@pytest.mark.parametrize("frames", [1, 3])
def test_training_stays_on_its_device(frames, request, monkeypatch):
    network = random_network("pico", SIZE)
    fake = request.getfixturevalue("fake")
    monkeypatch.setattr(torch, "equal", lambda one, other: False)
    trainee = Trainee(on_gpu(network, fake))
    slices = Slices(2, frames, torch.device("cuda"))
    sequences = look_through(slices, Scenes(2, slices.focus), 3, SIZE, 40, SIZE // 2)
    assert {each.device.type for each in (sequences.images, sequences.masks, sequences.views, sequences.usable)} == {"cuda"}
    assert Rollout(trainee, sequences, 0.1).loss.device.type == "cuda"
