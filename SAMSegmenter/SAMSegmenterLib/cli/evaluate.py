"""`samsegmenter evaluate`: measures how good a model is on volumes with reference masks, beside other methods."""

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

from ..errors import InputError, printable
from .options import INTERRUPTED, Device, DeviceOption, Mode, ModelOption, ModeOption, interruptible

if TYPE_CHECKING:
    from ..evaluation.methods.base import Method
    from ..evaluation.records import Record
    from ..evaluation.report.statistics import Row
    from ..evaluation.tasks import Task
    from ..evaluation.trials import Plan, Step, Trials
    from ..models.interfaces import Model

ALL_METHODS = "samsegmenter,copy,interpolate,grow,upstream"
OutputOption = Annotated[
    Path,
    typer.Option("--output", metavar="DIR", readable=False, help="For results; given again, it goes on with those of unchanged files."),
]


def evaluate(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", readable=False, help="Images NAME with labels NAME_labels; or folders images and labels.")
    ],
    output: OutputOption,
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="NAME,..", help="main, cosmos, grid, jitter, rounds; or tasks such as mask-3, box~10%, S2.")
    ] = "main",
    model: ModelOption = None,
    device: DeviceOption = Device.auto,
    mode: ModeOption = Mode.auto,
    methods: Annotated[
        str, typer.Option("--methods", metavar="NAME,..", help=f"What to compare: {ALL_METHODS.replace(',', ', ')}.", show_default="all")
    ] = ALL_METHODS,
    objects: Annotated[Optional[str], typer.Option("--objects", metavar="NAME,..", help="Only objects of these names.")] = None,
    limit: Annotated[Optional[int], typer.Option("--limit", min=1, help="At most so many objects of each case.")] = None,
) -> None:
    """Measure how well objects with reference masks are found from a few prompts, beside other methods.

    Writes report.html, summary.json, results.csv, results.jsonl, settings.json and the masks that were found.

    What was finished is kept, whatever ends the run.
    """
    from ..evaluation.cases import find_cases
    from ..evaluation.trials import Plan
    from ..models.loading import load_model

    wanted, tasks = _methods(methods), _tasks(protocol)
    cases, loaded = find_cases(folder), load_model(model)
    settings = {"model": loaded.id, "sha256": loaded.sha256, "mode": mode.value}
    _run(Plan(cases, _usable(wanted, loaded, mode, device), tasks, _names(objects or ""), limit, settings), output)


def _run(plan: Plan, output: Path) -> None:
    from ..evaluation.trials import Trials

    trials = Trials(output, plan)
    with interruptible() as stop:
        with _progress() as progress:
            trials.run(progress, stop.is_set)
        interrupted = stop.is_set()
        if trials.records or not interrupted:
            _conclude(trials, plan, output, interrupted)
    if interrupted:
        print(f"samsegmenter: interrupted; what was finished is in {output}. Give the same command to go on.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _methods(text: str) -> list[str]:
    from ..evaluation.methods.choice import METHODS

    names = _names(text)
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise typer.BadParameter(f"there is no method {''.join(unknown[:1])!r}; choose of {', '.join(METHODS)}.")
    return names


def _tasks(text: str) -> list[Task]:
    from ..evaluation.tasks import parse_tasks

    try:
        return parse_tasks(_names(text) or [""])  # an empty list is refused, too
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


def _usable(names: list[str], model: Model, mode: Mode, device: Device) -> list[Method]:
    """Return those of the methods that can be used here, and warn of what the others lack.

    Raises:
        InputError: none can be used, or there is no such device.
    """
    from ..evaluation.methods.choice import choose
    from ..network.device import pick_device
    from ..network.options import MODES

    pick_device(device.value)  # else every attempt would fail
    chosen, unavailable = choose(names, model, MODES[mode.value](), device.value)
    if not chosen:
        raise InputError(f"none of the methods can be used here. {' '.join(unavailable.values())}")
    for name, why in unavailable.items():
        print(f"samsegmenter: warning: {name} is left out: {why}", file=sys.stderr)
    return chosen


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


@contextmanager
def _progress() -> Iterator[Callable[[Step], None]]:
    """Show a bar for each case on a terminal, and nothing elsewhere; yield what is called with each step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    latest = TextColumn("{task.fields[latest]}", markup=False)  # names of objects may look like markup
    with Progress(*columns, latest, console=console) as bar:
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


def _conclude(trials: Trials, plan: Plan, output: Path, interrupted: bool) -> None:
    """Write the report, and show its table.

    Raises:
        InputError: nothing could be evaluated.
    """
    from ..evaluation.report.outputs import write_outputs

    failed = [record for record in trials.records if record.error]
    for record in failed[:5]:
        what = ", ".join(filter(None, (record.case, record.object, record.method, record.task)))
        print(f"samsegmenter: warning: {printable(what)}: {record.error}", file=sys.stderr)
    if len(failed) > 5:
        print(f"samsegmenter: warning: {len(failed) - 5} more failed; see {output / 'results.csv'}.", file=sys.stderr)
    rows = write_outputs(output, trials.records, plan)
    if not interrupted:
        _check_any(trials, plan)
        for name in trials.missing:
            print(f"samsegmenter: warning: no object is called {name}", file=sys.stderr)
    _show(rows)
    print(output / "report.html")


def _check_any(trials: Trials, plan: Plan) -> None:
    """Raise InputError, with the reason, if a complete run found nothing to try or nothing worked."""
    if trials.records and all(record.error for record in trials.records):
        raise InputError("every attempt failed.")
    if trials.names and len(trials.missing) == len(plan.objects) > 0:
        raise InputError(f"no object is called {' or '.join(trials.missing)}; there are {', '.join(sorted(trials.names))}.")
    if not trials.objects:
        wanted = f" among {', '.join(plan.objects)}" if plan.objects else ""
        raise InputError(f"no object{wanted} is on 6 slices and has 60 pixels on one of them, in the cases that could be read.")
    if not trials.records:
        raise InputError(f"there is nothing to compare at these tasks. {' '.join(sorted(trials.unsuited))}")


HEADINGS = "task", "method", "objects", "Dice (95 % interval)", "NSD", "HD95 mm", "beyond the ends", "above all others", "seconds"
ROUNDS = "interactions to .8", "to .9"


def _show(rows: list[Row]) -> None:
    """Print the main table: for people on a terminal, tab-separated elsewhere."""
    console, rounds = Console(), any(row.corrected for row in rows)
    headings, cells = (*HEADINGS, *(ROUNDS if rounds else ())), [_cells(row, rounds) for row in rows]
    if not console.is_terminal:
        print("\n".join("\t".join(each) for each in (headings, *cells)))
        return
    shown = Table(*headings)
    for number, each in enumerate(cells):
        shown.add_row(*each, end_section=number + 1 < len(rows) and rows[number + 1].task != rows[number].task)
    console.print(shown)


def _cells(row: Row, rounds: bool) -> list[str]:
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
        *([row.interactions(80) or "-", row.interactions(90) or "-"] if rounds else []),
    ]
