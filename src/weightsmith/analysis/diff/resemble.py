"""Weights of other names that hold nearly the same values: a model that was renamed and then trained on."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.sources import Weight, read_range

SAMPLED = 4096
"""Values compared of each weight, its first ones."""

LEAST = 16
"""Fewest values by which two weights can be told to be one."""

ALIKE = 0.8
"""Correlation above which two weights are one; unrelated ones of 4096 values stay below 0.1."""

MOST_HELD = 1 << 24
"""Values held at once; where more weights share a shape fewer values of each are compared."""


def resembling(before: Sequence[Weight], after: Sequence[Weight]) -> list[tuple[Weight, Weight]]:
    """Pairs of one shape of which each is the other's nearest by far, by the correlation of their first values."""
    shapes: dict[tuple[int, ...], tuple[list[Weight], list[Weight]]] = defaultdict(lambda: ([], []))
    for side, weights in enumerate((before, after)):
        for weight in weights:
            shapes[weight.shape][side].append(weight)
    found = []
    for old, new in shapes.values():
        if old and new:
            found += _nearest(old, new)
    return found


def _nearest(old: list[Weight], new: list[Weight]) -> list[tuple[Weight, Weight]]:
    length = min(old[0].size, SAMPLED, max(MOST_HELD // (len(old) + len(new)), 2 * LEAST))
    if length < LEAST:
        return []
    correlation = _directions(old, length) @ _directions(new, length).T
    forth, back = correlation.argmax(axis=1), correlation.argmax(axis=0)
    return [
        (old[row], new[column])
        for row, column in enumerate(forth.tolist())
        if back[column] == row and correlation[row, column] >= ALIKE
    ]


def _directions(weights: list[Weight], length: int) -> NDArray[np.float32]:
    """Each weight's first values less their mean, at length one; zeros for constant and unreadable weights."""
    rows = np.zeros((len(weights), length), np.float32)
    for row, weight in zip(rows, weights, strict=True):
        values = _first(weight, length)
        if values is not None and np.isfinite(values).all():
            values = values - values.mean()
            norm = float(np.linalg.norm(values))
            row[:] = values / norm if norm > 0 else 0.0
    return rows


def _first(weight: Weight, length: int) -> NDArray[np.float64] | None:
    try:
        values: Any = read_range(weight.place, 0, length) if weight.place else next(iter(weight.blocks()))[:length]
    except InputError:
        return None
    if values.dtype.kind == "c" or values.size < length:
        return None
    return np.asarray(values, np.float64)
