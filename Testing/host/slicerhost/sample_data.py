"""The module `SampleData`: what a module offers for download, remembered instead of downloaded."""

from __future__ import annotations

from typing import Any

sources: list[dict[str, Any]] = []
"""The arguments of every registration."""


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(**source: Any) -> None:
        sources.append(source)
