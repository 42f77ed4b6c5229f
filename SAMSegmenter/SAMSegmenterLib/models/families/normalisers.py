"""The input that each family wants of a slice, and where its answers lie on the slice; each exactly as published.

The same weights fed with another scale of grey, another filter or another aspect ratio silently give worse masks, so
none of this is shared unless it is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SAM_MEAN = (123.675, 116.28, 103.53)  # of grey levels 0 to 255
SAM_STD = (58.395, 57.12, 57.375)
SURE = 10.0  # logit of a pixel that is certain in a painted mask

Shape = tuple[int, int]


@dataclass(frozen=True)
class Normaliser:
    """The way from a slice to a network's square input, and from its low-resolution logits back to the slice.

    Attributes:
        size: side of the input in pixels.
        resize: brings a uint8 slice to rows and columns: grey levels 0 to 255 as float32 ``(1 or 3, rows, columns)``.
        scale: brings grey levels ``(3, rows, columns)`` to the values that the network was trained with.
        enlarge: brings logits ``(n, h, w)`` of the input to the slice, ``(n, rows, columns)``.
        keeps_aspect: whether the slice fills the input's left or upper part and the rest is zero; otherwise it is stretched.
    """

    size: int
    resize: Callable[[np.ndarray, int, int], Tensor]
    scale: Callable[[Tensor], Tensor]
    enlarge: Callable[[Normaliser, Tensor, Shape], Tensor]
    keeps_aspect: bool = False

    def image(self, pixels: np.ndarray) -> Tensor:
        """Return the input, float32 ``(1, 3, size, size)``, of a uint8 slice ``(rows, columns[, 3])``."""
        rows, columns = self.extent(pixels.shape[:2])
        scaled = self.scale(self.resize(pixels, rows, columns).expand(3, -1, -1))
        return F.pad(scaled, (0, self.size - columns, 0, self.size - rows))[None]

    def extent(self, shape: Shape) -> Shape:
        """Return the rows and columns of the input that a slice of this shape covers."""
        if not self.keeps_aspect:
            return self.size, self.size
        factor = self.size / max(shape)
        return int(shape[0] * factor + 0.5), int(shape[1] * factor + 0.5)

    def to_input(self, xy: np.ndarray, shape: Shape) -> Tensor:
        """Return slice pixels ``(..., 2)`` as input pixels, float32; as published, which is up to half an input pixel off."""
        rows, columns = self.extent(shape)
        return torch.from_numpy(np.asarray(xy, float) * [columns / shape[1], rows / shape[0]]).float()

    def to_slice(self, low: Tensor, shape: Shape) -> Tensor:
        """Return logits ``(n, h, w)`` of the whole input as logits ``(n, rows, columns)`` of the slice."""
        return self.enlarge(self, low, shape)

    def mask_logits(self, mask: np.ndarray, low_size: int) -> Tensor:
        """Return a painted mask, bool ``(rows, columns)``, as logits ``(low_size, low_size)`` of the whole input."""
        extent = self.extent(mask.shape)
        share = torch.from_numpy(mask.astype(np.float32))[None, None]
        share = F.interpolate(share, extent, mode="bilinear", antialias=True)
        share = F.pad(share, (0, self.size - extent[1], 0, self.size - extent[0]))
        low = F.interpolate(share, (low_size, low_size), mode="bilinear", antialias=True)
        return (low[0, 0] * 2 - 1) * SURE


def pillow_bilinear(pixels: np.ndarray, rows: int, columns: int) -> Tensor:
    """Return a slice, resized by Pillow's bilinear filter and rounded to grey levels: float32 ``(1 or 3, rows, columns)``."""
    return _pillow(pixels, rows, columns, Image.Resampling.BILINEAR)


def pillow_bicubic(pixels: np.ndarray, rows: int, columns: int) -> Tensor:
    """Return a slice, resized by Pillow's bicubic filter and rounded to grey levels: float32 ``(1 or 3, rows, columns)``."""
    return _pillow(pixels, rows, columns, Image.Resampling.BICUBIC)


def nearest(pixels: np.ndarray, rows: int, columns: int) -> Tensor:
    """Return the pixels at or before the corresponding places, as OpenCV takes them: float32 ``(1 or 3, rows, columns)``."""
    height, width = pixels.shape[:2]
    taken = pixels[np.arange(rows)[:, None] * height // rows, np.arange(columns) * width // columns]
    return _channels_first(taken)


def antialiased(pixels: np.ndarray, rows: int, columns: int) -> Tensor:
    """Return a slice, resized bilinearly without rounding to grey levels: float32 ``(1 or 3, rows, columns)``."""
    return F.interpolate(_channels_first(pixels)[None], (rows, columns), mode="bilinear", antialias=True)[0]


def _pillow(pixels: np.ndarray, rows: int, columns: int, resampling: Image.Resampling) -> Tensor:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return _channels_first(np.array(image.resize((columns, rows), resampling)))


def _channels_first(pixels: np.ndarray) -> Tensor:
    channels = torch.from_numpy(np.array(pixels)).float()
    return channels[None] if channels.ndim == 2 else channels.permute(2, 0, 1)


def sam_statistics(grey: Tensor) -> Tensor:
    """Return grey levels ``(3, rows, columns)``, standardised by SAM's mean and deviation."""
    return _standardised(grey, SAM_MEAN, SAM_STD)


def imagenet_statistics(grey: Tensor) -> Tensor:
    """Return grey levels ``(3, rows, columns)``, standardised by ImageNet's mean and deviation."""
    return _standardised(grey / 255, IMAGENET_MEAN, IMAGENET_STD)


def unit(grey: Tensor) -> Tensor:
    """Return grey levels of any shape on a scale of 0 to 1."""
    return grey / 255


def min_max(grey: Tensor) -> Tensor:
    """Return grey levels of any shape on a scale from 0 for the darkest to 1 for the brightest."""
    low, high = grey.min(), grey.max()
    return (grey - low) / (high - low).clamp(min=1e-8)


def _standardised(values: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (values - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def directly(normaliser: Normaliser, low: Tensor, shape: Shape) -> Tensor:
    """Return logits ``(n, h, w)`` enlarged to the slice in one step, ``(n, rows, columns)``."""
    return _bilinear(low, shape)


def by_way_of_input(normaliser: Normaliser, low: Tensor, shape: Shape) -> Tensor:
    """Return logits ``(n, h, w)`` enlarged to the input, and then from the slice's part of it to the slice, ``(n, rows, columns)``."""
    rows, columns = normaliser.extent(shape)
    return _bilinear(_bilinear(low, (normaliser.size, normaliser.size))[:, :rows, :columns], shape)


def as_probabilities(normaliser: Normaliser, low: Tensor, shape: Shape) -> Tensor:
    """Return logits ``(n, h, w)`` enlarged to the slice as probabilities, ``(n, rows, columns)``.

    That moves the edge where logits are steep on one side.
    """
    return torch.logit(_bilinear(torch.sigmoid(low), shape), eps=1e-6)


def _bilinear(maps: Tensor, shape: Shape) -> Tensor:
    return F.interpolate(maps[None], shape, mode="bilinear", align_corners=False)[0]


# By family, or by training where a family's networks were trained differently: resize, scale, enlarge, keeps_aspect.
PUBLISHED = {
    "sam": (pillow_bilinear, sam_statistics, by_way_of_input, True),
    "medsam": (pillow_bicubic, min_max, as_probabilities, False),
    "sam_med2d": (nearest, sam_statistics, by_way_of_input, False),
    "med_sa": (pillow_bilinear, sam_statistics, by_way_of_input, False),
    "sam2": (antialiased, imagenet_statistics, directly, False),
    "biomedical_sam2": (pillow_bilinear, unit, directly, False),
    "sam2_unet": (pillow_bilinear, imagenet_statistics, directly, False),
}


def published(name: str, size: int) -> Normaliser:
    """Return the normaliser that was published as `name`, one of `PUBLISHED`, for inputs of `size` pixels."""
    resize, scale, enlarge, keeps_aspect = PUBLISHED[name]
    return Normaliser(size, resize, scale, enlarge, keeps_aspect)


# The means that a model that propagates subtracts from channels of 0 to 1, and the deviations by which it divides them.
CHANNEL_STATISTICS = {"sam2": (IMAGENET_MEAN, IMAGENET_STD), "biomedical_sam2": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))}
