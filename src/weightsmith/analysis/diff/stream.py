"""Two weights read side by side, block by block, so that neither is ever whole in memory."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from weightsmith.kernels.parallel import map_blocks
from weightsmith.sources import Place, Weight

Array = NDArray[Any]

UNIT = 1 << 18
"""Elements compared at a time: a mebibyte of float32 from either side, which stays in the second-level cache."""

_WIDE = ("float64", "int32", "int64", "uint32", "uint64")


class IncomparableError(Exception):
    """The two hold values that have no difference (complex numbers, text); the message says so."""


@dataclass(frozen=True)
class Run:
    """The same run of places of both weights, as equal floats.

    Attributes:
        start: place of its first value.
        before: float32[n] or float64[n].
        after: the same.
        raw_before: as the first source stores them.
        raw_after: as the second does.
    """

    start: int
    before: Array
    after: Array
    raw_before: Array
    raw_after: Array


def common_type(before: str, after: str) -> type[np.float32] | type[np.float64]:
    """The float type in which values of both types can be compared.

    Raises:
        IncomparableError: one of the types is complex.
    """
    for name in (before, after):
        if name.startswith("complex"):
            raise IncomparableError(f"{name} values are not compared")
    return np.float64 if {before, after} & set(_WIDE) else np.float32


def over_runs(
    before: Weight, after: Weight, count: int, work: Callable[[Run], Any], threads: int | None = None
) -> list[Any]:
    """Call `work` for each run of the first `count` places of two weights; the results come in order.

    Weights that lie plain in their files are read by several threads; others from their start, one block after another.
    """
    kind = common_type(before.dtype, after.dtype)
    if before.place is not None and after.place is not None:
        places = before.place, after.place

        def part(start: int, stop: int) -> Any:
            raw = [_buffers.filled(side, place, start, stop) for side, place in enumerate(places)]
            return work(_run(start, raw[0], raw[1], kind))

        return map_blocks(part, count, UNIT, threads)
    return [work(_run(start, old, new, kind)) for start, old, new in _paired(before, after, count)]


def _run(start: int, old: Array, new: Array, kind: type) -> Run:
    return Run(start, as_floats(old, kind), as_floats(new, kind), old, new)


def as_floats(values: Array, kind: type) -> Array:
    """The values as native floats of the given type; not copied where they are already."""
    if values.dtype == ml_dtypes.bfloat16 and kind is np.float32:  # twice as fast as its own conversion
        return (values.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(values.astype(kind, copy=False))


def _paired(before: Weight, after: Weight, count: int) -> Iterator[tuple[int, Array, Array]]:
    sides = _Side(before.blocks()), _Side(after.blocks())
    start = 0
    while start < count:
        length = min(UNIT, count - start, *(side.available() for side in sides))
        assert length, "a weight gave fewer values than its shape says"
        yield start, sides[0].take(length), sides[1].take(length)
        start += length


class _Side:
    """One weight's blocks, cut anew wherever the other's end."""

    def __init__(self, blocks: Iterator[Array]) -> None:
        self._blocks = blocks
        self._current: Array = np.empty(0)

    def available(self) -> int:
        while not self._current.size:
            following = next(self._blocks, None)
            if following is None:
                return 0
            self._current = following
        return self._current.size

    def take(self, length: int) -> Array:
        taken, self._current = self._current[:length], self._current[length:]
        return taken


class _Buffers(threading.local):
    """Room that each thread reads into again and again: fresh memory costs more than reading the file."""

    def __init__(self) -> None:
        self._rooms = [np.empty(0, np.uint8), np.empty(0, np.uint8)]

    def filled(self, side: int, place: Place, start: int, stop: int) -> Array:
        size = place.dtype.itemsize
        length = (stop - start) * size
        if self._rooms[side].size < length:
            self._rooms[side] = np.empty(length, np.uint8)
        room = self._rooms[side][:length]
        if length:
            place.file.read_into(place.offset + start * size, room.data)
        return room.view(place.dtype)


_buffers = _Buffers()
