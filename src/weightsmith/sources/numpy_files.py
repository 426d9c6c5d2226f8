"""NumPy's own files, `.npy` and `.npz`, without NumPy's loader: nothing is unpickled and no header is believed.

Reference: NEP 1 (Kern, 2007) and `numpy.lib.format`.
"""

import ast
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.archive import Archive
from weightsmith.sources.file import File, FileLike, as_file
from weightsmith.sources.roles import infer_role
from weightsmith.sources.shape import is_possible
from weightsmith.sources.source import BLOCK, Aside, Place, Source, Weight
from weightsmith.weight import WeightInfo

Array = np.ndarray[Any, np.dtype[Any]]

_MAGIC: Final = b"\x93NUMPY"
_HEADER_LIMIT: Final = 10_000
"""Longest header in characters, as in NumPy: `ast.literal_eval` of a long text may take much time and memory."""

_PLAIN: Final = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16|\?)")
_KINDS: Final = {
    "O": "Python objects, which only unpickling could read: save it as numbers",
    "S": "text",
    "U": "text",
    "a": "text",
    "M": "dates",
    "m": "time spans",
    "f": "of more bits than any network uses",
    "c": "of more bits than any network uses",
    "V": "raw bytes without a type; NumPy writes bfloat16 and 8-bit floats so: save it as safetensors",
}


@dataclass(frozen=True)
class _Header:
    """What the header of an array says.

    Attributes:
        dtype: type of an element, or why it cannot be a weight.
        fortran: whether the first axis varies fastest.
        shape: its dimensions.
        length: bytes of the header, after which the values start.
    """

    dtype: "np.dtype[Any] | str"
    fortran: bool
    shape: tuple[int, ...]
    length: int


def open_npy(what: FileLike) -> Source:
    """Open a `.npy` file: one array, named after the file.

    Raises:
        SourceError: the file is missing, damaged, or shorter than its header claims.
    """
    file = as_file(what)
    name = re.split(r"[/\\]", file.label)[-1].removesuffix(".npy") or "array"
    header = _parse(bytes(file.view(0, min(file.size, _HEADER_LIMIT + 12))), printable(file.label))
    found = _weight(name, header, file.size, file, 0) if isinstance(header.dtype, np.dtype) else None
    aside = [] if isinstance(header.dtype, np.dtype) else [Aside(name, header.dtype, file.size - header.length)]
    return Source(file.label, [found] if found else [], file_format="npy", aside=aside, files=[file])


def open_npz(what: FileLike) -> Source:
    """Open a `.npz` file: a zip of arrays, named as they were saved.

    Arrays kept uncompressed (`numpy.savez`) are read in place, others (`numpy.savez_compressed`) are inflated a block
    at a time, save those in Fortran order, which have to be whole to be turned.

    Raises:
        SourceError: the file is missing or damaged, or an array in it is.
    """
    file = as_file(what)
    archive = Archive(file)
    weights: list[Weight] = []
    aside: list[Aside] = []
    for member in archive.names:
        name, size = member.removesuffix(".npy"), archive.size(member)
        if name == member:
            aside.append(Aside(member, "not an array", size))
            continue
        start = archive.offset(member)
        label = f"{printable(file.label)}: '{printable(member[:200])}'"
        header = _parse(_head(archive, member, start), label)
        if not isinstance(header.dtype, np.dtype):
            aside.append(Aside(name, header.dtype, size))
        elif start is not None:
            weights.append(_weight(name, header, size, file, start))
        elif _is_turned(header) and not archive.is_modest(member):
            aside.append(
                Aside(name, "in Fortran order, and inflates to too much to be turned: save it in C order", size)
            )
        else:
            weights.append(_packed(name, header, archive, member))
    return Source(file.label, weights, file_format="npz", aside=aside, files=[file])


def _head(archive: Archive, member: str, start: int | None) -> bytes:
    """The first bytes of a member, as many as a header may have."""
    limit = _HEADER_LIMIT + 12
    if start is not None:
        return bytes(archive.file.view(start, min(limit, archive.size(member))))
    return next(archive.chunks(member, limit), b"")


def _parse(head: bytes, label: str) -> _Header:
    """The header at the start of these bytes.

    Raises:
        SourceError: it is damaged or of an unknown version; starts with the label.
    """
    if head[:6] != _MAGIC or len(head) < 12:
        raise SourceError(f"{label} is not a NumPy array, or truncated")
    major = head[6]
    if major not in (1, 2, 3):
        raise SourceError(f"{label} is of the unknown version {major} of NumPy's format")
    start = 10 if major == 1 else 12
    (length,) = struct.unpack("<H" if major == 1 else "<I", head[8:start])
    if length > _HEADER_LIMIT or start + length > len(head):
        raise SourceError(f"{label} claims a header of {length} bytes: truncated, or not one of numbers")
    try:
        text = head[start : start + length].decode("utf-8" if major == 3 else "latin-1")
        fields = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):  # all that a literal may do wrong
        raise SourceError(f"{label} has a header that is not a Python literal") from None
    if not isinstance(fields, dict) or fields.keys() != {"descr", "fortran_order", "shape"}:
        raise SourceError(f"{label} has a header without descr, fortran_order and shape")
    shape, fortran = fields["shape"], fields["fortran_order"]
    if not _is_shape(shape) or type(fortran) is not bool:
        raise SourceError(f"{label} has a header with an odd shape or order")
    return _Header(_dtype(fields["descr"]), fortran, shape, start + length)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(length) is int for length in value) and is_possible(value)


def _dtype(described: Any) -> "np.dtype[Any] | str":
    """The type that a header describes, or why no weight has it."""
    if not isinstance(described, str):
        return "records of several fields"
    if _PLAIN.fullmatch(described):
        return np.dtype(described)
    return _KINDS.get(described.lstrip("<>|=")[:1], "of an unknown type")


def _weight(name: str, header: _Header, size: int, file: File, start: int) -> Weight:
    """The weight whose values lie plain in the file, after the header, within `size` bytes from `start`."""
    assert isinstance(header.dtype, np.dtype)
    _check_size(name, header, size, file)
    info = _info(name, header)
    place = Place(file, start + header.length, header.dtype)
    if not _is_turned(header):
        return Weight(info, size - header.length, place=place)
    turned = Weight(WeightInfo(name, header.shape[::-1], info.dtype, info.role), 0, place=place)
    return Weight(info, size - header.length, lambda: turned.read().T)


def _packed(name: str, header: _Header, archive: Archive, member: str) -> Weight:
    """The weight whose values are compressed."""
    assert isinstance(header.dtype, np.dtype)
    size = archive.size(member)
    _check_size(name, header, size, archive.file)
    info = _info(name, header)
    if not info.size:
        return Weight(info, 0, place=Place(archive.file, 0, header.dtype))
    if not _is_turned(header):
        return Weight(info, size - header.length, _blocks=lambda: _inflated(header, archive, member))

    def read() -> Array:
        array = np.concatenate(list(_inflated(header, archive, member))).reshape(header.shape[::-1]).T
        array.flags.writeable = False
        return array

    return Weight(info, size - header.length, read)


def _is_turned(header: _Header) -> bool:
    """Whether the values are not in C order."""
    return header.fortran and len(header.shape) > 1


def _info(name: str, header: _Header) -> WeightInfo:
    assert isinstance(header.dtype, np.dtype)
    return WeightInfo(name, header.shape, header.dtype.name, infer_role(name.replace("/", "."), header.shape))


def _check_size(name: str, header: _Header, size: int, file: File) -> None:
    assert isinstance(header.dtype, np.dtype)
    needed = header.length + math.prod(header.shape) * header.dtype.itemsize
    if needed != size:
        raise SourceError(
            f"{printable(file.label)}: '{printable(name[:200])}' of shape {list(header.shape)} and dtype "
            f"{header.dtype.name} needs {needed} bytes with its header, but has {size}"
        )


def _inflated(header: _Header, archive: Archive, member: str) -> Iterator[Array]:
    """The values of a compressed member in the order of its bytes, `BLOCK` elements at a time."""
    assert isinstance(header.dtype, np.dtype)
    width = header.dtype.itemsize * BLOCK
    skip, kept = header.length, bytearray()
    for chunk in archive.chunks(member):
        kept += chunk[skip:]
        skip = max(0, skip - len(chunk))
        while len(kept) >= width:
            yield np.frombuffer(kept[:width], header.dtype)
            del kept[:width]
    if kept:
        yield np.frombuffer(kept, header.dtype)
