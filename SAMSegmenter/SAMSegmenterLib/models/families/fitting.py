"""Weights of a file, put into the network to which they belong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...errors import CheckpointError

State = Mapping[str, Tensor]
Module = TypeVar("Module", bound=nn.Module)

DRAWING = frozenset([nn.init.kaiming_normal_, nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_])
NEEDS_TIMM = "{name} needs the package timm; install it with: pip install timm"


class Undrawn(TorchFunctionMode):
    """A context in which, on this thread, new parameters are left as memory happens to be, for weights of a file to replace.

    Drawing the random numbers that modules begin with takes most of the time of building a large network.
    """

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pass over what would draw a parameter; see `torch.overrides`."""
        kwargs = kwargs or {}
        tensor = kwargs.get("tensor", args[0] if args else None)
        if function in DRAWING and isinstance(tensor, nn.Parameter):
            return tensor
        return function(*args, **kwargs)


def fitted(make: Callable[[], Module], state: State, source: str) -> Module:
    """Return the network that `make` returns, with the weights `state`: float32, for inference, without gradients.

    Args:
        make: makes the network, whose own first weights do not matter.
        state: by name.
        source: what messages call the weights.

    Raises:
        CheckpointError: weights are missing, unexpected or of another shape; names the first few.
    """
    with Undrawn():
        network = make()
    own = network.state_dict()
    check_fit(own, state, source)
    for name, values in own.items():  # they share their memory with the network; `load_state_dict` takes twice as long
        values.copy_(state[name])
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
