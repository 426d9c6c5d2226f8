"""Long series and many layers brought down to what a picture can show, by rules that hide no spike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from weightsmith.store import Run

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Band:
    """A series in consecutive groups of steps.

    Attributes:
        steps: float64[k], the middle of each group.
        low, middle, high: float64[k]: smallest, median and largest value in each group.
        non_finite: int64, the steps whose value was NaN or Inf; they are in no group.
    """

    steps: NDArray[np.float64]
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]
    non_finite: NDArray[np.int64]


def band(steps: NDArray[np.int64], values: NDArray[np.float64], most: int = 200) -> Band:
    """The series in at most `most` groups of equally many values; short series keep every value."""
    finite = np.isfinite(values)
    good, kept = steps[finite], values[finite]
    groups = np.array_split(np.arange(len(kept)), min(most, len(kept))) if len(kept) else []
    return Band(
        np.array([good[g].mean() for g in groups]),
        np.array([kept[g].min() for g in groups]),
        np.array([np.median(kept[g]) for g in groups]),
        np.array([kept[g].max() for g in groups]),
        steps[~finite],
    )


@dataclass(frozen=True)
class LayerHeat:
    """One series of several weights, in cells: a row for each weight, a column for each group of steps.

    Attributes:
        names: the weights, in model order.
        edges: float64[columns + 1], the steps at which columns begin and end.
        values: float64[weights, columns], the median of each cell; one without a measurement repeats the one before,
            and is NaN where there is none before.
        broken: bool[weights, columns], cells in which a value was NaN or Inf.
    """

    names: tuple[str, ...]
    edges: NDArray[np.float64]
    values: NDArray[np.float64]
    broken: NDArray[np.bool_]


def layer_heat(run: "Run", series: str, names: Sequence[str], columns: int = 240) -> LayerHeat | None:
    """The series of those of the weights that have it, or None where none has."""
    found = {name: run.series(series, name) for name in names}
    found = {name: one for name, one in found.items() if len(one.steps)}
    if not found:
        return None
    steps = np.unique(np.concatenate([one.steps for one in found.values()]))
    edges = _edges(steps, columns)
    shape = (len(found), len(edges) - 1)
    values, broken = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    for row, one in enumerate(found.values()):
        column = np.clip(np.searchsorted(edges, one.steps, side="right") - 1, 0, shape[1] - 1)
        for group in np.split(np.arange(len(column)), np.flatnonzero(np.diff(column)) + 1):
            cell = one.values[group]
            finite = cell[np.isfinite(cell)]
            broken[row, column[group[0]]] = len(finite) < len(cell)
            if len(finite):
                values[row, column[group[0]]] = np.median(finite)
        _repeat_gaps(values[row])
    return LayerHeat(tuple(found), edges, values, broken)


def _edges(steps: NDArray[np.int64], columns: int) -> NDArray[np.float64]:
    """Column edges halfway between neighboring steps; with too many steps, between groups of equally many."""
    starts = np.array([group[0] for group in np.array_split(steps, min(columns, len(steps)))], dtype=np.float64)
    before = steps[np.searchsorted(steps, starts[1:]) - 1]
    inner = (before + starts[1:]) / 2
    width = (steps[-1] - steps[0]) / max(1, len(steps) - 1) or 1.0
    return np.concatenate([[steps[0] - width / 2], inner, [steps[-1] + width / 2]])


def _repeat_gaps(row: NDArray[np.float64]) -> None:
    """Fill NaN with the value before it, in place."""
    known = np.flatnonzero(~np.isnan(row))
    if len(known):
        after = np.arange(known[0], len(row))
        row[after] = row[known[np.searchsorted(known, after, side="right") - 1]]


def evenly(things: Sequence[Thing], most: int) -> list[Thing]:
    """At most `most` of the things, evenly spaced, the first and the last among them."""
    if len(things) <= most:
        return list(things)
    return [things[i] for i in np.unique(np.linspace(0, len(things) - 1, most).round().astype(int))]
