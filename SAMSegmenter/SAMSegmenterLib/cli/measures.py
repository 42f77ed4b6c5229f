"""`--measure`: a table of what a report needs of each object, as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import printable
from .objects import Objects
from .options import write_text

if TYPE_CHECKING:
    from ..image.extent import Cutout
    from ..image.stack import FrameStack
    from ..image.volume import Volume
    from ..prompts.types import Keyframe, Segment

COLUMNS = "name", "volume_ml", "longest_mm", "perpendicular_mm", "slice", "largest_3d_mm", "drawn_mm", "check"
FORMULAS = "=", "+", "-", "@"  # a spreadsheet would compute what begins so

Trust = Mapping[int, float]  # of a segment, by slice


def doubts(image: Volume) -> list[str]:
    """Return why measurements of an image cannot be trusted, in sentences; usually nothing."""
    if not image.source.unspaced:
        return []
    return [f"{image.name}: the distance between its voxels is an assumption, so that its measurements in mm and ml are not to be trusted."]


def write_measures(path: Path, objects: Objects, trusts: Mapping[str, Trust]) -> None:
    """Measure all objects, and write one row for each and a last one with the sum of the longest diameters.

    Args:
        trusts: the trust of slices by the name of their segment; what has none names no slices to check.

    Raises:
        OutputError: the file cannot be written.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    total, parts = 0.0, Counter(segment.name for segment in objects.segments)
    for info, segment, cutout in zip(objects.infos, objects.segments, objects.layers.cutouts(), strict=True):
        sizes, longest_mm = _sizes(cutout, objects.layers.stack.volume)
        drawn = _drawn(segment, cutout if parts[segment.name] > 1 else None, objects.layers.stack)
        writer.writerow([_cell(info.name), *sizes, drawn, _to_check(trusts.get(segment.name, {}), cutout, objects.layers.stack)])
        total += longest_mm
    writer.writerow(["sum", "", f"{total:.2f}", *[""] * (len(COLUMNS) - 3)])
    write_text(path, table.getvalue().removesuffix("\n"))


def _cell(name: str) -> str:
    """Return a name on one line; an apostrophe before what would be a formula makes it a text."""
    name = printable(name)
    return f"'{name}" if name.startswith(FORMULAS) else name


def _sizes(cutout: Cutout | None, volume: Volume) -> tuple[Sequence[str], float]:
    """Return the cells from the volume to the largest diameter in space, and the longest diameter as the cell rounds it."""
    from ..measuring.measures import measure

    if cutout is None:
        return ("0", "", "", "", ""), 0.0
    found = measure(cutout, volume.ijk_to_ras)
    longest, perpendicular, largest = (f"{each.length_mm:.2f}" for each in (found.longest, found.perpendicular, found.largest_3d))
    return (f"{found.volume_ml:.6g}", longest, perpendicular, str(found.slice), largest), float(longest)


def _drawn(segment: Segment, part: Cutout | None, stack: FrameStack) -> str:
    """Return the length in mm of the longest line among a segment's prompts, or of those that cross a part; empty if there is none."""
    lines = [each for each in segment.keyframes if each.line and (part is None or _crosses(each, part, stack))]
    lengths = [float(np.linalg.norm(np.diff(stack.to_ras(each.slice, _ends(each)), axis=0))) for each in lines]
    return f"{max(lengths):.2f}" if lengths else ""


def _ends(keyframe: Keyframe) -> np.ndarray:
    """Return the ends of a keyframe's line, ``(2, 2)`` pixels."""
    line = keyframe.line
    assert line is not None  # the caller has chosen those
    return np.array([[line.x0, line.y0], [line.x1, line.y1]])


def _crosses(keyframe: Keyframe, part: Cutout, stack: FrameStack) -> bool:
    """Return whether a keyframe's line passes through a voxel of a part, looked at every half pixel."""
    one, other = _ends(keyframe)
    steps = np.linspace(0, 1, 2 + int(2 * np.linalg.norm(other - one)))[:, None]
    kji = np.rint(stack.to_ijk(keyframe.slice, one + steps * (other - one))).astype(int)[:, ::-1] - part.first
    inside = ((kji >= 0) & (kji < part.voxels.shape)).all(1)
    return bool(part.voxels[tuple(kji[inside].T)].any())


def _to_check(trust: Trust, cutout: Cutout | None, stack: FrameStack) -> str:
    """Return those slices of an object, along the stack's axis, that are most worth checking."""
    from ..propagation.trust import review_order
    from ..session.run import MOST_REVIEWED

    if cutout is None:
        return ""
    axis = 2 - "ijk".index(stack.axis)
    first, size = cutout.first[axis], cutout.voxels.shape[axis]
    own = {index: value for index, value in trust.items() if first <= index < first + size}
    return " ".join(str(index) for index in review_order(own, MOST_REVIEWED))
