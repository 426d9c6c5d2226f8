"""Which rows train, which validate, which test: by seed alone, with the classes in proportion."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def partition(rows: int, shares: tuple[float, float], seed: int, classes: Indices | None = None) -> tuple[Indices, ...]:
    """Row numbers for training, validation and test, each sorted.

    The test rows depend on the seed and their own share alone, the validation rows on both shares. Where `classes`
    is given, each part holds each class in proportion to within one row, and training every class at least once.

    Args:
        rows: how many there are.
        shares: of validation and test, each in [0, 1).
        seed: any number from 0 on.
        classes: int64 (rows,) class of each row, or None to ignore classes.
    """
    order = _order(rows, np.random.default_rng([seed, 0x5B11]), classes)
    validating, testing = (_count(share, rows) for share in shares)
    test, validation, train = np.split(order, [testing, testing + validating])
    return np.sort(train), np.sort(validation), np.sort(test)


def _count(share: float, rows: int) -> int:
    return max(1, round(share * rows)) if share else 0


def _order(rows: int, generator: np.random.Generator, classes: Indices | None) -> Indices:
    shuffled = generator.permutation(rows)
    if classes is None:
        return shuffled
    # Row k of the n of a class stands at (k + u) / n, so that every stretch of the order has every class in proportion.
    place = np.empty(rows)
    for number in np.unique(classes):
        members = shuffled[classes[shuffled] == number]
        place[members] = (np.arange(len(members)) + generator.random()) / len(members)
        place[members[-1]] = 1.0
    return shuffled[np.argsort(place[shuffled], kind="stable")]
