"""Installing the packages from a folder of wheels, on a computer without a network.

The folder is filled on another computer with the same operating system and the same version of Python; `commands` says how.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .requirements import ALL, NEEDED, TORCH, TORCHVISION, Requirement, release

# What platform tags begin with; "any" fits everywhere.
PLATFORMS = {"win32": ("win_",), "darwin": ("macosx_",)}
OTHER_PLATFORMS = "manylinux", "linux_", "musllinux"


@dataclass(frozen=True)
class Wheel:
    """A wheel by its file name.

    Attributes:
        name: of the package, in lower case and with hyphens.
        version: as in the file name.
        tags: the Python, the binary interface and the platform that it is for.
    """

    name: str
    version: str
    tags: tuple[str, str, str]

    @classmethod
    def read(cls, path: Path) -> Wheel | None:
        """The wheel at `path`; None if it is not named as wheels are."""
        parts = path.name.removesuffix(".whl").split("-")  # name, version, maybe a build number, tags
        if len(parts) not in (5, 6) or not release(parts[1]):
            return None
        return cls(re.sub(r"[-_.]+", "-", parts[0]).lower(), parts[1], (parts[-3], parts[-2], parts[-1]))

    @property
    def fits_here(self) -> bool:
        """Whether it is for this Python and this operating system, as far as its name tells."""
        pythons, interface, platforms = self.tags
        this = f"cp{sys.version_info.major}{sys.version_info.minor}"
        fits_python = interface == "abi3" or bool({"py3", this} & set(pythons.split(".")))
        return fits_python and any(each.startswith(("any", *PLATFORMS.get(sys.platform, OTHER_PLATFORMS))) for each in platforms.split("."))


@dataclass(frozen=True)
class Folder:
    """A folder of wheels, compared with what is needed.

    Attributes:
        path: of the folder.
        found: wheels of the packages needed, one for each.
        lacking: what it has no wheel of.
        unfit: names of files that are for another system or Python, or too old.
    """

    path: Path
    found: dict[Requirement, Wheel]
    lacking: list[Requirement]
    unfit: list[str]

    @property
    def pip_arguments(self) -> list[str]:
        """What to give to `pip install`. What the packages need in turn is taken from the folder, too; pip says what is not there."""
        return ["--no-index", "--find-links", str(self.path), *(requirement.specifier for requirement in self.found)]


def look_into(folder: Path, needed: Iterable[Requirement] = NEEDED) -> Folder:
    """Which of the packages needed a folder has wheels of.

    Raises:
        InputError: there are no wheels in it.
    """
    files = sorted(folder.glob("*.whl"))
    if not files:
        raise InputError(f"{folder}: there are no wheels (.whl) in this folder. Choose the folder that you filled on the other computer.")
    wheels = {file.name: Wheel.read(file) for file in files}
    found, unfit = {}, []
    for requirement in needed:
        for file, wheel in wheels.items():
            if wheel is None or wheel.name != requirement.name:
                continue
            if wheel.fits_here and release(wheel.version) >= release(requirement.least):
                found[requirement] = wheel
            else:
                unfit.append(file)
    return Folder(folder, found, [each for each in needed if each not in found], unfit)


def commands(needed: Iterable[Requirement] = ALL) -> str:
    """What to type on a computer with a network, with the same system and Python, to fill a folder called wheels."""
    quoted = " ".join(f'"{requirement.specifier}"' for requirement in needed)
    set_variable = "set SAM2_BUILD_CUDA=0" if sys.platform == "win32" else "export SAM2_BUILD_CUDA=0"
    return "\n".join(
        [
            f'python -m pip install "{TORCH.specifier}" "{TORCHVISION.specifier}" setuptools wheel',
            set_variable,  # sam2 is built from its sources against that torch, without CUDA code of its own
            f"python -m pip wheel --no-build-isolation --wheel-dir wheels {quoted}",
        ]
    )
