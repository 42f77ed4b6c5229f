"""The layouts stated here are those of the sam2 package's own files."""

from pathlib import Path

import pytest
import sam2
from hydra.utils import instantiate
from omegaconf import OmegaConf

from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.detect import HIERAS
from SAMSegmenterLib.models.families.layouts import CLASS, LAYOUTS, TRACKING, built, layout
from support.layouts import shapes_of, shapes_only

OF_THE_PACKAGE = [config for config in LAYOUTS if config.startswith("configs/")]


def of_the_package(config, image_size):
    settings = OmegaConf.load(Path(sam2.__file__).parent / config).model
    settings.image_size = image_size
    return OmegaConf.to_container(settings)


def with_short_names(settings):
    """The same with classes named as in a layout."""
    if not isinstance(settings, dict):
        return settings
    return {
        CLASS if name == "_target_" else name: each.rpartition(".")[2] if name == "_target_" else with_short_names(each)
        for name, each in settings.items()
    }


@pytest.mark.parametrize("config", OF_THE_PACKAGE)
def test_a_layout_is_the_packages_with_what_tracking_adds(config):
    tracking = {"binarize_mask_from_pts_for_mem_enc": True, "sam_mask_decoder_extra_args": TRACKING}
    assert layout(config, 512) == with_short_names(of_the_package(config, 512)) | tracking


@pytest.mark.parametrize("config", ["configs/sam2/sam2_hiera_l.yaml", "configs/sam2.1/sam2.1_hiera_b+.yaml"])
def test_a_network_is_built_as_hydra_builds_it(config):
    with shapes_only():
        ours, theirs = built(layout(config, 1024)), instantiate(of_the_package(config, 1024))
    assert shapes_of(ours) == shapes_of(theirs)
    assert repr(ours) == repr(theirs)


def test_every_layout_that_is_named_is_there():
    named = {entry.config for entry in catalog.entries() if entry.family in ("sam2", "biosam2", "sam2_unet", "edgetam")}
    assert named <= LAYOUTS.keys()
    assert set(HIERAS.values()) <= LAYOUTS.keys()
    assert all((Path(sam2.__file__).parent / config).is_file() for config in OF_THE_PACKAGE)


def test_a_layout_can_be_changed_without_changing_the_next_one():
    layout("samsegmenter_pico", 128)["image_encoder"]["neck"]["d_model"] = 1
    layout("samsegmenter_pico", 128)["image_encoder"]["trunk"]["stages"].append(1)
    assert layout("samsegmenter_pico", 128)["image_encoder"]["neck"]["d_model"] == 96
    assert layout("samsegmenter_pico", 128)["image_encoder"]["trunk"]["stages"] == [1, 2, 4, 1]
