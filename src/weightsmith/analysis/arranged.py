"""A matrix with its rows and columns in another order: by their norms, or similar ones side by side."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.blocks import BAND, margin
from weightsmith.analysis.correlation import similarity
from weightsmith.analysis.grid import Grid
from weightsmith.analysis.order import leaf_order
from weightsmith.errors import InputError

Order = Literal["norm", "similarity"]
ORDERS: tuple[Order, ...] = get_args(Order)

MOST = 1 << 16
"""Rows or columns that are put in an order at all."""

ALIKE = 2048
"""Rows or columns that are compared with each other."""

VALUES = 1 << 24
"""Values of a matrix whose rows are compared: 64 MiB of float32."""


def orders_for(lines: int, others: int) -> tuple[Order, ...]:
    """In which orders so many rows (or columns) of so many values can be put; none where there is but one."""
    if not 1 < lines <= MOST or not others:
        return ()
    return ORDERS if lines <= ALIKE and lines * others <= VALUES else ("norm",)


def line_order(grid: Grid, axis: Literal["rows", "columns"], order: Order) -> NDArray[np.int64]:
    """int64[n]: the rows or columns in the order in which they follow.

    By `norm` the longest comes first, equal ones stay as they were; NaN counts as zero. By `similarity` they follow as
    the leaves of their clustering by cosine; those without a direction (zero, or not finite somewhere) come last.

    Raises:
        InputError: there are too many, or one alone.
        SourceError: the values cannot be read.
    """
    lines, others = (grid.rows, grid.columns) if axis == "rows" else (grid.columns, grid.rows)
    if order not in orders_for(lines, others):
        bound = f"at most {ALIKE:,} of them" if order == "similarity" and lines > 1 else f"2 to {MOST:,} of them"
        raise InputError(f"{lines:,} {axis} of {others:,} values cannot be put in order by {order}: {bound} can")
    if order == "norm":
        return np.argsort(-margin(grid, axis, lines).norms, kind="stable").astype(np.int64)
    values = grid.read(0, grid.rows, 0, grid.columns)
    found = similarity(values if axis == "rows" else values.T, "cosine", lines)
    return np.concatenate([found.indices[leaf_order(found.values)], found.undefined]).astype(np.int64)


def arranged(grid: Grid, rows: NDArray[np.int64] | None, columns: NDArray[np.int64] | None) -> Grid:
    """The same matrix in another order, still read by rectangle and never gathered as a whole.

    Args:
        grid: the matrix.
        rows: a permutation of its rows, the one that comes first in front; None for the file's own order.
        columns: likewise.
    """
    down, across = (columns, rows) if grid.turned else (rows, columns)

    def read(top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        wanted = None if across is None else across[left:right]
        if wanted is None or not len(wanted):
            return _rows(grid, down, top, bottom, left, right)
        first, last = int(wanted.min()), int(wanted.max()) + 1
        # A few rows at a time: what is wanted of them may be little of what lies between.
        step = max(1, BAND // (last - first))
        parts = [
            _rows(grid, down, start, min(start + step, bottom), first, last)[:, wanted - first]
            for start in range(top, bottom, step)
        ]
        return np.concatenate(parts) if parts else _rows(grid, down, top, bottom, left, right)

    return Grid(grid.rows, grid.columns, grid.turned, read, grid.held)


def _rows(grid: Grid, order: NDArray[np.int64] | None, top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
    """Rows as they lie, [top, bottom) of an order; neighbors that stayed together are read at once."""
    if order is None or bottom <= top:
        return grid._read(top, bottom, left, right)
    wanted = order[top:bottom]
    ends = np.flatnonzero(np.diff(wanted) != 1) + 1
    runs = np.split(wanted, ends)
    return np.concatenate([grid._read(int(run[0]), int(run[-1]) + 1, left, right) for run in runs])
