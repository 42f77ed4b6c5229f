"""Writes what an evaluation leaves beside its records: a table for programs, a summary, and the report for people."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ... import __version__
from ...files import replacing
from ..records import Record, write_csv
from ..trials import Plan
from .page import write_report
from .statistics import Row, table

SUMMARY_VERSION = 1


def write_outputs(folder: Path, records: Sequence[Record], plan: Plan) -> list[Row]:
    """Write ``results.csv``, ``summary.json`` and ``report.html`` of all `records`.

    Args:
        plan: of the latest run; for the settings, and for the images of the pictures.

    Returns:
        The main table.

    Raises:
        OutputError: a file cannot be written.
    """
    rows = table(records)
    write_csv(folder / "results.csv", records)
    with replacing(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary(records, rows, plan), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_report(records, rows, folder, plan.cases, plan.settings)
    return rows


def summary(records: Sequence[Record], rows: Sequence[Row], plan: Plan) -> dict[str, Any]:
    """Return the main table, and what it was made from, as plain values for JSON, with None for NaN."""
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
        "table": [_plain(asdict(row)) for row in rows],
        "failed": failed,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
