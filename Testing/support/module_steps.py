"""The module's panel under a user's hands: what its tests share."""

from __future__ import annotations

import time
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "SAMSegmenter" / "SAMSegmenter.py"
PATIENCE_S = 60


def wait_until(host, condition):
    """Let the event loop run until the condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        host.process_events()
        time.sleep(0.01)
