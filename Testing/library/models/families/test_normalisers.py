"""Every published preprocessing, against numbers worked out by hand and against the code that published it."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from sam2.utils.transforms import SAM2Transforms
from segment_anything.utils.transforms import ResizeLongestSide

from SAMSegmenterLib.models.catalog import NORMALISERS
from SAMSegmenterLib.models.families.normalisers import CHANNEL_STATISTICS, PUBLISHED, published

WIDE = (2, 4)  # rows and columns


def grey(values):
    return np.array(values, np.uint8)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)


def close(tensor, wanted):
    torch.testing.assert_close(tensor, torch.tensor(wanted), atol=1e-5, rtol=1e-5)


def test_sam_keeps_the_aspect_and_pads_with_zeros_after_scaling():
    image = published("sam", 8).image(np.full(WIDE, 100, np.uint8))
    assert image.shape == (1, 3, 8, 8)
    close(image[0, :, 0, 0], [(100 - 123.675) / 58.395, (100 - 116.28) / 57.12, (100 - 103.53) / 57.375])
    assert (image[:, :, :4] != 0).all()
    assert (image[:, :, 4:] == 0).all(), "2 x 4 pixels fill the upper half"


def test_sam_moves_prompts_by_one_factor():
    close(published("sam", 8).to_input([[3.0, 1.0]], WIDE), [[6.0, 2.0]])


def test_sam_rounds_the_short_side_as_the_package_does(picture):
    """90 of 130 rows at 64 pixels are 44.3."""
    theirs = ResizeLongestSide(64)
    ours = published("sam", 64)
    assert ours.extent((90, 130)) == (44, 64) == theirs.get_preprocess_shape(90, 130, 64)
    resized = torch.from_numpy(theirs.apply_image(picture)).permute(2, 0, 1)
    wanted = (resized - torch.tensor([123.675, 116.28, 103.53])[:, None, None]) / torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    torch.testing.assert_close(ours.image(picture)[0, :, :44], wanted)
    xy = np.array([[12.5, 80.0]])
    np.testing.assert_allclose(ours.to_input(xy, (90, 130)), theirs.apply_coords(xy, (90, 130)), rtol=1e-6)


def test_sam_takes_the_padding_off_again():
    """16 columns of input, of which a slice of 4 x 8 covers the upper 8 rows: the lower half of the logits is dropped."""
    low = torch.tensor([[[1.0] * 4, [1.0] * 4, [-9.0] * 4, [-9.0] * 4]])
    logits = published("sam", 16).to_slice(low, (4, 8))
    assert logits.shape == (1, 4, 8)
    close(logits[0, :2], [[1.0] * 8] * 2)


def test_medsam_stretches_and_takes_the_darkest_to_0_and_the_brightest_to_1():
    image = published("medsam", 2).image(grey([[10, 20], [30, 50]]))
    close(image[0, 0], [[0.0, 0.25], [0.5, 1.0]])
    assert torch.equal(image[0, 0], image[0, 2])


def test_medsam_does_not_divide_by_nothing():
    assert (published("medsam", 4).image(np.full(WIDE, 7, np.uint8)) == 0).all()


def test_medsam_moves_prompts_per_axis():
    close(published("medsam", 1024).to_input([[95.0, 255.0]], (512, 256)), [[380.0, 510.0]])


def test_medsam_resizes_nearly_as_the_splines_of_its_script(picture):
    """The script uses scikit-image's splines of third order, which is not worth a dependency: a smooth slice differs by little."""
    smooth = scipy.ndimage.gaussian_filter(picture[..., 0], 3).astype(np.uint8)
    spline = scipy.ndimage.zoom(smooth.astype(float), (256 / 90, 256 / 130), order=3, mode="mirror", grid_mode=True)
    ours = published("medsam", 256).image(smooth)[0, 0].numpy()
    spline = (spline - spline.min()) / (spline.max() - spline.min())
    assert np.abs(ours - spline).mean() < 0.01


def test_medsam_interpolates_probabilities():
    """Three quarters of the way from -8 to 1 the logit is -1.25, but the probability is 0.75 * 0.7311 + 0.25 * 0.0003 = 0.5484."""
    logits = published("medsam", 8).to_slice(torch.tensor([[[-8.0, 1.0]]]), (1, 4))
    close(torch.sigmoid(logits)[0, 0], [0.000335, 0.183016, 0.548377, 0.731059])


def test_sam_med2d_takes_the_nearest_pixel():
    image = published("sam_med2d", 2).image(grey([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]))
    close(image[0, 0] * 58.395 + 123.675, [[1.0, 3.0], [9.0, 11.0]])
    enlarged = published("sam_med2d", 3).image(grey([[1, 2], [5, 6]]))
    close(enlarged[0, 2] * 57.375 + 103.53, [[1.0, 1.0, 2.0], [1.0, 1.0, 2.0], [5.0, 5.0, 6.0]])


def test_sam_med2d_moves_prompts_per_axis():
    close(published("sam_med2d", 256).to_input([[100.0, 100.0]], (512, 200)), [[128.0, 50.0]])


def test_med_sa_stretches_with_sams_statistics():
    image = published("med_sa", 8).image(np.full(WIDE, 200, np.uint8))
    close(image[0, :, 7, 7], [(200 - 123.675) / 58.395, (200 - 116.28) / 57.12, (200 - 103.53) / 57.375])


def test_sam2_is_as_its_image_predictor(picture):
    theirs, ours = SAM2Transforms(64, 0.0), published("sam2", 64)
    torch.testing.assert_close(ours.image(picture)[0], theirs(picture), atol=1e-5, rtol=1e-5)
    xy = torch.tensor([[12.5, 80.0]])
    torch.testing.assert_close(ours.to_input(xy.numpy(), (90, 130)), theirs.transform_coords(xy, True, (90, 130)))
    low = torch.randn(2, 16, 16)
    torch.testing.assert_close(ours.to_slice(low, (90, 130)), theirs.postprocess_masks(low[None], (90, 130))[0])


def test_biomedical_sam2_has_no_mean_and_deviation():
    close(published("biomedical_sam2", 2).image(grey([[0, 51], [102, 255]]))[0, 1], [[0.0, 0.2], [0.4, 1.0]])
    assert CHANNEL_STATISTICS["biomedical_sam2"] == ((0, 0, 0), (1, 1, 1))


def test_sam2_unet_has_imagenets():
    image = published("sam2_unet", 4).image(np.full(WIDE, 255, np.uint8))
    close(image[0, :, 0, 0], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


@pytest.mark.parametrize("name", PUBLISHED)
def test_grey_is_three_equal_colours(name, picture):
    normaliser, plain = published(name, 32), picture[..., 0]
    assert torch.equal(normaliser.image(plain), normaliser.image(np.repeat(plain[..., None], 3, -1)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_painted_mask_survives_the_way_to_the_network_and_back(name):
    mask = np.zeros((90, 130), bool)
    mask[20:60, 30:110] = True
    normaliser = published(name, 256)
    back = normaliser.to_slice(normaliser.mask_logits(mask, 64)[None], mask.shape)[0].numpy() > 0
    assert (back != mask).mean() < 0.01


def test_the_catalog_names_these_and_no_others():
    assert set(NORMALISERS) == set(PUBLISHED)
