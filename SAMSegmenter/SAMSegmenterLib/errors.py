"""Errors whose message is meant for the user: what was wrong, where, and what to do."""

from __future__ import annotations

import errno

# How PyTorch's CPU and CUDA allocators, ITK and the C++ library say so in a plain RuntimeError.
NO_MEMORY = "can't allocate memory", "out of memory", "failed to allocate", "bad_alloc", "bad allocation", "not enough memory"


class SAMSegmenterError(Exception):
    """Base of every error that this library raises on purpose."""


class InputError(SAMSegmenterError, ValueError):
    """An image, a prompt or an argument that cannot be used."""


class CheckpointError(InputError):
    """A model file that cannot be used: missing, truncated, of another architecture, or unsafe."""


class OutputError(SAMSegmenterError, OSError):
    """A result that could not be written; nothing that was there before has been changed."""


class Cancelled(SAMSegmenterError):
    """The caller asked to stop; everything that was finished is kept."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the computer, or a device, has no memory left."""
    if isinstance(error, OSError):  # of pages for what is kept
        return error.errno == errno.ENOMEM
    said = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)
    return isinstance(error, MemoryError) or said
