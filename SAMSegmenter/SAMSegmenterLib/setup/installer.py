"""Installing in Slicer what is missing: everything is shown and confirmed once, and nothing happens without that."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..errors import InputError, SAMSegmenterError
from . import requirements, wheels
from .requirements import SAM2, TORCH, TORCHVISION, Requirement

FROM_PYTORCH = TORCH, TORCHVISION
NAME = "SAMSegmenter"


class InstallError(SAMSegmenterError):
    """What is missing could not be installed; says what to do.

    Attributes:
        restart_required: whether Slicer has to be restarted before the next attempt.
    """

    def __init__(self, message: str, restart_required: bool = False) -> None:
        super().__init__(f"{message}\n\n{_restart()}" if restart_required else message)
        self.restart_required = restart_required


def install_missing() -> bool:
    """Install the packages that are missing, if the user agrees; whether anything was done.

    Those that only some networks need are offered when all others are there.

    Raises:
        InstallError: as it says.
    """
    missing = _missing()
    if not missing:
        slicer.util.infoDisplay(_("All packages are installed already."), windowTitle=NAME)
        return False
    torch = _pytorch_extension() if set(missing) & set(FROM_PYTORCH) else None
    if not _agreed(_plan(missing)):
        return False

    def install() -> None:
        if torch:  # first: sam2 is built against it
            torch.installTorch(
                askConfirmation=False,
                torchVersionRequirement=f">={TORCH.least}",
                torchvisionVersionRequirement=f">={TORCHVISION.least}",
            )
        _from_index([each for each in missing if each not in (*FROM_PYTORCH, SAM2)])
        if SAM2 in missing:
            _sam2([SAM2.specifier])

    _run(install, missing)
    return True


def install_from(folder: Path) -> bool:
    """Install the packages that are missing from a folder of wheels, without a network; whether anything was done.

    Raises:
        InstallError: the folder lacks wheels that are needed, or as it says.
    """
    missing = _missing()
    if not missing:
        slicer.util.infoDisplay(_("All packages are installed already."), windowTitle=NAME)
        return False
    try:
        found = wheels.look_into(folder, missing)
    except InputError as error:
        raise InstallError(f"{error}\n\n{_how_to_fill()}") from error
    if found.lacking:
        raise InstallError(_lacking(found))
    lines = [f"{wheel.name} {wheel.version}" for wheel in found.found.values()]
    if not _agreed(_("From the folder {folder}:").format(folder=folder) + "\n" + _listed(lines)):
        return False
    _run(lambda: _sam2(found.pip_arguments), missing)
    return True


def _missing() -> list[Requirement]:
    return requirements.missing() or requirements.missing(requirements.ALL)


# ---------------------------------------------------------------- asking


def _plan(missing: list[Requirement]) -> str:
    """What is going to be installed, and where it comes from."""
    torch = [each.specifier for each in missing if each in FROM_PYTORCH]
    others = [each.specifier for each in missing if each not in FROM_PYTORCH]
    parts = []
    if torch:
        parts.append(_("With the PyTorch extension, from pytorch.org (up to 3 GB for an NVIDIA GPU):") + "\n" + _listed(torch))
    if others:
        parts.append(_("With pip, from the Python Package Index, and what they need in turn:") + "\n" + _listed(others))
    return "\n\n".join(parts)


def _agreed(plan: str) -> bool:
    text = _("These Python packages will be installed into this Slicer:\n\n{plan}\n\nThis can take several minutes. Continue?")
    return slicer.util.confirmOkCancelDisplay(text.format(plan=plan), windowTitle=NAME)


def _lacking(found: wheels.Folder) -> str:
    text = _("{folder} lacks wheels of: {names}.").format(folder=found.path, names=", ".join(each.specifier for each in found.lacking))
    if found.unfit:
        unfit = _("These files are too old, or for another system or another Python than {version}: {files}.")
        text += "\n" + unfit.format(version=f"{sys.version_info.major}.{sys.version_info.minor}", files=", ".join(found.unfit))
    return f"{text}\n\n{_how_to_fill()}"


def _how_to_fill() -> str:
    how = _("On a computer with a network, the same system and the same Python, this fills a folder called wheels:")
    return f"{how}\n\n{wheels.commands()}"


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"  \N{BULLET} {line}" for line in lines)


def _restart() -> str:
    return _("Restart Slicer now: packages were replaced that it had already loaded.")


# ---------------------------------------------------------------- installing


def _pytorch_extension() -> Any:
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        message = _(
            "PyTorch is installed by the extension 'PyTorch', which is not there. Open the Extensions Manager, install 'PyTorch', "
            "restart Slicer, and try again. Without a network, use 'From folder'."
        )
        raise InstallError(message) from error
    return PyTorchUtils.PyTorchUtilsLogic()


def _from_index(needed: list[Requirement]) -> None:
    specifiers = [each.specifier for each in needed]
    if not specifiers:
        return
    try:
        from slicer.packaging import pip_ensure
    except ImportError:  # before Slicer 5.12
        slicer.util.pip_install(specifiers)
    else:
        pip_ensure(specifiers, prompt_install=False, prompt_restart=False, requester=NAME)


def _sam2(arguments: list[str]) -> None:
    """Install packages of which one is sam2, which is built from its sources against the torch that is there."""
    with _environment("SAM2_BUILD_CUDA", "0"):
        slicer.util.pip_install(["--no-build-isolation", *arguments])


def _run(install: Callable[[], None], wanted: list[Requirement]) -> None:
    """Install, look whether it is all there, and tell the user how to go on.

    Raises:
        InstallError: it failed, or something is still missing.
    """
    before = _versions()
    loaded = any(each.module in sys.modules for each in wanted)  # and perhaps half replaced when it fails
    try:
        install()
    except (subprocess.CalledProcessError, ImportError, OSError, RuntimeError) as error:
        message = _("The installation failed: {error}\n\nThe Python console shows what pip said. What was installed before that is kept.")
        raise InstallError(message.format(error=error), loaded or _replaced_loaded(before)) from error
    restart = loaded or _replaced_loaded(before)
    left = requirements.missing(wanted)
    if left:
        names = ", ".join(each.specifier for each in left)
        raise InstallError(_("Still missing: {names}. The Python console shows what pip said.").format(names=names), restart)
    done = _("Everything that is needed is installed.")
    slicer.util.infoDisplay(f"{done} {_restart() if restart else _('Run the self-test next.')}", windowTitle=NAME)


def _versions() -> dict[str, str]:
    importlib.invalidate_caches()
    return {each.metadata["Name"]: each.version for each in metadata.distributions()}


def _replaced_loaded(before: dict[str, str]) -> bool:
    """Whether a package has another version than `before` and was imported in the old one."""
    now = _versions()
    replaced = {name for name, version in before.items() if now.get(name) != version}
    modules = metadata.packages_distributions().items()
    return any(module in sys.modules and replaced.intersection(names) for module, names in modules)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for the processes that are started within."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
