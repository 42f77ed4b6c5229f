"""Tensors in the files that ``torch.save`` writes, read without torch's unpickler.

A crafted file can make torch below 2.10 corrupt memory even with ``weights_only=True``, and some computers cannot have a newer
one. Here `pickled` interprets the pickle, every size is checked against the file before memory is taken for it, and only
the numbers of wanted tensors are read.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .pickled import LARGEST_PICKLE, Name, Opaque, Vocabulary, expect, interpret
from .torch_archive import UNPACK, Archive, ArchiveError, Entry

DTYPES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
ODD_TENSORS = {"torch._utils._rebuild_sparse_tensor", "torch._utils._rebuild_nested_tensor", "torch._utils._rebuild_qtensor"}
ODD_TENSORS |= {"torch._utils._rebuild_meta_tensor_no_storage", "torch._utils._rebuild_wrapper_subclass", "torch._utils._rebuild_tensor_v3"}
ODD_TENSORS |= {"torch._utils._rebuild_device_tensor_from_numpy", "torch._utils._rebuild_device_tensor_from_cpu_tensor"}
MOST_DIMENSIONS = 64
MOST_NUMBERS = 1 << 48  # in a shape, so that products of sizes stay within what torch can count

# Packages whose objects lie beside the weights in files written during training. None is used, and none of their code is run.
TRAINING = {"argparse", "addict", "collections", "datetime", "easydict", "enum", "lightning", "ml_collections", "numpy", "omegaconf"}
TRAINING |= {"pathlib", "pytorch_lightning", "torch", "types", "typing", "uuid", "yacs"}
TRAINING_NAMES = {"_codecs.encode", "copyreg._reconstructor"}
TRAINING_NAMES |= {f"builtins.{name}" for name in ("bool", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "long")}
TRAINING_NAMES |= {f"builtins.{name}" for name in ("object", "range", "set", "slice", "str", "tuple", "unicode")}


@dataclass(frozen=True)
class Stored:
    """A storage; the file has been found to hold as many numbers as it says."""

    entry: Entry
    dtype: torch.dtype
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor whose numbers are still in the file, within its storage; sizes, strides and offset count numbers."""

    storage: Stored
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_structure(archive: Archive, permissive: bool = False) -> Any:
    """Return the content of a file: plain values and containers, `StoredTensor`, and `Opaque` for everything that is no weight.

    Args:
        permissive: leave objects of all kinds opaque, not only those of `TRAINING`.

    Raises:
        ForbiddenName: the file wants some other class or function.
        PickleError, ArchiveError: it is damaged or no file of weights.
    """
    if any(name.startswith("code/") or name == "constants.pkl" for name in archive.entries):
        raise ArchiveError("is a program (TorchScript), not a file of weights", "Ask the author for the weights (state_dict)")
    if "data.pkl" not in archive.entries:
        raise ArchiveError("is a zip archive, but not of PyTorch weights", UNPACK)
    reader = _TensorReader(archive)
    calls: dict[str, Callable[..., Any]] = {
        "torch._utils._rebuild_tensor_v2": reader.tensor,
        **dict.fromkeys(ODD_TENSORS, _odd_tensor),
        "torch._utils._rebuild_parameter": _first,
        "torch._utils._rebuild_parameter_with_state": _first,
        "torch._tensor._rebuild_from_type_v2": reader.typed,
        "torch.Size": _first,
        "collections.OrderedDict": _dictionary,
        "collections.defaultdict": lambda arguments: _dictionary(arguments[1:]),
        "builtins.dict": _dictionary,
    }
    vocabulary = Vocabulary(calls, lambda name: permissive or _is_of_training(name), reader.stored)
    return interpret(archive.read("data.pkl", LARGEST_PICKLE), vocabulary)


def read_tensors(archive: Archive, wanted: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
    """Return the tensors `wanted`, with memory of their own; those that share a storage in the file share it in memory.

    Raises:
        ArchiveError: the file has become shorter meanwhile, or states an unknown byte order.
        MemoryError: there is not enough memory.
    """
    is_foreign = _byte_order(archive) != sys.byteorder
    storages = sorted({tensor.storage for tensor in wanted.values()}, key=lambda storage: storage.entry.start)
    read = {storage: _numbers(archive, storage, is_foreign) for storage in storages}
    return {name: read[each.storage].as_strided(each.shape, each.strides, each.offset) for name, each in wanted.items()}


class _TensorReader:
    """A reader of storages and tensors as the pickle describes them."""

    def __init__(self, archive: Archive) -> None:
        self._entries = archive.entries
        self._storages: dict[str, Stored] = {}

    def stored(self, pid: Any) -> Stored | Opaque:
        """Return the storage with the persistent ID ``("storage", kind, key, device, count)``."""
        expect(isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage")
        _, kind, key, _, count = pid
        expect(isinstance(kind, Name) and isinstance(key, str) and _are_counts(count))
        dtype = DTYPES.get(str(kind))
        if dtype is None:
            return Opaque(str(kind))
        entry = self._entries.get(f"data/{key}")
        expect(entry is not None, "is truncated: numbers are missing")
        assert entry is not None
        expect(count * dtype.itemsize <= entry.size, "is damaged: a tensor has more numbers than are in the file")
        storage = self._storages.setdefault(key, Stored(entry, dtype, count))
        expect(storage == Stored(entry, dtype, count), "is damaged: it says different things of the same numbers")
        return storage

    def tensor(self, arguments: tuple) -> StoredTensor | Opaque:
        """Return the tensor described by ``(storage, offset, shape, strides, ...)``."""
        expect(len(arguments) >= 4)
        storage, offset, shape, strides = arguments[:4]
        if isinstance(storage, Opaque) or any(arguments[6:]):  # of other kinds, or to be negated
            return _odd_tensor()
        expect(isinstance(storage, Stored) and isinstance(shape, tuple) and isinstance(strides, tuple))
        expect(len(shape) == len(strides) <= MOST_DIMENSIONS and _are_counts(offset, *shape, *strides))
        expect(math.prod(max(side, 1) for side in shape) <= MOST_NUMBERS, "is damaged: a tensor would be larger than any memory")
        if 0 in shape:
            return StoredTensor(storage, 0, shape, tuple(0 for _ in shape))
        last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
        expect(last < storage.count, "is damaged: a tensor reaches beyond its numbers")
        return StoredTensor(storage, offset, shape, tuple(stride if side > 1 else 0 for side, stride in zip(shape, strides, strict=True)))

    def typed(self, arguments: tuple) -> Any:
        """Return the tensor described by ``(how to build it, its class, arguments for that, attributes)``.

        Class and attributes are dropped.
        """
        expect(len(arguments) == 4 and isinstance(arguments[2], tuple))
        return self.tensor(arguments[2]) if str(arguments[0]) == "torch._utils._rebuild_tensor_v2" else _odd_tensor()


def _odd_tensor(*_: Any) -> Opaque:
    return Opaque("Tensor", is_tensor=True)


def _first(arguments: tuple) -> Any:
    expect(bool(arguments))
    return arguments[0]


def _dictionary(arguments: tuple) -> dict:
    """Return the dictionary made of no arguments, of another dictionary, or of pairs."""
    pairs = arguments[0] if arguments else ()
    if isinstance(pairs, dict):
        return dict(pairs)
    expect(isinstance(pairs, (list, tuple)) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs))
    return {key: value for key, value in pairs if isinstance(key, (str, int))}


def _are_counts(*values: Any) -> bool:
    return all(type(value) is int and 0 <= value < 1 << 62 for value in values)


def _is_of_training(name: Name) -> bool:
    return name.module.partition(".")[0] in TRAINING or str(name) in TRAINING_NAMES


def _byte_order(archive: Archive) -> str:
    order = archive.read("byteorder", 16).decode("ascii", "replace") or "little"
    if order not in ("little", "big"):
        raise ArchiveError("is damaged: it says no byte order that there is")
    return order


def _numbers(archive: Archive, storage: Stored, is_foreign: bool) -> Tensor:
    """Return the numbers of a storage, in their order in the file."""
    size = storage.count * storage.dtype.itemsize
    try:
        numbers = torch.empty(size, dtype=torch.uint8)
    except RuntimeError as error:  # torch's error for too little memory
        raise MemoryError(f"{size >> 20} MB for weights") from error
    octets = numbers.numpy()
    archive.read_into(storage.entry, octets.data)
    if is_foreign and storage.dtype.itemsize > 1:
        octets.view(np.dtype(f"u{storage.dtype.itemsize}")).byteswap(inplace=True)
    return numbers.view(storage.dtype)
