"""Errors whose message is meant for the user: what was wrong, where, and what to do."""


class SAMSegmenterError(Exception):
    """Base of every error that this library raises on purpose."""


class InputError(SAMSegmenterError, ValueError):
    """An image, a prompt or an argument that cannot be used."""


class CheckpointError(InputError):
    """A model file that cannot be used: missing, truncated, of another architecture, or unsafe."""


class PackageError(SAMSegmenterError, ImportError):
    """A Python package that is needed does not load; says which one is to blame, and the remedy."""


class OutputError(SAMSegmenterError, OSError):
    """A result that could not be written; nothing that was there before has been changed."""


class Cancelled(SAMSegmenterError):
    """The caller asked to stop; everything that was finished is kept."""
