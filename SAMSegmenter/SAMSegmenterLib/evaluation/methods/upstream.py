"""Runs upstream's own video predictor with the same weights: whole slices, forward and then reverse."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...errors import InputError
from ...image.stack import FrameStack
from ...keyframes.question import question
from ...models.detect import layout
from ...models.families import layouts
from ...models.interfaces import Model
from ...models.sam2_package import SAM2VideoPredictor
from ...network.device import pick_device
from ...network.rewrites import resampler_of
from ...prompts.types import Keyframe


class Upstream:
    """``SAM2VideoPredictor`` as upstream means it to be used: all prompts, forward, reset, all prompts again, reverse.

    Both directions start from the first prompted slice, as they do by default; slices between prompts get the forward pass
    alone. Slices are windowed as for every method and stretched to the size that the network was trained for. They are
    given in memory, so that no JPEG compression gets in between.

    Args:
        model: from `models.loading.load_model`.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: upstream cannot run the model's network.
    """

    name = "upstream"

    def __init__(self, model: Model, device: str = "auto") -> None:
        self._model = model
        self._predictor = _predictor(model).to(pick_device(device))

    def segment(self, stack: FrameStack, keyframes: Sequence[Keyframe], reach: tuple[int, int]) -> np.ndarray:
        """Return a mask, see `Method.segment`."""
        start = min(each.slice for each in keyframes)
        mask = np.zeros((len(stack), *stack.shape), bool)
        with contextlib.redirect_stderr(io.StringIO()):  # upstream shows progress bars, which it has no switch for
            state = self._state(stack)
            for slices, reverse in ((reach[1] - start, False), (start - reach[0], True)):
                self._predictor.reset_state(state)
                for keyframe in keyframes:
                    self._add(state, keyframe)
                for index, _, logits in self._predictor.propagate_in_video(state, start, slices, reverse):
                    mask[index] = (logits[0, 0] > 0).cpu().numpy()
        return mask

    def _state(self, stack: FrameStack) -> dict[str, Any]:
        """Return what ``init_state`` makes, which reads only JPEG files: of one black frame, replaced by the slices."""
        with tempfile.TemporaryDirectory() as folder:
            Image.new("RGB", (8, 8)).save(Path(folder) / "0.jpg")
            state = self._predictor.init_state(folder)
        rows, columns = stack.shape
        state.update(images=_Frames(stack, self._model), num_frames=len(stack), video_height=rows, video_width=columns)
        state["cached_features"].clear()
        return state

    def _add(self, state: dict[str, Any], keyframe: Keyframe) -> None:
        if keyframe.mask:
            self._predictor.add_new_mask(state, keyframe.slice, 0, torch.tensor(keyframe.mask.mask))
        else:
            asked = question(keyframe)  # the corners of boxes are points of upstream's, too
            self._predictor.add_new_points_or_box(state, keyframe.slice, 0, asked.xy.astype(np.float32), asked.labels)


def _predictor(model: Model) -> SAM2VideoPredictor:
    """Return upstream's predictor with the weights of `model`.

    Raises:
        InputError: it cannot run the model's network.
    """
    if resampler_of(model.network):
        raise InputError(f"{model.title}: the sam2 package's predictor does not run this model; leave the method upstream out.")
    state = model.network.state_dict()
    settings = layouts.layout(layout(state, str(model.path)), model.native_size)
    predictor = layouts.built(settings | {layouts.CLASS: "SAM2VideoPredictor"})
    predictor.load_state_dict(state)
    return predictor.eval().requires_grad_(False)


class _Frames:
    """Slices as upstream wants its images, float32 ``(3, size, size)``, made when they are read."""

    def __init__(self, stack: FrameStack, model: Model) -> None:
        self._stack, self._model = stack, model
        self._view = stack.whole(model.native_size)

    def __len__(self) -> int:
        return len(self._stack)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = torch.from_numpy(self._view.resize(self._stack.frame(index)) / 255.0).float()
        channels = pixels.permute(2, 0, 1) if pixels.ndim == 3 else pixels.expand(3, -1, -1)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self._model.mean, self._model.std))
        return (channels - mean) / std
