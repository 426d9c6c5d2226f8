"""What one optimizer step did to a weight, in one fused pass over the values before and after.

The sums run in double precision over the finite values; NaN and infinities are counted and take no part in them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from weightsmith.kernels.parallel import map_blocks

Values = npt.NDArray[np.float32]

BLOCK = 1 << 19
"""Elements per task (2 MiB of float32 from each array): large enough that handing it to a thread costs nothing."""

_LARGEST = float(np.finfo(np.float32).max)
# Sums may be reordered, so that they become vector code; NaN and infinities keep their meaning.
_REORDER = {"reassoc", "contract"}


class StepStatistics(NamedTuple):
    """Sums and counts over one weight before and after a step; counts are exact.

    Attributes:
        square: sum of squares of the weight, over its finite values.
        update_square: sum of squares of (weight - previous), over the places where both are finite.
        previous_square: sum of squares of the weight before, over its finite values.
        sign_flips: number of values whose sign changed strictly: positive to negative or back.
        zeros: number of values equal to zero.
        non_finite: number of values that are NaN or infinite.
    """

    square: float
    update_square: float
    previous_square: float
    sign_flips: int
    zeros: int
    non_finite: int


# Slicing first tells the compiler that no index is negative; without it the loops run four times slower.
@njit(nogil=True, cache=True, fastmath=_REORDER)
def _statistics(weight: Values, previous: Values, start: int, stop: int) -> tuple[float, float, float, int, int, int]:
    after, before = weight[start:stop], previous[start:stop]
    square = update_square = previous_square = 0.0
    flips = zeros = finite = 0
    for i in range(after.size):
        new, old = np.float64(after[i]), np.float64(before[i])
        new_finite, old_finite = abs(new) <= _LARGEST, abs(old) <= _LARGEST
        # The product of two float32 values cannot underflow in double precision; with NaN it compares false.
        flips += int(new * old < 0.0)
        zeros += int(new == 0.0)
        finite += int(new_finite)
        kept = float(new) if new_finite else 0.0
        kept_before = float(old) if old_finite else 0.0
        change = kept - kept_before if new_finite & old_finite else 0.0
        square += kept * kept
        previous_square += kept_before * kept_before
        update_square += change * change
    return square, update_square, previous_square, flips, zeros, after.size - finite


@njit(nogil=True, cache=True, fastmath=_REORDER)
def _squared_norm(array: Values, start: int, stop: int) -> tuple[float, int]:
    values = array[start:stop]
    square = 0.0
    finite = 0
    for i in range(values.size):
        value = np.float64(values[i])
        is_finite = abs(value) <= _LARGEST
        kept = float(value) if is_finite else 0.0
        square += kept * kept
        finite += int(is_finite)
    return square, values.size - finite


def weight_statistics(weight: Values, previous: Values, threads: int | None = None) -> StepStatistics:
    """Compare a weight with its values before the step.

    Args:
        weight: contiguous float32 array of shape `[n]`, after the step.
        previous: the same weight before the step, of the same shape.
        threads: number of threads at most; None for the package's default.
    """
    assert weight.shape == previous.shape, "a weight keeps its shape over a step"
    if weight.size <= BLOCK:
        return StepStatistics(*_statistics(weight, previous, 0, weight.size))
    blocks = map_blocks(lambda start, stop: _statistics(weight, previous, start, stop), weight.size, BLOCK, threads)
    return StepStatistics(*(sum(column) for column in zip(*blocks, strict=True)))


def squared_norm(array: Values, threads: int | None = None) -> tuple[float, int]:
    """Sum of squares of the finite values of a contiguous float32 array `[n]`, and the number of non-finite ones."""
    if array.size <= BLOCK:
        square, non_finite = _squared_norm(array, 0, array.size)
        return square, non_finite
    blocks = map_blocks(lambda start, stop: _squared_norm(array, start, stop), array.size, BLOCK, threads)
    return sum(block[0] for block in blocks), sum(block[1] for block in blocks)
