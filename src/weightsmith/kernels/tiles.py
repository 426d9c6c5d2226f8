"""Sums and extremes of the rectangular blocks of a matrix, straight from the values as they are stored.

A block is `height` rows of `width` columns. Rows are added up column by column first, in chunks whose totals stay in
the first-level cache, since such loops become vector code; a chunk's totals are then folded into its blocks.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

CHUNK = 512
"""Columns whose totals are kept at hand: 16 KiB of them."""


@njit(nogil=True, cache=True)
def _add_row(values: Any, sums: Any, squares: Any, counts: Any, lows: Any, highs: Any) -> None:
    for i in range(values.size):
        value = np.float64(values[i])
        known = value == value
        sums[i] += value if known else 0.0
        squares[i] += value * value if known else 0.0
        counts[i] += known
        # Not min() and max(): their care for NaN would keep the loop from being vectorized; a NaN compares false.
        lows[i] = value if value < lows[i] else lows[i]
        highs[i] = value if value > highs[i] else highs[i]


@njit(nogil=True, cache=True)
def _add_coded_row(codes: Any, table: Any, sums: Any, squares: Any, counts: Any, lows: Any, highs: Any) -> None:
    for i in range(codes.size):
        value = table[codes[i]]
        known = value == value
        sums[i] += value if known else 0.0
        squares[i] += value * value if known else 0.0
        counts[i] += known
        lows[i] = value if value < lows[i] else lows[i]
        highs[i] = value if value > highs[i] else highs[i]


@njit(nogil=True, cache=True)
def _fold(totals: Any, seen: Any, start: int, width: int, block: Any, counts: Any) -> None:
    """Add a chunk's totals float64[4, n] and counts to the blocks that its columns, from `start` on, lie in."""
    first = 0
    while first < seen.size:
        at = (start + first) // width
        stop = min(seen.size, (at + 1) * width - start)
        total = squares = 0.0
        low, high = np.inf, -np.inf
        known = 0
        for i in range(first, stop):
            total += totals[0, i]
            squares += totals[1, i]
            low = totals[2, i] if totals[2, i] < low else low
            high = totals[3, i] if totals[3, i] > high else high
            known += seen[i]
        block[0, at] += total
        block[1, at] += squares
        block[2, at] = min(block[2, at], low)
        block[3, at] = max(block[3, at], high)
        counts[at] += known
        first = stop


@njit(nogil=True, cache=True)
def measure_blocks(values: Any, table: Any, height: int, width: int, blocks: Any, counts: Any) -> None:
    """Sum, sum of squares, minimum, maximum and number of the values of each block; NaN is no value.

    Args:
        values: [r, c], C order: numbers of any type that numba knows, or codes (uint8, uint16) of other types.
        table: float64[256 or 65536], the value of each code; None where `values` are numbers.
        height: rows of a block; those at the lower edge are smaller.
        width: columns of a block; those at the right edge are smaller.
        blocks: float64[R, 4, C] with R = ceil(r / height), C = ceil(c / width), written: sums, sums of squares,
            minima (+Inf where a block holds no value) and maxima (-Inf).
        counts: int64[R, C], written.
    """
    rows, columns = values.shape
    blocks[:, :2, :] = 0.0
    blocks[:, 2, :] = np.inf
    blocks[:, 3, :] = -np.inf
    counts[:, :] = 0
    totals = np.empty((4, CHUNK))
    seen = np.empty(CHUNK, np.int64)
    for top in range(0, rows, height):
        bottom = min(top + height, rows)
        for start in range(0, columns, CHUNK):
            stop = min(start + CHUNK, columns)
            totals[:2] = 0.0
            totals[2] = np.inf
            totals[3] = -np.inf
            seen[:] = 0
            sums, squares, lows, highs = totals[0], totals[1], totals[2], totals[3]
            for row in range(top, bottom):
                part = values[row, start:stop]
                if table is None:
                    _add_row(part, sums, squares, seen, lows, highs)
                else:
                    _add_coded_row(part, table, sums, squares, seen, lows, highs)
            length = stop - start
            _fold(totals[:, :length], seen[:length], start, width, blocks[top // height], counts[top // height])


def coded(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    """The array as `measure_blocks` takes it, without a copy where its type allows it: values and table.

    Floats of one or two bytes are handed over as their bits with a table of what these mean.

    Args:
        values: real numbers of any type that NumPy or `ml_dtypes` knows, in the machine's byte order.
    """
    from weightsmith.kernels.layout import decoded

    kind = values.dtype
    if kind == np.bool_:
        return values.view(np.uint8), None
    if kind.kind in "iu" or kind in (np.float32, np.float64):
        return values, None
    if (kind.itemsize <= 2 and kind.isbuiltin != 1) or kind == np.float16:
        return values.view(f"u{kind.itemsize}"), decoded(kind.name)
    return values.astype(np.float64), None
