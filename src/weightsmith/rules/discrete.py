"""Series and values of binary, ternary and sparse weights; what the rules on such weights share."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.matrices import is_constant, rows_of
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sources import Weight

if TYPE_CHECKING:
    from weightsmith.store import Run
    from weightsmith.store.records import Series

LEAST_MEASUREMENTS = 20
END = 0.1
"""Share of a run's steps that counts as its end."""

_OF_KINDS = ("flip_rate", "mask_churn")
"""Series that only weights of a kind have."""

_ROUNDING = 1e-10
"""How far a row's sum of squares may be from that of two or three exact values: the rounding of long sums."""

_FULL = 8
"""Values other than zero that an average row has to have: with fewer, any sparse row holds two or three values."""


def recorded(run: "Run", series: str, kinds: str) -> Iterator[tuple[str, "Series"]]:
    """The weights of a run with enough measurements of one series, and the series.

    Raises:
        NotCheckedError: there is none.
    """
    found = False
    for weight in run.weights:
        one = run.series(series, weight.name)
        if len(one) >= LEAST_MEASUREMENTS:
            found = True
            yield weight.name, one
    if not found:
        raise NotCheckedError(f"fewer than {LEAST_MEASUREMENTS} measurements of any {kinds} weight were recorded")


def of_a_kind(rule: Rule, subject: Subject, weight: Weight) -> bool:
    """Whether a weight is meant to have few values, so that levels, limits and wide types are no fault.

    True, and the weight is listed as skipped, in packed files and where a run recorded it as binary, ternary or sparse.
    """
    packed = subject.source is not None and subject.source.file_format == "packed"
    if packed:
        subject.skip(rule, weight.name, "of a packed file, which holds each weight as small as it can")
    elif subject.run is not None and any(len(subject.run.series(name, weight.name)) for name in _OF_KINDS):
        subject.skip(rule, weight.name, "binary, ternary or sparse by its kind")
    else:
        return False
    return True


def at_end(series: "Series") -> float:
    """The median over the last tenth of the recorded steps."""
    late = series.values[series.steps >= series.steps[-1] - END * (series.steps[-1] - series.steps[0])]
    return float(np.median(late))


@dataclass(frozen=True)
class Signs:
    """A matrix each of whose rows holds one magnitude, beside zeros or not.

    Attributes:
        plus: int64[rows], positive values of each row.
        minus: int64[rows], negative ones.
        length: values of a row.
        scales: different magnitudes over the rows.
    """

    plus: NDArray[np.int64]
    minus: NDArray[np.int64]
    length: int
    scales: int

    @property
    def alphabet(self) -> str:
        """`binary` for -s and s or for 0 and s, `ternary` for -s, 0 and s."""
        full = self.plus + self.minus
        return "binary" if not self.minus.any() or bool(np.all((full == self.length) | (full == 0))) else "ternary"

    @property
    def bits(self) -> int:
        """Bits a value takes when packed, scales apart."""
        return 1 if self.alphabet == "binary" else 2

    @property
    def entropy(self) -> NDArray[np.float64]:
        """Bits that the values of each row hold on average: float64[rows]."""
        shares = np.stack([self.plus, self.minus, self.length - self.plus - self.minus]) / max(self.length, 1)
        return np.asarray(-np.sum(shares * np.log2(np.where(shares > 0, shares, 1.0)), axis=0))


def signs_of(rule: Rule, subject: Subject, weight: Weight) -> Signs | None:
    """The signs of a matrix whose rows hold one magnitude each; None for any other matrix."""
    sketch = subject.sketch(weight)
    count = weight.shape[weight.info.output_axis]
    # A row has three values at most, and values share a bin more often than not.
    if not sketch.finite or sketch.non_finite or is_constant(sketch) or sketch.keys.size > 3 * count:
        return None
    statistics = rows_of(rule, subject, weight)
    if statistics is None:
        return None
    rows = statistics.neurons
    used = rows.length - rows.zeros
    if used.sum() < _FULL * len(used):
        return None
    if not np.allclose(rows.squares, used * np.square(rows.largest), rtol=_ROUNDING, atol=0.0):
        return None
    total = np.rint(rows.sums / np.where(rows.largest > 0, rows.largest, 1.0)).astype(np.int64)
    return Signs((used + total) // 2, (used - total) // 2, rows.length, len(np.unique(rows.largest[rows.largest > 0])))
