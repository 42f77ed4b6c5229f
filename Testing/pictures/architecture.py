"""Draws which rooms of the library import which, as the picture in `docs/architecture.md`.

    python Testing/pictures/architecture.py docs/architecture.svg

One row for each floor, the highest at the top. Floors and imports come from `Testing/library/test_architecture.py`, which also
fails when the picture has to be drawn anew. An import is left out where a chain of others shows it anyhow.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

GROUND = "errors, fields, files, json_text, packages, worker"
# From left to right, so that long arrows pass beside the rooms between.
COLUMNS = {
    "SegmentEditorEffect": 2,
    "in_slicer.effect": 2,
    "in_slicer.module": 3,
    "in_slicer.pump": 0,
    "in_slicer.mrml": 1,
    "cli": 3.95,
    "evaluation.report": 5.7,
    "evaluation": 5.7,
    "evaluation.methods": 5.7,
    "training": 4.5,
    "session": 3,
    "propagation": 3,
    "keyframes": 3,
    "evidence": 3.35,
    "network": 5.2,
    "models": 5.8,
    "phantom": 3.93,
    "prompts": 3.2,
    "imageio": 5.6,
    "measuring": 4.52,
    "image": 2.8,
    GROUND: 3.2,
}
MARGIN, COLUMN, ROW = 80, 135, 62  # pixels
BOX_HEIGHT, LETTER, PADDING = 28, 7.6, 12
STYLE = """\
.page { fill: #ffffff }
.room { fill: #eef3fa; stroke: #44648c; stroke-width: 1.2 }
.import { fill: none; stroke: #7d93ad; stroke-width: 1.3; marker-end: url(#tip) }
text { font: 14px sans-serif; fill: #1c2733; text-anchor: middle }"""
TIP = """\
<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 Z" fill="#7d93ad"/>
</marker>"""

Imports = Mapping[str, set[str]]  # of each room, the rooms that it imports


@dataclass(frozen=True)
class Box:
    """A room in the picture: the middle of its box, and its width, in pixels."""

    name: str
    x: float
    y: float
    width: float

    @classmethod
    def of(cls, name: str, row: int) -> Box:
        width = len(name) * LETTER + 2 * PADDING
        return cls(name, MARGIN + COLUMNS[name] * COLUMN, MARGIN / 2 + row * ROW, width)

    def svg(self) -> str:
        left, top = self.x - self.width / 2, self.y - BOX_HEIGHT / 2
        return (
            f'<rect class="room" x="{left:.0f}" y="{top:.0f}" width="{self.width:.0f}" height="{BOX_HEIGHT}" rx="5"/>\n'
            f'<text x="{self.x:.0f}" y="{self.y + 5:.0f}">{escape(self.name)}</text>'
        )

    def nearest(self, x: float) -> float:
        """The place along the box, a little away from its ends, that is nearest to `x`."""
        half = self.width / 2 - PADDING
        return min(max(x, self.x - half), self.x + half)


def draw(floors: Sequence[set[str]], imports: Imports) -> str:
    """Return the picture as SVG.

    Args:
        floors: the names of the rooms on each floor, from the ground up; no two rooms on one floor import each other.
        imports: of each room, the rooms that it imports.
    """
    rows = [sorted(rooms) for rooms in floors][::-1]
    boxes = {name: Box.of(name, number) for number, row in enumerate(rows) for name in row}
    arrows = [_arrow(boxes[name], boxes[other]) for name in boxes for other in sorted(_shown(name, imports))]
    width, height = 2 * MARGIN + max(COLUMNS.values()) * COLUMN, MARGIN + (len(rows) - 1) * ROW
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<title>Imports between the rooms</title>\n<style>\n{STYLE}\n</style>\n<defs>\n{TIP}\n</defs>",
            '<rect class="page" width="100%" height="100%"/>',
            *arrows,
            *(box.svg() for box in boxes.values()),
            "</svg>\n",
        ]
    )


def _shown(name: str, imports: Imports) -> set[str]:
    """The rooms that a room imports, but for those that it also reaches through another of them."""
    return imports[name] - set().union(*(_reached(other, imports) for other in imports[name]))


def _reached(name: str, imports: Imports) -> set[str]:
    """All rooms that a room imports, itself or through others."""
    return imports[name].union(*(_reached(other, imports) for other in imports[name]))


def _arrow(above: Box, below: Box) -> str:
    top, bottom = above.y + BOX_HEIGHT / 2, below.y - BOX_HEIGHT / 2
    end, middle = below.nearest(above.x), (top + bottom) / 2
    return f'<path class="import" d="M{above.x:.0f} {top:.0f} C{above.x:.0f} {middle:.0f} {end:.0f} {middle:.0f} {end:.0f} {bottom:.0f}"/>'


def drawn(floors: Sequence[set[str]], imports: Imports) -> str:
    """Return the picture of a library: like `draw`, with the ground as one box, and without rooms that nothing leads to or from."""
    ground = floors[0]
    merged = {GROUND: set[str]()}
    for name, others in imports.items():
        if name not in ground:
            merged[name] = {GROUND if other in ground else other for other in others}
    used = set().union(*merged.values(), {name for name, others in merged.items() if others})
    return draw([{GROUND}, *(rooms & used for rooms in floors[1:])], merged)


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / "library")]
    from test_architecture import FLOORS, imports_of_rooms

    Path(sys.argv[1]).write_text(drawn(FLOORS, imports_of_rooms()), encoding="utf-8")
