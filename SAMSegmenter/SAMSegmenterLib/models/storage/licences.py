"""Consent to licences that are not permissive, before weights are downloaded."""

from __future__ import annotations

from ...errors import InputError
from ..catalog import CatalogEntry
from . import records

ACCEPTED = "licences.json"
PERMISSIVE = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "MIT"}


class LicenceNotAccepted(InputError):
    """A request to show the licence of `entry` to the user and have it accepted first."""

    def __init__(self, entry: CatalogEntry) -> None:
        super().__init__(
            f"{entry.id}: the licence of these weights must be accepted first. {terms(entry)} "
            f"Run 'samsegmenter models get {entry.id}' and accept it."
        )
        self.entry = entry


def terms(entry: CatalogEntry) -> str:
    """Return the licence in one line for the user: its name, where its text is, and whether commercial use is allowed."""
    text = f", see {entry.licence_url}" if entry.licence_url else ""
    return f"Licence: {entry.licence}{text}. Commercial use is {'allowed' if entry.commercial_use else 'not allowed'}."


def is_accepted(entry: CatalogEntry) -> bool:
    """Return whether the weights may be downloaded without asking: the licence is permissive, or was accepted here before."""
    permissive = entry.commercial_use and entry.licence in PERMISSIVE
    return permissive or records.read(ACCEPTED).get(entry.id) == entry.licence


def accept(entry: CatalogEntry) -> None:
    """Record that the user has accepted the licence of `entry`, until the catalog names another one.

    Raises:
        OutputError: no folder of models can be written to.
    """
    records.note(ACCEPTED, entry.id, entry.licence)
