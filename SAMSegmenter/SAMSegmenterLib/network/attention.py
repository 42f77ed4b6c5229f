"""SAM 2's memory attention in fewer operations; see `network` for what is rewritten and why it is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..models.sam2_package import SAM2Base
from .packed import PackedLinear
from .rewrites import resampler_of

QUERIES_AT_ONCE = 256  # keeps a block of attention weights within a CPU's cache


class MemoryAttention:
    """The memory attention of a network for a square of `grid` x `grid` tokens.

    Args:
        exact: the network in float32, of which the new weights are made.
        running: the same network as it runs, in `dtype`.
    """

    def __init__(self, exact: SAM2Base, running: SAM2Base, grid: int, dtype: torch.dtype) -> None:
        layers = zip(exact.memory_attention.layers, running.memory_attention.layers, strict=True)
        self._layers = [_MemoryLayer(original, module, grid, dtype, resampler_of(exact)) for original, module in layers]
        self._norm = running.memory_attention.norm

    def begin(self, tokens: Tensor) -> Tensor:
        """Return image tokens ``(B, T, C)`` after the first self-attention, which does not depend on memories."""
        return self._layers[0].attend_to_itself(tokens)

    def finish(self, begun: Tensor, memory: Tensor, keyed: Tensor, pointers: int) -> Tensor:
        """Return the result of everything after `begin`.

        Args:
            begun: ``(B, T, C)`` float32, from `begin`.
            memory: ``(B, M, c)`` values, the last `pointers` of them object pointers.
            keyed: the same with their positions added.

        Returns:
            Tokens conditioned on the memories, ``(B, T, C)``.
        """
        x = begun
        for number, layer in enumerate(self._layers):
            if number:
                x = layer.attend_to_itself(x)
            x = layer.attend_to_memory(x, memory, keyed, pointers)
            x = layer.think(x)
        return self._norm(x)


@dataclass(frozen=True, eq=False)
class _Linear:
    """A linear layer, as `PackedLinear` is one, with weights as they are."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class _MemoryLayer:
    """One layer of memory attention, with its projections rewritten for real-valued rotary encoding.

    The new weights are made from `exact` (float32) and kept in `dtype`; `module` is the same layer as it runs.
    """

    def __init__(self, exact: Any, module: Any, grid: int, dtype: torch.dtype, resampler: Any) -> None:
        self.module = module
        own, cross = exact.self_attn, exact.cross_attn_image
        width = own.internal_dim
        # complex pairs (0, 1), (2, 3), ... become two halves, so that rotation needs no complex numbers
        order = torch.cat([torch.arange(0, width, 2), torch.arange(1, width, 2)]).to(own.q_proj.weight.device)
        scale = width**-0.5
        linear = PackedLinear if isinstance(module.linear1, PackedLinear) else _Linear
        self.self_query, self.self_key = linear(*_rows(own.q_proj, order, dtype, scale)), linear(*_rows(own.k_proj, order, dtype))
        self.cross_query, self.cross_key = linear(*_rows(cross.q_proj, order, dtype, scale)), linear(*_rows(cross.k_proj, order, dtype))
        output, value = cross.out_proj, cross.v_proj
        self.cross_output = linear((output.weight @ value.weight).to(dtype), (output.weight @ value.bias + output.bias).to(dtype))
        turns = _turns(own, grid)
        self.turns, self.memory_turns = (_as_reals(each, order.device, dtype) for each in (turns, _memory_turns(own, resampler, turns)))

    def attend_to_itself(self, x: Tensor) -> Tensor:
        attention = self.module.self_attn
        normed = self.module.norm1(x)
        query = _rotated(self.self_query(normed), self.turns)
        key = _rotated(self.self_key(normed), self.turns)
        return x + attention.out_proj(_attention(query, key, attention.v_proj(normed)))

    def attend_to_memory(self, x: Tensor, memory: Tensor, keyed: Tensor, pointers: int) -> Tensor:
        query = _rotated(self.cross_query(self.module.norm2(x)), self.turns)
        key = self.cross_key(keyed)
        spatial = key.shape[1] - pointers  # pointers have no place in the image, so they are not turned
        key[:, :spatial] = _rotated(key[:, :spatial], self.memory_turns)
        return x + self.cross_output(_attention(query, key, memory))

    def think(self, x: Tensor) -> Tensor:
        return x + self.module.linear2(F.relu(self.module.linear1(self.module.norm3(x))))


def _turns(attention: Any, side: int) -> Tensor:
    """Return the rotary encoding of the places of a grid of `side` x `side` tokens, row by row: complex ``(side * side, C/2)``."""
    return attention.compute_cis(end_x=side, end_y=side)


def _memory_turns(attention: Any, resampler: Any, turns: Tensor) -> Tensor:
    """Return the rotary encoding of a memory's tokens: that of the image, `turns`, unless the tokens are resampled."""
    if resampler is None:
        return turns
    return torch.cat([torch.ones(resampler.placeless, turns.shape[1], dtype=turns.dtype), _turns(attention, resampler.side)])


def _as_reals(turns: Tensor, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return turns.real.to(device, dtype), turns.imag.to(device, dtype)


def _rotated(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Return ``(B, r * T, C)``, rotated by cosines and sines ``(T, C/2)`` that repeat for each of r memories."""
    cosine, sine = turns
    batch, count, width = x.shape
    pairs = x.view(batch, -1, len(cosine), 2, width // 2)
    real, imaginary = pairs.unbind(-2)
    turned = torch.empty_like(pairs)
    torch.mul(real, cosine, out=turned[..., 0, :]).addcmul_(imaginary, sine, value=-1)
    torch.mul(real, sine, out=turned[..., 1, :]).addcmul_(imaginary, cosine)
    return turned.view(batch, count, width)


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return single-head attention, ``(B, N, C), (B, M, C), (B, M, c) -> (B, N, c)``; the query is already scaled."""
    on_cpu = query.device.type == "cpu"
    if not on_cpu or (value.shape[-1] == query.shape[-1] and query.dtype == torch.float32):
        return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]
    # The CPU's fused kernel takes only values as wide as the keys, and is slow in bfloat16; so the blocks are made here.
    result = torch.empty(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
    for number in range(len(query)):
        for start in range(0, query.shape[1], QUERIES_AT_ONCE):
            block = slice(start, start + QUERIES_AT_ONCE)
            result[number, block] = torch.softmax(F.linear(query[number, block], key[number]), -1) @ value[number]
    return result


class PlainAttention(TorchFunctionMode):
    """A mode in which low-precision attention on a CPU is two matrix products, which are quicker there than the fused kernel.

    docs/figures.md has the times.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func is F.scaled_dot_product_attention and len(args) == 3 and not kwargs:
            return _plain(*args)
        return func(*args, **(kwargs or {}))


def _plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return torch.softmax(weights, -1) @ value


def _rows(linear: nn.Linear, order: Tensor, dtype: torch.dtype, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    return (linear.weight[order] * scale).to(dtype), (linear.bias[order] * scale).to(dtype)
