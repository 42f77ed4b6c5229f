"""Opens sessions and models for a workbench. Torch is imported here, on the worker's thread, and nowhere before."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ...image.stack import FrameStack
from .settings import Settings
from .torch_library import load_without_lock

if TYPE_CHECKING:
    from ...keyframes.slice_models import KeyframeMaker
    from ...session.session import Session


def used_by_session(chosen: Settings) -> tuple[str, ...]:
    """Return the settings that a session depends on."""
    return chosen.model, chosen.keyframe_model, chosen.mode, chosen.device


@lru_cache(maxsize=2)
def open_model(chosen: str, device: str) -> Any:
    """Return a model, its own for every device, as sessions move its weights there."""
    load_without_lock()
    from ...models.loading import load_model

    return load_model(chosen or None)


def open_session(stack: FrameStack, chosen: Settings) -> Session:
    """Return the session that the settings ask for, on these slices."""
    from ...network.options import MODES
    from ...session.session import Session

    return Session(stack, open_model(chosen.model, chosen.device), MODES[chosen.mode](), chosen.device)


def open_maker(stack: FrameStack, chosen: Settings) -> KeyframeMaker:
    """Return what makes keyframes with the chosen slice model."""
    from ...keyframes.slice_models import Embeddings, KeyframeMaker

    return KeyframeMaker(Embeddings(_open_slice_model(chosen.keyframe_model, chosen.device), stack))


@lru_cache(maxsize=1)
def _open_slice_model(chosen: str, device: str) -> Any:
    from ...models.loading import load_slice_model
    from ...network.device import pick_device

    return load_slice_model(chosen, device=pick_device(device).type)


@lru_cache(maxsize=1)
def open_proposer(chosen: str, device: str) -> Any:
    """Return the chosen model that finds keyframes without prompts."""
    from ...models.loading import load_proposer
    from ...network.device import pick_device

    return load_proposer(chosen, device=pick_device(device).type)
