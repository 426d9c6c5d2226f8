"""Which connections, neurons and inputs stand out from their layer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.matrix import Held, column_major, neurons, row_blocks

STANDS_OUT = 3.5
"""Modified z-score from which a norm stands out (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)."""

FACTOR = 1.5
"""Least factor between a norm and the median: among thousands of rows of pure noise some exceed any fixed score."""


@dataclass(frozen=True)
class Connection:
    """One weight of a matrix: from input `column` to neuron `row`."""

    row: int
    column: int
    value: float


@dataclass(frozen=True)
class Outlier:
    """One row or column whose norm stands out.

    Attributes:
        index: which one.
        norm: its norm.
        score: modified z-score; negative where the norm is unusually small.
    """

    index: int
    norm: float
    score: float


def strongest(what: Held, count: int = 10) -> tuple[Connection, ...]:
    """The `count` connections of largest magnitude, strongest first; equal ones in reading order.

    NaN and Inf are no connections and are left out; exact zeros too, so fewer than `count` may come back.
    """
    matrix = neurons(what)
    turned = column_major(matrix)
    found: list[tuple[float, int, int, float]] = []
    for start, block in row_blocks(matrix.T if turned else matrix):
        magnitude = np.abs(block)
        magnitude[~np.isfinite(magnitude)] = 0.0
        flat = magnitude.ravel()
        floor = np.partition(flat, flat.size - count)[flat.size - count] if flat.size > count else 0.0
        # All that tie with the last place are kept here, so that reading order decides and not the partition.
        candidates = np.flatnonzero((flat >= floor) & (flat > 0))
        order = candidates[np.argsort(-flat[candidates], kind="stable")][:count]
        for i in order:
            place = start + int(i) // block.shape[1], int(i) % block.shape[1]
            found.append((-float(flat[i]), *(place[::-1] if turned else place), float(block.flat[i])))
        found = sorted(found)[:count]
    return tuple(Connection(row, column, value) for _, row, column, value in found)


def scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Modified z-scores 0.6745 (x - median) / MAD of float64[n] (Iglewicz and Hoaglin, 1993).

    Where more than half of the values are equal, so that the median absolute deviation is zero, the mean absolute
    deviation times 1.2533 takes its place; where all are equal every score is zero. Scores of NaN and Inf are NaN.
    """
    result = np.full(values.shape, np.nan)
    finite = np.isfinite(values)
    if not finite.any():
        return result
    centered = values[finite] - np.median(values[finite])
    deviation = np.median(np.abs(centered)) / 0.6745
    if deviation == 0:
        deviation = 1.2533 * np.mean(np.abs(centered))
    # Rounding alone must not make an outlier: equal rows summed in another order differ in the last bits.
    smallest = 1e-6 * np.max(np.abs(values[finite]))
    result[finite] = centered / max(deviation, smallest) if smallest > 0 else 0.0
    return result


def standing_out(norms: NDArray[np.float64], threshold: float = STANDS_OUT) -> tuple[Outlier, ...]:
    """The norms whose modified z-score exceeds `threshold` and that differ from the median by `FACTOR`, furthest first.

    Fewer than five norms have no crowd to stand out from: the answer is then empty.
    """
    if len(norms) < 5:
        return ()
    z = scores(norms)
    finite = np.isfinite(norms)
    median = np.median(norms[finite]) if finite.any() else 0.0
    differs = (norms > FACTOR * median) | (norms < median / FACTOR)
    indices = np.flatnonzero(differs & (np.abs(np.nan_to_num(z)) > threshold))
    ranked = indices[np.argsort(-np.abs(z[indices]), kind="stable")]
    return tuple(Outlier(int(i), float(norms[i]), float(z[i])) for i in ranked)
