"""The objects of a result: its segments or, with `--split`, the parts of them that do not touch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..image.extent import Cutout
    from ..image.layers import SegmentLayers
    from ..imageio import SegmentInfo
    from ..prompts.types import PromptSet, Segment

MOST = 65535  # labels of 16 bits


@dataclass(frozen=True, eq=False)
class Objects:
    """The things that are written, counted and measured under one label each.

    Attributes:
        layers: the voxels; the labels are 1, 2, ... in the order of the objects.
        infos: their names and colours.
        segments: the segment that each of them is, or is a part of.
    """

    layers: SegmentLayers
    infos: Sequence[SegmentInfo]
    segments: Sequence[Segment]

    def labels(self, segment: Segment) -> list[int]:
        """Return the labels of the objects that are a segment, or parts of it."""
        return [label for label, each in enumerate(self.segments, 1) if each is segment]


def whole(layers: SegmentLayers, prompts: PromptSet) -> Objects:
    """Return the segments as they are."""
    from ..imageio import SegmentInfo

    return Objects(layers, [SegmentInfo(each.name, each.color) for each in prompts.segments], prompts.segments)


def parted(layers: SegmentLayers, prompts: PromptSet) -> Objects:
    """Return the parts of the segments, those of the first one first, the largest of them first; see `measuring.parts`.

    A segment without voxels stays, as one object.

    Raises:
        InputError: there are more parts than labels.
    """
    from ..image.layers import SegmentLayers
    from ..measuring.parts import parts

    infos: list[SegmentInfo] = []
    origins: list[Segment] = []
    taken = {segment.name for segment in prompts.segments}

    def found() -> Iterator[Cutout | None]:
        """Yield the parts, and note what each of them is called."""
        for segment, cutout in zip(prompts.segments, layers.cutouts(), strict=True):
            for part, info in zip(parts(cutout) if cutout else [None], _infos(segment, taken), strict=False):
                if len(infos) == MOST:
                    raise InputError(f"the result falls into more than {MOST} parts, and a file has no more labels")
                infos.append(info)
                origins.append(segment)
                yield part

    return Objects(SegmentLayers.of_cutouts(layers.stack, found()), infos, origins)


def _infos(segment: Segment, taken: set[str]) -> Iterator[SegmentInfo]:
    """Yield names and colours for a segment's parts, without end: "lesion" in its own colour, "lesion 2", ... in others."""
    from ..imageio import SegmentInfo

    yield SegmentInfo(segment.name, segment.color)
    names = (f"{segment.name} {number}" for number in count(2))
    yield from (SegmentInfo(name) for name in names if name not in taken)
