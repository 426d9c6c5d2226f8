"""A matrix of any size as a picture of bounded size, by a stated rule that drops nothing silently."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.matrix import BLOCK_CELLS, Held, column_major, neurons


@dataclass(frozen=True)
class Cells:
    """A matrix in cells, each a block of one or more weights.

    Attributes:
        values: float64[h, w]: the finite value of largest magnitude in each block; NaN where it holds none.
        zero: bool[h, w]: blocks whose every value is exactly zero.
        non_finite: bool[h, w]: blocks that hold NaN or Inf.
        row_edges: int64[h + 1], the first row of each block, then the number of rows.
        column_edges: int64[w + 1], likewise for columns.
    """

    values: NDArray[np.float64]
    zero: NDArray[np.bool_]
    non_finite: NDArray[np.bool_]
    row_edges: NDArray[np.int64]
    column_edges: NDArray[np.int64]

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of the largest block; `(1, 1)` where every cell is one weight."""
        return (
            int(np.diff(self.row_edges).max(initial=1)),
            int(np.diff(self.column_edges).max(initial=1)),
        )


def downsample(what: Held, height: int = 400, width: int = 600) -> Cells:
    """The matrix in at most `height` by `width` cells, each showing its block's finite value of largest magnitude.

    The extreme rather than the mean: a single outlier among thousands stays visible, and so does a single NaN.
    Memory is bounded by the cells and one band of rows, whatever the size of the matrix; it is read in the order in
    which it lies in memory or in its file.
    """
    matrix = neurons(what)
    if column_major(matrix):
        turned = downsample(matrix.T, width, height)
        cells = (turned.values.T, turned.zero.T, turned.non_finite.T)
        return Cells(*cells, row_edges=turned.column_edges, column_edges=turned.row_edges)
    rows, columns = matrix.shape
    row_edges = np.linspace(0, rows, min(height, rows) + 1).astype(np.int64)
    column_edges = np.linspace(0, columns, min(width, columns) + 1).astype(np.int64)
    shape = (len(row_edges) - 1, len(column_edges) - 1)
    high, low = np.full(shape, -np.inf), np.full(shape, np.inf)
    non_finite = np.zeros(shape, np.bool_)
    if matrix.size:
        for i, part in _bands(matrix, row_edges):
            finite = np.isfinite(part)
            if not finite.all():
                bad = np.logical_or.reduceat((~finite).any(axis=0), column_edges[:-1])
                non_finite[i] |= bad
            top = np.where(finite, part, -np.inf).max(axis=0)
            bottom = np.where(finite, part, np.inf).min(axis=0)
            high[i] = np.maximum(high[i], np.maximum.reduceat(top, column_edges[:-1]))
            low[i] = np.minimum(low[i], np.minimum.reduceat(bottom, column_edges[:-1]))
    values = np.where(high >= -low, high, low)
    values[np.isinf(high)] = np.nan
    return Cells(values, (values == 0) & ~non_finite, non_finite, row_edges, column_edges)


def _bands(matrix: NDArray[Any], row_edges: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Each cell row's index with a part of its rows as float64, small enough to hold."""
    height = max(1, BLOCK_CELLS // matrix.shape[1])
    for i, (start, stop) in enumerate(pairwise(row_edges)):
        for first in range(start, stop, height):
            yield i, np.asarray(matrix[first : min(first + height, stop)]).astype(np.float64)
