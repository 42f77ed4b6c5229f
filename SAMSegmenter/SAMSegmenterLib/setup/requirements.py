"""The Python packages that the effect needs, and which of them are installed.

Nothing is imported to find out: torch takes seconds to load, and cannot be replaced once it is loaded.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from ..errors import InputError


@dataclass(frozen=True)
class Requirement:
    """A package.

    Attributes:
        name: in the package index.
        least: the oldest version that will do.
        module: what it is imported as.
    """

    name: str
    least: str
    module: str

    @property
    def specifier(self) -> str:
        """As pip takes it."""
        return f"{self.name}>={self.least}"


@dataclass(frozen=True)
class Finding:
    """A package that is needed, and the version that is installed; None if it is not, or only in part."""

    requirement: Requirement
    version: str | None

    @property
    def is_enough(self) -> bool:
        return self.version is not None and release(self.version) >= release(self.requirement.least)


# The only place that says what the effect needs in Slicer, beside what comes with it, as numpy and requests do.
TORCH = Requirement("torch", "2.5.1", "torch")
TORCHVISION = Requirement("torchvision", "0.20.1", "torchvision")
SAM2 = Requirement("sam2", "1.1", "sam2")
NEEDED = (
    TORCH,
    TORCHVISION,
    SAM2,
    Requirement("segment-anything", "1.0", "segment_anything"),
    Requirement("hydra-core", "1.3", "hydra"),
    Requirement("omegaconf", "2.3", "omegaconf"),
    Requirement("safetensors", "0.4", "safetensors"),
    Requirement("platformdirs", "4", "platformdirs"),
    Requirement("filelock", "3.12", "filelock"),
    Requirement("pillow", "10.1", "PIL"),
)
# What only networks of some families need; they are named in `models.catalog`.
TIMM = Requirement("timm", "1.0", "timm")
OPTIONAL = {"edgetam": TIMM, "mobile_sam": TIMM}
ALL = (*NEEDED, TIMM)


def find(needed: Iterable[Requirement] = NEEDED) -> list[Finding]:
    """What is installed of the packages needed, in their order."""
    importlib.invalidate_caches()  # another process, pip, may just have installed some
    return [Finding(requirement, _version(requirement)) for requirement in needed]


def missing(needed: Iterable[Requirement] = NEEDED) -> list[Requirement]:
    """The packages that are not installed, or too old."""
    return [finding.requirement for finding in find(needed) if not finding.is_enough]


def check_family(family: str) -> None:
    """Raise `InputError` if networks of a family need a package that is missing; says how to get it."""
    needed = OPTIONAL.get(family)
    if needed and missing([needed]):
        raise InputError(
            f"This network needs one more Python package, {needed.name}. Open the module SAMSegmenter, press 'Install what is missing' "
            "there, and try again."
        )


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version that can be compared: of "2.5.1+cu124", ``(2, 5, 1)``."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in found.group().split(".")] if found else []
    while numbers and numbers[-1] == 0:  # 2.5 is 2.5.0
        numbers.pop()
    return tuple(numbers)


def _version(requirement: Requirement) -> str | None:
    # Half of an uninstalled package may be left, its record or its files: such a one counts as missing.
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None
    return version if find_spec(requirement.module) else None
