"""How long a user waits from a click to the preview."""

from __future__ import annotations

import time
from collections.abc import Iterator

from speed import TINY_SIZES, rod

from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.prompts.types import Box, Keyframe, Point
from SAMSegmenterLib.session.session import Session
from support.networks import random_network
from support.phantoms import as_model


def click_to_preview(device: str) -> Iterator[tuple[str, float, float]]:
    """By model and prompt: milliseconds of the first preview on a slice, and of the next one after another click."""
    stack, _ = rod(8, 0, 7)
    models = {"shipped": load_model(), "SAM 2.1 tiny": as_model(random_network("t", 1024), TINY_SIZES)}
    box = Box(130.0, 110.0, 260.0, 240.0)
    prompts = {
        "box": [Keyframe(4, box=box), Keyframe(4, box=box, points=(Point(190.0, 170.0),))],
        "point": [Keyframe(4, points=(Point(190.0, 170.0),)), Keyframe(4, points=(Point(190.0, 170.0), Point(150.0, 170.0)))],
    }
    for name, model in models.items():
        for kind, clicks in prompts.items():
            session = Session(stack, model, device=device)
            session.engine.runner.network(session.engine.runner.execution and model.native_size)  # made when a host opens
            waits = []
            for keyframe in clicks:
                start = time.perf_counter()
                session.set_keyframe("rod", keyframe)
                session.preview("rod", 4)
                waits.append(1000 * (time.perf_counter() - start))
            yield f"{name}, {kind}", *waits
