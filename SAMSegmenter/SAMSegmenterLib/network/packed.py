"""Linear layers whose float32 weights oneDNN has arranged in advance; on some CPUs twice as fast as PyTorch's own.

PyTorch multiplies float32 matrices by MKL, which is slow on CPUs of other makers than its own. The wheels hold oneDNN as well, but
only by private operations, which may be missing or change: so they are tried before they are used.
"""

from __future__ import annotations

import copy
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORTH = 0.8  # packed weights must save a fifth of the time: they take memory once more
TIMED_ROWS, TIMED_WIDTH = 1024, 256  # as in the networks: a product of about a millisecond
TIMES = 5
LEAST_PRODUCT = 2**20  # multiplications; fewer take less than what oneDNN needs to prepare for them
MOST_ROWS = 4  # numbers of rows that a layer gives to oneDNN
OLDEST = 2, 14  # PyTorch that was tried; 2.2.2 has the operations, too, but with them strict results are 1.2e-3 beside upstream's
LIKE = 1e-3  # the largest difference, of values of about 1, that is rounding


class PackedLinear(nn.Module):
    """A linear layer for `weight` ``(out, in)`` and `bias` ``(out,)``, both float32 on the CPU; without gradients.

    The weights are packed when a product first pays for it. oneDNN keeps half a megabyte for every number of rows that it has met, so
    only the first few numbers are left to it.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight.detach(), bias
        self._packed: Tensor | None = None
        self._rows: set[int] = set()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x @ weight.T + bias``, ``(..., in) -> (..., out)``, up to rounding."""
        rows = x.numel() // self.weight.shape[1]
        if rows not in self._rows and not self._takes(rows):
            return F.linear(x, self.weight, self.bias)
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, None)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")

    def _takes(self, rows: int) -> bool:
        takes = rows * self.weight.numel() >= LEAST_PRODUCT and len(self._rows) < MOST_ROWS
        if takes:
            self._rows.add(rows)
        return takes


def with_packed_linears(module: nn.Module) -> nn.Module:
    """Return a copy of `module` whose linear layers are packed; it shares all other weights."""
    memo: dict[int, object] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    memo |= {id(part): PackedLinear(part.weight, part.bias) for part in module.modules() if type(part) is nn.Linear}
    return copy.deepcopy(module, memo)


def packing_exists() -> bool:
    """Return whether this PyTorch has the operations for packed layers, and they are known to compute the same as its own."""
    return _trial() is not None


def packing_is_worth_it() -> bool:
    """Return whether packed layers exist here and are much faster than PyTorch's own; found out once in a process."""
    if "worth" not in _found_out:
        trial = _trial()
        _found_out["worth"] = trial is not None and _saves_time(trial)
    return _found_out["worth"]


_found_out: dict[str, bool] = {}


@torch.inference_mode()
def _trial() -> PackedLinear | None:
    """Return a packed layer; None if it cannot be made, or computes something else than it should."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST:
        return None
    random = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(rows, TIMED_WIDTH, generator=random) for rows in (TIMED_ROWS, TIMED_WIDTH))
    layer = PackedLinear(weight / TIMED_WIDTH**0.5, torch.ones(TIMED_WIDTH))
    try:
        same = torch.allclose(layer(x), F.linear(x, layer.weight, layer.bias), atol=LIKE)
    except (AttributeError, RuntimeError):  # no such operations in this PyTorch, or others of that name
        return None
    return layer if same else None


@torch.inference_mode()
def _saves_time(layer: PackedLinear) -> bool:
    x, seconds = torch.ones(TIMED_ROWS, TIMED_WIDTH), []
    for _ in range(TIMES):  # by turns, since other programs run, too
        start = time.perf_counter()
        F.linear(x, layer.weight, layer.bias)
        between = time.perf_counter()
        layer(x)
        seconds.append((between - start, time.perf_counter() - between))
    own, packed = (min(each) for each in zip(*seconds, strict=True))
    return packed < WORTH * own
