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
"""First level that is kept in memory, where the matrix is not too large for it, with all levels above it."""

KEPT = 1 << 20
"""Most cells of that level: 40 MiB, and a third of that for those above."""

MOST_INFINITE = 1000
"""Most blocks with infinities that are searched for finite values beside these."""


@dataclass
class Pyramid:
    """The levels of one matrix. Levels below `base` are read when asked for; all others come from one pass, kept.

    Args:
        grid: the matrix.
    """

    grid: Grid
    _kept: list[Blocks] | None = field(default=None, repr=False)
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
        """Bytes that the kept levels take, or will take."""
        return 54 * math.prod(self._cells_of(self.base))

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
            if level == 0:
                return self.grid.read(rows.start, rows.stop, columns.start, columns.stop).astype("<f4")
            return self._cells(level, rows, columns).statistic(statistic).astype("<f4")

    def _cells(self, level: int, rows: slice, columns: slice) -> Blocks:
        if level >= self.base:
            return self.kept()[level - self.base].cut(rows, columns)
        side = 2**level
        down = range(side * rows.start, min(side * rows.stop, self.grid.rows))
        across = range(side * columns.start, min(side * columns.stop, self.grid.columns))
        return measure(self.grid, down, across, side, side)

    def kept(self) -> list[Blocks]:
        """The blocks of level `base`, of 2**base values on either side, and of all levels above.

        Made by the first who asks, in one pass over the values.
        """
        with self._making:
            if self._kept is None:
                side = 2**self.base
                found = [measure(self.grid, range(self.grid.rows), range(self.grid.columns), side, side)]
                while max(found[-1].counts.shape) > TILE:
                    found.append(found[-1].merge(2))
                self._kept = found
            return self._kept

    def largest(self, count: int) -> tuple[Connection, ...]:
        """The `count` finite values of largest magnitude, the largest first; zeros are left out.

        Of equal ones at the end of the list, which are named depends on the blocks that they lie in.

        Raises:
            InputError, SourceError: as `Grid.read`.
        """
        kept, side = self.kept()[0], 2**self.base
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
