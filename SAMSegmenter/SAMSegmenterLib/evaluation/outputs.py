"""Everything that an evaluation leaves besides its records: a table for programs, a summary, and the report for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..files import replacing
from .records import Record, write_csv
from .report import write_report
from .statistics import table
from .trials import Plan

SUMMARY_VERSION = 1


def write_outputs(folder: Path, records: Sequence[Record], plan: Plan) -> None:
    """Write ``results.csv``, ``summary.json`` and ``report.html`` of all `records`.

    Args:
        plan: of the latest run; for the settings, and for the images of the pictures.

    Raises:
        OutputError: a file cannot be written.
    """
    write_csv(folder / "results.csv", records)
    with replacing(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary(records, plan), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_report(records, folder, plan.cases, plan.settings)


def summary(records: Sequence[Record], plan: Plan) -> dict[str, Any]:
    """The main table and what it is of; plain values for JSON, with None for NaN."""
    failed = [
        {"case": each.case, "object": each.object, "method": each.method, "task": each.task, "error": each.error}
        for each in records
        if each.error
    ]
    return {
        "version": SUMMARY_VERSION,
        "samsegmenter": __version__,
        **plan.settings,
        "cases": len({record.case for record in records}),
        "objects": len({(record.case, record.label) for record in records if record.object}),
        "table": [_plain(asdict(row)) for row in table(records)],
        "failed": failed,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
