"""The table of a scan: one row per weight, every column by name."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from weightsmith.errors import InputError
from weightsmith.kernels.layout import values
from weightsmith.names import printable, suggestion
from weightsmith.scan.summary import Scan, Summary

if TYPE_CHECKING:
    from weightsmith.sketch import Sketch

Row = dict[str, Any]
"""Column name to value: a number, text, or None where there is none."""

OUTLIER: Final = 6.0
"""Standard deviations from the mean beyond which a value counts as an outlier.

A Gaussian has two in a billion there, so that a single one in a matrix tells of a heavy tail. Kovaleva et al. (2021),
"BERT Busters: Outlier Dimensions that Disrupt Transformers", draw the line for weights at 3, where a healthy
Gaussian matrix has 0.3 %; Dettmers et al. (2022), "LLM.int8()", at a magnitude of 6 for activations.
"""

QUANTILES: Final[dict[str, float]] = {
    "p001": 0.001,
    "p01": 0.01,
    "p05": 0.05,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "p99": 0.99,
    "p999": 0.999,
}
"""Columns of quantiles: p001 is that of 0.001, p999 that of 0.999."""

RANKS: Final = ("rank", "stable_rank", "effective_rank")
"""Columns that need the matrix itself and are there only when they were asked for."""

_Described = Callable[[Summary], Any]
_Measured = Callable[["Sketch"], Any]

_DESCRIBED: Final[dict[str, _Described]] = {
    "name": lambda summary: summary.name,
    "shape": lambda summary: list(summary.info.shape),
    "ndim": lambda summary: len(summary.info.shape),
    "dtype": lambda summary: summary.info.dtype,
    "role": lambda summary: summary.info.role,
    "elements": lambda summary: summary.info.size,
    "bytes": lambda summary: summary.nbytes,
}
_MEASURED: Final[dict[str, _Measured]] = {
    "mean": lambda sketch: sketch.mean,
    "std": lambda sketch: sketch.std,
    "min": lambda sketch: sketch.minimum,
    "max": lambda sketch: sketch.maximum,
    **{name: lambda sketch, share=share: sketch.quantile(share) for name, share in QUANTILES.items()},  # type: ignore[misc]
    "zeros": lambda sketch: sketch.zeros,
    "sparsity": lambda sketch: sketch.sparsity,
    "nan": lambda sketch: sketch.nan,
    "inf": lambda sketch: sketch.positive_infinity + sketch.negative_infinity,
    "subnormals": lambda sketch: sketch.subnormals,
    "skewness": lambda sketch: sketch.skewness,
    "kurtosis": lambda sketch: sketch.kurtosis,
    "outliers": lambda sketch: outlier_share(sketch),
    "l1": lambda sketch: sum_of_magnitudes(sketch),
    "l2": lambda sketch: sketch.norm,
    "max_abs": lambda sketch: max(abs(sketch.minimum), abs(sketch.maximum)),
    "rms": lambda sketch: sketch.rms,
}
_LAST: Final[dict[str, _Described]] = {
    "bits": lambda summary: summary.effective_bits,
    "tied_to": lambda summary: summary.info.tied_to,
    "reason": lambda summary: summary.reason,
}

COLUMNS: Final[tuple[str, ...]] = (*_DESCRIBED, *_MEASURED, *_LAST)
"""Every column that a scan alone fills, in the order of exports."""

DESCRIPTIONS: Final[Mapping[str, str]] = {
    "name": "dotted name of the weight, or path of the layer",
    "shape": "its dimensions",
    "ndim": "number of dimensions",
    "dtype": "type of the values",
    "role": "linear, conv, embedding, recurrent, norm, bias or other",
    "elements": "number of values",
    "bytes": "bytes that it takes where it is kept",
    "mean": "mean of the finite values",
    "std": "standard deviation of the finite values",
    "min": "least finite value",
    "max": "greatest finite value",
    **{name: f"quantile {share:g} (within one part in 128)" for name, share in QUANTILES.items()},
    "zeros": "number of exact zeros",
    "sparsity": "share of exact zeros",
    "nan": "number of NaN",
    "inf": "number of +Inf and -Inf",
    "subnormals": "number of values closer to zero than the smallest normal one",
    "skewness": "third standardized moment",
    "kurtosis": "fourth standardized moment less 3: 0 for a Gaussian",
    "outliers": f"share of values more than {OUTLIER:g} standard deviations from the mean",
    "l1": "sum of magnitudes (within one part in 256)",
    "l2": "Euclidean norm",
    "max_abs": "largest magnitude",
    "rms": "root of the mean square",
    "bits": "fewest bits per value that hold every value exactly",
    "tied_to": "earlier weight that shares its storage, or empty",
    "reason": "why there are no statistics, or empty",
    "rank": "numerical rank",
    "stable_rank": "squared Frobenius norm over squared spectral norm",
    "effective_rank": "exponential of the entropy of the singular values",
}


def outlier_share(sketch: "Sketch") -> float:
    """Share of the finite values more than `OUTLIER` standard deviations from their mean.

    NaN where none is finite, or the deviation is not.
    """
    if not sketch.finite:
        return math.nan
    reach = OUTLIER * sketch.std
    if not math.isfinite(reach):  # values near float64's extremes, whose squares are beyond it
        return math.nan
    low, high = sketch.mean - reach, sketch.mean + reach
    if low <= sketch.minimum and sketch.maximum <= high:
        return 0.0
    inside = float(sketch.histogram([low, high])[0])
    return max(1.0 - inside / sketch.finite, 0.0)


def sum_of_magnitudes(sketch: "Sketch") -> float:
    """L1 norm of the finite values: exact where the sketch is, else within one part in 256, as from bins' middles."""
    inner = np.abs(values(sketch.layout, sketch.keys))
    if sketch.exact or not sketch.finite:
        return float(inner @ sketch.counts)
    most = max(abs(sketch.minimum), abs(sketch.maximum))
    outer = np.minimum(np.abs(values(sketch.layout, sketch.keys + np.uint16(1))), most)
    middle = np.where(inner == 0, 0.0, (inner + np.maximum(outer, inner)) / 2)
    return float(middle @ sketch.counts)


def check_columns(names: Iterable[str], known: Iterable[str] = COLUMNS) -> list[str]:
    """The names, when there are such columns.

    Raises:
        InputError: there is no such column; the message suggests one.
    """
    there = list(known)
    found = list(names)
    for name in found:
        if name not in there:
            missing = "; it needs --rank" if name in RANKS else suggestion(name, there)
            raise InputError(f"there is no column '{printable(name)}'{missing or '; there are ' + ', '.join(there)}")
    return found


def row(summary: Summary, columns: Iterable[str] = COLUMNS) -> Row:
    """The asked columns of a weight; None where it has no such statistic."""
    return {name: _value(summary, name) for name in columns}


def rows(summaries: Iterable[Summary], columns: Iterable[str] = COLUMNS) -> list[Row]:
    """The asked columns of every weight."""
    wanted = list(columns)
    return [row(summary, wanted) for summary in summaries]


def _value(summary: Summary, name: str) -> Any:
    if name in _MEASURED:
        value = None if summary.sketch is None else _MEASURED[name](summary.sketch)
        return None if isinstance(value, float) and math.isnan(value) else value
    return (_DESCRIBED.get(name) or _LAST[name])(summary)


def ordered(table: list[Row], column: str, *, descending: bool = False) -> list[Row]:
    """The rows by a column, those without a value last."""
    there = [entry for entry in table if entry[column] is not None]
    there.sort(key=lambda entry: entry[column], reverse=descending)
    return there + [entry for entry in table if entry[column] is None]


@dataclass(frozen=True)
class Totals:
    """What a scan adds up to; tied weights count once.

    Attributes:
        tensors: number of weights, tied ones included.
        elements: number of values.
        bytes: bytes that they take.
        dtypes: number of values of each type, the most frequent first.
        unread: number of weights without statistics.
    """

    tensors: int
    elements: int
    bytes: int
    dtypes: dict[str, int]
    unread: int


def totals(scan: Scan) -> Totals:
    """Add up a scan."""
    own = counted_once(scan.summaries)
    dtypes: dict[str, int] = {}
    for summary in own:
        dtypes[summary.info.dtype] = dtypes.get(summary.info.dtype, 0) + summary.info.size
    return Totals(
        tensors=len(scan.summaries),
        elements=sum(summary.info.size for summary in own),
        bytes=sum(summary.nbytes for summary in own),
        dtypes=dict(sorted(dtypes.items(), key=lambda item: -item[1])),
        unread=len(scan.unread),
    )


def counted_once(summaries: Iterable[Summary]) -> list[Summary]:
    """The weights without those that share their storage with an earlier one of them."""
    found: list[Summary] = []
    names: set[str] = set()
    for summary in summaries:
        if summary.info.tied_to not in names:
            found.append(summary)
        names.add(summary.name)
    return found
