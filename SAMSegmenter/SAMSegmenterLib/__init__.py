"""SAMSegmenter: mark an organ or lesion on one slice and get it in the whole volume.

What `__all__` names is the public API. Each name is imported when it is first used, so that importing the library loads neither torch nor
numpy. Everything else may move from one version to the next.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import Cancelled, CheckpointError, InputError, OutOfMemory, OutputError, PackageError, SAMSegmenterError
    from .image.neighbours import Neighbours
    from .image.stack import FrameStack
    from .image.volume import Volume
    from .image.window import Window
    from .imageio import SegmentInfo, read_volume, write_segmentation
    from .models.loading import load_model
    from .network.options import Options
    from .prompts.json_file import read_prompts
    from .prompts.types import Box, Keyframe, Line, MaskPrompt, Point, PromptSet, Scribble, Segment
    from .session.session import Session

__version__ = "0.1.0"

_HOMES = {
    "errors": ("Cancelled", "CheckpointError", "InputError", "OutOfMemory", "OutputError", "PackageError", "SAMSegmenterError"),
    "image.neighbours": ("Neighbours",),
    "image.stack": ("FrameStack",),
    "image.volume": ("Volume",),
    "image.window": ("Window",),
    "imageio": ("SegmentInfo", "read_volume", "write_segmentation"),
    "models.loading": ("load_model",),
    "network.options": ("Options",),
    "prompts.json_file": ("read_prompts",),
    "prompts.types": ("Box", "Keyframe", "Line", "MaskPrompt", "Point", "PromptSet", "Scribble", "Segment"),
    "session.session": ("Session",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a name of the public API when it is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
