"""How two arrays of equal length differ, in one fused pass: sums, counts and the change of each row.

Sums run in double precision over the places where both values are finite. NaN equals NaN here: what counts as a
difference is another value, not another reason for having none.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

# Sums may be reordered, so that they become vector code; NaN and infinities keep their meaning.
_REORDER = {"reassoc", "contract"}


class Comparison(NamedTuple):
    """Sums and counts over the places of two arrays.

    Attributes:
        square_before: sum of squares of the first array, where both are finite.
        square_after: of the second.
        square_change: of their difference.
        product: sum of their products.
        differing: number of places whose values differ.
        sign_flips: number of places whose sign changed strictly.
        zeroed: number of places that became exactly zero.
        non_finite: number of places where either is NaN or infinite.
    """

    square_before: float
    square_after: float
    square_change: float
    product: float
    differing: int
    sign_flips: int
    zeroed: int
    non_finite: int


NOTHING = Comparison(0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0)


def total(parts: list[Comparison]) -> Comparison:
    """What was found in all parts together."""
    return Comparison(*map(sum, zip(NOTHING, *parts, strict=True)))


def compare(
    before: NDArray[Any], after: NDArray[Any], row_length: int, start: int, squares: Doubles, changes: Doubles
) -> Comparison:
    """Compare a run of places of two matrices.

    Args:
        before: contiguous float32[n] or float64[n], a run of the first matrix in C order.
        after: the same run of the second, of the same type.
        row_length: values in a row of the matrices, at least 1.
        start: place of the run's first value within its first row.
        squares: float64[rows], to which the sum of squares of each row's values before is added, from the run's first
            row on.
        changes: float64[rows], the same for the squares of the differences.
    """
    assert before.dtype == after.dtype
    assert before.size == after.size
    return Comparison(*_compare(before, after, row_length, start, squares, changes))


# The sums and counts here become vector code; a maximum, or NaN told from other values, would keep them from it.
@njit(nogil=True, cache=True, fastmath=_REORDER)
def _segment(before: NDArray[Any], after: NDArray[Any]) -> tuple[float, float, float, float, int, int, int, int]:
    square_before = square_after = square_change = product = 0.0
    differing = flips = zeroed = finite = 0
    for i in range(before.size):
        old, new = np.float64(before[i]), np.float64(after[i])
        both = (abs(old) < np.inf) & (abs(new) < np.inf)
        kept_old = old if both else 0.0
        kept_new = new if both else 0.0
        change = kept_new - kept_old
        square_before += kept_old * kept_old
        square_after += kept_new * kept_new
        square_change += change * change
        product += kept_old * kept_new
        differing += int(old != new)
        flips += int(((old < 0.0) & (new > 0.0)) | ((old > 0.0) & (new < 0.0)))
        zeroed += int((new == 0.0) & (old != 0.0))
        finite += int(both)
    return square_before, square_after, square_change, product, differing, flips, zeroed, before.size - finite


@njit(nogil=True, cache=True)
def _both_nan(before: NDArray[Any], after: NDArray[Any]) -> int:
    found = 0
    for i in range(before.size):
        found += int((before[i] != before[i]) & (after[i] != after[i]))
    return found


@njit(nogil=True, cache=True)
def _compare(
    before: NDArray[Any], after: NDArray[Any], row_length: int, start: int, squares: Doubles, changes: Doubles
) -> tuple[float, float, float, float, int, int, int, int]:
    square_before = square_after = square_change = product = 0.0
    differing = flips = zeroed = non_finite = 0
    position, row, within = 0, 0, start
    while position < before.size:
        stop = min(before.size, position + row_length - within)
        found = _segment(before[position:stop], after[position:stop])
        squares[row] += found[0]
        changes[row] += found[2]
        square_before += found[0]
        square_after += found[1]
        square_change += found[2]
        product += found[3]
        differing += found[4]
        flips += found[5]
        zeroed += found[6]
        non_finite += found[7]
        position, row, within = stop, row + 1, 0
    if non_finite:
        differing -= _both_nan(before, after)
    return square_before, square_after, square_change, product, differing, flips, zeroed, non_finite
