"""NIfTI files, read by nibabel: recognised by their content, read whole or refused with the reason.

Section and field names are those of ``nifti1.h`` and ``nifti2.h`` of the NIfTI Data Format Working Group.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from ..errors import InputError
from ..image.volume import Source, Volume
from .nifti_place import place
from .values import float32_suffices, without_padding_nan

GZIP = b"\x1f\x8b"
CHUNK = 1 << 18
UINT8 = 2  # DT_UINT8
PAIR = re.compile(r"(?P<stem>.+)\.(?P<part>hdr|img)(?P<packed>\.gz)?", re.IGNORECASE)
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True)
class NiftiFile:
    """A NIfTI file whose header has been read.

    Attributes:
        path: the file, or either file of a pair, as it was named.
        stored: the file that holds the voxels.
        header: nibabel's, just as it is in the file.
    """

    path: Path
    stored: Path
    header: Nifti1Header

    @property
    def shape_ijk(self) -> tuple[int, int, int]:
        """Return the number of voxels along i, j and k."""
        i, j, k = self.header["dim"][1:4].tolist()
        return i, j, k

    @property
    def layers(self) -> int:
        """Return how many volumes of uint8 hold red, green, blue and perhaps alpha, one after the other, as ITK writes colours; else 1."""
        return max(int(self.header["dim"][5]), 1) if self.header["dim"][0] >= 5 else 1

    @property
    def scaling(self) -> tuple[float, float] | None:
        """Return slope and intercept of the values; None if they are used as stored (`scl_slope` 0, NaN, or 1 with an intercept of 0).

        Raises:
            InputError: the intercept is not finite.
        """
        try:
            slope, inter = self.header.get_slope_inter()
        except HeaderDataError as error:
            raise InputError(f"{self.path}: its values cannot be scaled: scl_inter is {self.header['scl_inter']}.") from error
        return None if slope is None or (slope, inter) == (1, 0) else (slope, inter)

    def slices(self) -> Iterator[np.ndarray]:
        """Yield the slices ``(j, i)`` of all layers as they are stored, in the machine's byte order.

        A packed file is checked to its end.

        Raises:
            InputError: the file is truncated or damaged.
        """
        i, j, k = self.shape_ijk
        dtype = self.header.get_data_dtype()
        with _unpacked(self.stored) as stream:
            _skip(stream, _offset(self))
            for _ in range(k * self.layers):
                content = np.empty((j, i), dtype)
                _fill(stream, content)
                yield content.astype(dtype.newbyteorder("="), copy=False)
            while stream.read(CHUNK):  # the unpacker compares the checksum at the end
                pass


def open_nifti(path: Path) -> NiftiFile | None:
    """Return a NIfTI file, or a pair by either of its names, if its header and its length are right; None for other files.

    Raises:
        InputError: the file is truncated or damaged; an Analyze image; not a 3-D volume of numbers or colours.
    """
    header_file = _header_file(path)
    block = _begin(header_file)
    kind = next((kind for kind in (Nifti1Header, Nifti2Header) if kind.may_contain_header(block)), None)
    if kind is None:
        if AnalyzeHeader.may_contain_header(block) and re.search(r"\.(hdr|img|nii)(\.gz)?$", path.name, re.IGNORECASE):
            raise InputError(
                f"{path}: this is an Analyze image, not NIfTI; it does not say which side is left. "
                "Convert it to NIfTI with the program that made it."
            )
        return None
    header = kind(block[: kind.sizeof_hdr], check=False)
    magic = header["magic"].item()
    if magic[:2] not in (b"n+", b"ni"):
        return None
    file = NiftiFile(path, header_file if magic[:2] == b"n+" else _voxel_file(header_file, path), header)
    _check_kind(file)
    _check_length(file)
    return file


def read_nifti(file: NiftiFile) -> Volume:
    """Return the volume of a NIfTI file, with one copy of its voxels at a time; see `read_volume` for their types.

    Raises:
        InputError: as `open_nifti`; voxels are NaN or infinite; or nothing in the header places them.
    """
    name = file.path.resolve().name
    placed = place(file.header, str(file.path))
    voxels = _colours(file) if file.layers > 1 or file.header.get_data_dtype().names else _scalars(file)
    voxels, told = without_padding_nan(voxels, name)
    warnings = (*(f"{name}: {words}" for words in placed.warnings), *told)
    return Volume(voxels, placed.ijk_to_ras, name, source=Source(placed.geometry, warnings, placed.elsewhere, file.header))


def _scalars(file: NiftiFile) -> np.ndarray:
    stored, scaling = file.header.get_data_dtype().newbyteorder("="), file.scaling
    if scaling is None and stored != np.float64:
        return _gather(file, stored, scaling)[0]
    voxels, low, high = _gather(file, np.dtype(np.float32), scaling)
    return voxels if float32_suffices(low, high) else _gather(file, np.dtype(np.float64), scaling)[0]


def _gather(file: NiftiFile, dtype: np.dtype, scaling: tuple[float, float] | None) -> tuple[np.ndarray, float, float]:
    """Return the voxels ``(k, j, i)`` as `dtype`, and their lowest and highest value before the conversion."""
    voxels = np.empty(file.shape_ijk[::-1], dtype)
    low, high = np.inf, -np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        for k, values in enumerate(file.slices()):
            if scaling is not None:
                values = values.astype(np.float64) * scaling[0] + scaling[1]
            voxels[k] = values
            if values.dtype == np.float64:
                low, high = np.fmin(low, np.fmin.reduce(values, axis=None)), np.fmax(high, np.fmax.reduce(values, axis=None))
    return voxels, float(low), float(high)


def _colours(file: NiftiFile) -> np.ndarray:
    slices = file.shape_ijk[2]
    voxels = np.empty((*file.shape_ijk[::-1], 3), np.uint8)
    for number, stored in enumerate(file.slices()):
        layer, k = divmod(number, slices)
        if stored.dtype.names:
            voxels[k] = np.stack([stored[name] for name in "RGB"], axis=-1)
        elif layer < 3:
            voxels[k, ..., layer] = stored
    return voxels


def _header_file(path: Path) -> Path:
    """Return the file with the header: the other file of a pair if `path` holds the voxels."""
    parts = PAIR.fullmatch(path.name)
    if parts is None or parts["part"].lower() == "hdr":
        return path
    return _partner(path, parts, "hdr") or path


def _voxel_file(header_file: Path, path: Path) -> Path:
    parts = PAIR.fullmatch(path.name)
    if parts is not None and parts["part"].lower() == "img":
        return path
    found = _partner(header_file, parts, "img") if parts else None
    if found is None:
        raise InputError(f"{path}: cannot be read; it is a header, and the data file beside it is missing (its name ends with .img).")
    return found


def _partner(path: Path, parts: re.Match, ending: str) -> Path | None:
    """Return the other file of a pair; of two, the one that is compressed alike."""
    endings = [f".{spelt}{packed}" for packed in ("", ".gz", ".GZ") for spelt in (ending, ending.upper(), ending.capitalize())]
    if parts["packed"]:
        endings.sort(key=lambda each: "." not in each[1:])
    return next(filter(Path.is_file, (path.with_name(parts["stem"] + each) for each in endings)), None)


def _begin(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked, enough for any header."""
    with _unpacked(path) as stream:
        return stream.read(Nifti2Header.sizeof_hdr)


@contextmanager
def _unpacked(path: Path) -> Iterator[BufferedIOBase]:
    """Open a file, unpacked if it is packed, whatever its name; damage becomes an `InputError`."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        try:
            if packed:
                with gzip.GzipFile(fileobj=file) as stream:
                    yield stream
            else:
                yield file
        except DAMAGE as error:
            raise InputError(f"{path}: the file is truncated or damaged ({error}). Copy or export it again.") from error


def _skip(stream: BufferedIOBase, size: int) -> None:
    while size > 0:
        size -= len(stream.read(min(size, CHUNK))) or size


def _fill(stream: BufferedIOBase, array: np.ndarray) -> None:
    """Read bytes into an array until it is full."""
    rest = array.view(np.uint8).reshape(-1).data
    while len(rest):
        count = stream.readinto(rest[:CHUNK])
        if not count:
            raise EOFError("the file ends before its voxels do")
        rest = rest[count:]


def _offset(file: NiftiFile) -> int:
    """Return where the voxels start."""
    header = file.header
    offset, least = float(header["vox_offset"]), header.sizeof_hdr if header["magic"].item()[:2] == b"n+" else 0
    if not least <= offset < np.inf:
        raise InputError(f"{file.path}: its header is damaged: voxels cannot start at byte {offset:g} (vox_offset).")
    return int(offset)


def _check_kind(file: NiftiFile) -> None:
    path, header = file.path, file.header
    dim = header["dim"].tolist()
    size = dim[1 : 1 + dim[0]]
    if not 1 <= dim[0] <= 7 or min(size[:3]) < 1:
        raise InputError(f"{path}: its header is damaged: the size is {dim} (dim). Copy or export it again.")
    shape = " x ".join(map(str, size))
    if len(size) < 3:
        raise InputError(f"{path}: this is a 2-D image ({shape}); there are no slices to propagate to. Give a volume.")
    colours = size[4:5] in ([3], [4]) and header["datatype"] == UINT8 and max(size[5:], default=1) <= 1
    if max(size[4:], default=1) > 1 and not colours:
        raise InputError(f"{path}: its voxels are vectors ({shape}). Save the component to segment as a volume.")
    if size[3:] and size[3] > 1:
        raise InputError(f"{path}: 4-D images ({shape}) are not supported. Save the time point or component to segment as a volume.")
    try:
        dtype = header.get_data_dtype()
    except KeyError as error:
        raise InputError(f"{path}: its header is damaged: there is no type of voxels {header['datatype']} (datatype).") from error
    if dtype.kind == "c":
        raise InputError(f"{path}: its voxels are complex. Save the component to segment as a volume.")
    if dtype.names is None and (dtype.kind not in "iuf" or dtype.itemsize > 8 or not dtype.itemsize):
        raise InputError(f"{path}: its voxels are of a type (datatype {header['datatype']}) that cannot be read. Save them as float32.")


def _check_length(file: NiftiFile) -> None:
    """Raise `InputError` if the file is too short, before memory is taken for voxels that do not exist."""
    voxels = int(np.prod((*file.shape_ijk, file.layers), dtype=object)) * file.header.get_data_dtype().itemsize
    expected, size = _offset(file) + voxels, file.stored.stat().st_size
    with file.stored.open("rb") as stream:
        packed = stream.read(2) == GZIP
        stream.seek(max(size - 4, 0))
        promised = int.from_bytes(stream.read(4), "little")
    if packed and promised != expected % 2**32:  # the last length by RFC 1952 is that of the last part only, so it proves nothing
        with _unpacked(file.stored) as stream:
            size = sum(len(part) for part in iter(lambda: stream.read(CHUNK), b""))
    elif packed:
        return
    if size < expected:
        raise InputError(f"{file.stored}: the file is truncated ({size} of {expected} bytes). Copy or export it again.")
