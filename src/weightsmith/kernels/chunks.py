"""Values cut into chunks of one size, whatever the blocks they come in; and a digest that is built from chunks."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

CHUNK_BYTES = 1 << 21
"""Bytes per chunk: enough to make a system call cheap, and few enough to stay in the cache. Digests depend on it."""

UNIT_BYTES = 8 * CHUNK_BYTES
"""Bytes of a large tensor that one thread counts in one go: far more than it costs to collect the counts."""

Array = NDArray[Any]


def chunk_elements(dtype: np.dtype[Any]) -> int:
    """Elements per chunk."""
    return CHUNK_BYTES // dtype.itemsize


def evenly(blocks: Iterable[Array]) -> Iterator[Array]:
    """The values of one-dimensional blocks of any sizes, in chunks of `chunk_elements`; the last may be shorter.

    A chunk may share its memory with the next: use it before asking for another.
    """
    room: Array | None = None
    filled = 0
    for block in blocks:
        step = chunk_elements(block.dtype)
        at = 0
        if filled and room is not None:
            at = min(step - filled, block.size)
            room[filled : filled + at] = block[:at]
            filled += at
            if filled < step:
                continue
            yield room
            filled = 0
        whole = at + (block.size - at) // step * step
        for start in range(at, whole, step):
            yield block[start : start + step]
        if whole < block.size:
            room = np.empty(step, block.dtype) if room is None else room
            filled = block.size - whole
            room[:filled] = block[whole:]
    if filled and room is not None:
        yield room[:filled]


def chunk_digest(chunk: Array) -> bytes:
    """xxh3-128 of the values' bytes, little-endian whatever the processor."""
    little = np.ascontiguousarray(chunk.astype(chunk.dtype.newbyteorder("<"), copy=False))
    return xxhash.xxh3_128_digest(little.view("u1").data if little.size else b"")


def digest(dtype: str, shape: Sequence[int], chunks: Iterable[bytes]) -> str:
    """A 128-bit hash of a tensor's type, shape and values, as 32 hexadecimal digits, from its chunks' in order.

    Not cryptographic (xxh3): it recognizes, it does not authenticate. A tree of two levels, so that chunks can be
    hashed on any thread or machine.
    """
    return xxhash.xxh3_128_hexdigest(f"{dtype}{list(shape)}".encode() + b"".join(chunks))
