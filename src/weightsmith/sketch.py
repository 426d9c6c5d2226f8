"""Sketch: what one pass over a tensor remembers, and everything it can answer from that."""

import html
import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.bins import Bins, suitable_edges
from weightsmith.kernels.encoding import decode, encode
from weightsmith.kernels.layout import (
    LAYOUTS,
    Doubles,
    Tally,
    combine,
    exact_sums,
    float32_keys,
    nothing,
    values,
)
from weightsmith.names import choose


@dataclass(frozen=True, eq=False, repr=False)
class Sketch(Tally):
    """The distribution of an array's values, counted by the top 16 bits of each, beside exact sums and extremes.

    Sketches of the parts of an array merge (`a + b`) to the sketch of the whole. Keys are the top half of the value
    as a float32 (one part in 128 per bin), so a bfloat16 is its own key; float16 and 8-bit floats are keyed by their
    own bits. Values beyond float32's range are counted at its largest value.

    Attributes:
        layout: what keys mean: `float32` (bfloat16 and integers as well), `float16`, or the name of an 8-bit float.
        keys: uint16[k], sorted: the keys of finite values that occur.
        counts: int64[k]: how many values have each key.
        count: number of elements, non-finite ones included.
        zeros: number of +0.0 and -0.0.
        subnormals: number of values closer to zero than their type's smallest normal one, other than zeros.
        nan: number of NaN.
        positive_infinity: number of +Inf.
        negative_infinity: number of -Inf.
        sum: of the finite values, accumulated in float64; independent of the number of threads.
        sum_of_squares: likewise.
        minimum: least finite value, NaN where there is none.
        maximum: greatest finite value, NaN where there is none.
        first_non_finite: flat index (C order) of the first NaN or Inf.
        exact: whether every finite value is the very one its key stands for. Quantiles and histograms are then those
            of the values themselves. Always so for 8-bit types, bfloat16 and float16.
    """

    @classmethod
    def of(cls, array: NDArray[Any], threads: int | None = None) -> Self:
        """Sketch an array in one pass.

        Args:
            array: any shape and memory order; floats up to float64, bfloat16 and 8-bit floats (ml_dtypes), integers
                and booleans. Read in C order; copied where it is not contiguous.
            threads: most threads to use; by default all the process may use. The result does not depend on it.

        Raises:
            InputError: values of another type.
        """
        from weightsmith.kernels.tally import tally  # loads numba

        return cls(**vars(tally(np.asarray(array), threads)))

    @classmethod
    def empty(cls, layout: str = "float32") -> Self:
        """The sketch of no values; merging with it changes nothing.

        Raises:
            InputError: an unknown layout.
        """
        return cls(**vars(nothing(choose(layout, LAYOUTS, "layout"))))

    def merge(self, *others: "Sketch") -> "Sketch":
        """The sketch of all arrays, one after the other; sketches of different layouts meet in `float32`.

        Counts and extremes are those of one pass over all; so are the sums where all are exact, otherwise they are
        to float64's rounding. Merging many at once takes far less time than one by one.
        """
        parts = [one for one in (self, *others) if one.count]
        if len(parts) < 2:
            return parts[0] if parts else self
        if len({one.layout for one in parts}) > 1:
            parts = [one.in_float32() for one in parts]
        layout = parts[0].layout
        keys, counts = combine(*(np.concatenate([getattr(one, name) for one in parts]) for name in ("keys", "counts")))
        exact = all(one.exact for one in parts)
        starts = accumulate((one.count for one in parts), initial=0)
        places = [
            start + one.first_non_finite
            for start, one in zip(starts, parts, strict=False)
            if one.first_non_finite is not None
        ]
        sums = sum(one.sum for one in parts), sum(one.sum_of_squares for one in parts)
        if exact:
            sums = exact_sums(values(layout, keys), counts)
        return Sketch(
            layout=layout,
            keys=keys,
            counts=counts,
            count=sum(one.count for one in parts),
            zeros=sum(one.zeros for one in parts),
            subnormals=sum(one.subnormals for one in parts),
            nan=sum(one.nan for one in parts),
            positive_infinity=sum(one.positive_infinity for one in parts),
            negative_infinity=sum(one.negative_infinity for one in parts),
            sum=sums[0],
            sum_of_squares=sums[1],
            minimum=float(np.fmin.reduce([one.minimum for one in parts])),
            maximum=float(np.fmax.reduce([one.maximum for one in parts])),
            first_non_finite=places[0] if places else None,
            exact=exact,
        )

    def __add__(self, other: "Sketch") -> "Sketch":
        return self.merge(other) if isinstance(other, Sketch) else NotImplemented

    def in_float32(self) -> "Sketch":
        """The same sketch in layout `float32`; no longer exact where its values need more than 8 significant bits."""
        if self.layout == "float32":
            return self
        numbers = values(self.layout, self.keys)
        keys = float32_keys(numbers)
        exact = bool(np.array_equal(values("float32", keys), numbers))
        keys, counts = combine(keys, self.counts)
        return replace(self, layout="float32", keys=keys, counts=counts, exact=exact)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    @property
    def finite(self) -> int:
        """Number of finite values."""
        return self.count - self.non_finite

    @property
    def non_finite(self) -> int:
        """Number of NaN, +Inf and -Inf."""
        return self.nan + self.positive_infinity + self.negative_infinity

    @property
    def mean(self) -> float:
        """Mean of the finite values; NaN where there is none, as for all that follow."""
        return self.sum / self.finite if self.finite else math.nan

    @property
    def variance(self) -> float:
        """Mean square distance of the finite values from their mean (division by n).

        From sums in double: its error is about 1e-16 times the squared mean, which matters only where the mean is
        millions of times the deviation.
        """
        if not self.finite:
            return math.nan
        if self.minimum == self.maximum:
            return 0.0
        return max(self.sum_of_squares / self.finite - self.mean * self.mean, 0.0)

    @property
    def std(self) -> float:
        """Square root of the variance."""
        return math.sqrt(self.variance)

    @property
    def rms(self) -> float:
        """Root of the mean square of the finite values."""
        return math.sqrt(self.sum_of_squares / self.finite) if self.finite else math.nan

    @property
    def norm(self) -> float:
        """Euclidean (Frobenius) norm of the finite values; 0 for none."""
        return math.sqrt(self.sum_of_squares)

    @property
    def skewness(self) -> float:
        """Third standardized moment (Fisher-Pearson, biased), from the bins; NaN where all values are equal."""
        second, third, _ = self._central_moments
        return third / second / math.sqrt(second) if second > 0 else math.nan

    @property
    def kurtosis(self) -> float:
        """Fourth standardized moment less 3 (0 for a Gaussian), from the bins; NaN where all values are equal."""
        second, _, fourth = self._central_moments
        return fourth / second / second - 3 if second > 0 else math.nan

    @property
    def sparsity(self) -> float:
        """Share of exact zeros among all elements."""
        return self.zeros / self.count if self.count else math.nan

    @cached_property
    def _bins(self) -> Bins:
        return Bins.of(self.layout, self.keys, self.counts, self.exact, self.minimum, self.maximum)

    @cached_property
    def _central_moments(self) -> tuple[float, float, float]:
        return self._bins.central_moments(self.mean) if self.finite and self.minimum < self.maximum else (0.0, 0.0, 0.0)

    def quantile(self, q: ArrayLike) -> Any:
        """The smallest finite value with at least the share `q` at or below it (NumPy's method `inverted_cdf`).

        Exact where the sketch is, and at 0 and 1; elsewhere within one part in 128.

        Args:
            q: a share from 0 to 1, or an array of them.

        Returns:
            A float for a scalar, else a float64 array of the shape of `q`; NaN where nothing is finite.

        Raises:
            InputError: a share outside 0 to 1.
        """
        found = self._bins.quantile(q)
        return float(found) if found.ndim == 0 else found

    def histogram(self, edges: ArrayLike) -> Doubles:
        """Number of finite values between consecutive edges, as `np.histogram` counts them: float64[len(edges) - 1].

        A bin of an inexact sketch that straddles an edge is split in proportion; none does at `edges()`.

        Raises:
            InputError: fewer than two edges, or edges that do not ascend.
        """
        return self._bins.histogram(edges)

    def edges(self, bins: int = 64) -> Doubles:
        """Edges that suit the distribution: at most `bins` bins of about equal width, from minimum to maximum.

        They lie on the boundaries of the sketch's own bins, so no count is split and none looks finer than it is.
        Far outliers widen the first and last bin alone: the others cover the central 99 % and as much again on
        either side.

        Raises:
            InputError: fewer than one bin.
        """
        if bins < 1:
            raise InputError(f"cannot make {bins} bins: ask for at least 1")
        return suitable_edges(self._bins, self.layout, self.exact, bins)

    def tail(self, threshold: float) -> float:
        """Share of the finite values whose magnitude exceeds the threshold."""
        if not self.finite:
            return math.nan
        if threshold <= 0:
            return 1.0 if threshold < 0 else 1.0 - self.zeros / self.finite
        inside = self._bins.below(threshold, inclusive=True) - self._bins.below(-threshold)
        return max(1.0 - float(inside) / self.finite, 0.0)

    def to_bytes(self) -> bytes:
        """A versioned, checksummed record of a few kilobytes, equal for equal sketches."""
        return encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The sketch that `to_bytes` wrote.

        Raises:
            SourceError: the bytes are truncated, altered, contradictory or of a newer version.
        """
        return cls(**vars(decode(data)))

    def to_json(self) -> dict[str, Any]:
        """The numbers a reader wants, as plain JSON values; null for what no finite value defines."""
        numbers = {name: getattr(self, name) for name in _SUMMARY}
        numbers["quantiles"] = dict(zip(map(str, _QUANTILES), self.quantile(_QUANTILES).tolist(), strict=True))
        return _without_nan(numbers)

    def __repr__(self) -> str:
        if not self.count:
            return "Sketch(empty)"
        parts = [f"{self.count:,} values"]
        if self.finite:
            parts.append(f"mean {self.mean:.4g}, std {self.std:.4g}, from {self.minimum:.4g} to {self.maximum:.4g}")
        if self.zeros:
            parts.append(f"{self.sparsity:.2%} zeros")
        if self.non_finite:
            parts.append(f"{self.non_finite:,} not finite, the first at {self.first_non_finite:,}")
        return f"Sketch({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        edges = self.edges()
        halves = edges / 2  # so that float64's extremes have a distance
        density = self.histogram(edges) / np.diff(halves)
        heights = 40 * density / max(density.max(), math.ulp(0.0))
        left = 320 * ((halves - halves[0]) / (halves[-1] - halves[0]))
        bars = "".join(
            f'<rect x="{x:.1f}" y="{40 - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
            for x, width, height in zip(left[:-1], np.diff(left), heights, strict=True)
            if height > 0
        )
        picture = f'<svg width="320" height="40" fill="currentColor" role="img" aria-label="histogram">{bars}</svg>'
        return f"<figure>{picture}<figcaption>{html.escape(repr(self))}</figcaption></figure>"


_SUMMARY = (
    "count",
    "zeros",
    "subnormals",
    "nan",
    "positive_infinity",
    "negative_infinity",
    "first_non_finite",
    "mean",
    "std",
    "rms",
    "norm",
    "minimum",
    "maximum",
    "skewness",
    "kurtosis",
    "sparsity",
    "exact",
)
_QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


def _without_nan(numbers: dict[str, Any]) -> dict[str, Any]:
    """The same, with null for NaN and the infinities, which JSON lacks."""
    return {
        name: _without_nan(value)
        if isinstance(value, dict)
        else None
        if isinstance(value, float) and not math.isfinite(value)
        else value
        for name, value in numbers.items()
    }
