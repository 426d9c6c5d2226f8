"""One pass over an array of any type: the plan per type, the blocks over threads, the parts put together."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels import count
from weightsmith.kernels.float32 import count_float32, measure_float32
from weightsmith.kernels.float64 import count_float64
from weightsmith.kernels.layout import (
    LAYOUTS,
    SMALLEST_NORMAL,
    Counts,
    Doubles,
    Keys,
    Tally,
    combine,
    decoded,
    exact_sums,
    float32_keys,
    nothing,
)
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.parallel import threads as default_threads

SMALL = 2048
"""Up to this many elements their keys are sorted instead of counted in tables."""

_FEWEST = 4 * count.SPAN
"""Least number of elements that is worth handing to another thread."""

_ROOM = 2**32 - 1
"""How many elements tables can count without overflow, whatever their values."""

Found = TypeVar("Found")

_Part = tuple[int, count.Measures]
"""Where a run of elements starts, and what a kernel measured in it."""


class _Bench:
    """Working memory of one thread: tables that are all zero between uses, and room to collect them into."""

    def __init__(self) -> None:
        self.tables = count.new_tables()
        self.counted = 0
        self._keys = np.empty(65536, np.uint16)
        self._counts = np.empty(65536, np.int64)

    def collect(self) -> tuple[Keys, Counts]:
        found = count.collect(self.tables, self._keys, self._counts)
        self.counted = 0
        return self._keys[:found].copy(), self._counts[:found].copy()


_benches: deque[_Bench] = deque()
"""Benches not in use. One lost to an exception is simply not put back."""


def tally(array: NDArray[np.generic], threads: int | None = None) -> Tally:
    """Tally an array of any shape; see `Sketch.of`.

    Raises:
        InputError: the values are not real numbers of at most 64 bits.
    """
    flat = _flat(array)
    if flat.dtype == np.float32:
        return _tally_float32(flat, threads)
    if flat.dtype.itemsize <= 2:
        return _tally_narrow(flat, threads)
    return _tally_wide(flat, threads)


@lru_cache(maxsize=64)
def _check(dtype: np.dtype[np.generic]) -> None:
    known = dtype.name in SMALLEST_NORMAL or dtype.name in ("int2", "int4", "uint2", "uint4")
    if not (known or (dtype.kind in "biuf" and dtype.itemsize <= 8)):
        raise InputError(f"cannot sketch values of type '{dtype}': convert them to float32 or float64 first")


def _flat(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The values in C order as one native, aligned, contiguous row; copied only where they are not."""
    _check(array.dtype)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not (array.flags.c_contiguous and array.flags.aligned):
        array = np.require(array, requirements=("C", "A"))
    flat = array.reshape(-1).view()
    flat.flags.writeable = False
    return flat


def _take(benches: deque[_Bench]) -> _Bench | None:
    try:
        return benches.pop()
    except IndexError:
        return None


def _counted(
    work: Callable[[count.Tables, int, int], Found], size: int, threads: int | None
) -> tuple[list[Found], Keys, Counts]:
    """What `work(tables, start, stop)` found in each run of elements, and all that the tables then hold.

    A run is short enough that no thread waits long for another's last, and a multiple of the span of partial sums.
    """
    share = size // (16 * (default_threads() if threads is None else max(threads, 1))) + 1
    run = max(-(-share // count.SPAN) * count.SPAN, _FEWEST)
    free: deque[_Bench] = deque()
    full: list[_Bench] = []

    def part(start: int, stop: int) -> Found:
        bench = _take(free)
        if bench is not None and bench.counted + stop - start > _ROOM:
            full.append(bench)
            bench = None
        bench = bench or _take(_benches) or _Bench()
        bench.counted += stop - start
        found = work(bench.tables, start, stop)
        free.append(bench)
        return found

    parts = map_blocks(part, size, run, threads)
    used = [*free, *full]
    collected = [bench.collect() for bench in used]
    _benches.extend(used)
    if len(collected) == 1:
        return parts, *collected[0]
    keys = np.concatenate([keys for keys, _ in collected] or [np.empty(0, np.uint16)])
    counts = np.concatenate([counts for _, counts in collected] or [np.empty(0, np.int64)])
    return parts, *combine(keys, counts)


def _spans(start: int, stop: int) -> slice:
    """The partial sums of a run of elements."""
    return slice(start // count.SPAN, -(-stop // count.SPAN))


def _tally_float32(flat: NDArray[np.generic], threads: int | None) -> Tally:
    values = flat.view(np.float32)
    bits = flat.view(np.int32)
    sums = np.zeros((-(-flat.size // count.SPAN) or 1, 2))

    def work(tables: count.Tables, start: int, stop: int) -> _Part:
        return start, count_float32(values[start:stop], bits[start:stop], tables, sums[_spans(start, stop)])

    if flat.size <= SMALL:
        return _assemble([(0, measure_float32(values, bits, sums))], *_sorted_counts(flat.view(np.uint16)[1::2]), sums)
    return _assemble(*_counted(work, flat.size, threads), sums)


def _sorted_counts(keys: Keys) -> tuple[Keys, Counts]:
    """Count few keys by sorting them."""
    ordered = np.sort(keys)
    ordered.flags.writeable = False
    distinct = np.empty(ordered.size, np.uint16)
    counts = np.empty(ordered.size, np.int64)
    found = count.collect_sorted(ordered, distinct, counts)
    return distinct[:found], counts[:found]


def _tally_wide(flat: NDArray[np.generic], threads: int | None) -> Tally:
    """Types of 32 and 64 bits other than float32, by way of float64."""
    sums = np.zeros((-(-flat.size // count.SPAN) or 1, 2))

    def work(tables: count.Tables, start: int, stop: int) -> list[_Part]:
        parts = []
        for first in range(start, stop, _FEWEST):  # bounds the memory of the copy
            last = min(first + _FEWEST, stop)
            values = flat[first:last].astype(np.float64)
            values.flags.writeable = False
            parts.append((first, count_float64(values, tables, sums[_spans(first, last)])))
        return parts

    parts, keys, counts = _counted(work, flat.size, threads)
    found = _assemble([part for some in parts for part in some], keys, counts, sums)
    if flat.dtype.kind in "iu" and flat.dtype.itemsize == 8 and flat.size:
        # Integers beyond 2**53 were rounded on their way to float64.
        exact = found.exact and max(-found.minimum, found.maximum) <= 2**53
        return replace(found, sum=_integer_sum(flat), exact=exact)
    return found


def _integer_sum(flat: NDArray[Any]) -> float:
    """Sum of 64-bit integers, rounded once; halves of 32 bits cannot overflow."""
    total = 0
    for start in range(0, flat.size, _FEWEST):
        block: NDArray[np.int64] = flat[start : start + _FEWEST]
        half = block.dtype.type(32)
        total += (int((block >> half).sum()) << 32) + int((block & block.dtype.type(0xFFFFFFFF)).sum())
    return float(total)


def _assemble(parts: list[_Part], keys: Keys, counts: Counts, sums: Doubles) -> Tally:
    """One tally of consecutive parts: where each starts, what it measured, what all counted (NaN and Inf as well)."""
    if not parts:
        return nothing("float32")
    size = int(counts.sum())
    minima, maxima, zeros, subnormals, positive, negative, firsts, exacts = zip(
        *(measures for _, measures in parts), strict=True
    )
    places = [start + first for (start, _), first in zip(parts, firsts, strict=True) if first >= 0]
    if places:
        finite = (keys & 0x7F80) != 0x7F80
        keys, counts = keys[finite], counts[finite]
    infinities = sum(positive), sum(negative)
    exact = all(exacts)
    if exact:
        total, squares = exact_sums(decoded("bfloat16")[keys], counts)
    else:
        total, squares = (float(column) for column in (sums[0] if len(sums) == 1 else sums.sum(axis=0)))
    some = keys.size > 0
    return Tally(
        layout="float32",
        keys=keys,
        counts=counts,
        count=size,
        zeros=sum(zeros),
        subnormals=sum(subnormals),
        nan=size - int(counts.sum()) - sum(infinities) if places else 0,
        positive_infinity=infinities[0],
        negative_infinity=infinities[1],
        sum=total,
        sum_of_squares=squares,
        # Adding 0.0 turns -0.0 into 0.0, whichever of the two a kernel met first.
        minimum=min(minima) + 0.0 if some else np.nan,
        maximum=max(maxima) + 0.0 if some else np.nan,
        first_non_finite=places[0] if places else None,
        exact=exact,
    )


def _tally_narrow(flat: NDArray[np.generic], threads: int | None) -> Tally:
    """Types of one and two bytes: every value is known from its pattern, so all follows from the counts."""
    name = flat.dtype.name
    patterns = flat.view(f"u{flat.dtype.itemsize}")
    keys, counts = _count_patterns(patterns, threads)
    table = decoded(name)
    numbers = table[keys]
    finite = np.isfinite(numbers)
    first, nan, positive, negative = None, 0, 0, 0
    if not finite.all():
        first = _first_where(patterns, ~np.isfinite(table))
        nan = int(counts[np.isnan(numbers)].sum())
        positive = int(counts[numbers == np.inf].sum())
        negative = int(counts[numbers == -np.inf].sum())
        keys, counts, numbers = keys[finite], counts[finite], numbers[finite]
    total, squares = exact_sums(numbers, counts)
    zeros = int(counts[numbers == 0].sum())
    tiny = int(counts[np.abs(numbers) < SMALLEST_NORMAL.get(name, 0.0)].sum())
    own = name in LAYOUTS
    exact = True
    if not own and name != "bfloat16":
        narrow = float32_keys(numbers)
        exact = bool(np.array_equal(decoded("bfloat16")[narrow], numbers))
        keys, counts = combine(narrow, counts)
    return Tally(
        layout=name if own else "float32",
        keys=keys,
        counts=counts,
        count=flat.size,
        zeros=zeros,
        subnormals=max(tiny - zeros, 0),
        nan=nan,
        positive_infinity=positive,
        negative_infinity=negative,
        sum=total,
        sum_of_squares=squares,
        minimum=float(numbers.min()) + 0.0 if numbers.size else np.nan,
        maximum=float(numbers.max()) + 0.0 if numbers.size else np.nan,
        first_non_finite=first,
        exact=exact,
    )


def _count_patterns(patterns: Keys, threads: int | None) -> tuple[Keys, Counts]:
    def work(tables: count.Tables, start: int, stop: int) -> None:
        count.count_keys(patterns[start:stop], tables)

    if patterns.size <= SMALL:
        return _sorted_counts(patterns.astype(np.uint16))
    _, keys, counts = _counted(work, patterns.size, threads)
    return keys, counts


def _first_where(patterns: Keys, wanted: NDArray[np.bool_]) -> int:
    """Index of the first pattern that a table of all patterns marks; there is one."""
    for start in range(0, patterns.size, _FEWEST):
        hits = wanted[patterns[start : start + _FEWEST]]
        if hits.any():
            return start + int(hits.argmax())
    raise AssertionError("no such pattern")
