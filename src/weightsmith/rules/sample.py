"""A bounded sample of a weight's rows and what it shows; what the rules on rank and near-duplicates share."""

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.matrices import float_weights, is_constant
from weightsmith.rules.rule import Rule, Subject
from weightsmith.sources import LocalFile, Weight, read_range

ROWS = 64
"""Rows that are looked at, evenly spaced over the weight."""

COLUMNS = 1024
"""Values of each row that are looked at, from its first on."""

LEAST = 64
"""Rows and columns from which a matrix has a rank to speak of."""

_WHOLE = 1 << 24
"""Values that may be read at once where rows do not lie back to back in a file."""


@dataclass(frozen=True)
class Sample:
    """What evenly spaced rows of a weight show.

    Attributes:
        rows: how many finite rows with any value but zero were looked at.
        energies: float64[rows], squared singular values of the sample, descending.
        closest: float64[rows], each row's largest cosine with any other of them.
        pair: the two rows that are most alike.
    """

    rows: int
    energies: NDArray[np.float64]
    closest: NDArray[np.float64]
    pair: tuple[int, int]


_known: WeakKeyDictionary[Subject, dict[str, Sample | None]] = WeakKeyDictionary()


def sample(rule: Rule, subject: Subject, weight: Weight) -> Sample | None:
    """What a sample of its rows shows, computed for the first rule that asks.

    None, and listed as skipped, where rows cannot be read without reading too much.
    """
    known = _known.setdefault(subject, {})
    if weight.name not in known:
        known[weight.name] = _look(subject, weight)
    if known[weight.name] is None:
        subject.skip(rule, weight.name, "large, and its rows cannot be read one by one")
    return known[weight.name]


def _look(subject: Subject, weight: Weight) -> Sample | None:
    chosen = np.unique(np.linspace(0, weight.shape[weight.info.output_axis] - 1, ROWS).astype(np.int64))
    rows = _read(subject, weight, chosen)
    if rows is None:
        return None
    with np.errstate(over="ignore"):
        norms = np.sqrt(np.square(rows).sum(axis=1))
    good = np.isfinite(norms) & (norms > 0)
    rows, norms, chosen = rows[good], norms[good], chosen[good]
    if len(rows) < 2:
        return Sample(len(rows), np.square(norms), np.zeros(len(rows)), (0, 0))
    directions = (rows / norms[:, None]).astype(np.float32)
    cosine = np.clip((directions @ directions.T).astype(np.float64), -1.0, 1.0)
    gram = cosine * np.outer(norms, norms)
    np.fill_diagonal(cosine, -1.0)
    first, second = np.unravel_index(int(np.argmax(cosine)), cosine.shape)
    energies = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0)
    return Sample(len(rows), energies, cosine.max(axis=1), (int(chosen[first]), int(chosen[second])))


def _read(subject: Subject, weight: Weight, chosen: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The chosen rows as float64[n, at most COLUMNS], or None."""
    width = weight.size // weight.shape[weight.info.output_axis]
    if weight.place is None or weight.info.output_axis % len(weight.shape) != 0:
        if weight.size > _WHOLE and not _mapped(weight):
            return None
        return subject.matrix(weight)[chosen, :COLUMNS].astype(np.float64)
    length = min(width, COLUMNS)
    if weight.size <= ROWS * COLUMNS:
        return weight.read().reshape(-1, width)[chosen, :COLUMNS].astype(np.float64)
    place = weight.place
    return np.stack(
        [read_range(place, row * width, row * width + length).astype(np.float64) for row in chosen.tolist()]
    )


def _mapped(weight: Weight) -> bool:
    """Whether a matrix of any size can be looked into without reading the rest of it."""
    return weight.place is not None and isinstance(weight.place.file, LocalFile) and len(weight.shape) == 2


def sampled_matrices(rule: Rule, subject: Subject) -> Iterator[tuple[Weight, Sample]]:
    """Matrices of at least `LEAST` rows and columns that are not constant, each with its sample of enough rows."""
    for weight in float_weights(rule, subject, roles=("linear", "conv", "recurrent"), least_size=LEAST * LEAST):
        rows = weight.shape[weight.info.output_axis]
        if rows < LEAST or weight.size // rows < LEAST or is_constant(subject.sketch(weight)):
            continue
        seen = sample(rule, subject, weight)
        if seen is not None and seen.rows >= LEAST // 2:
            yield weight, seen
