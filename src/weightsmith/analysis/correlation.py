"""How alike the neurons of a layer are: similarity matrices, identical rows and near-duplicates, block by block."""

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.matrix import Held, neurons, row_blocks
from weightsmith.names import choose

Measure = Literal["cosine", "correlation"]
MEASURES: tuple[Measure, ...] = ("cosine", "correlation")


@dataclass(frozen=True)
class Similarity:
    """The similarity of rows to each other.

    Attributes:
        values: float32[k, k], symmetric, in [-1, 1], with ones on the diagonal.
        indices: int64[k], the rows compared, ascending.
        undefined: int64, rows without a direction (all zero, constant where the measure is `correlation`, or holding
            NaN or Inf), which are left out.
        total: rows of the matrix.
        measure: `cosine` or `correlation`.
    """

    values: NDArray[np.float32]
    indices: NDArray[np.int64]
    undefined: NDArray[np.int64]
    total: int
    measure: Measure


@dataclass(frozen=True)
class Pair:
    """Two rows and how alike they are."""

    first: int
    second: int
    similarity: float


@dataclass(frozen=True)
class Alike:
    """Pairs of rows that point almost the same way.

    Attributes:
        pairs: the closest pairs, closest first, at most as many as were asked for.
        count: number of all pairs at or above the threshold.
        threshold: the cosine from which a pair counts.
        closest: the closest pair whether or not it reaches the threshold; None where fewer than two rows compare.
        compared: share of the pairs that was compared: below 1 only where the time limit was reached.
    """

    pairs: tuple[Pair, ...]
    count: int
    threshold: float
    closest: Pair | None
    compared: float


def _directions(matrix: NDArray[Any], measure: Measure) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows scaled to unit length as float32[n, d], and which of them have a direction at all."""
    unit = np.zeros(matrix.shape, np.float32)
    defined = np.zeros(matrix.shape[0], np.bool_)
    for start, block in row_blocks(matrix):
        band = slice(start, start + len(block))
        good = np.isfinite(block).all(axis=1) & (block.shape[1] > 0)
        block[~good] = 0.0
        largest = np.abs(block).max(axis=1, initial=0.0)
        # Dividing by the largest value first keeps the squares of huge and tiny rows within range.
        block /= np.where(largest > 0, largest, 1.0)[:, None]
        if measure == "correlation" and block.shape[1]:
            block -= block.mean(axis=1, keepdims=True)
        length = np.sqrt(np.square(block).sum(axis=1))
        # A constant row is centered to rounding noise, which must not be taken for a direction.
        defined[band] = good & (length > 1e-12)
        unit[band] = block / np.where(defined[band], length, 1.0)[:, None]
    return unit, defined


def similarity(what: Held, measure: Measure = "cosine", limit: int = 2048) -> Similarity:
    """Cosine or Pearson correlation between the neurons of a weight, the rows of its matrix.

    For its inputs, the columns, pass `neurons(what).T`.

    Args:
        what: real values `[n, ...]`, or a weight of a source.
        measure: `cosine`, or `correlation` (the cosine after each row's own mean is subtracted).
        limit: with more than this many comparable rows, that many evenly spaced ones are compared.
    """
    choose(measure, MEASURES, "measure")
    matrix = neurons(what)
    rows = np.arange(matrix.shape[0])
    # Twice the limit, so that rows without a direction rarely leave a hole in the sample.
    if len(rows) > 2 * limit:
        rows = rows[np.linspace(0, len(rows) - 1, 2 * limit).astype(np.int64)]
        matrix = matrix[rows]
    unit, defined = _directions(matrix, measure)
    kept = np.flatnonzero(defined)
    if len(kept) > limit:
        kept = kept[np.linspace(0, len(kept) - 1, limit).astype(np.int64)]
    values = np.clip(unit[kept] @ unit[kept].T, -1.0, 1.0)
    np.fill_diagonal(values, 1.0)
    return Similarity(values, rows[kept], rows[~defined], int(rows[-1]) + 1 if len(rows) else 0, measure)


def duplicate_rows(what: Held) -> tuple[tuple[int, ...], ...]:
    """Groups of two or more rows with exactly equal values, in order of their first row.

    Rows of zeros and rows that hold NaN or Inf belong to no group: they are dead or broken rather than duplicates.
    """
    groups: dict[bytes, list[int]] = {}
    for start, block in row_blocks(neurons(what)):
        usable = np.isfinite(block).all(axis=1) & block.any(axis=1)
        block += 0.0  # turns -0.0 into 0.0, which equals it but differs in its bits
        for offset in np.flatnonzero(usable):
            # Sixteen bytes stand for a row, so that memory grows with the number of rows and not with the matrix.
            groups.setdefault(_digest(block[offset]), []).append(start + int(offset))
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _digest(row: NDArray[np.float64]) -> bytes:
    from hashlib import blake2b

    return blake2b(row.tobytes(), digest_size=16).digest()


def near_duplicates(
    what: Held,
    threshold: float = 0.99,
    *,
    most: int = 100,
    block: int = 1024,
    time_limit: float | None = None,
) -> Alike:
    """Pairs of neurons, rows of the matrix, whose cosine reaches `threshold`, over all pairs.

    Args:
        what: real values `[n, ...]`, or a weight of a source; rows of zeros and rows with NaN or Inf are left out.
        threshold: cosine from which a pair counts.
        most: how many pairs are named; all are counted.
        block: rows multiplied at a time; the product takes `block * block * 4` bytes.
        time_limit: seconds after which no further block is started; `Alike.compared` then says how far it came.
    """
    matrix = neurons(what)
    # Directions are computed again for each pair of blocks: little beside their product, and memory stays bounded.
    starts = range(0, matrix.shape[0], block)
    usable = sum(int(_directions(matrix[start : start + block], "cosine")[1].sum()) for start in starts)
    total = usable * (usable - 1) // 2
    started = time.monotonic()
    found = _Found(threshold, most)
    for first in starts:
        left, rows = _block_directions(matrix, first, block)
        for second in range(first, matrix.shape[0], block):
            if found.compared and time_limit is not None and time.monotonic() - started > time_limit:
                return found.result(found.compared / total)
            right, others = _block_directions(matrix, second, block)
            found.add(left @ right.T, rows, others)
    return found.result(1.0)


def _block_directions(matrix: NDArray[Any], start: int, block: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit rows of one block that have a direction, and their indices."""
    unit, defined = _directions(matrix[start : start + block], "cosine")
    return unit[defined], start + np.flatnonzero(defined)


class _Found:
    """What the blocks compared so far have shown."""

    def __init__(self, threshold: float, most: int) -> None:
        self.compared = 0
        self._threshold = threshold
        self._most = most
        self._count = 0
        self._pairs: list[Pair] = []
        self._closest: Pair | None = None

    def add(self, cosine: NDArray[np.float32], rows: NDArray[np.int64], others: NDArray[np.int64]) -> None:
        """Take in the cosines float32[rows, others] of one pair of blocks, each pair of rows once."""
        # Below and on the diagonal of a block with itself are the pairs already seen and the rows themselves.
        new = rows[:, None] < others[None, :]
        self.compared += int(np.count_nonzero(new))
        cosine = np.where(new, np.minimum(cosine, 1.0), -np.inf)
        if not new.any():
            return
        i, j = np.unravel_index(int(np.argmax(cosine)), cosine.shape)
        if self._closest is None or cosine[i, j] > self._closest.similarity:
            self._closest = Pair(int(rows[i]), int(others[j]), float(cosine[i, j]))
        hits = np.argwhere(cosine >= self._threshold)
        self._count += len(hits)
        strength = cosine[hits[:, 0], hits[:, 1]]
        for index in np.argsort(-strength, kind="stable")[: self._most]:
            first, second = hits[index]
            self._pairs.append(Pair(int(rows[first]), int(others[second]), float(strength[index])))
        self._pairs = sorted(self._pairs, key=lambda pair: (-pair.similarity, pair.first, pair.second))[: self._most]

    def result(self, compared: float) -> Alike:
        return Alike(tuple(self._pairs), self._count, self._threshold, self._closest, compared)
