"""Loss of a mask: it has to be right, to know how right it is, and to know whether the object is there at all.

As SAM 2 is trained (Ravi et al., SAM 2, 2024, appendix): focal and Dice loss on masks, L1 on the expected intersection
over union, cross-entropy on the object score. A mask counts only where the object is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL, SCORE, QUALITY = 10.0, 0.5, 0.5  # weights; Dice loss has 1
FOCUS = 1.0  # exponent of the focal loss


@dataclass(frozen=True)
class Judged:
    """A loss to minimise, and each object's intersection over union ``(B,)``, which has a meaning where `present` ``(B,)``."""

    loss: Tensor
    overlap: Tensor
    present: Tensor
    score_right: Tensor


def judge(masks: Tensor, quality: Tensor, score: Tensor, target: Tensor, weight: Tensor) -> Judged:
    """Return the loss of one mask for each object.

    Args:
        masks: logits ``(B, m, m)``.
        quality: ``(B,)`` expected intersection over union.
        score: ``(B,)`` object score logits.
        target: ``(B, n, n)`` 0 or 1.
        weight: ``(B,)`` of each object.
    """
    loss, overlap = mask_loss(masks[:, None], target)
    present = (target.amax((1, 2)) > 0.5).float()
    counted = weight * present
    shape = ((loss[:, 0] + QUALITY * (quality - overlap[:, 0]).abs()) * counted).sum() / counted.sum().clamp(min=1)
    there = F.binary_cross_entropy_with_logits(score, present, reduction="none")
    there = (there * weight).sum() / weight.sum().clamp(min=1)
    return Judged(shape + SCORE * there, overlap[:, 0], counted, ((score > 0).float() == present).float() * weight)


def judge_candidates(masks: Tensor, quality: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the loss of several candidates ``(B, c, m, m)`` for an ambiguous click.

    The best one has to be right, and all have to know how right they are.
    """
    loss, overlap = mask_loss(masks, target)
    each = loss.amin(1) + 0.15 * loss.mean(1) + QUALITY * (quality - overlap).abs().mean(1)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def mask_loss(masks: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return focal plus Dice loss, and intersection over union without gradient: ``(B, c)`` each, of logits ``(B, c, m, m)``."""
    logits = F.interpolate(masks, target.shape[-2:], mode="bilinear", align_corners=False)
    wanted = target[:, None].expand_as(logits)
    probability = logits.sigmoid()
    wrong = (probability - wanted).abs()
    focal = (F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * wrong.detach() ** FOCUS).mean((2, 3))
    both = (probability * wanted).sum((2, 3))
    dice = 1 - (2 * both + 1) / (probability.sum((2, 3)) + wanted.sum((2, 3)) + 1)
    with torch.no_grad():
        found, there = logits > 0, wanted > 0.5
        overlap = ((found & there).sum((2, 3)) + 1e-6) / ((found | there).sum((2, 3)) + 1e-6)
    return FOCAL * focal + dice, overlap
