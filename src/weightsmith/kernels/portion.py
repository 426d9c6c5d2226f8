"""What one pass finds in part of a tensor, from wherever its values come, and the working memory that it needs.

Values are asked for by range, a block at a time that stays in the processor's cache, so the same loops serve an
array in memory and a file of any size. Every block starts at a multiple of `count.SPAN`: the sums of a span depend
on its values alone, not on threads, parts or where they were counted.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels import count
from weightsmith.kernels.chunks import chunk_elements
from weightsmith.kernels.count import Measures
from weightsmith.kernels.float32 import count_float32, measure_float32
from weightsmith.kernels.float64 import count_float64
from weightsmith.kernels.layout import SMALLEST_NORMAL, Counts, Doubles, Keys, combine, decoded
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.parallel import threads as default_threads

SMALL = 2048
"""Up to this many elements their keys are sorted instead of counted in tables."""

FEWEST = 4 * count.SPAN
"""Least number of elements that is worth handing to another thread."""

_ROOM = 2**32 - 1
"""How many elements tables can count without overflow, whatever their values."""

_NOTHING: Measures = (np.inf, -np.inf, 0, 0, 0, 0, -1, True, 0)

Array = NDArray[Any]
Room = NDArray[np.uint8]
Fetch = Callable[[int, int, Callable[[int], Room]], Array]
"""`fetch(start, stop, room)` gives these elements as a contiguous, aligned, native row. It may use `room(n)`, n bytes
that belong to the calling thread until the next fetch."""


@dataclass(frozen=True)
class Portion:
    """What the pass found in consecutive elements of a tensor; `tally.Gathering` adds portions up.

    Attributes:
        start: index of the first element, a multiple of `count.SPAN`.
        count: number of elements.
        keys: uint16[k], sorted: which keys (of types of up to two bytes: which patterns) occur, non-finite ones too.
        counts: int64[k]: how often.
        sums: float64[ceil(count / SPAN), 2]: each span's sum and sum of squares; empty for types of up to two bytes.
        measures: see `count.Measures`; the index of the first non-finite value is that in the tensor.
        integers: the exact sum of integers of 64 bits; 0 for other types.
    """

    start: int
    count: int
    keys: Keys
    counts: Counts
    sums: Doubles
    measures: Measures
    integers: int = 0


class _Bench:
    """Working memory of one thread: tables that are all zero between uses, and room to fetch and collect into."""

    def __init__(self) -> None:
        self.tables = count.new_tables()
        self.spilled: list[tuple[Keys, Counts]] = []
        self._counted = 0
        self._keys = np.empty(65536, np.uint16)
        self._counts = np.empty(65536, np.int64)
        self._room = np.empty(0, np.uint8)

    def room(self, size: int) -> Room:
        """Bytes to fetch into, aligned for any type."""
        if self._room.size < size:
            self._room = np.empty(size, np.uint8)
        return self._room[:size]

    def expect(self, elements: int) -> None:
        """Empty the tables first where so many more could overflow them."""
        if self._counted + elements > _ROOM:
            self.spilled.append(self._emptied())
        self._counted += elements

    def collect(self) -> list[tuple[Keys, Counts]]:
        """All that was counted since the last time."""
        found, self.spilled = [*self.spilled, self._emptied()], []
        return found

    def _emptied(self) -> tuple[Keys, Counts]:
        found = count.collect(self.tables, self._keys, self._counts)
        self._counted = 0
        return self._keys[:found].copy(), self._counts[:found].copy()


_benches: deque[_Bench] = deque()
"""Benches not in use. One lost to an exception is simply not put back."""

Found = TypeVar("Found")


@lru_cache(maxsize=64)
def check_type(dtype: np.dtype[np.generic]) -> None:
    """Refuse a type that cannot be counted.

    Raises:
        InputError: the values are not real numbers of at most 64 bits.
    """
    known = dtype.name in SMALLEST_NORMAL or dtype.name in ("int2", "int4", "uint2", "uint4")
    if not (known or (dtype.kind in "biuf" and dtype.itemsize <= 8)):
        raise InputError(f"cannot sketch values of type '{dtype}': convert them to float32 or float64 first")


def is_narrow(dtype: np.dtype[np.generic]) -> bool:
    """Whether every value is known from its key."""
    return dtype.itemsize <= 2


def measure(fetch: Fetch, start: int, stop: int, dtype: np.dtype[np.generic], threads: int | None = 1) -> Portion:
    """Count and measure the elements [start, stop) of a tensor.

    Args:
        fetch: where the values come from; called from several threads at once where `threads` is not 1.
        start: a multiple of `count.SPAN`.
        stop: likewise, or the tensor's end.
        dtype: of the values, native.
        threads: most threads to use; None for as many as the process may use.

    Raises:
        InputError: values of another type than real numbers of at most 64 bits, or whatever `fetch` raises.
    """
    check_type(dtype)
    assert start % count.SPAN == 0
    size = stop - start
    if size <= SMALL and (dtype == np.float32 or is_narrow(dtype)):
        return _small(fetch, start, stop)
    sums = np.zeros((0 if is_narrow(dtype) else -(-size // count.SPAN), 2))
    loop = _narrow if is_narrow(dtype) else _float32 if dtype == np.float32 else _wide
    whole = dtype.kind in "iu" and dtype.itemsize == 8
    step = chunk_elements(dtype)

    def part(bench: _Bench, first: int, last: int) -> list[tuple[Measures, int]]:
        found = []
        for at in range(first, last, step):
            end = min(at + step, last)
            values = fetch(start + at, start + end, bench.room)
            values.flags.writeable = False
            bench.expect(end - at)
            measures = loop(values, bench.tables, sums[at // count.SPAN : -(-end // count.SPAN)])
            found.append((_placed(measures, start + at), integer_sum(values) if whole else 0))
        return found

    parts, keys, counts = _over_threads(part, size, threads)
    each = [item for some in parts for item in some]
    measures = together([measures for measures, _ in each])
    return Portion(start, size, keys, counts, sums, measures, sum(integers for _, integers in each))


def together(parts: list[Measures]) -> Measures:
    """What holds for all parts of a tensor, given what holds for each."""
    if len(parts) == 1:
        return parts[0]
    low, high, zeros, subnormals, positive, negative, firsts, exact, seen = zip(*parts or [_NOTHING], strict=True)
    places = [first for first in firsts if first >= 0]
    bits = int(np.bitwise_or.reduce(seen))
    sums = sum(zeros), sum(subnormals), sum(positive), sum(negative)
    return min(low), max(high), *sums, min(places, default=-1), all(exact), bits


def integer_sum(flat: Array) -> int:
    """Sum of 64-bit integers; halves of 32 bits cannot overflow."""
    half = flat.dtype.type(32)
    return (int((flat >> half).sum()) << 32) + int((flat & flat.dtype.type(0xFFFFFFFF)).sum())


def _over_threads(
    work: Callable[[_Bench, int, int], Found], size: int, threads: int | None
) -> tuple[list[Found], Keys, Counts]:
    """What `work(bench, start, stop)` found in each run of elements, and all that the benches then hold.

    A run is short enough that no thread waits long for another's last, and a multiple of the span of partial sums.
    """
    workers = default_threads() if threads is None else max(threads, 1)
    share = size if workers == 1 else size // (16 * workers) + 1
    run = max(-(-share // count.SPAN) * count.SPAN, FEWEST)
    free: deque[_Bench] = deque()

    def part(start: int, stop: int) -> Found:
        bench = _take(free) or _take(_benches) or _Bench()
        found = work(bench, start, stop)
        free.append(bench)
        return found

    parts = map_blocks(part, size, run, workers)
    collected = [item for bench in free for item in bench.collect()]
    _benches.extend(free)
    return parts, *merged(collected)


def merged(counted: list[tuple[Keys, Counts]]) -> tuple[Keys, Counts]:
    """Counts of the same keys added up."""
    if len(counted) == 1:
        return counted[0]
    keys = np.concatenate([keys for keys, _ in counted] or [np.empty(0, np.uint16)])
    counts = np.concatenate([counts for _, counts in counted] or [np.empty(0, np.int64)])
    return combine(keys, counts)


def _take(benches: deque[_Bench]) -> _Bench | None:
    try:
        return benches.pop()
    except IndexError:
        return None


def _placed(measures: Measures, start: int) -> Measures:
    """The same, with the first non-finite value's index in the tensor instead of the block."""
    return (*measures[:6], measures[6] + start, *measures[7:]) if measures[6] >= 0 else measures


def _float32(values: Array, tables: count.Tables, sums: Doubles) -> Measures:
    found: Measures = count_float32(values, values.view(np.int32), tables, sums)
    return found


def _wide(values: Array, tables: count.Tables, sums: Doubles) -> Measures:
    """Types of 32 and 64 bits other than float32, by way of float64."""
    doubles = values.astype(np.float64)
    doubles.flags.writeable = False
    found: Measures = count_float64(doubles, tables, sums)
    return found


def _narrow(values: Array, tables: count.Tables, sums: Doubles) -> Measures:
    """Types of one and two bytes: all follows from the counts, save where the first non-finite value is."""
    del sums
    patterns = values.view(f"u{values.dtype.itemsize}")
    entries = _non_finite_entries(values.dtype)
    before = int(tables[entries].sum()) if entries.size else 0
    count.count_keys(patterns, tables)
    if not entries.size or int(tables[entries].sum()) == before:
        return _NOTHING
    return (*_NOTHING[:6], _first_non_finite(values), *_NOTHING[7:])


def _first_non_finite(values: Array) -> int:
    patterns = values.view(f"u{values.dtype.itemsize}")
    return int((~np.isfinite(decoded(values.dtype.name)))[patterns].argmax())


@lru_cache(maxsize=64)
def _non_finite_entries(dtype: np.dtype[np.generic]) -> NDArray[np.intp]:
    """Where the tables count the NaN and Inf of a type; empty for integers."""
    patterns = np.flatnonzero(~np.isfinite(decoded(dtype.name)))
    return np.concatenate([lane * count.STRIDE + patterns for lane in range(count.LANES)])


def _small(fetch: Fetch, start: int, stop: int) -> Portion:
    """Few values: their keys are sorted, which is cheaper than to search a table for them."""
    values = fetch(start, stop, _new_room)
    values.flags.writeable = False
    if is_narrow(values.dtype):
        keys, counts = _sorted_counts(values.view(f"u{values.dtype.itemsize}").astype(np.uint16))
        table = np.isfinite(decoded(values.dtype.name))
        first = -1 if bool(table[keys].all()) else start + _first_non_finite(values)
        return Portion(start, stop - start, keys, counts, np.zeros((0, 2)), (*_NOTHING[:6], first, *_NOTHING[7:]))
    sums = np.zeros((1, 2))
    measures = measure_float32(values, values.view(np.int32), sums)
    keys, counts = _sorted_counts(values.view(np.uint16)[1::2])
    return Portion(start, stop - start, keys, counts, sums, _placed(measures, start))


def _new_room(size: int) -> Room:
    return np.empty(size, np.uint8)


def _sorted_counts(keys: Keys) -> tuple[Keys, Counts]:
    """Count few keys by sorting them."""
    ordered = np.sort(keys)
    ordered.flags.writeable = False
    distinct = np.empty(ordered.size, np.uint16)
    counts = np.empty(ordered.size, np.int64)
    found = count.collect_sorted(ordered, distinct, counts)
    return distinct[:found], counts[:found]
