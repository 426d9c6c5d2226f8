"""Which weights of two values flipped in a step, how often they did before, and which are stuck: in one fused pass."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from weightsmith.kernels.parallel import map_blocks

Values = npt.NDArray[np.float32]
Marks = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

BLOCK = 1 << 18
"""Elements per task, about."""


class FlipStatistics(NamedTuple):
    """Counts over one weight.

    Attributes:
        flips: values whose sign differs before and after the step.
        often: values whose frequency of flips back exceeds its bound.
        moved: values that flipped at any time.
        stuck: values at or beyond the same bound before and after the step.
        positive: int64[rows], values of each row that are not negative after the step.
    """

    flips: int
    often: int
    moved: int
    stuck: int
    positive: Counts


@njit(nogil=True, cache=True)
def _rows(
    after: Values,
    before: Values,
    last: Marks,
    moved: Flags,
    frequency: Values,
    positive: Counts,
    first: int,
    stop: int,
    limits: tuple[np.float32, np.float32, np.float32],
) -> tuple[int, int, int, int]:
    memory, often_from, bound = limits
    flips = often = ever = stuck = 0
    for row in range(first, stop):
        new_row, old_row, last_row = after[row], before[row], last[row]
        moved_row, frequency_row = moved[row], frequency[row]
        count = 0
        for i in range(new_row.size):
            new, old = new_row[i], old_row[i]
            new_sign, old_sign = new >= 0, old >= 0
            flip = new_sign != old_sign
            known = moved_row[i] | (old_sign != (last_row[i] > 0))
            again = np.float32(1) if flip & known else np.float32(0)
            share = frequency_row[i] + memory * (again - frequency_row[i])
            frequency_row[i] = share
            moved_row[i] = known | flip
            last_row[i] = np.int8(new_sign)
            count += int(new_sign)
            flips += int(flip)
            often += int(share > often_from)
            ever += int(known | flip)
            stuck += int(((new >= bound) & (old >= bound)) | ((new <= -bound) & (old <= -bound)))
        positive[row] = count
    return flips, often, ever, stuck


def flip_statistics(
    after: Values,
    before: Values,
    last: Marks,
    moved: Flags,
    frequency: Values,
    *,
    memory: float,
    often: float,
    bound: float,
    threads: int | None = None,
) -> FlipStatistics:
    """Count flips of the sign (0 is positive, NaN negative) and bring what is remembered of each value up to date.

    Args:
        after: float32[rows, n], contiguous; the latent values after a step.
        before: of the same shape; before the step.
        last: int8 of the same shape; 1 where the last look saw a positive value, else 0. Changed in place.
        moved: bool of the same shape; whether a value ever flipped. Changed in place.
        frequency: float32 of the same shape; running mean of flips of values that had moved. Changed in place.
        memory: weight of this step in the running mean.
        often: frequency beyond which a value counts as flipping often.
        bound: magnitude at which values are held.
        threads: most threads to use; by default all the process may use. Results do not depend on it.
    """
    assert after.shape == before.shape == last.shape == moved.shape == frequency.shape
    positive = np.zeros(after.shape[0], np.int64)
    limits = (np.float32(memory), np.float32(often), np.float32(bound))

    def work(first: int, stop: int) -> tuple[int, int, int, int]:
        found: tuple[int, int, int, int] = _rows(after, before, last, moved, frequency, positive, first, stop, limits)
        return found

    parts = map_blocks(work, after.shape[0], max(1, BLOCK // max(after.shape[1], 1)), threads)
    flips, often_count, ever, stuck = (sum(column) for column in zip(*parts, strict=True)) if parts else (0, 0, 0, 0)
    return FlipStatistics(flips, often_count, ever, stuck, positive)
