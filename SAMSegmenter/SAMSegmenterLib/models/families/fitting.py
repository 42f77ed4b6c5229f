"""Weights of a file, put into the network to which they belong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from ...errors import CheckpointError

State = Mapping[str, Tensor]
Module = TypeVar("Module", bound=nn.Module)

NEEDS_TIMM = "{name} needs the package timm; install it with: pip install timm"


def fitted(network: Module, state: State, source: str) -> Module:
    """Return `network` with the weights `state`: float32, for inference, without gradients.

    Args:
        network: is changed.
        state: by name.
        source: what messages call the weights.

    Raises:
        CheckpointError: weights are missing, unexpected or of another shape; names the first few.
    """
    check_fit(network.state_dict(), state, source)
    network.load_state_dict(state)
    return network.float().eval().requires_grad_(False)


def check_fit(wanted: State, state: State, source: str) -> None:
    """Raise `CheckpointError` unless `state` has exactly the names and shapes of `wanted`; the message begins with `source`."""
    misshapen = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    faults = {
        "missing": [name for name in wanted if name not in state],
        "unexpected": [name for name in state if name not in wanted],
        "of another shape": misshapen,
    }
    found = [f"{len(names)} {fault} ({_first(names)})" for fault, names in faults.items() if names]
    if found:
        raise CheckpointError(
            f"{source}: the weights do not fit the network: {'; '.join(found)}. The file is incomplete or of a modified network."
        )


def without_prefix(state: State, prefix: str = "module.") -> dict[str, Tensor]:
    """Return `state` with `prefix` removed from the names that have it; training on several GPUs puts "module." there."""
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _first(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
