"""Python packages that do not load: which one is to blame, what else uses it, and what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from .errors import PackageError

OURS = {"samsegmenter", "sam2", "rf-sam-2", "hydra-core", "omegaconf", "iopath"}  # whose requirements are ours, too
ANTLR = "antlr4-python3-runtime"
# The errors of importing a package that is damaged, or installed beside an unsuitable version of another one.
MISFITS = ImportError, AttributeError, LookupError, NameError, OSError, RuntimeError, SyntaxError, TypeError, ValueError


@contextmanager
def import_explained(package: str, wanted: str) -> Iterator[None]:
    """Explain why `package` does not load, if its import within the block fails.

    Args:
        package: the name of the module.
        wanted: the arguments with which pip installs it.

    Raises:
        PackageError: it does not load; names the package that is to blame, what else uses that, and the remedy.
    """
    try:
        yield
    except MISFITS as error:
        raise PackageError(_explanation(package, wanted, error)) from error


def check_numpy() -> None:
    """Raise `PackageError` if numpy is too new for torch, which would load all the same and fail later."""
    try:
        torch, numpy = metadata.version("torch"), metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return  # whatever imports it will report that
    if _numbers(torch) < (2, 3) and _numbers(numpy) >= (2, 0):
        raise PackageError(
            f"PyTorch {torch} does not work with numpy {numpy}. In Slicer, press 'Repair' in the module SAMSegmenter and restart; "
            'elsewhere: python -m pip install "numpy<2"'
        )


def check_antlr() -> None:
    """Raise `ImportError` if antlr4 is too new for the grammar of hydra, which would raise a mere `Exception`."""
    try:
        version, needs = metadata.version(ANTLR), metadata.requires("hydra-core") or []
    except metadata.PackageNotFoundError:
        return  # whatever imports it will report that
    stated = next((need for need in needs if need.startswith(ANTLR)), "")
    if "4.9" in stated and _numbers(version) >= (4, 10):  # from this version on, older grammars cannot be read
        raise ImportError(f"hydra-core needs {stated}", name="antlr4")


def normal(name: str) -> str:
    """Return a package's name in the form in which the package index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version."""
    major, minor, *_ = map(int, re.findall(r"\d+", f"{version}.0"))
    return major, minor


def _explanation(package: str, wanted: str, error: Exception) -> str:
    culprit = _culprit(error) or package
    name = normal(next(iter(metadata.packages_distributions().get(culprit, [])), culprit))
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = ""
    needs = _needs(name)
    stated = sorted({f'"{need}"' for user, need in needs if user in OURS and culprit != package})
    others = sorted({user for user, _ in needs if user not in OURS})
    what = f"{name} {version}, which does not fit" if version else f"{name}, which is not installed"
    pip = f"python -m pip install {'--force-reinstall ' if version else ''}{' '.join(stated) or wanted}"
    advice = f"In Slicer, press 'Repair' in the module SAMSegmenter and restart; elsewhere: {pip}"
    shared = f" It may be of another extension; {', '.join(others[:5])} use it, too." if others else ""
    return f"The Python package {package} does not load because of {what} ({_said(error)}).{shared} {advice}"


def _culprit(error: Exception) -> str | None:
    """Return the top-level module at which an import failed: the one the error names, or else the last one outside Python's own library."""
    named = error.name if isinstance(error, ImportError) else getattr(getattr(error, "obj", None), "__name__", None)
    if isinstance(named, str) and named:
        return named.partition(".")[0]
    modules, trace = [], error.__traceback__
    while trace:
        modules.append(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    foreign = [each for each in modules if each not in sys.stdlib_module_names and each != __package__]
    return foreign[-1] if foreign else None


def _needs(name: str) -> list[tuple[str, str]]:
    """Return the installed packages that need `name`, each with the requirement that it states."""
    found = []
    for user in metadata.distributions():
        for need in user.requires or []:
            stated, _, condition = need.partition(";")
            if normal(re.split(r"[^\w.-]", stated, maxsplit=1)[0]) == name and "extra" not in condition:
                found.append((normal(user.metadata["Name"] or ""), re.sub("[ ()]", "", stated)))
    return found


def _said(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200].rstrip(".") or type(error).__name__
