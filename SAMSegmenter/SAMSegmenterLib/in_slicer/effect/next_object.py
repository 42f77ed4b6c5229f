"""The next of several like objects, such as lesions: a segment of the same kind with the next number."""

from __future__ import annotations

import re
from collections.abc import Collection

import slicer
import vtk


def add_next(node: slicer.vtkMRMLSegmentationNode, segment: str) -> str:
    """Add an empty segment with the terminology of `segment` and the next free number, and return its ID."""
    segmentation = node.GetSegmentation()
    names = [segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()]
    before = segmentation.GetSegment(segment)
    added = segmentation.AddEmptySegment("", next_name(before.GetName(), names))
    tag, entry = slicer.vtkSegment.GetTerminologyEntryTagName(), vtk.reference("")
    if before.GetTag(tag, entry):
        segmentation.GetSegment(added).SetTag(tag, str(entry))
    return added


def next_name(name: str, known: Collection[str]) -> str:
    """Return the name of the next object: "lesion 2" after "lesion", "lesion 7" after "lesion 6"; the first that is not known."""
    found = re.fullmatch(r"(.*\D)?(\d{1,9})", name, re.DOTALL)
    stem, number = (found[1] or "", int(found[2])) if found else (f"{name} ", 1)
    while (following := f"{stem}{number + 1}") in known:
        number += 1
    return following
