"""`samsegmenter evaluate`: how good a model is on volumes with reference masks, beside what else there is."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .cli_common import INTERRUPTED, Device, DeviceOption, Mode, ModelOption, ModeOption, interruptible
from .errors import InputError

if TYPE_CHECKING:
    from .evaluation.records import Record
    from .evaluation.statistics import Row
    from .evaluation.trials import Plan, Step

ALL_METHODS = "samsegmenter,copy,interpolate,grow,upstream"


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Images NAME with labels NAME_labels; or folders images and labels.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for results; given again, the evaluation goes on.")],
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="NAME,..", help="main, cosmos, grid, jitter, rounds; or tasks such as mask-3, box~10%, S2.")
    ] = "main",
    model: ModelOption = None,
    device: DeviceOption = Device.auto,
    mode: ModeOption = Mode.auto,
    methods: Annotated[str, typer.Option("--methods", metavar="NAME,..", help="What to compare.")] = ALL_METHODS,
    objects: Annotated[Optional[str], typer.Option("--objects", metavar="NAME,..", help="Only objects of these names.")] = None,
    limit: Annotated[Optional[int], typer.Option("--limit", min=1, help="At most so many objects of each case.")] = None,
) -> None:
    """Measure how well objects with reference masks are found from a few prompts, beside other methods.

    Writes report.html, summary.json, results.csv and results.jsonl. What was finished is kept, whatever ends the run.
    """
    from .evaluation.trials import Trials

    plan, unavailable = _plan(folder, protocol, model, device, mode, methods, objects, limit)
    for name, why in unavailable.items():
        print(f"samsegmenter: warning: {name} is left out: {why}", file=sys.stderr)
    trials = Trials(output, plan)
    with interruptible() as stop:
        with _progress() as progress:
            trials.run(progress, stop.is_set)
        interrupted = stop.is_set()
        if trials.records or not interrupted:
            _conclude(trials.records, plan, output)
    if interrupted:
        print(f"samsegmenter: interrupted; what was finished is in {output}. Give the same command to go on.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _plan(
    folder: Path, protocol: str, model: str | None, device: Device, mode: Mode, methods: str, objects: str | None, limit: int | None
) -> tuple[Plan, dict[str, str]]:
    """What to do, and which methods are not to be had, with the reasons."""
    from .evaluation.cases import find_cases
    from .evaluation.choice import METHODS, choose
    from .evaluation.protocol import parse_tasks
    from .evaluation.trials import Plan
    from .models.loading import load_model
    from .propagation.options import MODES

    names = _names(methods)
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise typer.BadParameter(f"there is no method {unknown[0]!r}; choose of {', '.join(METHODS)}.")
    try:
        tasks = parse_tasks(_names(protocol))
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    cases = find_cases(folder)
    loaded = load_model(model)
    chosen, unavailable = choose(names, loaded, MODES[mode.value](), device.value)
    if not chosen:
        raise InputError(f"none of the methods can be used here. {' '.join(unavailable.values())}")
    settings = {"model": loaded.id, "sha256": loaded.sha256, "mode": mode.value}
    return Plan(cases, chosen, tasks, _names(objects or ""), limit, settings), unavailable


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


@contextmanager
def _progress() -> Iterator[Callable[[Step], None]]:
    """A bar for each case on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.fields[latest]}"), console=console) as bar:
        task = bar.add_task("reading", total=None, latest="")

        def show(step: Step) -> None:
            if not step.done:
                bar.reset(task)  # the time left is that of the case
            title = f"case {step.case}/{step.cases}"
            bar.update(task, description=title, completed=step.done, total=step.total, latest=_latest(step.record))

        yield show


def _latest(record: Record | None) -> str:
    if record is None:
        return ""
    result = "failed" if record.error else f"Dice {record.scores.get('dice', math.nan):.2f}"
    return f"{record.object}, {record.method}, {record.task}: {result}"


def _conclude(records: list[Record], plan: Plan, output: Path) -> None:
    """Write the report and show its table.

    Raises:
        InputError: nothing could be evaluated.
    """
    from .evaluation.outputs import write_outputs
    from .evaluation.statistics import table

    failed = [record for record in records if record.error]
    for record in failed[:5]:
        what = ", ".join(filter(None, (record.case, record.object, record.method, record.task)))
        print(f"samsegmenter: warning: {what}: {record.error}", file=sys.stderr)
    if len(failed) > 5:
        print(f"samsegmenter: warning: {len(failed) - 5} more failed; see {output / 'results.csv'}.", file=sys.stderr)
    write_outputs(output, records, plan)
    if len(failed) == len(records):
        wanted = f" among {', '.join(plan.objects)}" if plan.objects else ""
        raise InputError("every attempt failed." if failed else f"no object{wanted} is on 6 slices and has 60 pixels on one of them.")
    _show(table(records))
    print(output / "report.html")


HEADINGS = "task", "method", "objects", "Dice (95 % interval)", "NSD", "HD95 mm", "beyond the ends", "above all others", "seconds"


def _show(rows: list[Row]) -> None:
    """The main table: for people on a terminal, tab-separated elsewhere."""
    console = Console()
    cells = [_cells(row) for row in rows]
    if not console.is_terminal:
        print("\n".join("\t".join(each) for each in (HEADINGS, *cells)))
        return
    shown = Table(*HEADINGS)
    for number, each in enumerate(cells):
        shown.add_row(*each, end_section=number + 1 < len(rows) and rows[number + 1].task != rows[number].task)
    console.print(shown)


def _cells(row: Row) -> list[str]:
    def number(value: float, form: str) -> str:
        return "-" if math.isnan(value) else format(value, form)

    return [
        row.task,
        row.method,
        f"{row.objects}{f' ({row.failed} failed)' if row.failed else ''}",
        str(row.dice),
        number(row.nsd, ".3f"),
        number(row.hd95_mm, ".1f"),
        number(row.over_propagation, ".1%"),
        number(row.above_others, ".0%"),
        number(row.seconds, ".2f"),
    ]
