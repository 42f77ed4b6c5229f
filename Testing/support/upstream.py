"""Upstream's own video predictor, fed with frames in memory instead of a folder of JPEG files."""

from __future__ import annotations

from collections.abc import Iterable
from unittest.mock import patch

import numpy as np
import sam2.sam2_video_predictor as upstream
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor

from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.network.network import IMAGENET_MEAN, IMAGENET_STD
from SAMSegmenterLib.prompts.types import Keyframe

Logits = dict[int, torch.Tensor]
upstream.tqdm = lambda frames, **_: frames  # no progress bars


def upstream_state(network: SAM2VideoPredictor, stack: FrameStack) -> dict:
    """``init_state`` on the slices of `stack`, resized as upstream resizes its images."""

    def frames_in_memory(*_: object, **__: object) -> tuple[torch.Tensor, int, int]:
        mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        images = torch.empty(len(stack), 3, network.image_size, network.image_size)
        for index in range(len(stack)):
            grey = torch.from_numpy(stack.whole(network.image_size).resize(stack.frame(index)) / 255.0).float()
            images[index] = (grey - mean) / std
        return images, *stack.shape

    with patch.object(upstream, "load_video_frames", frames_in_memory):
        return network.init_state("in memory")


def add_prompts(network: SAM2VideoPredictor, state: dict, number: int, keyframe: Keyframe) -> torch.Tensor:
    """Give upstream the points and box, or the mask, of a keyframe; returns its logits there."""
    if keyframe.mask:
        return network.add_new_mask(state, keyframe.slice, number, torch.tensor(keyframe.mask.mask))[2]
    points = np.array([(p.x, p.y) for p in keyframe.points], np.float32).reshape(-1, 2)
    labels = np.array([p.positive for p in keyframe.points], np.int32)
    box = keyframe.box and np.array([keyframe.box.x0, keyframe.box.y0, keyframe.box.x1, keyframe.box.y1], np.float32)
    return network.add_new_points_or_box(state, keyframe.slice, number, points=points, labels=labels, box=box)[2]


def propagate_upstream(network: SAM2VideoPredictor, stack: FrameStack, keyframes: Iterable[Keyframe], reverse: bool) -> list[Logits]:
    """Track one keyframe of each object in one direction from a fresh state: logits ``(rows, columns)`` by slice."""
    keyframes = list(keyframes)
    state = upstream_state(network, stack)
    for number, keyframe in enumerate(keyframes):
        add_prompts(network, state, number, keyframe)
    found: list[Logits] = [{} for _ in keyframes]
    for index, _, logits in network.propagate_in_video(state, reverse=reverse):
        for number, each in enumerate(found):
            each[index] = logits[number, 0].clone()
    return found
