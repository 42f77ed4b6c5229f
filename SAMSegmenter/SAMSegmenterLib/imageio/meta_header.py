"""The header of a MetaImage file, understood by the format's definition (itk.org/Wiki/MetaIO/Documentation)."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import numpy as np

from .header import UNSPACED, Header, HeaderFields, affine, check_axes, check_colours, lines, listed, quoted
from .integrity import Part, beside, inflate, numbered

DIMENSIONS = re.compile(rb"([^\0]*\n)?\s*NDims\s*[=:]\s*\d")
SIZES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8}
DTYPES = {f"MET_{sign}{name}": np.dtype(f"{code}{size}") for name, size in SIZES.items() for sign, code in (("", "i"), ("U", "u"))}
DTYPES |= {"MET_FLOAT": np.dtype("f4"), "MET_DOUBLE": np.dtype("f8")}
# fmt: off
FIELDS = (
    "ObjectType", "NDims", "DimSize", "ElementType", "ElementNumberOfChannels", "ElementSpacing", "ElementSize", "DistanceUnits", "Offset",
    "Position", "Origin", "TransformMatrix", "Rotation", "Orientation", "AnatomicalOrientation", "ElementToIntensityFunctionSlope",
    "ElementToIntensityFunctionOffset", "BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData",
    "CompressedDataSize", "HeaderSize", "ElementDataFile",
)
# fmt: on
LETTERS = ("LPS", "RAI")  # the directions that the axes of LPS coordinates run to, and from


def is_meta(start: bytes) -> bool:
    """Return whether a file that begins with these bytes is a MetaImage, or the header of one."""
    return bool(DIMENSIONS.match(start))


def read_meta_header(path: Path) -> Header:
    """Return what the header of a MetaImage says.

    Raises:
        InputError: it is damaged, or means something that is no 3-D volume of numbers or colours; or the place of its voxels
            does not follow from it; or a data file is missing.
    """
    fields, names, start = _read_fields(path)
    if fields.get("ObjectType", "Image") != "Image":
        raise fields.wrong("ObjectType", f"is {quoted(fields['ObjectType'])}, which is no image")
    count = fields.whole("NDims")
    if not 1 <= count <= 16:
        raise fields.wrong("NDims", f"is {count}")
    sizes = fields.sizes("DimSize", count)
    dtype = DTYPES.get(fields.need("ElementType").removesuffix("_ARRAY"))
    if dtype is None:
        raise fields.wrong("ElementType", f"is {quoted(fields['ElementType'])}, which are not numbers")
    check_axes(path, sizes)
    components = fields.whole("ElementNumberOfChannels", 1)
    if components != 1:
        check_colours(path, components, dtype)
    matrix, geometry, warnings = _geometry(fields, count)
    return Header(
        "MetaImageIO",
        (*sizes[2::-1], *([components] if components > 1 else [])),
        dtype,
        _parts(fields, names, start, sizes, components * dtype.itemsize),
        matrix,
        geometry,
        tuple(warnings),
        _scaling(fields),
        exact=fields.whole("HeaderSize") >= 0,
    )


def meta_data_files(path: Path) -> list[Path]:
    """Return the files that a header names for its voxels, whether they exist or not."""
    fields, names, _ = _read_fields(path)
    return [path.parent / name for name in _named(fields, names) or []]


def _read_fields(path: Path) -> tuple[HeaderFields, list[str], int]:
    """Return the fields, the data files listed, and where the header ends."""
    fields = HeaderFields(path)
    with path.open("rb") as file:
        for text in lines(file, path):
            found = re.match(r"\s*(\w+)\s*[=:](.*)", text)
            if not found or found[1] not in FIELDS:  # ITK writes anything as metadata
                continue
            fields.add(found[1], found[2].strip())
            if found[1] == "ElementDataFile":
                start = file.tell()
                names = listed(file, path) if fields["ElementDataFile"].split()[:1] == ["LIST"] else []
                while names and not names[-1].strip():
                    names.pop()
                return fields, names, start
    raise fields.wrong("ElementDataFile", "is missing")


def _same(fields: HeaderFields, names: tuple[str, ...], count: int) -> np.ndarray | None:
    """Return the numbers of a field that has several names; None if it is missing. Raise `InputError` if two of the names disagree."""
    given = {name: fields.numbers(name, count) for name in names if name in fields}
    for name, values in given.items():
        if not np.array_equal(values, next(iter(given.values()))):
            raise fields.wrong(name, f"contradicts {next(iter(given))}, which means the same")
    return next(iter(given.values()), None)


def _geometry(fields: HeaderFields, count: int) -> tuple[np.ndarray, str, list[str]]:
    """Return the matrix from voxel indices to LPS mm, where it comes from in words, and what was assumed."""
    warnings = []
    name = next((name for name in ("ElementSpacing", "ElementSize") if name in fields), None)
    spacing = fields.numbers(name, count)[:3] if name else np.ones(3)
    if name and not spacing.all():
        raise fields.wrong(name, f"is {quoted(fields[name])}; expected distances other than 0")
    if name is None:
        warnings.append(UNSPACED)
    elif name == "ElementSize":
        warnings.append("The file gives the size of its voxels, not the distance between them; they are taken to touch each other.")
    offset = _same(fields, ("Offset", "Position", "Origin"), count)
    if offset is None:
        warnings.append("The file does not say where its first voxel lies; it is taken to lie at the origin.")
    axes = _same(fields, ("TransformMatrix", "Rotation", "Orientation"), count * count)
    given = {name or "1 mm assumed": True, "Offset": offset is not None, "TransformMatrix": axes is not None}
    offset, axes = np.zeros(count) if offset is None else offset, np.eye(count) if axes is None else axes.reshape(count, count)
    if axes[:3, 3:].any():
        raise fields.wrong("TransformMatrix", "mixes the axes of the volume with others")
    columns = axes[:3, :3].T  # each axis' direction is a row
    if not np.allclose(np.linalg.norm(columns, axis=0), 1, atol=1e-3):
        warnings.append("The directions of its axes are not of length 1; the distance between voxels is that length times the spacing.")
    warnings += _contradiction(fields, columns)
    scale = fields.millimetres("DistanceUnits", fields.get("DistanceUnits", ""))
    unit = f" in {fields['DistanceUnits']}" if scale != 1 else ""
    geometry = ", ".join(name if there else f"no {name}" for name, there in given.items()) + unit
    return affine(columns * spacing * scale, offset[:3] * scale), geometry, warnings


def _contradiction(fields: HeaderFields, columns: np.ndarray) -> list[str]:
    """Return a sentence if the orientation in letters contradicts the matrix, whichever end of the axes the letters name."""
    given = fields.get("AnatomicalOrientation", "???").upper()
    if not re.fullmatch(r"[RLAPIS]{3}", given):
        return []
    along = np.abs(columns).argmax(0)
    forward = columns[along, range(3)] > 0
    ways = ["".join((to if ahead else away)[n] for n, ahead in zip(along, forward, strict=True)) for to, away in (LETTERS, LETTERS[::-1])]
    if given in ways:
        return []
    return [f"Its AnatomicalOrientation {given} contradicts its matrix ({ways[1]}); the matrix counts, as in other programs."]


def _scaling(fields: HeaderFields) -> tuple[float, float]:
    """Return slope and offset from a stored voxel to its value."""
    names = ("ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset")
    slope, offset = (float(fields.numbers(name, 1)[0]) if name in fields else default for name, default in zip(names, (1, 0), strict=True))
    if slope == 0:
        raise fields.wrong(names[0], "is 0, so that all values would be the same")
    return slope, offset


def _named(fields: HeaderFields, names: list[str]) -> list[str] | None:
    """Return the names of the data files; None if the voxels lie in the file itself."""
    value = fields["ElementDataFile"]
    if value.lower() == "local":
        return None
    if value.split()[:1] == ["LIST"]:
        return names
    listed = numbered(value, fields.path)
    if listed and value.split()[-1].startswith("-"):
        raise fields.wrong("ElementDataFile", f"is {quoted(value)}, which counts down")
    return listed or [value]


def _flag(fields: HeaderFields, name: str, default: bool = False) -> bool:
    return fields[name][:1].lower() in ("t", "1", "y") if fields.get(name) else default


def _parts(fields: HeaderFields, names: list[str], start: int, sizes: list[int], voxel: int) -> tuple[Part, ...]:
    if not _flag(fields, "BinaryData", True):
        raise fields.wrong("BinaryData", "is False: numbers in text cannot be read here")
    orders = {_flag(fields, name) for name in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if name in fields}
    if len(orders) > 1:
        raise fields.wrong("ElementByteOrderMSB", "contradicts BinaryDataByteOrderMSB, which means the same")
    total = int(np.prod(sizes, dtype=object)) * voxel
    skipped, packed = fields.whole("HeaderSize"), _flag(fields, "CompressedData")
    if skipped < -1 or (skipped and packed):
        raise fields.wrong("HeaderSize", f"is {skipped}" + (", which compressed voxels do not go with" if packed else ""))
    named = _named(fields, names)
    if named is None:
        if skipped > 0:
            raise fields.wrong("HeaderSize", f"is {skipped}, though the voxels follow the header")
        size = _packed_size(fields)
        return (Part(fields.path, start, total, partial(inflate, size=size) if packed else None),)
    first, *others = fields["ElementDataFile"].split() or [""]
    many = first == "LIST" or "%" in fields["ElementDataFile"]
    if many and packed:
        raise fields.wrong("CompressedData", "is True, and several data files can be read uncompressed only")
    if first == "LIST" and others not in ([], [str(len(sizes) - 1)]):
        raise fields.wrong("ElementDataFile", f"is {quoted(fields['ElementDataFile'])}; expected one file for each slice")
    files = beside(fields.path, named, sizes[-1] if many else 1)
    if packed:
        return (Part(files[0], 0, total, partial(inflate, size=_packed_size(fields) or sys.maxsize)),)
    return tuple(Part(file, max(0, skipped), total // len(files)) for file in files)


def _packed_size(fields: HeaderFields) -> int:
    """Return a size as MetaIO writes it, sometimes as 1.5e+07; 0 if there is none."""
    text = fields.get("CompressedDataSize", "")
    return int(float(text)) if re.fullmatch(r"\d+(\.\d*)?(e\+?\d+)?", text) else 0
