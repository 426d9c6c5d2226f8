"""One pass over a row-major matrix that measures every row and every column of it.

Columns are taken in tiles whose running totals stay in the first-level cache, so that each value is fetched from
memory once and used for its row, its column and its row's hash.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

TILE = 512
"""Columns whose totals are kept at hand: about 14 KiB of them, beside one row's 2 KiB of values."""

_COUNTS = types.Array(types.int64, 1, "C")
_KEPT = 1 << 16
"""Most columns whose keys are kept for the next block."""

_KEYS = types.Array(types.uint64, 1, "C", readonly=True)
_REASSOCIATE = {"reassoc", "contract", "nsz"}


def _signature(value: Any, pattern: Any) -> Any:
    matrix = types.Array(value, 2, "C", readonly=True)
    patterns = types.Array(pattern, 2, "C", readonly=True)
    doubles = types.Array(types.float64, 2, "C")
    counts = types.Array(types.int64, 2, "C")
    hashes = types.Array(types.uint64, 1, "C")
    return types.void(matrix, patterns, _KEYS, doubles, counts, hashes, doubles, _COUNTS)


def column_keys(first: int, stop: int) -> NDArray[np.uint64]:
    """A fixed random odd number for each column (SplitMix64; Steele, Lea and Flood, 2014): uint64[stop - first]."""
    return _known_keys(first, stop) if stop - first <= _KEPT else _keys(first, stop)


def _keys(first: int, stop: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        state = np.arange(first + 1, stop + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys: NDArray[np.uint64] = (state ^ (state >> np.uint64(31))) | np.uint64(1)
    keys.flags.writeable = False
    return keys


_known_keys = lru_cache(maxsize=16)(_keys)  # all blocks of a weight ask for the same


@njit(nogil=True, cache=True, fastmath=_REASSOCIATE)
def _reduce(values: Any, bits: Any, keys: Any, magnitude: Any) -> Any:
    """Sum, squares, largest pattern, zeros and hash of part of a row, as if all of it were finite."""
    total = 0.0
    squares = 0.0
    largest = bits[0] & magnitude
    zeros = bits[0] & 0
    mixed = np.uint64(0)
    for i in range(values.size):
        value = np.float64(values[i])
        total += value
        squares += value * value
        pattern = bits[i] & magnitude
        largest = max(largest, pattern)
        zero = pattern == 0
        zeros += zero
        # The sign of a zero is left out: the two zeros are equal.
        mixed += np.uint64(pattern if zero else bits[i]) * keys[i]
    return total, squares, largest, zeros, mixed


@njit(nogil=True, cache=True)
def _add_columns(values: Any, squares: Any, largest: Any, zeros: Any) -> None:
    for i in range(values.size):
        value = np.float64(values[i])
        squares[i] += value * value
        size = abs(value)
        # Not max(): its care for NaN would keep the loop from being vectorized.
        largest[i] = size if size > largest[i] else largest[i]
        zeros[i] += value == 0.0


@njit(nogil=True, cache=True)
def _add_checked(values: Any, squares: Any, largest: Any, zeros: Any) -> Any:
    """As `_add_columns` for the finite values alone; sum, squares, largest magnitude and number of the others."""
    row_sum = 0.0
    row_squares = 0.0
    row_largest = 0.0
    missing = 0
    for i in range(values.size):
        value = np.float64(values[i])
        if not np.isfinite(value):
            missing += 1
            continue
        row_sum += value
        row_squares += value * value
        row_largest = max(row_largest, abs(value))
        squares[i] += value * value
        largest[i] = max(largest[i], abs(value))
        zeros[i] += value == 0.0
    return row_sum, row_squares, row_largest, missing


@njit(
    [_signature(types.float32, types.uint32), _signature(types.float64, types.uint64)],
    nogil=True,
    cache=True,
)
def measure_rows(
    values: NDArray[Any],
    bits: NDArray[Any],
    keys: NDArray[np.uint64],
    rows: NDArray[np.float64],
    counts: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    columns: NDArray[np.float64],
    column_zeros: NDArray[np.int64],
) -> None:
    """Add what a block of a matrix holds to the totals of its rows and columns.

    Args:
        values: float32 or float64[r, c], C order.
        bits: the same memory as unsigned integers of the same width.
        keys: uint64[c] of `column_keys`.
        rows: float64[3, r]: sums, sums of squares and largest magnitudes of the finite values.
        counts: int64[2, r]: exact zeros, and values that are not finite.
        hashes: uint64[r]; grows by the sum of each pattern times its column's key, modulo 2**64 (multilinear
            hashing; Lemire and Kaser, 2014), so that parts of a row may come in any order.
        columns: float64[2, c]: sums of squares and largest magnitudes of the finite values.
        column_zeros: int64[c].
    """
    width = values.shape[1]
    pattern = np.zeros(1, bits.dtype)
    number = pattern.view(values.dtype)
    number[0] = np.inf
    magnitude = pattern[0] | (pattern[0] - pattern.dtype.type(1))
    for start in range(0, width, TILE):
        stop = min(start + TILE, width)
        squares = columns[0, start:stop]
        largest = columns[1, start:stop]
        zeros = column_zeros[start:stop]
        for row in range(values.shape[0]):
            part = values[row, start:stop]
            total, power, top, empty, mixed = _reduce(part, bits[row, start:stop], keys[start:stop], magnitude)
            counts[0, row] += empty
            hashes[row] += mixed
            pattern[0] = top
            highest = np.float64(number[0])
            if np.isfinite(power) and np.isfinite(highest):
                _add_columns(part, squares, largest, zeros)
            else:
                total, power, highest, missing = _add_checked(part, squares, largest, zeros)
                counts[1, row] += missing
            rows[0, row] += total
            rows[1, row] += power
            rows[2, row] = max(rows[2, row], highest)
