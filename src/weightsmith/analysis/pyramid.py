"""A matrix at every scale: level 0 is its values, each level above halves both sides, the last one is a single tile."""

import math
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.blocks import Blocks, Statistic, measure
from weightsmith.analysis.grid import Grid
from weightsmith.analysis.outliers import Connection
from weightsmith.errors import InputError

TILE = 256
"""Cells of a tile on either side."""

BASE = 4
"""First level that is kept in memory, where the matrix is not too large for it; the levels above follow from it."""

KEPT = 1 << 20
"""Most cells of that level: 40 MiB."""

MOST_INFINITE = 1000
"""Most blocks with infinities that are searched for finite values beside these."""


@dataclass
class Pyramid:
    """The levels of one matrix. Levels below `base` are read when asked for; all others come from one pass, kept.

    Args:
        grid: the matrix.
    """

    grid: Grid
    _kept: Blocks | None = field(default=None, repr=False)
    _making: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def levels(self) -> int:
        """How many there are, level 0 included."""
        longest = max(self.grid.rows, self.grid.columns, 1)
        return max(0, (-(-longest // TILE) - 1).bit_length()) + 1

    @property
    def base(self) -> int:
        """The lowest level that is kept."""
        level = BASE
        while math.prod(self._cells_of(level)) > KEPT:
            level += 1
        return level

    @property
    def nbytes(self) -> int:
        """Bytes that the kept level takes, or will take."""
        return 40 * math.prod(self._cells_of(self.base))

    def shape(self, level: int) -> tuple[int, int]:
        """Cells of a level, down and across.

        Raises:
            InputError: there is no such level.
        """
        if not 0 <= level < self.levels:
            raise InputError(f"there is no level {level}: this matrix has levels 0 to {self.levels - 1}")
        return self._cells_of(level)

    def _cells_of(self, level: int) -> tuple[int, int]:
        side: int = 2**level
        return -(-self.grid.rows // side), -(-self.grid.columns // side)

    def tile(self, level: int, row: int, column: int, statistic: Statistic) -> NDArray[np.float32]:
        """float32[h, w], at most `TILE` by `TILE`: cells from `TILE * row` and `TILE * column` on.

        float64 values beyond float32's range become infinite.

        Raises:
            InputError: there is no such tile.
            SourceError: the values cannot be read.
        """
        down, across = self.shape(level)
        if not (0 <= TILE * row < down and 0 <= TILE * column < across):
            raise InputError(f"level {level} has no tile {row}/{column}: it is {down} by {across} cells")
        rows = slice(TILE * row, min(TILE * (row + 1), down))
        columns = slice(TILE * column, min(TILE * (column + 1), across))
        with np.errstate(over="ignore"):
            return self._cells(level, rows, columns).statistic(statistic).astype("<f4")

    def _cells(self, level: int, rows: slice, columns: slice) -> Blocks:
        side = 2**level
        if level < self.base:
            below = range(side * rows.start, min(side * rows.stop, self.grid.rows))
            along = range(side * columns.start, min(side * columns.stop, self.grid.columns))
            return measure(self.grid, below, along, side, side)
        factor = 2 ** (level - self.base)
        below_slice = slice(factor * rows.start, factor * rows.stop)
        return self.kept().cut(below_slice, slice(factor * columns.start, factor * columns.stop)).merge(factor)

    def kept(self) -> Blocks:
        """The blocks of level `base`, of 2**base values on either side; made by the first who asks."""
        with self._making:
            if self._kept is None:
                side = 2**self.base
                self._kept = measure(self.grid, range(self.grid.rows), range(self.grid.columns), side, side)
            return self._kept

    def largest(self, count: int) -> tuple[Connection, ...]:
        """The `count` finite values of largest magnitude, the largest first; zeros are left out.

        Of equal ones at the end of the list, which are named depends on the blocks that they lie in.

        Raises:
            InputError, SourceError: as `Grid.read`.
        """
        kept, side = self.kept(), 2**self.base
        size = np.abs(kept.largest)
        # Each of the largest values lies in one of as many blocks with the largest extremes, unless infinities hide it.
        size[np.isnan(size)] = 0.0
        infinite = np.argwhere(np.isinf(size))
        order = np.argsort(-np.where(np.isinf(size), 0.0, size), axis=None, kind="stable")[:count]
        places = [*map(tuple, infinite[:MOST_INFINITE]), *(divmod(int(at), size.shape[1]) for at in order)]
        found: set[tuple[float, int, int, float]] = set()
        for down, across in places:
            top, left = side * int(down), side * int(across)
            bottom, right = min(top + side, self.grid.rows), min(left + side, self.grid.columns)
            values = self.grid.read(top, bottom, left, right).astype(np.float64)
            for row, column in np.argwhere(np.isfinite(values) & (values != 0)):
                value = float(values[row, column])
                found.add((-abs(value), top + int(row), left + int(column), value))
        return tuple(Connection(row, column, value) for _, row, column, value in sorted(found)[:count])
