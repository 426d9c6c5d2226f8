"""The sketch's pass over float64 values: counted by the keys they have as float32, measured as they are."""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from weightsmith.kernels.count import BLOCK, MEASURES, SPAN, SUMS, TABLES, Measures, Whole, count_keys

_VALUES = types.Array(types.float64, 1, "C", readonly=True)
_LOW_HALF = np.int32(0xFFFF)
_SMALLEST_NORMAL = 2.0**-1022


@njit(nogil=True, cache=True)
def _narrow(values: NDArray[np.float64], single: NDArray[np.float32], keys: NDArray[np.uint16]) -> bool:
    """Write the `float32` key of each value, rounded toward zero; tell whether finite values are exactly their keys'.

    Rounding toward zero keeps a finite value finite, and within the edges of its bin.
    """
    bits = single.view(np.int32)
    for i in range(values.size):
        single[i] = np.float32(values[i])
    changed = 0
    for i in range(values.size):
        magnitude = abs(values[i])
        finite = magnitude < np.inf
        pattern = bits[i] - np.int32(finite & (np.float64(abs(single[i])) > magnitude))
        keys[i] = np.uint16(np.uint32(pattern) >> np.uint32(16))
        changed += finite & ((np.float64(single[i]) != values[i]) | ((pattern & _LOW_HALF) != 0))
    return changed == 0


@njit(nogil=True, cache=True)
def _measure_float64(
    values: NDArray[np.float64],
) -> tuple[float, float, float, float, int, int, int, int, int, Whole]:
    """Sum, sum of squares, minimum, maximum of the finite values; zeros, subnormals, +Inf, -Inf, first non-finite.

    The last number is the patterns of the finite values, or-ed.
    """
    bits = values.view(np.int64)
    seen = np.int64(0)
    total = 0.0
    squares = 0.0
    minimum = np.inf
    maximum = -np.inf
    zeros = 0
    tiny = 0
    positive = 0
    negative = 0
    first = -1
    for i in range(values.size):
        value = values[i]
        if not np.isfinite(value):
            first = i if first < 0 else first
            positive += value == np.inf
            negative += value == -np.inf
            continue
        seen |= bits[i]
        total += value
        squares += value * value
        minimum = min(minimum, value)
        maximum = max(maximum, value)
        zeros += value == 0.0
        tiny += abs(value) < _SMALLEST_NORMAL
    return total, squares, minimum, maximum, zeros, tiny - zeros, positive, negative, first, seen


@njit(MEASURES(_VALUES, TABLES, SUMS), nogil=True, cache=True)
def count_float64(
    values: NDArray[np.float64],
    tables: NDArray[np.uint32],
    sums: NDArray[np.float64],
) -> Measures:
    """As `count_float32` for float64[n]: keys of the values as float32, everything else of the values themselves."""
    single = np.empty(BLOCK, np.float32)
    keys = np.empty(BLOCK, np.uint16)
    minimum = np.inf
    maximum = -np.inf
    zeros = 0
    subnormals = 0
    positive = 0
    negative = 0
    first = -1
    exact = True
    seen = np.int64(0)
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK]
        exact &= _narrow(block, single[: block.size], keys[: block.size])
        count_keys(keys[: block.size], tables)
        total, squares, low, high, zero, tiny, plus, minus, at, bits = _measure_float64(block)
        sums[start // SPAN, 0] += total
        sums[start // SPAN, 1] += squares
        minimum = min(minimum, low)
        maximum = max(maximum, high)
        zeros += zero
        subnormals += tiny
        positive += plus
        negative += minus
        seen |= bits
        if at >= 0 and first < 0:
            first = start + at
    return minimum, maximum, zeros, subnormals, positive, negative, first, exact, seen
