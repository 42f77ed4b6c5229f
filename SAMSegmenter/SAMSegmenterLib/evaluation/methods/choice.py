"""The methods by name, and which of them can be used here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from ...models.interfaces import Model
from ...network.options import Options
from .base import Method, Ours

METHODS = "samsegmenter", "copy", "interpolate", "grow", "upstream"
SCIPY, SLICER = ("scipy", "scipy"), ("slicer", '"slicer-core==5.11.*"')  # packages, and how pip calls them
NEEDED = {"copy": (SCIPY,), "interpolate": (SCIPY, SLICER), "grow": (SCIPY, SLICER)}


def choose(names: Iterable[str], model: Model, options: Options, device: str) -> tuple[list[Method], dict[str, str]]:
    """Return the methods of some names.

    Args:
        names: of `METHODS`.
        model: for the methods that use one.
        options: see `network.options.Options`.
        device: "auto", "cpu", "cuda" or "mps".

    Returns:
        Those that can be used, and for each other one what to install.
    """
    chosen, unavailable = [], {}
    for name in names:
        missing = [pip for package, pip in NEEDED.get(name, ()) if find_spec(package) is None]
        if missing:
            unavailable[name] = f"install what it needs with: pip install {' '.join(missing)}"
        else:
            chosen.append(_make(name, model, options, device))
    return chosen, unavailable


def _make(name: str, model: Model, options: Options, device: str) -> Method:
    if name == "samsegmenter":
        return Ours(model, options, device)
    if name == "upstream":
        from .upstream import Upstream

        return Upstream(model, device)
    from .baselines import BASELINES

    return next(kind for kind in BASELINES if kind.name == name)()
