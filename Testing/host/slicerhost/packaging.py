"""Installing of packages: refused and remembered, or done by whatever function a test gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

requests: list[Any] = []
"""What was asked for, in order."""

installer: Callable[[Any], None] | None = None
"""Does what pip would do; a test sets it."""


def pip_install(requirements: Any, *_: Any, **__: Any) -> None:
    """
    Raises:
        RuntimeError: no test has given an `installer`.
    """
    requests.append(requirements)
    if installer is None:
        raise RuntimeError(f"nothing is installed during tests: {requirements}")
    installer(requirements)


def pip_ensure(requirements: Any, *_: Any, **__: Any) -> None:
    pip_install(requirements)


def forget() -> None:
    global installer
    requests.clear()
    installer = None
