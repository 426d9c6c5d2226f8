"""A long series in few points that keep every extreme, and the means of its stretches."""

import numpy as np
from numpy.typing import NDArray


def thin(values: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Which points of a series to draw: of each stretch its least and its greatest, and one that is not finite.

    The first and the last point are always among them, so a curve begins and ends where it should.

    Args:
        values: float64[n], in the order in which they are drawn.
        points: most points wanted, at least 4.

    Returns:
        int64[k], ascending indices, k at most `points`; all of them where there are no more.
    """
    assert points >= 4
    count = len(values)
    if count <= points:
        return np.arange(count)
    finite = np.isfinite(values)
    each = 2 if finite.all() else 3
    starts = np.linspace(0, count, max(1, (points - 2) // each) + 1).astype(np.int64)[:-1]
    chosen = {0, count - 1}
    for start, stop in zip(starts, [*starts[1:], count], strict=True):
        part, good = values[start:stop], finite[start:stop]
        if good.any():
            chosen.add(int(start + np.argmin(np.where(good, part, np.inf))))
            chosen.add(int(start + np.argmax(np.where(good, part, -np.inf))))
        if not good.all():
            chosen.add(int(start + np.argmin(good)))
    return np.array(sorted(chosen), np.int64)


def stretches(first: int, last: int, columns: int) -> NDArray[np.int64]:
    """Edges of at most `columns` stretches of about as many steps each, from `first` to past `last`: int64[n + 1]."""
    count = min(columns, last - first + 1)
    return first + np.linspace(0, last - first + 1, count + 1).astype(np.int64)


def means(steps: NDArray[np.int64], values: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of the finite values of each stretch: float64[n]; NaN where there is none.

    Args:
        steps: int64[k], in any order.
        values: float64[k].
        edges: int64[n + 1], ascending; each stretch includes its first edge and not its last.
    """
    kept = np.isfinite(values) & (steps >= edges[0]) & (steps < edges[-1])
    place = np.searchsorted(edges, steps[kept], side="right") - 1
    sums = np.bincount(place, values[kept], len(edges) - 1)
    counts = np.bincount(place, minlength=len(edges) - 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
