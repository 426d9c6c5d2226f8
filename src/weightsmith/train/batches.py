"""Which samples make up which batch: a function of the seed and the epoch alone, whatever else is random."""

from itertools import pairwise

import numpy as np


def order(samples: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of `range(samples)` in which an epoch visits them: int64[samples]."""
    return np.random.default_rng((seed, epoch)).permutation(samples)


def bounds(samples: int, batch_size: int, processes: int = 1) -> list[tuple[int, int]]:
    """Start and end of each global batch in the epoch's order.

    The last batch holds what is left. Where that is fewer than two samples a process (batch norm needs two), it joins
    the batch before it.
    """
    starts = list(range(0, samples, batch_size))
    if len(starts) > 1 and samples - starts[-1] < min(2 * processes, batch_size):
        starts.pop()
    return list(pairwise([*starts, samples]))


def part(start: int, end: int, rank: int, processes: int) -> tuple[int, int]:
    """The slice of a global batch that process `rank` takes; sizes differ by one at most, and add up to the batch."""
    size = end - start
    return start + size * rank // processes, start + size * (rank + 1) // processes
