"""The header of an NRRD file, understood by the format's definition (teem.sourceforge.net/nrrd/format.html)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .header import UNSPACED, Header, HeaderFields, affine, check_axes, check_colours, lines, listed, quoted
from .integrity import Part, beside, gunzip, numbered

MAGIC = b"NRRD00"
TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
DTYPES = {name: np.dtype(code) for code, names in TYPES.items() for name in names.split(", ")}
# The directions of a space's axes, along left, posterior and superior.
SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
ALONG_SPACE = ("domain", "space", "???", "none")
COLOURS = ("rgb-color", "rgba-color", "3-color", "4-color", "vector")  # ITK, and so SimpleITK, calls colours a vector
VECTORS = re.compile(r"(.*-)?(vector|normal|color|gradient|complex|quaternion|point|matrix)")
ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "txt": "text", "text": "text", "ascii": "text", "hex": "hex"}


# Fields of a header that place an image: those of the whole, and those of each axis, with the value for an axis outside space.
PLACING = {"space": "space", "space dimension": "spacedimension", "space units": "spaceunits", "space origin": "spaceorigin"}
AXIS_PLACING = {"space directions": "none", "spacings": "nan", "axis mins": "nan", "axis maxs": "nan", "centerings": "???", "units": '""'}


@dataclass(frozen=True)
class NrrdPlace:
    """The fields that place an image.

    Attributes:
        whole: those of the whole image, by name.
        axes: those of each axis, by name: three words, for i, j and k.
        ijk_to_lps: their meaning, a ``(4, 4)`` matrix.
    """

    whole: dict[str, str]
    axes: dict[str, list[str]]
    ijk_to_lps: np.ndarray

    def fields(self, layers: bool) -> dict[str, str]:
        """Return these fields for another file, whose first axis may be layers."""
        return self.whole | {name: " ".join([AXIS_PLACING[name]] * layers + words) for name, words in self.axes.items()}


@dataclass(frozen=True)
class _Axes:
    """The axes of the file that are i, j and k, and the one that holds colours, if any."""

    along_space: list[int]
    colours: int | None


def is_nrrd(start: bytes) -> bool:
    """Return whether a file that begins with these bytes is an NRRD file, or the header of one."""
    return start.startswith(MAGIC)


def read_nrrd_header(path: Path) -> Header:
    """Return what the header of an NRRD file, attached or detached, says.

    Raises:
        InputError: it is damaged, or means something that is no 3-D volume of numbers or colours; or the place of its voxels
            does not follow from it; or a data file is missing.
    """
    fields, extra, names, start = _read_fields(path)
    if re.fullmatch(r".*-time|.*t", fields.get("space", "").lower()):
        raise fields.wrong("space", f"is {quoted(fields['space'])}, with time. Save the time point to segment as a volume")
    count = fields.whole("dimension")
    if not 1 <= count <= 16:
        raise fields.wrong("dimension", f"is {count}")
    sizes = fields.sizes("sizes", count)
    dtype = DTYPES.get(fields.need("type").strip().lower())
    if dtype is None:
        raise fields.wrong("type", f"is {quoted(fields['type'])}, which are not numbers")
    directions = _directions(fields, count)
    axes = _axes(fields, extra, sizes, dtype, directions)
    lengths = [sizes[axis] for axis in axes.along_space]
    if directions is None:
        matrix, geometry, warnings = _without_directions(fields, axes.along_space, sizes)
    else:
        matrix, geometry, warnings = _with_directions(fields, _along(directions, axes.along_space))
    if "oldmin" in fields or "oldmax" in fields:
        was = f"from {quoted(fields.get('oldmin', '?'))} to {quoted(fields.get('oldmax', '?'))}"
        warnings.append(f"Its values once ran {was}, before they were quantized; they are used as they are stored.")
    return Header(
        "NrrdImageIO",
        (*lengths[::-1], *([] if axes.colours is None else [sizes[axes.colours]])),
        dtype,
        _parts(fields, names, start, sizes, dtype.itemsize),
        matrix,
        geometry,
        tuple(warnings),
        place=_place(fields, axes.along_space, directions, matrix),
        exact=fields["encoding"].lower() in ("raw", "gzip", "gz") and fields.whole("byteskip") >= 0,
        unoriented=fields.get("space", "").lower() not in SPACES,
        centred="spaceorigin" not in fields or _vector(fields, "spaceorigin", fields["spaceorigin"]) is None,
    )


def nrrd_data_files(path: Path) -> list[Path]:
    """Return the files that a detached header names for its voxels, whether they exist or not."""
    fields, _, names, _ = _read_fields(path)
    return [path.parent / name for name in _named(fields, names)]


def _read_fields(path: Path) -> tuple[HeaderFields, dict[str, str], list[str], int]:
    """Return the fields, the keys and values, the data files listed, and where the header ends.

    Names of fields are in small letters without blanks.
    """
    fields, extra, names = HeaderFields(path), {}, []
    with path.open("rb") as file:
        if not re.fullmatch(rb"NRRD(000[1-5]|00\.01)\s*", file.readline(64)):
            raise InputError(f"{path}: this is an NRRD file of a version that is not known here (1 to 5 are), or it is damaged.")
        for text in lines(file, path):
            if not text:
                break
            if text.startswith("#"):
                continue
            found = re.fullmatch(r"(.*?):(=| )(.*)", text)
            if not found:
                raise InputError(f"{path}: its header is damaged, or is none ({quoted(text)}). Export the image again.")
            if found[2] == "=":
                extra[found[1]] = found[3]
            else:
                fields.add(re.sub(r"\s", "", found[1]).lower(), found[3].strip())
            if fields.get("datafile", "").split()[:1] == ["LIST"]:
                names = listed(file, path)
                break
        if "centers" in fields:
            fields.add("centerings", fields.pop("centers"))
        return fields, extra, names, file.tell()


def _vector(fields: HeaderFields, name: str, text: str) -> np.ndarray | None:
    """Return the numbers of ``(x,y,z)``; None for ``none``, and if all of them are NaN, which means the same."""
    if text.strip().lower() == "none":
        return None
    words = text.strip().removeprefix("(").removesuffix(")").split(",")
    values = fields.parsed(name, words, len(words), finite=False)
    if np.isnan(values).all():
        return None
    if not np.isfinite(values).all():
        raise fields.wrong(name, f"is {quoted(fields[name])}; expected finite numbers")
    return values


def _directions(fields: HeaderFields, count: int) -> list[np.ndarray | None] | None:
    """Return the direction of every axis, None for an axis without one; None for all if the file gives no directions."""
    if "spacedirections" not in fields:
        if "space" in fields or "spacedimension" in fields:
            raise fields.wrong("space directions", "is missing, though there is a space")
        return None
    text = fields["spacedirections"]
    words = re.findall(r"none|\([^()]*\)", text)
    if re.sub(r"none|\([^()]*\)|\s", "", text) or len(words) != count:
        raise fields.wrong("space directions", f"is {quoted(text)}; expected a vector or none for each of {count} axes")
    return [_vector(fields, "spacedirections", word) for word in words]


def _axes(
    fields: HeaderFields, extra: dict[str, str], sizes: list[int], dtype: np.dtype, directions: list[np.ndarray | None] | None
) -> _Axes:
    kinds = [kind.lower() for kind in fields.get("kinds", "??? " * len(sizes)).split()]
    if len(kinds) != len(sizes):
        raise fields.wrong("kinds", f"is {quoted(fields['kinds'])}; expected {len(sizes)} words")
    beside_space = [n for n, kind in enumerate(kinds) if kind not in ALONG_SPACE or (directions and directions[n] is None)]
    along_space = [n for n in range(len(sizes)) if n not in beside_space]
    several = [n for n in beside_space if sizes[n] > 1]
    if several and "Segment0_ID" in extra:
        raise InputError(f"{fields.path}: its segments overlap, in {sizes[several[0]]} layers. Export them as a labelmap.")
    shape = [sizes[n] for n in along_space]
    vectors = [n for n in several if VECTORS.fullmatch(kinds[n])]
    check_axes(fields.path, shape, [sizes[n] for n in several if n not in vectors])
    for n in vectors:
        check_colours(fields.path, sizes[n] if kinds[n] in COLOURS and len(vectors) == 1 else 0, dtype)
    return _Axes(along_space[:3], vectors[0] if vectors else None)


def _with_directions(fields: HeaderFields, directions: Sequence[np.ndarray]) -> tuple[np.ndarray, str, list[str]]:
    """Return the matrix from voxel indices to LPS mm, where it comes from in words, and what was assumed."""
    origin, warnings = None, []
    if "spaceorigin" in fields:
        origin = _vector(fields, "spaceorigin", fields["spaceorigin"])
    if origin is None:
        warnings.append("The file does not say where its first voxel lies; it is taken to lie at the origin, as ITK does.")
        origin = np.zeros(len(directions[0]))
    if any(len(vector) != len(origin) or vector[3:].any() for vector in directions) or len(origin) < 3:
        raise fields.wrong("space directions", f"is {quoted(fields['spacedirections'])}; expected vectors in the space of the origin")
    units = re.findall(r'"([^"]*)"', fields.get("spaceunits", '""' * 3))
    if len(units) < 3:
        raise fields.wrong("space units", f"is {quoted(fields['spaceunits'])}; expected one unit in quotes for each axis of the space")
    scale = np.array([fields.millimetres("space units", unit) for unit in units[:3]])
    if "space" in fields and fields["space"].lower() in SPACES:
        scale *= SPACES[fields["space"].lower()]
    else:
        space = fields.get("space", "no space")
        warnings.append(f"Which way its axes run in the patient is not said ({space}); they are taken for left-posterior-superior.")
    geometry = f"space directions and origin ({fields.get('space', 'no space')}){_told(units)}"
    columns = np.stack([vector[:3] for vector in directions], axis=1)
    return affine(columns * scale[:, None], origin[:3] * scale), geometry, warnings


def _without_directions(fields: HeaderFields, axes: Sequence[int], sizes: Sequence[int]) -> tuple[np.ndarray, str, list[str]]:
    """Return the same as `_with_directions` if spacings, or the ends of the axes, are all there is."""
    missing = np.full(len(sizes), np.nan)
    spacings, lows, highs = (
        fields.numbers(name, len(sizes), finite=False)[list(axes)] if name in fields else missing[list(axes)]
        for name in ("spacings", "axismins", "axismaxs")
    )
    counts = np.array([sizes[n] for n in axes], float)
    centerings = fields.get("centerings", "cell " * len(sizes)).lower().split()
    if len(centerings) != len(sizes):
        raise fields.wrong("centerings", f"is {quoted(fields['centerings'])}; expected {len(sizes)} words")
    nodes = np.array([centerings[n] == "node" for n in axes])
    with np.errstate(all="ignore"):
        steps = (highs - lows) / (counts - nodes)
    both = np.isfinite(spacings) & np.isfinite(steps)
    if not np.allclose(spacings[both], steps[both], rtol=1e-3, atol=0):
        raise fields.wrong("spacings", f"is {quoted(fields['spacings'])}, which contradicts its axis mins and maxs")
    known = np.where(np.isfinite(spacings), spacings, steps)
    warnings = ["Which way its axes run in the patient is not said; they are taken for left-posterior-superior, as ITK does."]
    if "spacings" not in fields and np.isnan(steps).all():
        known = np.ones(3)
        warnings.append(UNSPACED)
        geometry = "nothing in the file; 1 mm assumed"
    else:
        geometry = "spacings" if np.isfinite(spacings).all() else "axis mins and maxs"
    if not np.isfinite(known).all() or not known.all():
        raise fields.wrong("spacings", f"gives no distance between the voxels of every axis ({', '.join(f'{step:g}' for step in known)})")
    units = re.findall(r'"([^"]*)"', fields.get("units", '""' * len(sizes)))
    if len(units) != len(sizes):
        raise fields.wrong("units", f"is {quoted(fields['units'])}; expected one unit in quotes for each axis")
    first = np.where(np.isfinite(lows), lows + (~nodes) * known / 2, highs - known * np.where(nodes, counts - 1, counts - 0.5))
    scale = np.array([fields.millimetres("units", units[n]) for n in axes])
    return affine(np.diag(known * scale), np.nan_to_num(first) * scale), geometry + _told([units[n] for n in axes]), warnings


def _along(directions: list[np.ndarray | None], axes: Sequence[int]) -> list[np.ndarray]:
    """Return the directions of axes that run along space: the others have none."""
    return [direction for axis in axes if (direction := directions[axis]) is not None]


def _place(
    fields: HeaderFields, axes: Sequence[int], directions: list[np.ndarray | None] | None, ijk_to_lps: np.ndarray
) -> NrrdPlace | None:
    """Return the fields that say where the three axes lie, as they stand in the file; None if its space has more than three axes."""
    along = None if directions is None else _along(directions, axes)
    if along is not None and len(along[0]) != 3:
        return None
    whole = {field: fields[name] for field, name in PLACING.items() if name in fields}
    found = {}
    if along is not None:
        found["space directions"] = [f"({','.join(repr(float(value)) for value in direction)})" for direction in along]
    for field, blank in AXIS_PLACING.items():
        name = field.replace(" ", "")
        if name in fields and field not in found:
            words = re.findall(r'"[^"]*"|\S+', fields[name])
            found[field] = [words[n] if n < len(words) else blank for n in axes]
    return NrrdPlace(whole, found, ijk_to_lps)


def _told(units: Sequence[str]) -> str:
    """Return the units in the words that describe the geometry."""
    return f" in {', '.join(dict.fromkeys(units))}" if any(unit.strip() not in ("", "mm") for unit in units) else ""


def _named(fields: HeaderFields, names: list[str]) -> list[str]:
    """Return the names of the data files."""
    if "datafile" not in fields:
        return []
    value = fields["datafile"]
    return names if value.split()[:1] == ["LIST"] else numbered(re.sub(r"(\s-?\d+){4}$", _three, value), fields.path) or [value]


def _three(numbers: re.Match) -> str:
    """Return the first three of the four numbers behind a pattern of names; the last is the dimension of one file's piece."""
    return " " + " ".join(numbers[0].split()[:3])


def _parts(fields: HeaderFields, names: list[str], start: int, sizes: list[int], itemsize: int) -> tuple[Part, ...]:
    encoding = ENCODINGS.get(fields.need("encoding").lower())
    if encoding is None:
        raise InputError(
            f"{fields.path}: it is compressed in a way that cannot be read here ({quoted(fields['encoding'])}). "
            "Save it with gzip, or uncompressed."
        )
    total = int(np.prod(sizes, dtype=object)) * itemsize
    if "datafile" not in fields:
        return (_part(fields, fields.path, start, total, itemsize, encoding),)
    named = _named(fields, names)
    files = beside(fields.path, named, _pieces(fields, sizes, len(named)))
    return tuple(_part(fields, file, 0, total // len(files), itemsize, encoding) for file in files)


def _pieces(fields: HeaderFields, sizes: list[int], named: int) -> int:
    """Return how many data files there must be.

    Each holds the first axes of the image: as many as the field says, otherwise all but the last.
    """
    value = fields["datafile"]
    found = re.fullmatch(r"LIST(?:\s+(\d+))?|[^\s%]*%\S*(?:\s+-?\d+){3}(?:\s+(\d+))?", value)
    if not found:
        return 1
    dimension = int(found[1] or found[2] or len(sizes) - 1)
    if dimension == len(sizes):
        return named if named and sizes[-1] % named == 0 else sizes[-1]
    if not 0 < dimension < len(sizes):
        raise fields.wrong("data file", f"is {quoted(value)}, with pieces of {dimension} dimensions")
    return int(np.prod(sizes[dimension:], dtype=object))


def _part(fields: HeaderFields, file: Path, start: int, size: int, itemsize: int, encoding: str) -> Part:
    lines_skipped, skipped = fields.whole("lineskip"), fields.whole("byteskip")
    if lines_skipped < 0 or skipped < -1:
        raise fields.wrong("line skip" if lines_skipped < 0 else "byte skip", "is negative")
    if lines_skipped:
        with file.open("rb") as content:
            content.seek(start)
            for _ in range(lines_skipped):
                if not content.readline():
                    break
            start = content.tell()
    if encoding == "gzip":
        return Part(file, start, size + max(0, skipped), gunzip)
    if encoding == "raw":
        return Part(file, start + max(0, skipped), size)
    smallest = 2 * size if encoding == "hex" else 2 * (size // itemsize) - 1  # of text: a digit and a blank for each voxel
    return Part(file, start + max(0, skipped), smallest)
