"""The same values in another arrangement: along other axes, or with rows and columns in another order."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.diff.change import Change
from weightsmith.sources import Weight

LARGEST = 1 << 26
"""Elements of the largest weight that is looked through for another arrangement: it has to be read whole."""

CLOSE = 0.9
"""Least cosine of a row with the one it became, where values changed as well as places."""

FAR = 0.5
"""Cosine of two weights, place by place, below which other places are tried."""

SAME_NORM = 1e-9
"""Relative difference of two norms that sums in another order explain."""

MATCHED_ROWS = 8192
"""Most rows that are compared each with each."""

Array = NDArray[Any]


def arranged(before: Weight, after: Weight, change: Change) -> Change:
    """The change, described as another arrangement of the same values where it is one.

    Tried, in this order, for weights that differ place by place: other axes (as between Keras and PyTorch), rows in
    another order, columns, both, and at last rows that each point where another one did (a network that was permuted
    and then trained on).
    """
    if before.size != after.size or not before.shape or not 0 < before.size <= LARGEST or not _suspicious(change):
        return change
    old, new = before.read(), after.read()
    axes = _axes(old, new)
    if axes is not None:
        return _same(change, "transposed", f"the same values with axes {list(axes)} of it")
    if old.shape != new.shape or old.dtype != new.dtype:
        return change
    text = _order(old.reshape(len(old), -1), new.reshape(len(new), -1))
    if text is not None:
        return _same(change, "reordered", text)
    return _moved(old, new, change) if old.ndim > 1 and not change.cosine >= FAR else change


def _suspicious(change: Change) -> bool:
    """Whether another arrangement could explain the change: it keeps the norm, whatever it does to the cosine."""
    if change.relation != "changed":
        return False
    equal_norms = abs(change.norm_before - change.norm_after) <= SAME_NORM * change.norm_before
    return equal_norms or change.reshaped or not change.cosine >= FAR


def _same(change: Change, relation: Any, reason: str) -> Change:
    return replace(
        change,
        relation=relation,
        reason=reason,
        relative=0.0,
        cosine=1.0,
        sign_flips=0.0,
        differing=0.0,
        zeroed=0.0,
        rank=None,
        top_rows=(),
        compared=change.before.size,
    )


def _axes(old: Array, new: Array) -> tuple[int, ...] | None:
    """The order of axes in which `old` equals `new`, other than the one it has."""
    for axes in permutations(range(old.ndim)) if old.ndim <= 5 else ():
        moved = old.transpose(axes)
        if axes != tuple(range(old.ndim)) and moved.shape == new.shape and _equal(moved, new):
            return axes
    return None


def _equal(one: Array, other: Array) -> bool:
    return bool(one.flat[0] == other.flat[0]) and np.array_equal(one, other)


def _order(old: Array, new: Array) -> str | None:
    """In words, how rows and columns of `old` have to be put to give `new`; None where no order does."""
    if not np.array_equal(np.sort(old, axis=None), np.sort(new, axis=None)):
        return None
    rows = _matching(old, new)
    if rows is not None:
        return f"{_displaced(rows)} of {len(rows)} rows have another place"
    columns = _matching(old.T, new.T)
    if columns is not None:
        return f"{_displaced(columns)} of {len(columns)} columns have another place"
    rows = _matching(np.sort(old, axis=1), np.sort(new, axis=1))
    columns = None if rows is None else _matching(old[rows].T, new.T)
    if rows is not None and columns is not None:
        return (
            f"{_displaced(rows)} of {len(rows)} rows and {_displaced(columns)} of {len(columns)} columns have "
            "another place"
        )
    return None


def _matching(old: Array, new: Array) -> NDArray[np.int64] | None:
    """Indices with `old[indices] == new`, or None; equal rows are taken in order."""
    first, second = _by_content(old), _by_content(new)
    if not np.array_equal(old[first], new[second]):
        return None
    indices = np.empty(len(old), np.int64)
    indices[second] = first
    return indices


def _by_content(matrix: Array) -> NDArray[np.int64]:
    """Indices that sort the rows by their bytes."""
    rows = np.ascontiguousarray(matrix)
    return np.argsort(rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1), kind="stable")


def _displaced(order: NDArray[np.int64]) -> int:
    return int(np.count_nonzero(order != np.arange(len(order))))


def _moved(old: Array, new: Array, change: Change) -> Change:
    """A reordering under which values changed as well, when every row is closest to exactly one other, and close."""
    before, after = (_directions(side.reshape(len(side), -1)) for side in (old, new))
    if len(before) > MATCHED_ROWS or not (np.isfinite(before).all() and np.isfinite(after).all()):
        return change
    cosines = after @ before.T
    order = cosines.argmax(axis=1)
    closest = cosines[np.arange(len(order)), order]
    if len(np.unique(order)) < len(order) or float(np.median(closest)) < CLOSE or not _displaced(order):
        return change
    reason = (
        f"{_displaced(order)} of {len(order)} rows have another place; each then has a cosine of "
        f"{np.median(closest):.3f} in the median with what it was"
    )
    return replace(change, relation="reordered", reason=reason)


def _directions(matrix: Array) -> NDArray[np.float32]:
    values = matrix.astype(np.float32)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(norms > 0, norms, 1), np.float32)
