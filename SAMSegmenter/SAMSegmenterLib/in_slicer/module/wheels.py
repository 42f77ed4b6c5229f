"""Finds wheels of the packages in a folder, for a computer without internet.

The folder is filled on another computer with the same operating system and the same version of Python; `commands` says how.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from .requirements import ALL, NEEDED, SAM2, Requirement, release

# Beginnings of platform tags; "any" fits everywhere.
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
        """Return the wheel at `path`; None if it is not named as wheels are."""
        parts = path.name.removesuffix(".whl").split("-")  # name, version, maybe a build number, tags
        if len(parts) not in (5, 6) or not release(parts[1]):
            return None
        return cls(re.sub(r"[-_.]+", "-", parts[0]).lower(), parts[1], (parts[-3], parts[-2], parts[-1]))

    @property
    def fits_here(self) -> bool:
        """Return whether it is for this Python and this operating system, as far as its name tells."""
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
        unfit: names of files that are for another system or Python, or too old or too new.
    """

    path: Path
    found: dict[Requirement, Wheel]
    lacking: list[Requirement]
    unfit: list[str]

    @property
    def pip_arguments(self) -> list[list[str]]:
        """Return the arguments for `pip install`, which is to be run once or twice.

        What the packages need in turn is taken from the folder, too, and pip says what is not there; except for sam2, whose needs are
        listed here.
        """
        source = ["--no-index", "--find-links", str(self.path)]
        others = [each.specifier for each in self.found if each is not SAM2]
        sam2 = [f"{self.found[SAM2].name}=={self.found[SAM2].version}"] if SAM2 in self.found else []
        return [[*source, *how] for how in (others, ["--no-deps", *sam2]) if how and how != ["--no-deps"]]


def look_into(folder: Path, needed: Iterable[Requirement] = NEEDED) -> Folder:
    """Return which of the packages needed a folder has wheels of.

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
            fitting = next((each for each in (requirement, requirement.instead) if each and wheel and wheel.name == each.name), None)
            if fitting is None:
                continue
            if wheel.fits_here and fitting.allows(wheel.version):
                found[requirement] = wheel
            else:
                unfit.append(file)
    return Folder(folder, found, [each for each in needed if each not in found], unfit)


def commands(needed: Iterable[Requirement] = ALL) -> str:
    """Return what to type on a computer with internet, the same system and Python, to fill a folder called wheels."""
    quoted = " ".join(f'"{each.specifier}"' for each in needed if each is not SAM2)
    return "\n".join(
        [
            f"python -m pip wheel --wheel-dir wheels {quoted}",
            f'python -m pip wheel --wheel-dir wheels --no-deps "{SAM2.specifier}"',
        ]
    )
