"""The Python packages that the effect needs, and which of them are installed.

Nothing is imported to find out: torch takes seconds to load, and cannot be replaced once it is loaded.
"""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from ...errors import InputError


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version that can be compared: of "2.5.1+cu124", ``(2, 5, 1)``."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in found.group().split(".")] if found else []
    while numbers and numbers[-1] == 0:  # 2.5 is 2.5.0
        numbers.pop()
    return tuple(numbers)


@dataclass(frozen=True)
class Requirement:
    """A package.

    Attributes:
        name: in the package index.
        least: the oldest version that will do.
        module: what it is imported as.
        below: the first version that will not do any more; empty if none is known.
        instead: another package with the same module, which will do as well.
    """

    name: str
    least: str
    module: str
    below: str = ""
    instead: Requirement | None = None

    @property
    def specifier(self) -> str:
        """Return the package and its versions as pip takes them."""
        return f"{self.name}>={self.least}" + (f",<{self.below}" if self.below else "")

    def allows(self, version: str) -> bool:
        """Return whether this version will do."""
        return release(version) >= release(self.least) and not (self.below and release(version) >= release(self.below))


@dataclass(frozen=True)
class PackageStatus:
    """A needed package, and the version that is installed; None if it is not, or only in part."""

    requirement: Requirement
    version: str | None

    @property
    def is_enough(self) -> bool:
        """Return whether a version is installed that will do."""
        return self.version is not None and self.requirement.allows(self.version)


# The only place that says what the effect needs in Slicer, beside what comes with it, as numpy and requests do.
TORCH = Requirement("torch", "2.2.2", "torch")
TORCHVISION = Requirement("torchvision", "0.17.2", "torchvision")
# rf-sam-2 is sam2 as a wheel, except for an option of its image predictor. Both ask for a newer torch than they need, and than some
# computers can have. So they are installed without their dependencies, which are listed here instead.
SAM2_SOURCE = Requirement("sam2", "1.1", "sam2")
SAM2 = Requirement("rf-sam-2", "1.0.3", "sam2", instead=SAM2_SOURCE)
IMPORTED_BY_SAM2 = (
    Requirement("hydra-core", "1.3.2", "hydra"),
    Requirement("iopath", "0.1.10", "iopath"),
    Requirement("tqdm", "4.66.1", "tqdm"),
)
# Torch before 2.3 does not work with the numpy 2 that Slicer brings, and Intel Macs can have none newer than 2.2.2.
OLD_NUMPY = Requirement("numpy", "1.26", "numpy", below="2")


def _version(requirement: Requirement) -> str | None:
    # Half of an uninstalled package may be left, its record or its files: it counts as missing.
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None
    return version if find_spec(requirement.module) else None


def for_computer(system: str, machine: str, torch: str | None = None) -> tuple[Requirement, ...]:
    """Return what is needed on a computer, as `sys.platform` and `platform.machine` name it, with this version of torch if it has one."""
    has_old_torch = release(torch) < (2, 3) if torch else (system, machine) == ("darwin", "x86_64")
    return (
        *([OLD_NUMPY] if has_old_torch else []),
        TORCH,
        TORCHVISION,
        SAM2,
        Requirement("segment-anything", "1.0", "segment_anything"),
        *IMPORTED_BY_SAM2,
        Requirement("safetensors", "0.4", "safetensors"),
        Requirement("platformdirs", "4", "platformdirs"),
        Requirement("filelock", "3.12", "filelock"),
        Requirement("pillow", "10.1", "PIL"),
    )


NEEDED = for_computer(sys.platform, platform.machine(), _version(TORCH))
# Needed only by models of some families, which `models.catalog` names.
TIMM = Requirement("timm", "1.0", "timm")
OPTIONAL = {"edgetam": TIMM, "mobile_sam": TIMM}
ALL = (*NEEDED, TIMM)


def find(needed: Iterable[Requirement] = NEEDED) -> list[PackageStatus]:
    """Return what is installed of the packages needed, in their order."""
    importlib.invalidate_caches()  # another process, pip, may just have installed some
    return [_status(requirement) for requirement in needed]


def missing(needed: Iterable[Requirement] = NEEDED) -> list[Requirement]:
    """Return the packages that are not installed, or too old."""
    return [status.requirement for status in find(needed) if not status.is_enough]


def check_family(family: str) -> None:
    """Raise `InputError` if models of a family need a package that is missing; says how to get it."""
    needed = OPTIONAL.get(family)
    if needed and missing([needed]):
        raise InputError(
            f"This model needs one more Python package, {needed.name}. Open the module SAMSegmenter, press 'Install what is missing' "
            "there, and try again."
        )


def unfit() -> list[Requirement]:
    """Return the packages that are needed and not there, and those of the optional ones that are there in a version that will not do."""
    return [each.requirement for each in find(ALL) if not each.is_enough and (each.version or each.requirement in NEEDED)]


def broken(needed: Iterable[Requirement] = ALL) -> list[Requirement]:
    """Return those of the packages installed that cannot be imported; tried in processes of their own, which takes seconds."""
    python = shutil.which("PythonSlicer") or sys.executable
    left, bad = [status.requirement for status in find(needed) if status.version is not None], []
    while left:
        tried = subprocess.run([python, "-c", TRY, *(each.module for each in left)], capture_output=True, text=True)
        loaded = [line for line in tried.stdout.splitlines() if line in {each.module for each in left}]
        left = left[len(loaded) :]
        bad += left[:1]  # the first that did not come back, and may have taken the process with it
        left = left[1:]
    return bad


TRY = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n    print(name, flush=True)"


def _status(requirement: Requirement) -> PackageStatus:
    """Return what is installed of a package, or else of the one that will do instead."""
    found = PackageStatus(requirement, _version(requirement))
    if found.version is None and requirement.instead:
        other = PackageStatus(requirement.instead, _version(requirement.instead))
        return other if other.is_enough else found
    return found
