"""Words for the result of a run: one line first, and the reasons behind it for those who ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from ...session.summary import Summary
    from .editor_state import Editing


def outcome(found: dict[str, list[int]], summary: Summary, editing: Editing, unit: str) -> tuple[str, list[str]]:
    """Return a line about what was `found`, slices by segment ID, and lines of details; slices are called `unit`."""
    lines = [_of_segment(slices, len(summary.review.get(segment, ())), unit) for segment, slices in found.items()]
    if list(found) == [editing.segment]:
        text = _("Done: {what}").format(what=lines[0])
    else:
        named = [_("{name}: {what}").format(name=editing.title(segment), what=what) for segment, what in zip(found, lines, strict=True)]
        text = "\n".join([_("Done."), *named])
    ends = [
        _("{name} ends at {unit} {number}: {reason}.").format(
            name=editing.title(report.segment), unit=unit, number=report.reached, reason=report.reason
        )
        for report in summary.passes
        if report.segment in found and not report.has_met
    ]
    advice = _("Check what is listed, correct where needed, then Apply.")
    return text, [*ends, _("Computed on {device}.").format(device=summary.device), advice]


def _of_segment(slices: list[int], to_check: int, unit: str) -> str:
    """Return such as "slices 76-103, 27 slices, 2 to check."."""
    if not slices:
        return _("nothing was found.")
    text = _("{unit}s {first}-{last}, {count} {unit}s, {to_check} to check.")
    if len(slices) == 1:
        text = _("{unit} {first}, {to_check} to check.")
    return text.format(unit=unit, first=min(slices), last=max(slices), count=len(slices), to_check=to_check)
