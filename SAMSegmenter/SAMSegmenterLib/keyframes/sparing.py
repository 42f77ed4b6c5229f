"""Keeps masks off the pixels that belong to other segments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..image.view import View
from ..network.network import Decoded
from ..network.slice_result import BACKGROUND


def spared(decoded: Decoded, taken: np.ndarray | None, view: View) -> Decoded:
    """Return answers without what other segments have.

    Args:
        taken: bool ``(rows, columns)``, the pixels of a slice that others have; None if there are none.
        view: in which the answers lie on that slice.
    """
    if taken is None:
        return decoded
    others = seen(taken, view, decoded.logits.shape[-1]) > 0.5
    return replace(decoded, logits=decoded.logits.masked_fill(others.to(decoded.logits.device), BACKGROUND))


def seen(mask: np.ndarray, view: View, size: int) -> Tensor:
    """Return a mask ``(rows, columns)`` of a slice as `view` shows it in `size` pixels: the part of each, ``(size, size)``, 0..1."""
    cut = torch.from_numpy(view.crop(mask).astype(np.float32))[None, None]
    if cut.shape[-2:] != (size, size):
        cut = F.interpolate(cut, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    return cut[0, 0]
