"""NRRD and MetaImage files written by hand, as no library would write them."""

from __future__ import annotations

import numpy as np

SHAPE = (5, 6, 7)
VOXELS = np.arange(5 * 6 * 7, dtype=np.uint8).reshape(SHAPE)
CONTENT = VOXELS.tobytes()
NRRD = {"type": "uint8", "dimension": "3", "sizes": "7 6 5", "encoding": "raw"}
PLACED = {"space": "left-posterior-superior", "space directions": "(2,0,0) (0,3,0) (0,0,4)", "space origin": "(10,20,30)"}
META = {
    "ObjectType": "Image",
    "NDims": "3",
    "DimSize": "7 6 5",
    "ElementType": "MET_UCHAR",
    "ElementSpacing": "2 3 4",
    "Offset": "10 20 30",
}
LPS = np.array([[2.0, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1]])  # where both place it


def nrrd_file(path, content=CONTENT, fields=(), **changed):
    """Write an NRRD file; the field `space_units` is called ``space units``, and one that is None is left out."""
    changed = {name.replace("_", " "): value for name, value in changed.items()}
    every = {**NRRD, **dict(fields), **changed}
    lines = [f"{name}: {value}" for name, value in every.items() if value is not None]
    end = [] if str(every.get("data file", "")).startswith("LIST") else [""]
    path.write_bytes("\n".join(["NRRD0005", *lines, *end, ""]).encode() + content)
    return path


def meta_file(path, content=CONTENT, fields=META, **changed):
    """Write a MetaImage; a field that is None is left out."""
    every = {**fields, **changed}
    every["ElementDataFile"] = every.pop("ElementDataFile", "LOCAL")
    path.write_bytes("".join(f"{name} = {value}\n" for name, value in every.items() if value is not None).encode() + content)
    return path


def slices(folder, names, header=b""):
    """Write a file for each slice of `VOXELS`."""
    for name, voxels in zip(names, VOXELS, strict=True):
        (folder / name).write_bytes(header + voxels.tobytes())
