"""HDF5 datasets: what their headers say of type, shape and layout, checked, and their values by place or by blocks.

Reference: HDF5 File Format Specification 3.0, The HDF Group, 2019, section IV.A.2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import ml_dtypes
import numpy as np

from weightsmith.sources.hdf5_bytes import Bytes, Cursor
from weightsmith.sources.hdf5_objects import (
    DATASPACE,
    DATATYPE,
    EXTERNAL,
    FILL,
    FILTERS,
    LAYOUT,
    OLD_FILL,
    SHARED,
    Message,
)
from weightsmith.sources.shape import is_possible

UNWRITTEN: Final = 64 << 20
"""Bytes that a dataset may claim without holding them (fill values); more would be memory on a header's word."""

_FLOATS: Final = {  # size, exponent's place and length, mantissa's place and length, bias
    (2, 10, 5, 0, 10, 15): np.dtype("float16"),
    (2, 7, 8, 0, 7, 127): np.dtype(ml_dtypes.bfloat16),
    (4, 23, 8, 0, 23, 127): np.dtype("float32"),
    (8, 52, 11, 0, 52, 1023): np.dtype("float64"),
}
_CLASSES: Final = {
    2: "a date",
    3: "text",
    4: "a bit field",
    5: "opaque bytes",
    6: "a compound type",
    7: "references",
    9: "of varying length",
    10: "an array type",
    11: "complex numbers",
}
_FILTER_NAMES: Final = {4: "szip", 5: "n-bit", 6: "scale-offset", 32000: "lzf", 32001: "blosc", 32004: "lz4"}
_KNOWN_FILTERS: Final = (1, 2, 3)


@dataclass(frozen=True)
class Chunks:
    """A chunked layout.

    Attributes:
        shape: elements of a chunk along each axis.
        index: how chunks are found: by B-tree, one alone, or one after the other.
        address: of that index, or of the bytes where there is none.
        size: bytes of the only chunk where the file tells; else 0.
        mask: bits of filters that the only chunk skipped.
    """

    shape: tuple[int, ...]
    index: str
    address: int
    size: int = 0
    mask: int = 0


@dataclass(frozen=True)
class Dataset:
    """A dataset of numbers as its header describes it.

    Attributes:
        shape: its dimensions.
        dtype: NumPy type of an element, byte order included.
        layout: the address of plain values (None where none were written), the values themselves, or chunks.
        filters: id and client values of each filter, in the order in which they were applied.
        fill: what stands where nothing was written, one element's bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    layout: int | bytes | Chunks | None
    filters: tuple[tuple[int, tuple[int, ...]], ...] = ()
    fill: bytes = b""

    @property
    def nbytes(self) -> int:
        """Bytes of all its values."""
        return math.prod(self.shape) * self.dtype.itemsize


def is_dataset(header: list[Message]) -> bool:
    """Whether an object header is that of a dataset, not of a group."""
    return any(message.kind == LAYOUT for message in header)


def describe(raw: Bytes, header: list[Message], opaque: np.dtype[Any] | None) -> Dataset | str:
    """The dataset of a header, or why it is no plain array of numbers, in a few words.

    Args:
        raw: the file.
        header: messages of its object header.
        opaque: the type that opaque elements of its size really have, where an attribute tells.

    Raises:
        SourceError: the header is damaged or claims more than the file holds.
    """
    found = {message.kind: message for message in header}
    if EXTERNAL in found:
        return "kept in other files (external storage), which are never followed"
    if DATASPACE not in found or DATATYPE not in found:
        raise raw.error("a dataset has no type or no shape")
    if any(found[kind].flags & SHARED for kind in (DATASPACE, DATATYPE, LAYOUT, FILTERS) if kind in found):
        return "of a type kept elsewhere in the file (committed), which is not read"
    shape = _shape(raw.over(found[DATASPACE].data))
    dtype = _dtype(raw.over(found[DATATYPE].data), opaque)
    filters = _filters(raw.over(found[FILTERS].data)) if FILTERS in found else ()
    if shape is None:
        return "empty: it has no values"
    for problem in (dtype, filters):
        if isinstance(problem, str):
            return problem
    assert not isinstance(dtype, str)
    assert not isinstance(filters, str)
    layout = _layout(raw, raw.over(found[LAYOUT].data), shape, dtype.itemsize, bool(filters))
    if isinstance(layout, str):
        return layout
    return Dataset(shape, dtype, layout, filters, _fill(raw, found, dtype.itemsize))


def _shape(cursor: Cursor) -> tuple[int, ...] | None:
    version, rank, flags, kind = cursor.number(1), cursor.number(1), cursor.number(1), cursor.number(1)
    if version not in (1, 2) or flags > 3:
        raise cursor.error("the shape of a dataset is damaged")
    cursor.take(4 if version == 1 else 0)
    shape = tuple(cursor.length() for _ in range(rank))
    if not is_possible(shape):
        raise cursor.error(f"a dataset claims the shape {list(shape)}")
    return None if version == 2 and kind == 2 else shape


def _dtype(cursor: Cursor, opaque: np.dtype[Any] | None) -> np.dtype[Any] | str:
    code, bits, size = cursor.number(1) & 15, cursor.number(3), cursor.number(4)
    if code == 5 and opaque is not None and opaque.itemsize == size:
        return opaque
    if code == 8:
        base = _dtype(cursor, None)
        if isinstance(base, str) or base.itemsize != size:
            return "of an unusual enumeration"
        return np.dtype(bool) if size == 1 and b"FALSE\0" in cursor.take(cursor.left) else base
    if code not in (0, 1):
        return "opaque bytes whose type nothing tells" if code == 5 else _CLASSES.get(code, "of an unknown type")
    order: Literal["<", ">"] = ">" if bits & 1 else "<"
    start, precision = cursor.number(2), cursor.number(2)
    if code == 0:
        plain = size in (1, 2, 4, 8) and start == 0 and precision == 8 * size
        return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}") if plain else "of integers of unusual length"
    exponent, mantissa = (cursor.number(1), cursor.number(1)), (cursor.number(1), cursor.number(1))
    dtype = _FLOATS.get((size, *exponent, *mantissa, cursor.number(4)))
    swapped = order == ">" and dtype is not None and dtype.kind == "V"  # ml_dtypes has no byte orders
    if dtype is None or start or bits & 0x40 or swapped:
        return "of floating-point numbers of an unusual format"
    return dtype if dtype.kind == "V" else np.dtype(f"{order}f{size}")


def _filters(cursor: Cursor) -> tuple[tuple[int, tuple[int, ...]], ...] | str:
    version, count = cursor.number(1), cursor.number(1)
    if version not in (1, 2) or count > 32:
        raise cursor.error("the filters of a dataset are damaged")
    cursor.take(6 if version == 1 else 0)
    found = []
    for _ in range(count):
        code = cursor.number(2)
        named = cursor.number(2) if version == 1 or code >= 256 else 0
        cursor.take(2)
        values = cursor.number(2)
        cursor.take(named + -named % 8 if version == 1 else named)
        found.append((code, tuple(cursor.number(4) for _ in range(values))))
        cursor.take(4 if version == 1 and values % 2 else 0)
        if code not in _KNOWN_FILTERS:
            shown = _FILTER_NAMES.get(code, f"filter {code}")
            return f"compressed by {shown}, which is not read: rewrite it with h5repack -f GZIP=4"
    return tuple(found)


def _layout(
    raw: Bytes, cursor: Cursor, shape: tuple[int, ...], itemsize: int, filtered: bool
) -> int | bytes | Chunks | str | None:
    version = cursor.number(1)
    nbytes = math.prod(shape) * itemsize
    if version in (1, 2):
        return _old_layout(raw, cursor, shape, itemsize)
    if version not in (3, 4):
        return f"kept by layout {version}, which is not read: rewrite it with h5repack --low=0 --high=1"
    code = cursor.number(1)
    if code == 0:
        return _compact(cursor, cursor.number(2), nbytes)
    if code == 1:
        return _contiguous(raw, cursor.offset(), nbytes)
    if code == 3:
        return "a view of other datasets (virtual), which are never followed"
    if code != 2:
        raise cursor.error(f"a dataset has the unknown layout {code}")
    if version == 4:
        return _modern_chunks(raw, cursor, shape, itemsize, filtered)
    rank, address = cursor.number(1), cursor.offset()
    return _chunked(raw, [cursor.number(4) for _ in range(rank)], address, shape, itemsize)


def _old_layout(raw: Bytes, cursor: Cursor, shape: tuple[int, ...], itemsize: int) -> int | bytes | Chunks | None:
    rank, code = cursor.number(1), cursor.number(1)
    cursor.take(5)
    nbytes = math.prod(shape) * itemsize
    address = cursor.offset() if code else 0
    lengths = [cursor.number(4) for _ in range(rank)]
    if code == 0:
        return _compact(cursor, cursor.number(4), nbytes)
    return _contiguous(raw, address, nbytes) if code == 1 else _chunked(raw, lengths, address, shape, itemsize)


def _compact(cursor: Cursor, size: int, nbytes: int) -> bytes:
    data = cursor.take(size)
    if size < nbytes:
        raise cursor.error(f"a dataset of {nbytes} bytes holds {size}")
    return data[:nbytes]


def _contiguous(raw: Bytes, address: int, nbytes: int) -> int | None:
    if not nbytes or address == raw.undefined:
        if nbytes > UNWRITTEN:
            raise raw.error(f"a dataset claims {nbytes} bytes and holds none")
        return None
    if raw.base + address + nbytes > raw.file.size:
        raise raw.error(f"a dataset claims bytes {address} to {address + nbytes} of a file of {raw.file.size}")
    return address


def _chunked(raw: Bytes, lengths: Sequence[int], address: int, shape: tuple[int, ...], itemsize: int) -> Chunks:
    if len(lengths) != len(shape) + 1 or not shape or 0 in lengths or lengths[-1] != itemsize:
        raise raw.error("the chunks of a dataset do not fit its shape")
    return Chunks(tuple(lengths[:-1]), "tree", address)


def _modern_chunks(raw: Bytes, cursor: Cursor, shape: tuple[int, ...], itemsize: int, filtered: bool) -> Chunks | str:
    flags, rank, width = cursor.number(1), cursor.number(1), cursor.number(1)
    lengths = [cursor.number(width) for _ in range(rank)]
    index = cursor.number(1)
    chunk = _chunked(raw, lengths, 0, shape, itemsize).shape
    if index == 1:
        size, mask = (cursor.length(), cursor.number(4)) if flags & 2 else (math.prod(chunk) * itemsize, 0)
        return Chunks(chunk, "single", cursor.offset(), size, mask)
    if index == 2 and not filtered:
        return Chunks(chunk, "implicit", cursor.offset())
    return "chunked by an index of HDF5 1.10, which is not read: rewrite it with h5repack --low=0 --high=1"


def _fill(raw: Bytes, found: dict[int, Message], itemsize: int) -> bytes:
    if FILL in found and not found[FILL].flags & SHARED:
        cursor = raw.over(found[FILL].data)
        version = cursor.number(1)
        flags = cursor.number(3 if version < 3 else 1)
        defined = flags >> 16 if version < 3 else flags & 0x20
    elif OLD_FILL in found and not found[OLD_FILL].flags & SHARED:
        cursor, defined = raw.over(found[OLD_FILL].data), 1
    else:
        return bytes(itemsize)
    value = cursor.take(cursor.number(4)) if defined and cursor.left >= 4 else b""
    return value if len(value) == itemsize else bytes(itemsize)
