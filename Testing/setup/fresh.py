"""The module's set-up in a fresh environment without compiler and git, and its self-test there: what a user does in Slicer.

    python3.12 Testing/setup/fresh.py                     from the network
    python3.12 Testing/setup/fresh.py --wheels FOLDER     from a folder; an empty one is filled first, as the panel tells users to

Follows the plan of the panel, agrees to its question, and has pip do what it says. Takes 6 GB while it runs, and 3 more for wheels.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import venv
from functools import partial
from pathlib import Path
from types import ModuleType

LIBRARY = Path(__file__).parents[2] / "SAMSegmenter"
WITH_SLICER = "numpy", "pydicom", "requests", "SimpleITK"
NOWHERE = "http://127.0.0.1:9"  # as a proxy: whatever asks the network then fails


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=lambda text: Path(text).resolve(), metavar="FOLDER")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # in the fresh environment already
    asked = parser.parse_args()
    if asked.inside:
        set_up(asked.wheels)
        check()
    else:
        with tempfile.TemporaryDirectory(prefix="samsegmenter-fresh-") as folder:
            start_over_in(Path(folder))


def start_over_in(folder: Path) -> None:
    """Run this script in a new environment in `folder`, with nothing but its programs on the PATH."""
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    environment = {**os.environ, "PATH": str(programs), "PYTHONPATH": str(LIBRARY), "PYTHONNOUSERSITE": "1"}
    for arguments in (["-m", "pip", "install", "--quiet", *WITH_SLICER], [__file__, "--inside", *sys.argv[1:]]):
        subprocess.run([programs / "python", *arguments], env=environment, check=True)


def set_up(wheels: Path | None) -> None:
    """Do what the panel's button does until nothing is missing; what only some models need is offered in a second turn."""
    stand_in_for_slicer()
    from SAMSegmenterLib.in_slicer.module import installer, requirements

    install = installer.install_missing
    if wheels:
        fill(wheels)
        os.environ.update(dict.fromkeys(("http_proxy", "https_proxy"), NOWHERE))
        install = partial(installer.install_from, wheels)
    while requirements.missing(requirements.ALL):
        install()


def fill(folder: Path) -> None:
    """Follow what the panel says about a folder without wheels."""
    from SAMSegmenterLib.in_slicer.module.wheels import commands

    if not any(folder.glob("*.whl")):
        for line in commands().splitlines():
            pip(*(str(folder) if word == "wheels" else word for word in shlex.split(line)[3:]))


def check() -> None:
    """Run the self-test."""
    from SAMSegmenterLib.in_slicer.module.selftest import self_test

    *_, outcome = self_test(lambda: False, "cpu")
    print(outcome)
    sys.exit(not outcome.works)


def stand_in_for_slicer() -> None:
    """Make modules that ask, tell and install as Slicer's do, whose user agrees to everything."""
    slicer, util, i18n, pytorch = (ModuleType(name) for name in ("slicer", "slicer.util", "slicer.i18n", "PyTorchUtils"))
    slicer.util, slicer.i18n = util, i18n
    i18n.tr = str
    util.pip_install = lambda arguments: pip("install", *arguments)
    util.infoDisplay = lambda text, **_: print(text)
    util.confirmOkCancelDisplay = lambda text, **_: print(text) or True
    pytorch.PyTorchUtilsLogic = PyTorchExtension
    sys.modules.update({each.__name__: each for each in (slicer, util, i18n, pytorch)})


class PyTorchExtension:
    """Installs torch where Slicer's extension would choose a build for the computer: the one of the index."""

    def installTorch(self, askConfirmation: bool, torchVersionRequirement: str, torchvisionVersionRequirement: str) -> None:
        pip("install", f"torch{torchVersionRequirement}", f"torchvision{torchvisionVersionRequirement}")


def pip(*arguments: str) -> None:
    print("pip", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    main()
