"""Questions to a distribution known by bins: how much lies below, which value has which rank, which edges suit it."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.layout import Counts, Doubles, Keys, decoded, values


@dataclass(frozen=True)
class Bins:
    """Finite values in bins that do not overlap, in ascending order; within a bin they count as evenly spread.

    Attributes:
        low: lower bounds, float64[k].
        high: upper bounds, float64[k]; equal to `low` where all values of the bin are that one value.
        counts: int64[k].
        minimum: least value, NaN where there is none.
        maximum: greatest value, likewise.
    """

    low: Doubles
    high: Doubles
    counts: Counts
    minimum: float
    maximum: float

    @classmethod
    def of(cls, layout: str, keys: Keys, counts: Counts, exact: bool, minimum: float, maximum: float) -> Self:
        """The bins of a sketch: points where it is exact; otherwise intervals, clipped to its extremes."""
        inner = values(layout, keys)
        if exact:
            order = np.argsort(inner, kind="stable")
            return cls(inner[order], inner[order], counts[order], minimum, maximum)
        # Inexact sketches are keyed by float32; the next key is the next boundary away from zero.
        outer = values(layout, keys + np.uint16(1))
        outer[inner == 0] = 0.0
        low = np.clip(np.minimum(inner, outer), minimum, maximum)
        high = np.clip(np.maximum(inner, outer), minimum, maximum)
        order = np.lexsort((high, low))
        return cls(low[order], high[order], counts[order], minimum, maximum)

    @cached_property
    def cumulated(self) -> Counts:
        """int64[k + 1]: the number of values in all bins before each bin, and in all."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @property
    def total(self) -> int:
        """Number of values in all bins."""
        return int(self.cumulated[-1])

    def below(self, edges: ArrayLike, *, inclusive: bool = False) -> Doubles:
        """How many values lie below each edge (or at most at it); a bin that straddles the edge counts in part."""
        at = np.asarray(edges, np.float64)
        return self._below(at, np.searchsorted(self.high, at, side="right" if inclusive else "left"))

    def _below(self, at: Doubles, index: NDArray[np.intp]) -> Doubles:
        """How many values lie below each edge, given the number of bins that lie below it as a whole."""
        inside = np.minimum(index, max(self.low.size - 1, 0))
        result = self.cumulated[index].astype(np.float64)
        if not self.low.size:
            return result
        low, high = self.low[inside], self.high[inside]
        straddles = (index < self.low.size) & (low < at) & (low < high)
        # Halved, so that the width of a bin of float64's extremes stays finite.
        share = np.divide(at / 2 - low / 2, high / 2 - low / 2, out=np.zeros_like(result), where=straddles)
        return np.asarray(result + share * self.counts[inside])

    def quantile(self, q: ArrayLike) -> Doubles:
        """The smallest value with at least the share `q` at or below it (NumPy's method `inverted_cdf`); NaN if none.

        Raises:
            InputError: a share outside 0 to 1.
        """
        shares = np.asarray(q, np.float64)
        if not ((shares >= 0) & (shares <= 1)).all():
            raise InputError(f"cannot take the quantile {q!r}: give shares between 0 and 1")
        if not self.total:
            return np.full(shares.shape, np.nan)
        rank = np.clip(np.ceil(self.total * shares - 1), 0, self.total - 1).astype(np.int64)
        index = np.searchsorted(self.cumulated, rank, side="right") - 1
        # The values of a bin sit in the middles of equal slices of it.
        part = (rank - self.cumulated[index] + 0.5) / self.counts[index]
        low, high = self.low[index], self.high[index]
        found = np.where(low == high, low, low * (1 - part) + high * part)
        found = np.where(rank == 0, self.minimum, found)
        return np.where(rank == self.total - 1, self.maximum, found)

    def histogram(self, edges: ArrayLike) -> Doubles:
        """Counts between consecutive edges, as `np.histogram`: each bin half open, the last one closed.

        Raises:
            InputError: fewer than two edges, or edges that do not ascend.
        """
        at = np.asarray(edges, np.float64)
        if at.ndim != 1 or at.size < 2 or not (at[1:] >= at[:-1]).all():
            raise InputError("cannot count between these edges: give at least two numbers in ascending order")
        index = np.searchsorted(self.high, at, side="left")
        index[-1] = np.searchsorted(self.high, at[-1], side="right")
        return np.diff(self._below(at, index))

    def central_moments(self, mean: float) -> tuple[float, float, float]:
        """Second, third and fourth moment about `mean`, each bin's spread within itself included."""
        with np.errstate(over="ignore", invalid="ignore"):  # of float64's extremes
            offset = self.low / 2 + self.high / 2 - mean
            square = (self.high - self.low) ** 2
            weight = self.counts / max(self.total, 1)
            second = offset**2 + square / 12
            third = offset**3 + offset * square / 4
            fourth = offset**4 + offset**2 * square / 2 + square**2 / 80
            return float(weight @ second), float(weight @ third), float(weight @ fourth)


def suitable_edges(bins: Bins, layout: str, exact: bool, number: int) -> Doubles:
    """At most `number` bins that suit the distribution; see `Sketch.edges`."""
    if not bins.total:
        return np.linspace(0.0, 1.0, number + 1)
    low, high = bins.minimum, bins.maximum
    if low == high:
        reach = abs(low) / 2 or 0.5
        return np.linspace(low - reach, high + reach, number + 1)
    # No edge can be finer than keys are, and these end with the layout's range.
    least, most = _lattice(layout)[[0, -1]]
    bottom, top = np.clip(bins.quantile([0.005, 0.995]), least, most)
    spread = top - bottom
    if spread > 0:
        bottom, top = max(low, bottom - spread), min(high, top + spread)
    else:
        bottom, top = np.clip([low, high], least, most)
    grid = _snapped(np.linspace(bottom, top, number + 1)[1:-1], layout, exact)
    return np.unique(np.concatenate([[low], grid[(grid > low) & (grid < high)], [high]]))


def _snapped(grid: Doubles, layout: str, exact: bool) -> Doubles:
    """Move edges to where they cut no key's bin: between the values of an exact sketch, else to bin boundaries."""
    lattice = _lattice(layout)
    index = np.clip(np.searchsorted(lattice, grid), 1, lattice.size - 1)
    before, after = lattice[index - 1], lattice[index]
    if exact:
        return np.asarray((before + after) / 2)
    return np.where(grid - before < after - grid, before, after)


@lru_cache(maxsize=4)
def _lattice(layout: str) -> Doubles:
    """Every finite value that a key of the layout stands for, ascending."""
    table = decoded("bfloat16" if layout == "float32" else layout)
    return np.unique(table[np.isfinite(table)])
