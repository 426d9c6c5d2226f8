"""Means, extremes and norms of the blocks of a matrix: what a zoomable picture and its margins are made of."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.grid import Grid
from weightsmith.kernels.parallel import map_blocks

Statistic = Literal["mean", "minimum", "maximum", "magnitude"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)

BAND = 1 << 20
"""Values read at a time: 4 MiB of float32, some of which is still in the processor's caches when it is measured."""


@dataclass(frozen=True)
class Blocks:
    """What is known of each block of a matrix; NaN is no value, and infinities are.

    Attributes:
        sums, squares: float64[r, c], of the values and of their squares.
        lows, highs: float64[r, c]: the extremes; +Inf and -Inf where a block holds no value.
        counts: int64[r, c]: values that are not NaN.
    """

    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    lows: NDArray[np.float64]
    highs: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        return 5 * self.counts.nbytes

    @property
    def largest(self) -> NDArray[np.float64]:
        """float64[r, c]: the value of largest magnitude with its sign, the positive one of two; NaN for no value."""
        return self._known(np.where(self.highs >= -self.lows, self.highs, self.lows))

    def statistic(self, name: Statistic) -> NDArray[np.float64]:
        """float64[r, c]: one number for each block; NaN where it holds no value."""
        if name == "magnitude":
            return self.largest
        if name == "mean":
            with np.errstate(invalid="ignore"):  # the mean of +Inf and -Inf is NaN, as NumPy's
                return self._known(self.sums / np.maximum(self.counts, 1))
        return self._known(self.lows if name == "minimum" else self.highs)

    def _known(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(self.counts > 0, values, np.nan)

    def cut(self, rows: slice, columns: slice) -> "Blocks":
        """Some of the blocks; the arrays are views."""
        return Blocks(*(array[rows, columns] for array in vars(self).values()))

    def merge(self, factor: int) -> "Blocks":
        """Blocks of `factor` by `factor` of these blocks, the lower and right ones of fewer."""
        if factor == 1 or not self.counts.size:
            return self

        def join(values: NDArray[Any], how: np.ufunc) -> NDArray[Any]:
            starts = (np.arange(0, length, factor) for length in values.shape)
            for axis, places in enumerate(starts):
                values = how.reduceat(values, places, axis=axis)
            return values

        with np.errstate(invalid="ignore"):
            return Blocks(
                join(self.sums, np.add),
                join(self.squares, np.add),
                join(self.lows, np.minimum),
                join(self.highs, np.maximum),
                join(self.counts, np.add),
            )


def measure(grid: Grid, rows: range, columns: range, height: int, width: int, threads: int | None = None) -> Blocks:
    """Measure the blocks of a rectangle, in bands that never take more than a few megabytes.

    Args:
        grid: the matrix.
        rows: of the rectangle, with step 1.
        columns: likewise.
        height: of a block; the lowest ones are smaller where it does not divide the rectangle.
        width: of a block, likewise.
        threads: most threads; by default all the process may use. The result does not depend on it.

    Raises:
        InputError, SourceError: as `Grid.read`.
    """
    if grid.turned:  # blocks of the matrix as it lies, turned afterwards
        upright = Grid(grid.columns, grid.rows, False, grid._read)
        turned = measure(upright, columns, rows, width, height, threads)
        return Blocks(*(array.T for array in vars(turned).values()))
    from weightsmith.kernels.tiles import coded, measure_blocks  # loads numba

    shape = -(-len(rows) // height), -(-len(columns) // width)
    # Rows of a band: whole blocks where several fit into it, else equal parts of one block, added up afterwards.
    fitting = max(1, BAND // max(1, len(columns)))
    step = fitting // height * height or fitting

    def look(start: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        values = grid.read(rows.start + start, rows.start + stop, columns.start, columns.stop)
        numbers, table = coded(values)
        high = min(height, stop - start)
        blocks = np.empty((-(-(stop - start) // high), 4, shape[1]))
        counts = np.empty((len(blocks), shape[1]), np.int64)
        measure_blocks(np.ascontiguousarray(numbers), table, high, max(1, min(width, len(columns))), blocks, counts)
        return blocks, counts

    if not len(rows) or not len(columns):
        return _empty(shape)
    bounds = _bands(len(rows), height, step)
    parts = map_blocks(lambda first, _: look(*bounds[first]), len(bounds), 1, threads)
    return _added(parts, [start // height for start, _ in bounds], shape)


def _bands(rows: int, height: int, step: int) -> list[tuple[int, int]]:
    """Consecutive bands, none of which reaches over the end of a block that it does not begin."""
    bounds, start = [], 0
    while start < rows:
        end = start + step if step >= height else min(start + step, (start // height + 1) * height)
        bounds.append((start, min(end, rows)))
        start = bounds[-1][1]
    return bounds


def _added(
    parts: list[tuple[NDArray[np.float64], NDArray[np.int64]]], places: list[int], shape: tuple[int, int]
) -> Blocks:
    """Put the bands' blocks where they belong; parts of one block are added in the order of their rows."""
    found = _empty(shape)
    with np.errstate(invalid="ignore"):
        for (blocks, counts), place in zip(parts, places, strict=True):
            band = slice(place, place + len(blocks))
            found.sums[band] += blocks[:, 0]
            found.squares[band] += blocks[:, 1]
            np.minimum(found.lows[band], blocks[:, 2], out=found.lows[band])
            np.maximum(found.highs[band], blocks[:, 3], out=found.highs[band])
            found.counts[band] += counts
    return found


def _empty(shape: tuple[int, int]) -> Blocks:
    return Blocks(
        np.zeros(shape), np.zeros(shape), np.full(shape, np.inf), np.full(shape, -np.inf), np.zeros(shape, np.int64)
    )


@dataclass(frozen=True)
class Margin:
    """Rows or columns of a matrix, several to a block where there are many.

    Attributes:
        block: rows or columns in each block but the last.
        norms: float64[n]: Euclidean norms; of several, the root of their mean square. NaN values count as zero.
        means: float64[n]; NaN where a block holds no value.
    """

    block: int
    norms: NDArray[np.float64]
    means: NDArray[np.float64]


def margin(grid: Grid, axis: Literal["rows", "columns"], most: int = 2048) -> Margin:
    """Norms and means of the rows or the columns, in at most `most` blocks.

    Raises:
        InputError, SourceError: as `Grid.read`.
    """
    length = grid.rows if axis == "rows" else grid.columns
    block = max(1, math.ceil(length / most))
    height, width = (block, max(1, grid.columns)) if axis == "rows" else (max(1, grid.rows), block)
    found = measure(grid, range(grid.rows), range(grid.columns), height, width)
    squares, means = found.squares.reshape(-1), found.statistic("mean").reshape(-1)
    lines = np.minimum(block, length - block * np.arange(len(squares)))
    return Margin(block, np.sqrt(squares / lines), means)
