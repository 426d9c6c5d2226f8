"""Counting keys in tables: the compiled loops that all types share, and the tables themselves.

Counting takes turns between two tables, since equal neighbors in one table would wait for each other; more tables
would wait less for values that are nearly all the same, but push everyone else's counts out of the first-level cache.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

LANES = 2
STRIDE = 65536 + 32
"""Distance between tables, in entries; the 32 keep the same key of both tables off the same cache set."""

BLOCK = 16384
"""Elements that are counted and then measured while they are in the second-level cache."""

SPAN = 4 * BLOCK
"""Elements per partial sum. Work is cut at multiples of it, so the partial sums never depend on the threads."""

KEYS = types.Array(types.uint16, 1, "C", readonly=True)
TABLES = types.Array(types.uint32, 1, "C")
SUMS = types.Array(types.float64, 2, "C")
MEASURES = types.Tuple((types.float64, types.float64) + 5 * (types.int64,) + (types.boolean, types.int64))  # type: ignore[no-untyped-call]
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_NEW_KEYS = types.Array(types.uint16, 1, "C")
_NEW_COUNTS = types.Array(types.int64, 1, "C")

Tables = NDArray[np.uint32]

Whole = Any
"""A whole number inside a kernel, where numba infers which width it has."""

Measures = tuple[float, float, int, int, int, int, int, bool, Whole]
"""Minimum, maximum (infinities the wrong way round where nothing is finite), numbers of zeros, subnormals, +Inf and
-Inf, index of the first non-finite value or -1, whether every finite value is the one its key stands for, and the
patterns of all finite values or-ed."""

_ONE = np.uint32(1)


def new_tables() -> Tables:
    """Zeroed count tables, as every kernel here expects to find them."""
    return np.zeros(LANES * STRIDE, np.uint32)


@njit([types.void(KEYS, TABLES), types.void(_BYTES, TABLES)], nogil=True, cache=True)
def count_keys(keys: NDArray[np.uint16], tables: Tables) -> None:
    """Count each key of a contiguous array (of one- or two-byte patterns) into the tables."""
    unrolled = keys.size // 8 * 8
    for i in range(0, unrolled, 8):
        tables[keys[i]] += _ONE
        tables[keys[i + 1] + STRIDE] += _ONE
        tables[keys[i + 2]] += _ONE
        tables[keys[i + 3] + STRIDE] += _ONE
        tables[keys[i + 4]] += _ONE
        tables[keys[i + 5] + STRIDE] += _ONE
        tables[keys[i + 6]] += _ONE
        tables[keys[i + 7] + STRIDE] += _ONE
    for i in range(unrolled, keys.size):
        tables[keys[i]] += _ONE


@njit(nogil=True, cache=True)
def counted(tables: Tables, keys: int) -> Whole:
    """How many of the first `keys` keys of either sign the tables hold."""
    found = np.int64(0)
    for lane in range(LANES):
        for sign in (0, 0x8000):
            for i in range(lane * STRIDE + sign, lane * STRIDE + sign + keys):
                found += tables[i]
    return found


@njit(types.int64(TABLES, _NEW_KEYS, _NEW_COUNTS), nogil=True, cache=True)
def collect(tables: Tables, keys: NDArray[np.uint16], counts: NDArray[np.int64]) -> int:
    """Move what the tables hold to sorted `keys` and their `counts` (65536 entries each); leaves the tables zeroed.

    Returns:
        The number of occupied keys.
    """
    found = 0
    for group in range(0, 65536, 128):
        occupied = np.uint32(0)
        for lane in range(LANES):
            for i in range(lane * STRIDE + group, lane * STRIDE + group + 128):
                occupied |= tables[i]
        if occupied == 0:
            continue
        for key in range(group, group + 128):
            count = np.int64(0)
            for lane in range(LANES):
                count += np.int64(tables[lane * STRIDE + key])
                tables[lane * STRIDE + key] = 0
            if count:
                keys[found] = key
                counts[found] = count
                found += 1
    return found


@njit(types.int64(KEYS, _NEW_KEYS, _NEW_COUNTS), nogil=True, cache=True)
def collect_sorted(ordered: NDArray[np.uint16], keys: NDArray[np.uint16], counts: NDArray[np.int64]) -> int:
    """As `collect`, from keys that are already sorted: for arrays too small to be worth a table."""
    found = 0
    for i in range(ordered.size):
        if i == 0 or ordered[i] != ordered[i - 1]:
            keys[found] = ordered[i]
            counts[found] = 0
            found += 1
        counts[found - 1] += 1
    return found
