"""The rank of a difference: whether a weight was changed by a matrix of few dimensions, as LoRA does."""

import math
from dataclasses import dataclass

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.diff.stream import as_floats
from weightsmith.sources import Weight

SAMPLED_ROWS = 256
"""Rows that are looked at. The rank of that many random rows is that of all, up to their number."""

SAMPLED_COLUMNS = 1024
"""Columns that are looked at, evenly spaced; the same holds for them."""

SAMPLED_CELLS = 1 << 24
"""Cells of the sampled rows that are read, at most."""

READ_WHOLE = 1 << 26
"""A weight that cannot be read by ranges is read whole up to this many elements."""

ROUNDING = 0.22
"""Standard deviation of a rounding error, in units of the type's epsilon times the values' root mean square.

An error spread evenly over one spacing has deviation spacing / sqrt(12); the spacing is epsilon times the power of two
below the value, whose ratio to the value averages 0.76 in square over a binade.
"""

MARGIN = 1.5
"""Singular values count as real above this multiple of the largest that rounding noise alone would have."""

SMALLEST = 1e-6
"""Of the largest singular value: the Gram matrix squares the condition number, and hides what is much smaller."""


@dataclass(frozen=True)
class ChangeRank:
    """How many dimensions a change has.

    Attributes:
        rank: number of singular values of the difference above what rounding to the later type explains.
        energy: share of the squared difference in them.
        rows: rows that were looked at: those changed, or a sample of them.
        columns: columns that were looked at.
        limit: the highest rank that could have been found.
        low: whether the rank is at most a quarter of that limit: a low-rank update.
    """

    rank: int
    energy: float
    rows: int
    columns: int
    limit: int
    low: bool


def change_rank(before: Weight, after: Weight, changes: NDArray[np.float64]) -> ChangeRank | None:
    """The rank of the difference of two matrices, from a sample of the rows that changed.

    A convolution counts as one row for each filter. The noise of rounding spreads over all dimensions; its largest
    singular value is about its deviation times (sqrt(rows) + sqrt(columns)) (Vershynin 2012, "Introduction to the
    non-asymptotic analysis of random matrices", theorem 5.32), and only what exceeds that is counted.

    Args:
        before: a weight of two dimensions or more.
        after: the other, with the same row length.
        changes: float64[rows], squared norm of each row's difference; not finite rows are left out.

    Returns:
        None where the matrix has fewer than 16 rows or columns, no rank of which would be low, or cannot be read in
        part.
    """
    columns = math.prod(before.shape[1:])
    candidates = np.flatnonzero(np.isfinite(changes) & (changes > 0))
    most = max(1, min(SAMPLED_ROWS, SAMPLED_CELLS // max(columns, 1)))
    if min(before.shape[0], columns) < 16 or not len(candidates) or most < 16:
        return None
    if any(weight.place is None and weight.size > READ_WHOLE for weight in (before, after)):
        return None
    chosen = candidates
    if len(candidates) > most:
        chosen = np.sort(np.random.default_rng(0).choice(candidates, most, replace=False))
    old, new = _sample(before, chosen, columns), _sample(after, chosen, columns)
    finite = np.isfinite(old).all(axis=1) & np.isfinite(new).all(axis=1)
    old, new = old[finite], new[finite]
    difference = new - old
    if not difference.any():  # what changed lies in other columns than those looked at
        return None
    return _counted(difference, _noise(after.dtype, new, before.dtype, old))


def _counted(difference: NDArray[np.float64], noise: float) -> ChangeRank:
    rows, columns = difference.shape
    gram = difference @ difference.T if rows <= columns else difference.T @ difference
    limit = min(rows, columns)
    noise_floor = MARGIN * noise * (math.sqrt(rows) + math.sqrt(columns))
    if _all_above(gram, max(noise_floor, SMALLEST * math.sqrt(float(np.trace(gram))))):
        return ChangeRank(limit, 1.0, rows, columns, limit, low=False)
    squares = np.linalg.eigvalsh(gram)[::-1].clip(0)
    floor = max(noise_floor, SMALLEST * math.sqrt(squares[0]))
    rank = int(np.count_nonzero(squares > floor * floor))
    energy = float(squares[:rank].sum() / squares.sum()) if squares.sum() else 0.0
    return ChangeRank(rank, energy, rows, columns, limit, low=0 < rank <= limit // 4)


def _all_above(gram: NDArray[np.float64], floor: float) -> bool:
    """Whether all singular values exceed the floor, by a factorization many times cheaper than finding them."""
    try:
        np.linalg.cholesky(gram - np.diag(np.full(len(gram), floor * floor)))
    except np.linalg.LinAlgError:
        return False
    return True


def _noise(after_type: str, new: NDArray[np.float64], before_type: str, old: NDArray[np.float64]) -> float:
    """Deviation of what rounding to the stored types alone may have added to the difference."""
    parts = [
        _epsilon(kind) * math.sqrt(float(np.mean(np.square(values))))
        for kind, values in ((after_type, new), (before_type, old))
    ]
    return ROUNDING * max(parts)


def _epsilon(dtype: str) -> float:
    try:
        return float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):  # integers and packed types: exact, or unknown
        return 0.0


def _sample(weight: Weight, rows: NDArray[np.int64], columns: int) -> NDArray[np.float64]:
    step = -(-columns // SAMPLED_COLUMNS)
    if weight.place is None:
        matrix = weight.read().reshape(-1, columns)
        return as_floats(matrix[rows][:, ::step], np.float64)
    place = weight.place
    found = np.empty((len(rows), columns), place.dtype)
    for row, taken in zip(rows.tolist(), found, strict=True):
        place.file.read_into(place.offset + row * columns * place.dtype.itemsize, taken.view(np.uint8).data)
    return as_floats(found[:, ::step], np.float64)
