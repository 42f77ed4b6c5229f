"""Makes one mask of two passes that meet between keyframes.

See "Fusion" in docs/figures.md for what was compared.
"""

from __future__ import annotations

import numpy as np

CERTAIN = 10.0  # beyond this, float32 probabilities cannot be turned back into logits


def fuse(forward: np.ndarray, backward: np.ndarray, nearness: float, qualities: tuple[float, float]) -> np.ndarray:
    """Return the logits, float32 ``(rows, columns)``, of a slice that both passes reached.

    Args:
        forward, backward: float32 logits ``(rows, columns)`` of the two passes.
        nearness: where the slice lies between the keyframes: 0 at the forward pass's, 1 at the backward pass's.
        qualities: the intersection over union that the network expects of each, 0..1.

    Returns:
        The logit of their mean probability, weighted by nearness to the keyframe and expected quality.
    """
    one = (1 - nearness) * max(qualities[0], 0.01)
    other = nearness * max(qualities[1], 0.01)
    probability = (one * _probability(forward) + other * _probability(backward)) / (one + other)
    return np.log(probability) - np.log1p(-probability)


def _probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -CERTAIN, CERTAIN)))
