"""SAM2-UNet computes what its paper says, written out here once more, and proposes masks without prompts."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sam2.modeling.backbones.hieradet import Hiera

from SAMSegmenterLib.errors import CheckpointError
from SAMSegmenterLib.models.families import sam2_unet
from support.layouts import SAM2_TINY, filled, sam2_unet_shapes, shapes_only, without

SIZE = 352
LARGE = "configs/sam2/sam2_hiera_l.yaml"


@pytest.fixture(scope="module")
def state():
    """Around the tiny trunk instead of the published large one."""
    return filled(sam2_unet_shapes(SAM2_TINY))


@pytest.fixture(scope="module")
def network(state):
    return sam2_unet.build(SAM2_TINY, SIZE, sam2_unet.clean(state), "a test")


class Published:
    """The network as functions of its published weights, around the trunk of the sam2 package."""

    def __init__(self, state):
        self.state = state
        settings = {"stages": (1, 2, 7, 2), "global_att_blocks": (5, 7, 9), "window_pos_embed_bkg_spatial_size": (7, 7)}
        self.trunk = Hiera(embed_dim=96, num_heads=1, **settings).eval()
        own = {name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.")}
        self.trunk.load_state_dict({name.replace(".block.", "."): own[name] for name in own if "prompt_learn" not in name})
        for number, block in enumerate(self.trunk.blocks):
            block.register_forward_pre_hook(partial(self.prompted, f"encoder.blocks.{number}.prompt_learn."))

    def __call__(self, image):
        stages = [self.receptive_field(f"rfb{number + 1}.", stage) for number, stage in enumerate(self.trunk(image))]
        x = stages[3]
        for number, stage in enumerate((stages[2], stages[1], stages[0])):
            larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = torch.cat([stage, larger], 1)
            for layer in (0, 3):
                name = f"up{number + 1}.conv.double_conv."
                x = F.relu(self.norm(f"{name}{layer + 1}", F.conv2d(x, self.state[f"{name}{layer}.weight"], padding=1)))
        return F.interpolate(F.conv2d(x, self.state["head.weight"], self.state["head.bias"]), scale_factor=4, mode="bilinear")

    def prompted(self, name, _, given):
        prompt = given[0]
        for layer in ("0", "2"):
            prompt = F.gelu(F.linear(prompt, self.state[f"{name}{layer}.weight"], self.state[f"{name}{layer}.bias"]))
        return given[0] + prompt

    def receptive_field(self, name, x):
        branches = [self.conv(name + "branch0.0", x)]
        for branch, reach in ((1, 3), (2, 5), (3, 7)):
            y = x
            for layer, (padding, dilation) in enumerate((((0, 0), 1), ((0, reach // 2), 1), ((reach // 2, 0), 1), ((reach, reach), reach))):
                y = self.conv(f"{name}branch{branch}.{layer}", y, padding, dilation)
            branches.append(y)
        return F.relu(self.conv(name + "conv_cat", torch.cat(branches, 1), (1, 1)) + self.conv(name + "conv_res", x))

    def conv(self, name, x, padding=(0, 0), dilation=1):
        return self.norm(name + ".bn", F.conv2d(x, self.state[name + ".conv.weight"], padding=padding, dilation=dilation))

    def norm(self, name, x):
        return F.batch_norm(x, *(self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))


@torch.inference_mode()
def test_a_proposal_is_what_the_published_network_and_preprocessing_give(network, state):
    """TestDataset of the published code: Resize, ToTensor, Normalize; logits enlarged to the picture."""
    picture = np.random.default_rng(1).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    resized = np.array(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) / 255
    image = (torch.tensor(resized) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    low = Published(state)(image.float().permute(2, 0, 1)[None])
    wanted = F.interpolate(low, (90, 130), mode="bilinear")[0, 0].numpy()
    proposed = sam2_unet.proposer(network, SIZE).propose(picture)
    np.testing.assert_allclose(proposed, wanted, atol=1e-4)
    assert wanted.std() > 0.05


def test_the_network_has_the_published_names_and_shapes():
    shapes = sam2_unet_shapes()
    cleaned = sam2_unet.clean({"module." + name: torch.empty(shape, device="meta") for name, shape in shapes.items()})
    with shapes_only():
        network = sam2_unet.build(LARGE, SIZE, cleaned, "a test")
    left_out = shapes.keys() - network.state_dict().keys()
    assert {name.partition(".")[0] for name in left_out} == {"side1", "side2", "up4"}
    assert all(tuple(value.shape) == shapes[name] for name, value in network.state_dict().items())


def test_a_missing_weight_is_named(state):
    incomplete = sam2_unet.clean(without(state, "head.bias"))
    with pytest.raises(CheckpointError, match=r"1 missing \(head\.bias\)"):
        sam2_unet.build(SAM2_TINY, SIZE, incomplete, "there.pth")
