"""The same values in another arrangement: along other axes, or with rows and columns in another order."""

import math
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


Order = NDArray[np.int64]
"""For each later row, which earlier one it is."""


def arranged(before: Weight, after: Weight, change: Change) -> tuple[Change, Order | None]:
    """The change, described as another arrangement of the same values where it is one, and the order of its rows.

    Tried, in this order, for weights that differ place by place: other axes (as between Keras and PyTorch), rows in
    another order, columns, both, and at last rows or columns that each point where another one did (a network that was
    permuted and then trained on). The order is None where rows kept their places.
    """
    if before.size != after.size or not before.shape or not 0 < before.size <= LARGEST or not _suspicious(change):
        return change, None
    old, new = before.read(), after.read()
    axes = _axes(old, new)
    if axes is not None:
        return _same(change, "transposed", f"the same values with its axes in the order {list(axes)}"), None
    if old.shape != new.shape or old.dtype != new.dtype:
        return change, None
    old, new = old.reshape(len(old), -1), new.reshape(len(new), -1)
    text, order = _order(old, new)
    if text is not None:
        return _same(change, "reordered", text), order
    return _moved(old, new, change) if len(before.shape) > 1 and not change.cosine >= FAR else (change, None)


def followed(before: Weight, after: Weight, change: Change, order: Order) -> Change:
    """The change of a vector beside a matrix whose rows moved (its bias), if it moved with them and then changed."""
    if change.relation != "changed" or before.shape != after.shape or before.shape != order.shape:
        return change
    old, new = before.read().astype(np.float64)[order], after.read().astype(np.float64)
    scale = float(np.linalg.norm(old) * np.linalg.norm(new))
    cosine = float(old @ new) / scale if scale > 0 else 0.0
    if not cosine >= max(CLOSE, change.cosine):
        return change
    relative = float(np.linalg.norm(new - old) / np.linalg.norm(old))
    reason = f"its values moved with the rows of the weight beside it, {_displaced(order)} of {len(order)}"
    return _trained_on(change, relative, cosine, reason)


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


def _order(old: Array, new: Array) -> tuple[str | None, Order | None]:
    """In words, how rows and columns of `old` have to be put to give `new`, and the rows; None where no order does."""
    if not np.array_equal(np.sort(old, axis=None), np.sort(new, axis=None)):
        return None, None
    rows = _matching(old, new)
    if rows is not None:
        return f"{_displaced(rows)} of {len(rows)} rows have another place", rows
    columns = _matching(old.T, new.T)
    if columns is not None:
        return f"{_displaced(columns)} of {len(columns)} columns have another place", None
    rows = _matching(np.sort(old, axis=1), np.sort(new, axis=1))
    columns = None if rows is None else _matching(old[rows].T, new.T)
    if rows is None or columns is None:
        return None, None
    text = f"{_displaced(rows)} of {len(rows)} rows and {_displaced(columns)} of {len(columns)} columns"
    return f"{text} have another place", rows


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


def _moved(old: Array, new: Array, change: Change) -> tuple[Change, Order | None]:
    """A reordering under which values changed as well: every row, or every column, is closest to exactly one other."""
    for line, before, after in (("rows", old, new), ("columns", old.T, new.T)):
        found = _closest(before, after)
        if found is None:
            continue
        order, relative, cosine, cosines = found
        reason = (
            f"{_displaced(order)} of {len(order)} {line} have another place; each then has a cosine of "
            f"{np.median(cosines):.3f} in the median with what it was"
        )
        return _trained_on(change, relative, cosine, reason), order if line == "rows" else None
    return change, None


def _trained_on(change: Change, relative: float, cosine: float, reason: str) -> Change:
    """A reordering with what changed beside it; what was measured place by place means nothing then."""
    return replace(
        change,
        relation="reordered",
        reason=reason,
        relative=relative,
        cosine=cosine,
        sign_flips=math.nan,
        rank=None,
        top_rows=(),
    )


def _closest(old: Array, new: Array) -> tuple[Order, float, float, NDArray[np.float32]] | None:
    """The earlier row that each later one is, relative change and cosine from there, and the rows' own cosines."""
    if len(old) > MATCHED_ROWS or old.shape[1] < 2:
        return None
    (before, before_norms), (after, after_norms) = _directions(old), _directions(new)
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return None
    cosines = after @ before.T
    order = cosines.argmax(axis=1)
    closest = cosines[np.arange(len(order)), order]
    if len(np.unique(order)) < len(order) or float(np.median(closest)) < CLOSE or not _displaced(order):
        return None
    moved = before_norms[order]
    lengths = after_norms * moved
    distance = np.square(after_norms - moved) + 2 * lengths * np.clip(1 - closest.astype(np.float64), 0, 2)
    total = float(np.linalg.norm(before_norms))
    relative = math.sqrt(float(distance.sum())) / total
    cosine = float((lengths * closest).sum()) / (total * float(np.linalg.norm(after_norms)))
    return order, relative, min(cosine, 1.0), closest


def _directions(matrix: Array) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Rows at length one, and their lengths."""
    values = np.ascontiguousarray(matrix, np.float32)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(norms > 0, norms, 1), np.float32), norms[:, 0].astype(np.float64)
