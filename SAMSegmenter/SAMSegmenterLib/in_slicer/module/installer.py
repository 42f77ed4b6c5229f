"""Installs in Slicer what is missing or broken: everything is shown and confirmed once, and nothing happens without that.

The torch that is there stays as it is, unless it is itself too old or broken. Nothing needs a compiler.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ...errors import InputError, SAMSegmenterError
from . import requirements, wheels
from .requirements import IMPORTED_BY_SAM2, OLD_NUMPY, SAM2, SAM2_SOURCE, TORCH, TORCHVISION, Requirement

FROM_PYTORCH = TORCH, TORCHVISION
NAME = "SAMSegmenter"


class InstallError(SAMSegmenterError):
    """Something that is missing could not be installed; says what to do.

    Attributes:
        restart_required: whether Slicer has to be restarted before the next attempt.
    """

    def __init__(self, message: str, restart_required: bool = False) -> None:
        super().__init__(f"{message}\n\n{_restart()}" if restart_required else message)
        self.restart_required = restart_required


def install_missing() -> bool:
    """Install the packages that are missing, if the user agrees; return whether anything was done.

    Packages that only some models need are offered when all others are there.

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
    _run(lambda: _install(missing, torch), missing)
    return True


def repair() -> bool:
    """Install again what is broken, missing or of a wrong version, if the user agrees; return whether anything was done.

    Raises:
        InstallError: as it says.
    """
    broken = requirements.broken()
    if {SAM2, SAM2_SOURCE} & set(broken):  # what it imports is more often to blame
        broken = [SAM2, *IMPORTED_BY_SAM2, *(each for each in broken if each not in (SAM2, SAM2_SOURCE, *IMPORTED_BY_SAM2))]
    if TORCH in broken:
        broken += [TORCHVISION] if TORCHVISION not in broken else []
    wanted = list(dict.fromkeys([*broken, *requirements.unfit()]))
    if not wanted:
        slicer.util.infoDisplay(_("All packages are installed and can be loaded. There is nothing to repair."), windowTitle=NAME)
        return False
    torch = _pytorch_extension() if set(wanted) & set(FROM_PYTORCH) else None
    if not _agreed(_plan(wanted)):
        return False

    def install() -> None:
        """Replace what is broken, and install what is wanted."""
        if torch and TORCH in broken:
            torch.uninstallTorch()
        _reinstall(broken)
        _install(wanted, torch, again=True)

    _run(install, wanted)
    return True


def install_from(folder: Path) -> bool:
    """Install the packages that are missing from a folder of wheels, without internet; return whether anything was done.

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

    def install() -> None:
        """Install the wheels with pip."""
        with _constraints(missing) as constraints:
            for arguments in found.pip_arguments:
                slicer.util.pip_install([*arguments, "-c", constraints])

    _run(install, missing)
    return True


def _missing() -> list[Requirement]:
    return requirements.missing(requirements.NEEDED) or requirements.missing(requirements.ALL)


# ---------------------------------------------------------------- asking


def _plan(missing: list[Requirement]) -> str:
    """Return what is going to be installed, and where it comes from, in words."""
    torch = [each.specifier for each in missing if each in FROM_PYTORCH]
    others = [each.specifier for each in missing if each not in (*FROM_PYTORCH, OLD_NUMPY)]
    parts = []
    if OLD_NUMPY in missing:
        parts.append(
            _(
                "PyTorch 2.2, the newest one for Intel Macs, does not work with the numpy that Slicer brings. {wanted} takes the place "
                "of numpy {found}. Extensions that need the newer one will not work with it. Slicer has to be restarted afterwards."
            ).format(wanted=OLD_NUMPY.specifier, found=requirements.find([OLD_NUMPY])[0].version)
        )
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
    how = _("On a computer with internet, the same system and the same Python, this fills a folder called wheels:")
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
            "restart Slicer, and try again. Without internet, use 'From folder'."
        )
        raise InstallError(message) from error
    return PyTorchUtils.PyTorchUtilsLogic()


def _install(needed: list[Requirement], torch: Any, again: bool = False) -> None:
    """Install packages from the internet.

    Args:
        needed: the packages.
        torch: the logic of the PyTorch extension, if it is to install some of them.
        again: install them even if they seem to be there.
    """
    if torch:
        _from_pytorch(needed, torch)
    others = [each.specifier for each in needed if each not in (*FROM_PYTORCH, SAM2)]
    if others:
        with _constraints(needed) as constraints:
            _from_index(others, constraints, again)
    if SAM2 in needed:
        _sam2(["--force-reinstall"] if again else [])


def _reinstall(broken: list[Requirement]) -> None:
    """Replace packages other than torch and sam2; those that sam2 imports with what they need in turn, which may be to blame."""
    imported = [each.specifier for each in broken if each in IMPORTED_BY_SAM2]
    alone = [each.specifier for each in broken if each not in (*FROM_PYTORCH, SAM2, *IMPORTED_BY_SAM2)]
    for how, specifiers in (([], imported), (["--no-deps"], alone)):
        if specifiers:
            slicer.util.pip_install(["--force-reinstall", *how, *specifiers])


def _from_pytorch(needed: list[Requirement], torch: Any) -> None:
    found = requirements.find([TORCH])[0]
    # A torchvision alone has to suit the torch that is there.
    version = f">={TORCH.least}" if TORCH in needed else f"=={found.version.partition('+')[0]}"
    torch.installTorch(askConfirmation=False, torchVersionRequirement=version, torchvisionVersionRequirement=f">={TORCHVISION.least}")


def _from_index(specifiers: list[str], constraints: str, again: bool) -> None:
    try:
        from slicer.packaging import pip_ensure
    except ImportError:  # before Slicer 5.12
        pip_ensure = None
    if again or pip_ensure is None:  # pip, unlike pip_ensure, also checks what the packages need in turn
        slicer.util.pip_install([*specifiers, "-c", constraints])
    else:
        pip_ensure(specifiers, constraints=constraints, prompt_install=False, prompt_restart=False, requester=NAME)


def _sam2(how: list[str]) -> None:
    """Install sam2 without what it asks for, which is here already: from a wheel, or else from its sources."""
    try:
        slicer.util.pip_install([*how, "--no-deps", SAM2.specifier])
    except subprocess.CalledProcessError:
        logging.warning("SAMSegmenter: there is no wheel of %s to be had; sam2 is built from its sources instead", SAM2.name)
        with _environment("SAM2_BUILD_CUDA", "0"):  # so that no compiler is needed; against the torch that is there
            slicer.util.pip_install([*how, "--no-deps", "--no-build-isolation", SAM2_SOURCE.specifier])


@contextmanager
def _constraints(needed: list[Requirement]) -> Iterator[str]:
    """Yield a file of the versions that pip must keep to.

    These are the versions of torch and torchvision that stay, and an old numpy where it is needed.
    """
    kept = [finding for finding in requirements.find(FROM_PYTORCH) if finding.version and finding.requirement not in needed]
    lines = [f"{each.requirement.name}=={each.version}" for each in kept]
    lines += [OLD_NUMPY.specifier] if OLD_NUMPY in requirements.NEEDED else []
    with tempfile.TemporaryDirectory(prefix="samsegmenter-") as folder:
        path = Path(folder, "constraints.txt")
        path.write_text("\n".join(lines), encoding="utf-8")
        yield str(path)


def _run(install: Callable[[], None], wanted: list[Requirement]) -> None:
    """Install, check that all is there, and tell the user how to go on.

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
    """Return whether a package was replaced since `before` and had been imported in its old version."""
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
