"""What one matrix has that another of the same shape has not: their difference, read by rectangle."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.blocks import BAND
from weightsmith.analysis.grid import Grid
from weightsmith.errors import InputError
from weightsmith.sketch import Sketch


def difference(grid: Grid, other: Grid) -> Grid:
    """`grid - other` in float64; NaN where either is NaN, or both are the same infinity.

    Raises:
        InputError: their shapes differ.
    """
    if (grid.rows, grid.columns) != (other.rows, other.columns):
        raise InputError(
            f"a matrix of {other.rows} x {other.columns} cannot be taken from one of {grid.rows} x {grid.columns}"
        )
    turned = grid.turned and other.turned  # else each is read as it lies and turned then

    def read(top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        place = (left, right, top, bottom) if turned else (top, bottom, left, right)
        with np.errstate(invalid="ignore", over="ignore"):
            found = grid.read(*place).astype(np.float64) - other.read(*place).astype(np.float64)
        return found.T if turned else found

    return Grid(grid.rows, grid.columns, turned, read, grid.held + other.held)


def sketch_of(grid: Grid) -> Sketch:
    """The distribution of a matrix's values, read in bands as they lie; what is first among them means nothing.

    Raises:
        InputError, SourceError: as `Grid.read`.
    """
    rows, columns = (grid.columns, grid.rows) if grid.turned else (grid.rows, grid.columns)
    found = Sketch.empty()
    step = max(1, BAND // max(1, columns))
    for start in range(0, rows, step):
        found = found.merge(Sketch.of(grid._read(start, min(start + step, rows), 0, columns)))
    return found
