"""What the eigenvalues of pure noise look like, and which ones rise above it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

TRACY_WIDOM = 2.0234
"""The 99 % quantile of the Tracy-Widom law of order 1 (Johnstone, 2001, table 1 continued; Bejan, 2005)."""


@dataclass(frozen=True)
class Bulk:
    """The Marchenko-Pastur law of a matrix of independent values, fitted so that large eigenvalues do not count.

    Attributes:
        rows, columns: of the matrix, the larger one first.
        variance: of its values, had it no structure.
        lower, upper: where its eigenvalues (squared singular values) begin and end in the limit of large matrices.
        limit: what the largest eigenvalue of noise stays below in 99 of 100 matrices of this size.
        spikes: eigenvalues beyond `limit`.
        values: eigenvalues that it was fitted to.
    """

    rows: int
    columns: int
    variance: float
    lower: float
    upper: float
    limit: float
    spikes: int
    values: int

    def density(self, eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability density at each of the eigenvalues (Marchenko and Pastur, 1967)."""
        if not self.variance > 0:
            return np.zeros(len(eigenvalues))
        inside = np.maximum((self.upper - eigenvalues) * (eigenvalues - self.lower), 0.0)
        x = np.maximum(eigenvalues, np.finfo(np.float64).tiny)
        return np.asarray(np.sqrt(inside) / (2 * np.pi * self.variance * self.columns * x))


def fit_bulk(eigenvalues: NDArray[np.float64], rows: int, columns: int) -> Bulk:
    """Fit the law to the eigenvalues of W^T W, or of several such matrices of one shape.

    The variance is the one whose law has the same median (Gavish and Donoho, The Optimal Hard Threshold for Singular
    Values is 4 / sqrt(3), 2014): up to half of the eigenvalues may be spikes before it gives way. The edge is widened
    by the fluctuation of a largest eigenvalue (Johnstone, On the distribution of the largest eigenvalue, 2001).

    Args:
        eigenvalues: float64[k], all of them, zeros included.
        rows: of each matrix.
        columns: of each matrix.
    """
    large, small = max(rows, columns), min(rows, columns)
    variance = float(np.median(eigenvalues)) / (large * law_median(small / large))
    lower = variance * (np.sqrt(large) - np.sqrt(small)) ** 2
    upper = variance * (np.sqrt(large) + np.sqrt(small)) ** 2
    root = np.sqrt(max(large - 1, 1))
    center = (root + np.sqrt(small)) ** 2
    width = (root + np.sqrt(small)) * (1 / root + 1 / np.sqrt(small)) ** (1 / 3)
    limit = float(variance * (center + TRACY_WIDOM * width))
    # A matrix of low rank has a median of nothing but rounding: all that it holds are spikes.
    floor = float(np.max(eigenvalues, initial=0.0)) * large * np.finfo(np.float64).eps
    spikes = int(np.count_nonzero(eigenvalues > max(limit, floor)))
    return Bulk(large, small, variance, float(lower), float(upper), limit, spikes, len(eigenvalues))


@lru_cache(maxsize=512)
def law_median(ratio: float) -> float:
    """The median of the law for values of variance 1 / rows, `ratio` columns for each row (0 < ratio <= 1)."""
    root = np.sqrt(ratio)
    # x = 1 + ratio - 2 sqrt(ratio) cos(t) takes away the square roots at both edges.
    angle = np.linspace(0.0, np.pi, 4097)
    middle = (angle[1:] + angle[:-1]) / 2
    x = 1 + ratio - 2 * root * np.cos(middle)
    mass = np.sin(middle) ** 2 / np.maximum(x, 1e-300)
    total = np.concatenate([[0.0], np.cumsum(mass)])
    place = float(np.interp(0.5 * total[-1], total, angle))
    return float(1 + ratio - 2 * root * np.cos(place))
