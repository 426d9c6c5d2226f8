"""The first values of every row, by which most weights prove that no two rows agree and none has faded.

Whoever finds no proof here has to measure the whole rows, which takes several times as long.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.rows import row_starts
from weightsmith.rules.rule import Subject
from weightsmith.sources import Weight

LENGTH = 32
"""Values of each row that are looked at: two cache lines of float16, and enough for rows to differ."""

_KEYS = np.random.default_rng(0).integers(0, 1 << 63, LENGTH, np.uint64) * np.uint64(2) + np.uint64(1)
"""A fixed random odd number for each of those values."""


@dataclass(frozen=True)
class Starts:
    """What the first values of all rows show.

    Attributes:
        differ: whether no two rows begin alike, so that none are equal.
        least: the smallest sum of squares that the finite ones of a row's first values have.
    """

    differ: bool
    least: float


_known: WeakKeyDictionary[Subject, dict[str, Starts | None]] = WeakKeyDictionary()


def starts(subject: Subject, weight: Weight) -> Starts | None:
    """What the first values of a weight's rows show; None where looking would take as long as at whole rows."""
    known = _known.setdefault(subject, {})
    if weight.name not in known:
        parts = row_starts(weight, LENGTH)
        known[weight.name] = None if parts is None else _seen(parts)
    return known[weight.name]


def _seen(parts: list[NDArray[np.floating]]) -> Starts:
    marks = np.concatenate([_marks(part) for part in parts])
    least = min(float(_squares(part).min()) for part in parts)
    return Starts(len(np.unique(marks)) == len(marks), least)


def _marks(part: NDArray[np.floating]) -> NDArray[np.uint64]:
    """A number for each row, equal for rows that begin alike (+0.0 and -0.0 being equal): uint64[n]."""
    patterns = (part + part.dtype.type(0)).view(f"u{part.dtype.itemsize}")  # adding zero turns -0.0 into +0.0
    mixed: NDArray[np.uint64] = (patterns.astype(np.uint64) * _KEYS[: part.shape[1]]).sum(axis=1)
    return mixed


def _squares(part: NDArray[np.floating]) -> NDArray[np.float64]:
    values = part.astype(np.float64)
    found: NDArray[np.float64] = np.square(np.where(np.isfinite(values), values, 0.0)).sum(axis=1)
    return found
