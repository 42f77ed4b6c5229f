"""Writes the report of an evaluation: one page that needs no other file and no internet."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ... import __version__
from ...files import replacing
from ..cases import Case
from ..methods.choice import METHODS
from ..records import CONTROLS, Record
from .pictures import pictures, worst
from .plots import COLORS, Curve, Dots, line_plot, strip_plot
from .statistics import Interval, Row, share_above
from .words import explanation, title

TEMPLATE = Path(__file__).parents[2] / "Resources" / "Report" / "page.html"
BASELINES = METHODS[1:]
DICE_TICKS = [(n / 5, f"{n / 5:.1f}") for n in range(6)]
BEYOND_TICKS = [(0, "0"), (0.05, "5 %"), (0.25, "25 %"), (1, "100 %"), (2, "200 %+")]
GOALS = {80: "Interactions to Dice .8", 90: "to .9"}
LEAST_OBJECTS = 3  # that a point of the curve of retention needs, or all if there are fewer


def write_report(records: Sequence[Record], rows: Sequence[Row], folder: Path, cases: Sequence[Case], settings: Mapping[str, Any]) -> None:
    """Write ``report.html`` into the folder of an evaluation.

    Args:
        records: all that the evaluation has, failed ones too.
        rows: the main table of these, see `statistics.table`.
        folder: where masks are kept, for the pictures.
        cases: the images of the pictures; of others there are none.
        settings: what was run, by name.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(page(records, rows, folder, cases, settings), encoding="utf-8", errors="xmlcharrefreplace", newline="\n")


def page(records: Sequence[Record], rows: Sequence[Row], folder: Path, cases: Sequence[Case], settings: Mapping[str, Any]) -> str:
    """Return the report as HTML; see `write_report`."""
    tried = [record for record in records if record.task]
    heading = escape(f"Evaluation of {settings.get('model', 'SAMSegmenter')}")
    sections = [
        f"<header><h1>{heading}</h1></header>",
        _facts(tried, settings),
        _summary(tried, rows),
        _wins(tried),
        _plots(tried, rows),
        _worst(tried, folder, cases),
        _objects(tried),
        _failures(records),
        explanation(_tasks(tried)),
    ]
    whole = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(title=heading, body="\n".join(filter(None, sections)))
    return whole.translate(CONTROLS)  # names of files and labels may hold control characters


# ---------------------------------------------------------------- sections


def _facts(records: Sequence[Record], settings: Mapping[str, Any]) -> str:
    facts = {
        **settings,
        "SAMSegmenter": __version__,
        "cases": len({record.case for record in records}),
        "objects": len({(record.case, record.label) for record in records}),
    }
    items = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    return f'<div class="card"><dl class="facts">{items}</dl></div>'


def _summary(records: Sequence[Record], rows: Sequence[Row]) -> str:
    """Return the main table: a row for each task and method."""
    cases = list(dict.fromkeys(record.case for record in records))
    shown = cases if len(cases) <= 4 else []  # the intervals stand for many cases
    goals = GOALS if any(row.corrected for row in rows) else {}
    heads = ["Task", "Method", "Dice (95 % interval)", *shown, "NSD", "HD95, mm", "Beyond the ends", "Seconds", *goals.values(), "Objects"]
    colors, best = _colors(records), {row.task: row.dice.mean for row in sorted(rows, key=lambda row: np.nan_to_num(row.dice.mean, nan=-1))}
    lines, before = [], ""
    for row in rows:
        cells = _summary_cells(row, colors, shown, goals, row.dice.mean == best[row.task], row.task != before)
        lines.append(f"<tr{' class=task' if row.task != before else ''}>{cells}</tr>")
        before = row.task
    caption = "Mean Dice and NSD over all objects; of all else the median."
    caption += " Behind interactions: on how many objects they were enough." if goals else ""
    return f"<h2>Results</h2>{_table(heads, lines, caption, texts=2)}"


def _summary_cells(row: Row, colors: Mapping[str, int], cases: Sequence[str], goals: Iterable[int], is_best: bool, is_first: bool) -> str:
    interval = "" if math.isnan(row.dice.low) else f" <small>{row.dice.low:.3f} to {row.dice.high:.3f}</small>"
    numbers = [_number(row.by_case.get(case, math.nan), ".3f") for case in cases]
    numbers += [_number(row.nsd, ".3f"), _number(row.hd95_mm, ".1f"), _number(row.over_propagation, ".1%"), _number(row.seconds, ".2f")]
    numbers += [row.interactions(goal) for goal in goals]
    numbers.append(f"{row.objects}" + (f' <small class="error">{row.failed} failed</small>' if row.failed else ""))
    return (
        f'<td class="text">{escape(title(row.task)) if is_first else ""}</td><td class="text">{_mark(row.method, colors)}</td>'
        f"<td{' class=best' if is_best else ''}>{_number(row.dice.mean, '.3f')}{interval}</td>"
        + "".join(f"<td>{each}</td>" for each in numbers)
    )


def _wins(records: Sequence[Record]) -> str:
    """Return a table of how many objects the evaluated methods do better on than each baseline."""
    methods, tasks = _methods(records), _tasks(records)
    baselines = [each for each in methods if each in BASELINES]
    lines = []
    for task in tasks:
        for method in (each for each in methods if each not in BASELINES):
            shares = [share_above(records, task, method, [other]) for other in baselines]
            if not all(map(math.isnan, shares)):
                cells = "".join(f"<td>{_number(each, '.0%')}</td>" for each in [*shares, share_above(records, task, method, baselines)])
                lines.append(f'<tr><td class="text">{escape(title(task))}</td><td class="text">{escape(method)}</td>{cells}</tr>')
    if not lines:
        return ""
    heads = ["Task", "Method", *(f"above {each}" for each in baselines), "above all of them"]
    return f"<h2>Objects with a higher Dice than the baselines</h2>{_table(heads, lines, '', texts=2)}"


def _plots(records: Sequence[Record], rows: Sequence[Row]) -> str:
    colors, groups = _colors(records), defaultdict(list)
    intervals = {(row.task, row.method): row.dice for row in rows}
    for record in records:
        if not record.error:
            groups[record.task].append(record)
    parts = []
    for number, (task, group) in enumerate(groups.items()):
        figures = [
            _figure("Dice of each object, with mean and interval", _dice_plot(group, colors, intervals)),
            _figure("Dice by distance from the nearest marked slice", _retention_plot(group, colors)),
            _figure("Part beyond the object's ends, of its volume, with median", _beyond_plot(group, colors)),
        ]
        opened = " open" if number < 4 else ""
        parts.append(f'<details class="card"{opened}><summary><h3>{escape(title(task))}</h3></summary>')
        parts.append(f'<div class="plots">{"".join(figures)}</div></details>')
    legend = " ".join(f"<span>{_mark(method, colors)}</span>" for method in colors)
    return f'<h2>Plots</h2><div class="legend">{legend}</div>{"".join(parts)}' if parts else ""


def _dice_plot(group: Sequence[Record], colors: Mapping[str, int], intervals: Mapping[tuple[str, str], Interval]) -> str:
    rows = []
    for method, values, titles in _by_method(group, "dice", ".3f"):
        interval = intervals[group[0].task, method]
        rows.append(Dots(method, colors[method], values, titles, interval.mean, (interval.low, interval.high)))
    return strip_plot(rows, "Dice of each object by method", DICE_TICKS) if rows else ""


def _beyond_plot(group: Sequence[Record], colors: Mapping[str, int]) -> str:
    rows = [
        Dots(method, colors[method], values, titles, float(np.median(values)))
        for method, values, titles in _by_method(group, "over_propagation", ".1%")
    ]
    return strip_plot(rows, "Part of the result beyond the object's ends by method", BEYOND_TICKS, math.sqrt) if rows else ""


def _retention_plot(group: Sequence[Record], colors: Mapping[str, int]) -> str:
    curves = [Curve(method, colors[method], _retention([each for each in group if each.method == method])) for method in _methods(group)]
    curves = [each for each in curves if each.points]
    return line_plot(curves, "Mean Dice by distance from the nearest marked slice", "slices away") if curves else ""


def _retention(records: Sequence[Record]) -> list[tuple[float, float]]:
    """Return mean Dice by distance, over the objects that reach so far, as long as there are enough of them."""
    least = min(LEAST_OBJECTS, len(records))
    points: list[tuple[float, float]] = []
    for distance in range(1, max((len(each.retention) for each in records), default=0) + 1):
        known = [each.retention[distance - 1] for each in records if len(each.retention) >= distance]
        known = [each for each in known if not math.isnan(each)]
        if known and len(known) >= least:
            points.append((distance, float(np.mean(known))))
    return points


def _worst(records: Sequence[Record], folder: Path, cases: Sequence[Case]) -> str:
    evaluated = [record for record in records if record.method not in BASELINES]
    chosen = worst(evaluated or records, folder, cases)
    figures = [
        f'<figure class="card"><figcaption>{escape(record.object)} of {escape(record.case)}, {escape(record.method)}, '
        f"{escape(title(record.task))}: Dice {record.scores['dice']:.2f}</figcaption>"
        f'<img src="{uri}" alt="What is right, missed and too much on the worst slices of {escape(record.object)}"></figure>'
        for record, uri in sorted(pictures(chosen, folder, cases), key=lambda each: each[0].scores["dice"])
    ]
    text = "The slices where most is wrong. Green and blue together are the reference, green and red the result."
    return f'<h2>Worst objects</h2><p class="soft">{text}</p><div class="pictures">{"".join(figures)}</div>' if figures else ""


def _objects(records: Sequence[Record]) -> str:
    """Return a sortable table of the Dice of every object by method, which shows one task at a time."""
    methods, tasks = _methods(records), _tasks(records)
    found: dict[tuple[str, str, str, int], dict[str, float]] = defaultdict(dict)
    for record in records:
        found[record.task, record.case, record.object, record.label][record.method] = record.scores.get("dice", math.nan)
    if not found:
        return ""
    order = {task: number for number, task in enumerate(tasks)}
    lines = []
    for (task, case, name, label), scores in sorted(found.items(), key=lambda each: (order[each[0][0]], each[0][1], each[0][3])):
        best = max((value for value in scores.values() if not math.isnan(value)), default=math.nan)
        cells = "".join(_dice_cell(scores.get(method, math.nan), best) for method in methods)
        texts = "".join(f'<td class="text">{escape(each)}</td>' for each in (name, case))
        lines.append(f'<tr data-task="{escape(task)}">{texts}<td>{label}</td>{cells}</tr>')
    options = "".join(f'<option value="{escape(task)}">{escape(title(task))}</option>' for task in tasks)
    choice = f'<label>Task <select data-table="objects">{options}</select></label>'
    heads = ["Object", "Case", "Label", *methods]
    return f"<h2>Dice of each object</h2>{choice}{_table(heads, lines, '', texts=2, identity='objects')}"


def _dice_cell(value: float, best: float) -> str:
    return f"<td{' class=best' if value == best else ''}>{_number(value, '.3f')}</td>"


def _failures(records: Sequence[Record]) -> str:
    failed = [record for record in records if record.error]
    lines = []
    for record in failed:
        texts = "".join(f'<td class="text">{escape(each)}</td>' for each in (record.case, record.object, record.method, record.task))
        lines.append(f'<tr>{texts}<td class="text error">{escape(record.error)}</td></tr>')
    heads = ["Case", "Object", "Method", "Task", "Why"]
    return f"<h2>What failed</h2>{_table(heads, lines, '', texts=5)}" if failed else ""


# ---------------------------------------------------------------- small parts


def _table(heads: Sequence[str], lines: Iterable[str], caption: str, texts: int, identity: str = "") -> str:
    """Return a card with a table, the first `texts` columns of which are text; sortable if it has an `identity`."""
    titles = [f'<button class="sort">{escape(head)}</button>' if identity else escape(head) for head in heads]
    cells = "".join(f"<th{' class=text' if number < texts else ''}>{each}</th>" for number, each in enumerate(titles))
    start = f'<table class="sortable" id="{identity}">' if identity else "<table>"
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="card">{start}{above}<thead><tr>{cells}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _figure(caption: str, content: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{content}</figure>" if content else ""


def _by_method(group: Sequence[Record], score: str, form: str) -> list[tuple[str, list[float], list[str]]]:
    """Return for each method that has a score its values, and their labels."""
    found = []
    for method in _methods(group):
        known = [each for each in group if each.method == method and not math.isnan(each.scores.get(score, math.nan))]
        if known:
            titles = [f"{each.object}, {each.case}: {format(each.scores[score], form)}" for each in known]
            found.append((method, [each.scores[score] for each in known], titles))
    return found


def _methods(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record.method for record in records))


def _tasks(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record.task for record in records))


def _colors(records: Iterable[Record]) -> dict[str, int]:
    return {method: number for number, method in enumerate(_methods(records))}


def _mark(method: str, colors: Mapping[str, int]) -> str:
    return f'<span class="mark m{colors[method] % COLORS}"></span>{escape(method)}'


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)
