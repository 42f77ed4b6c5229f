"""The processor, precision and number of threads to use: one place for CUDA, MPS and CPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from ..errors import InputError
from ..models.sam2_package import SAM2Base
from .packed import packing_is_worth_it, with_packed_linears
from .rewrites import in_precision

DEVICES = ("auto", "cpu", "cuda", "mps")
WORTH = 0.8  # a lower precision must save a fifth of the time: it rounds, and attention gains less than the encoder
TIMED_SIZE = 256  # pixels of the timed input, unless the network's own is smaller
TIMING_SECONDS = 0.1
SMALL_INPUT = 256  # pixels of input; networks for larger ones are large
SMALL_BATCH, GPU_BATCH = 8, 32  # passes in a batch: of a small network on a CPU; of any network elsewhere


@dataclass(frozen=True)
class Execution:
    """The device, precision and threads with which a network runs; `threads` matters on the CPU only.

    `packed` tells whether its linear layers are packed, see `network.packed`.
    """

    device: torch.device
    dtype: torch.dtype
    threads: int
    packed: bool = False

    @property
    def precision(self) -> str:
        """Return the name of the precision, such as "float32"."""
        return str(self.dtype).removeprefix("torch.")

    def prepared(self, network: SAM2Base) -> SAM2Base:
        """Return `network` with its weights as they run; those that need not be copied are shared."""
        if self.packed:
            return with_packed_linears(network)
        return network if self.dtype == torch.float32 else in_precision(network, self.dtype)

    def __str__(self) -> str:
        if self.device.type == "cuda":
            return f"cuda ({torch.cuda.get_device_name(self.device)})"
        return f"cpu ({self.threads} of {torch.get_num_threads()} threads)" if self.device.type == "cpu" else self.device.type

    @contextmanager
    def active(self) -> Iterator[None]:
        """Use this many threads within the block, and the number before it afterwards."""
        before = torch.get_num_threads()
        if self.device.type == "cpu" and self.threads != before:
            torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            if torch.get_num_threads() != before:
                torch.set_num_threads(before)


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        InputError: the device does not exist here.
    """
    if name not in DEVICES:
        raise InputError(f"device: expected {', '.join(DEVICES)}, got {name!r}.")
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available[name]:
        raise InputError(f"device: PyTorch finds no {name} device here; use auto or cpu.")
    return torch.device(name)


def pick_execution(network: SAM2Base, device: torch.device, precision: str = "auto") -> Execution:
    """Return how `network`, already on `device`, encodes an image soonest; timed once in a process.

    Only timing tells. bfloat16 doubles the speed of a CPU that has instructions for it and slows others down. A small network on a CPU
    is not timed: it gains nothing from bfloat16, little from a second thread, and runs several times slower on two busy cores than on
    one. So its results are the same each time, up to the rounding of packed linear layers, which are worth it or not by the CPU alone.

    Args:
        network: any SAM 2 network.
        device: the device on which it lies.
        precision: "float32", "bfloat16" or "float16" to impose one; "auto" to time those that the device has.
    """
    is_small = device.type == "cpu" and _is_small(network)
    threads = 1 if is_small else torch.get_num_threads()
    if precision != "auto" or is_small:
        return _packed(Execution(device, torch.float32 if precision == "auto" else getattr(torch, precision), threads))
    key = str(device), network.image_size, sum(weight.numel() for weight in network.parameters())
    if key not in _found_out:
        _found_out[key] = _packed(_soonest(network, Execution(device, torch.float32, threads)))
    return _found_out[key]


def _packed(execution: Execution) -> Execution:
    """Return the same execution, with packed linear layers where these are worth it."""
    if execution.device.type != "cpu" or execution.dtype != torch.float32:
        return execution
    with execution.active():
        return replace(execution, packed=packing_is_worth_it())


def passes_at_once(network: SAM2Base, device: torch.device, exact: bool) -> int:
    """Return the most passes that are worth running in one batch.

    A small network spends much of its time on a CPU between its operations, and larger batches have fewer of them. For a large one a
    batch is a loss there; docs/figures.md has the times. Batches are rounded otherwise than single passes: on a CPU `exact` results, which
    are compared with upstream's, are computed one by one.
    """
    if device.type != "cpu":
        return GPU_BATCH
    return SMALL_BATCH if _is_small(network) and not exact else 1


def _is_small(network: SAM2Base) -> bool:
    return network.image_size <= SMALL_INPUT


_found_out: dict[tuple, Execution] = {}


def _soonest(network: SAM2Base, chosen: Execution) -> Execution:
    """Return `chosen`, or the same in a lower precision if that is worth it.

    Linear layers are not packed for the comparison: that helps the encoder, which is timed, far more than attention.
    """
    seconds = _encoding_seconds(network, chosen)
    for dtype in _low_precisions(chosen.device):
        other = replace(chosen, dtype=dtype)
        other_seconds = _encoding_seconds(network, other)
        if other_seconds < WORTH * seconds:
            chosen, seconds = other, other_seconds
    return chosen


def _low_precisions(device: torch.device) -> list[torch.dtype]:
    if device.type == "cuda":
        # GPUs before Ampere have no bfloat16 units
        return [torch.bfloat16, torch.float16] if torch.cuda.get_device_capability(device)[0] >= 8 else [torch.float16]
    return [torch.bfloat16] if device.type == "cpu" else []


def _encoding_seconds(network: SAM2Base, execution: Execution) -> float:
    """Return the time of the quickest of a few encodings; timing stops after a moment, as it must not cost what it is to save."""
    device, lowered = execution.device, execution.dtype != torch.float32
    encoder = execution.prepared(network.image_encoder)
    size = min(TIMED_SIZE, network.image_size)
    image = torch.zeros(1, 3, size, size, device=device)

    def encode() -> float:
        start = time.perf_counter()
        with torch.inference_mode(), torch.autocast(device.type, execution.dtype, enabled=lowered):
            encoder(image)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    with execution.active():
        encode()  # because the first call sets up kernels
        seconds = [encode()]
        while len(seconds) < 5 and sum(seconds) < TIMING_SECONDS:
            seconds.append(encode())
    return min(seconds)
