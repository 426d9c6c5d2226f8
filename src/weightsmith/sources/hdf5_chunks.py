"""Values of chunked HDF5 datasets, slab by slab in C order, with memory bounded by what the file holds."""

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from weightsmith.sources.hdf5_bytes import Bytes
from weightsmith.sources.hdf5_data import UNWRITTEN, Chunks, Dataset
from weightsmith.sources.source import BLOCK

Array = np.ndarray[Any, np.dtype[Any]]

_ROOMY: Final = 64 << 20
_RATIO: Final = 16
"""A chunk may be larger than `_ROOMY` bytes only where that is no more than so many times what the file holds of it."""

_CHUNKS: Final = 1 << 20
"""Most chunks of one dataset: the index is kept in memory while it is read."""


@dataclass(frozen=True)
class _Stored:
    """Where one chunk lies."""

    address: int
    size: int
    mask: int


def chunked_blocks(raw: Bytes, data: Dataset, shown: str) -> Iterator[Array]:
    """The values of a chunked dataset in C order, in one-dimensional blocks of at most `BLOCK` elements.

    Args:
        raw: the file.
        data: the dataset.
        shown: its name for error messages.

    Raises:
        SourceError: chunks are missing, overlap, lie outside the file, or do not inflate to their size.
    """
    assert isinstance(data.layout, Chunks)
    if not math.prod(data.shape):
        return
    stored = _index(raw.again(), data, data.layout, shown)
    for first, shape in _slabs(data.shape, data.layout.shape):
        yield from _split(_slab(raw, data, stored, first, shape, shown))


def fill_blocks(data: Dataset) -> Iterator[Array]:
    """The values of a dataset that was never written."""
    yield from _split(np.full(math.prod(data.shape), np.frombuffer(data.fill, data.dtype)[0], data.dtype))


def _split(array: Array) -> Iterator[Array]:
    flat = array.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        yield flat[start : start + BLOCK]


def _slabs(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Start and shape of consecutive runs of the array, each small, and of whole rows of chunks where that stays so."""
    axis = next(axis for axis in range(len(shape)) if math.prod(shape[axis + 1 :]) <= BLOCK)
    rest = math.prod(shape[axis + 1 :])
    rows = max(1, BLOCK // rest)
    if chunk[axis] * rest <= 4 * BLOCK:
        rows = max(1, rows // chunk[axis]) * chunk[axis]
    for before in itertools.product(*(range(length) for length in shape[:axis])):
        for start in range(0, shape[axis], rows):
            count = min(rows, shape[axis] - start)
            first = (*before, start, *(0 for _ in shape[axis + 1 :]))
            yield first, (*(1 for _ in before), count, *shape[axis + 1 :])


def _slab(
    raw: Bytes,
    data: Dataset,
    stored: dict[tuple[int, ...], _Stored],
    first: tuple[int, ...],
    shape: tuple[int, ...],
    shown: str,
) -> Array:
    assert isinstance(data.layout, Chunks)
    chunk = data.layout.shape
    slab = np.full(shape, np.frombuffer(data.fill, data.dtype)[0], data.dtype)
    ranges = [
        range(start // length, (start + count - 1) // length + 1)
        for start, count, length in zip(first, shape, chunk, strict=True)
    ]
    for number in itertools.product(*ranges):
        place = stored.get(number)
        if place is None:
            continue
        values = _values(raw, data, place, shown)
        inner, outer = [], []
        for index, length, start, count in zip(number, chunk, first, shape, strict=True):
            begin, end = max(index * length, start), min((index + 1) * length, start + count)
            inner.append(slice(begin - index * length, end - index * length))
            outer.append(slice(begin - start, end - start))
        slab[tuple(outer)] = values[tuple(inner)]
    return slab


def _index(raw: Bytes, data: Dataset, chunks: Chunks, shown: str) -> dict[tuple[int, ...], _Stored]:
    """Every chunk of the dataset by its position in the grid, checked against the file and each other."""
    size = math.prod(chunks.shape) * data.dtype.itemsize
    grid = tuple(-(-length // step) for length, step in zip(data.shape, chunks.shape, strict=True))
    if len(grid) and math.prod(grid) > _CHUNKS and data.nbytes > UNWRITTEN:
        raise raw.error(f"'{shown}' claims {math.prod(grid)} chunks, and {_CHUNKS} are read at most")
    if chunks.address == raw.undefined:
        found = {}
    elif chunks.index == "tree":
        found = dict(_tree(raw, chunks, grid, shown))
    elif chunks.index == "single":
        found = {(0,) * len(grid): _Stored(chunks.address, chunks.size, chunks.mask)}
    else:
        if chunks.address + size * math.prod(grid) > raw.file.size:
            raise raw.error(f"'{shown}' claims more chunks than the file has room for")
        found = {
            number: _Stored(chunks.address + order * size, size, 0)
            for order, number in enumerate(itertools.product(*(range(count) for count in grid)))
        }
    if len(found) < math.prod(grid) and data.nbytes > UNWRITTEN:
        raise raw.error(f"'{shown}' claims {math.prod(grid)} chunks and holds {len(found)}")
    _check(raw, found, size, bool(data.filters), shown)
    return found


def _check(raw: Bytes, found: dict[tuple[int, ...], _Stored], size: int, filtered: bool, shown: str) -> None:
    end = 0
    for place in sorted(found.values(), key=lambda place: place.address):
        if place.address < end or raw.base + place.address + place.size > raw.file.size:
            raise raw.error(f"the chunks of '{shown}' overlap or lie outside the file")
        if (not filtered and place.size != size) or size > max(_ROOMY, _RATIO * place.size):
            raise raw.error(f"a chunk of '{shown}' claims {size} bytes and holds {place.size}")
        end = place.address + place.size


def _tree(raw: Bytes, chunks: Chunks, grid: tuple[int, ...], shown: str) -> Iterator[tuple[tuple[int, ...], _Stored]]:
    """Entries of the version 1 B-tree that lists the chunks."""
    rank = len(grid)
    key = 8 + 8 * (rank + 1)
    stack, seen = [(chunks.address, 64)], set()
    while stack:
        address, above = stack.pop()
        magic, kind, level, count = struct.unpack("<4sBBH", raw.at(address, 8))
        if magic != b"TREE" or kind != 1 or level >= above or address in seen:
            raise raw.error(f"the index of '{shown}' is damaged")
        seen.add(address)
        cursor = raw.cursor(address + 8 + 2 * raw.offset_size, count * (key + raw.offset_size))
        for _ in range(count):
            size, mask = cursor.number(4), cursor.number(4)
            offsets = [cursor.number(8) for _ in range(rank)]
            cursor.take(8)
            child = cursor.offset()
            if level:
                stack.append((child, level))
                continue
            number = tuple(offset // step for offset, step in zip(offsets, chunks.shape, strict=True))
            if all(index < length for index, length in zip(number, grid, strict=True)):
                yield number, _Stored(child, size, mask)


def _values(raw: Bytes, data: Dataset, place: _Stored, shown: str) -> Array:
    """One chunk, unpacked: filters are undone in reverse order, save those that it skipped."""
    assert isinstance(data.layout, Chunks)
    size = math.prod(data.layout.shape) * data.dtype.itemsize
    found = bytes(raw.file.view(raw.base + place.address, place.size))
    for order in reversed(range(len(data.filters))):
        code, values = data.filters[order]
        if place.mask >> order & 1:
            continue
        if code == 1:
            found = _inflate(raw, found, size + 64, shown)  # room for the checksums of filters before it
        elif code == 2:
            found = _unshuffle(found, values[0] if values else data.dtype.itemsize)
        else:
            found = _checked(raw, found, shown)
    if len(found) != size:
        raise raw.error(f"a chunk of '{shown}' unpacks to {len(found)} bytes instead of {size}")
    return np.frombuffer(found, data.dtype).reshape(data.layout.shape)


def _inflate(raw: Bytes, packed: bytes, limit: int, shown: str) -> bytes:
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(packed, limit)
    except zlib.error:
        raise raw.error(f"a chunk of '{shown}' does not inflate") from None
    if not inflater.eof:
        raise raw.error(f"a chunk of '{shown}' inflates to more than it claims, or ends early")
    return found


def _unshuffle(data: bytes, width: int) -> bytes:
    """Undo the shuffle filter: first bytes of all elements, then their second ones, ...; a remainder stays in place."""
    count = len(data) // width if width else 0
    if width <= 1 or not count:
        return data
    body = np.frombuffer(data, np.uint8, count * width).reshape(width, count)
    return body.T.tobytes() + data[count * width :]


def _checked(raw: Bytes, data: bytes, shown: str) -> bytes:
    """The data before its Fletcher-32 checksum, which must agree (Fletcher, 1982)."""
    body, claimed = data[:-4], int.from_bytes(data[-4:], "little")
    words = np.frombuffer(body + b"\0" * (len(body) % 2), ">u2").astype(np.uint64)
    first = second = 0
    for start in range(0, words.size, 1 << 16):  # sums of products stay below 2^64
        part = words[start : start + (1 << 16)]
        weights = np.arange(part.size, 0, -1, dtype=np.uint64)
        second = (second + part.size * first + int((part * weights).sum())) % 65535
        first = (first + int(part.sum())) % 65535
    found = (claimed & 0xFFFF) % 65535, (claimed >> 16) % 65535
    if len(data) < 4 or found != (first, second):
        raise raw.error(f"a chunk of '{shown}' is damaged: its checksum differs")
    return body
