"""The pass over values that no array holds: in a file, read by range, or in blocks that come one after the other."""

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import SourceError
from weightsmith.kernels.chunks import UNIT_BYTES, evenly
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.portion import Portion, Room, measure
from weightsmith.kernels.tally import Gathering

Array = NDArray[Any]
ReadInto = Callable[[int, memoryview], None]
"""Fills a buffer with the bytes of a file from a position on; see `sources.File.read_into`."""

Watch = Callable[[int, Array], None]
"""Gets each block's first index and its values as soon as they are read, on the thread that counts them."""


def unit_elements(dtype: np.dtype[Any]) -> int:
    """Elements per unit, a multiple of the span of partial sums and of a chunk."""
    return UNIT_BYTES // dtype.itemsize


def measure_file(
    read_into: ReadInto, offset: int, dtype: np.dtype[Any], start: int, stop: int, watch: Watch | None = None
) -> Portion:
    """Count and measure elements [start, stop) of a tensor that lies plain in a file; about 2 MiB are held at a time.

    Reading into a small buffer that stays in the cache, and not mapping: a mapped file counts as resident memory,
    and is slower by its page faults than the copy costs (2 threads, file in the page cache).

    Args:
        read_into: see `ReadInto`.
        offset: of the tensor's first byte in the file.
        dtype: of the values in the file, byte order included.
        start: a multiple of `count.SPAN`.
        stop: likewise, or the tensor's end.
        watch: see `Watch`.

    Raises:
        InputError: values that cannot be counted, or whatever `read_into` raises.
    """

    def fetch(first: int, last: int, room: Callable[[int], Room]) -> Array:
        raw = room((last - first) * dtype.itemsize)
        if raw.size:
            read_into(offset + first * dtype.itemsize, raw.data)
        values = raw.view(dtype)
        values = values if dtype.isnative else values.astype(dtype.newbyteorder("="))
        if watch is not None:
            watch(first, values)
        return values

    return measure(fetch, start, stop, dtype.newbyteorder("="))


def gather_file(
    read_into: ReadInto, offset: int, dtype: np.dtype[Any], size: int, threads: int | None = None
) -> Gathering:
    """The whole tensor of `size` elements that `measure_file` measures a part of."""
    gathering = Gathering(dtype.newbyteorder("="), size)
    lock = threading.Lock()

    def part(start: int, stop: int) -> None:
        portion = measure_file(read_into, offset, dtype, start, stop)
        with lock:  # added at once, since those of a huge tensor would fill the memory
            gathering.add(portion)

    map_blocks(part, size, unit_elements(dtype), threads)
    return gathering


def gather_blocks(blocks: Iterable[Array], size: int, watch: Watch | None = None) -> Gathering:
    """The portions of a tensor whose values come in one-dimensional blocks of any sizes, in C order.

    Args:
        blocks: all of one type; one may share its memory with the next.
        size: how many values there should be.
        watch: see `Watch`.

    Raises:
        SourceError: more or fewer values than `size`.
        InputError: values that cannot be counted, or whatever the blocks raise.
    """
    others = iter(blocks)
    head = next(others, None)
    dtype = np.dtype(np.float32) if head is None else head.dtype.newbyteorder("=")
    chunks = evenly([] if head is None else itertools.chain([head], others))

    def fetch(start: int, stop: int, room: object) -> Array:
        del room
        chunk = next(chunks, None)
        if chunk is None or chunk.size != stop - start:
            raise _miscounted(size)
        values = np.require(chunk, dtype, ("C", "A"))
        if watch is not None:
            watch(start, values)
        return values.view()

    gathering = Gathering(dtype, size)
    if size:
        gathering.add(measure(fetch, 0, size, dtype))
    if next(chunks, None) is not None:
        raise _miscounted(size)
    return gathering


def _miscounted(size: int) -> SourceError:
    return SourceError(f"it does not hold the {size} values of its shape: damaged, or truncated")
