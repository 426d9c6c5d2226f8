"""How strongly the neurons of a layer, and its inputs, correlate with each other."""

from dataclasses import dataclass
from math import pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import Pair, Similarity, leaf_order, neurons, similarity
from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent, shown
from weightsmith.plots.subject import NothingToDrawError, shape_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

SAMPLE = 600
"""Rows or columns compared at most: more than twice as many as the picture has pixels for."""

TIED = 0.95
"""Correlation from which two rows are all but the same."""


@dataclass(frozen=True)
class Side:
    """Correlations along one side of the matrix.

    Attributes:
        noun: `neuron` for rows, `input` for columns.
        compared: Pearson's correlations.
        order: int64[k], the order in which they are drawn, similar ones side by side.
        typical: mean magnitude over all pairs.
        chance: mean magnitude that independent values of as many entries would have: sqrt(2 / (pi n)).
        strongest: the pair of largest magnitude, by its rows or columns in the matrix.
    """

    noun: str
    compared: Similarity
    order: NDArray[np.int64]
    typical: float
    chance: float
    strongest: Pair


@dataclass(frozen=True)
class Correlations:
    """What the picture shows: one or both sides of a matrix."""

    title: str
    subtitle: str
    sides: tuple[Side, ...]


def summarize(source: "Source", name: str, limit: int = SAMPLE) -> Correlations:
    """Correlate the rows of one weight of a source with each other, and its columns.

    Args:
        source: holds the weight.
        name: of the weight.
        limit: of more rows or columns, that many evenly spaced ones are compared.

    Raises:
        NothingToDrawError: where neither side has two entries that vary.
    """
    weight = source[name]
    return of(neurons(weight), name, shape_line(source.label, name, weight.shape), limit)


def of(matrix: NDArray[Any], name: str, subtitle: str, limit: int = SAMPLE) -> Correlations:
    """Correlate the rows and the columns of a matrix of any real dtype."""
    pairs = ((matrix, "neuron"), (matrix.T, "input"))
    sides = tuple(side for turned, noun in pairs if (side := _side(turned, noun, limit)) is not None)
    if not sides:
        raise NothingToDrawError(f"{shown(name)} has fewer than two rows or columns whose values vary")
    return Correlations(_sentence(sides), subtitle, sides)


def _side(matrix: NDArray[Any], noun: str, limit: int) -> Side | None:
    # Two values always correlate fully, one way or the other.
    if matrix.shape[1] < 3:
        return None
    compared = similarity(matrix, "correlation", limit)
    count = len(compared.indices)
    if count < 2:
        return None
    upper = np.triu_indices(count, 1)
    values = compared.values[upper]
    best = int(np.argmax(np.abs(values)))
    first, second = (int(compared.indices[side[best]]) for side in upper)
    return Side(
        noun,
        compared,
        leaf_order(compared.values),
        float(np.mean(np.abs(values))),
        sqrt(2 / (pi * matrix.shape[1])),
        Pair(first, second, float(values[best])),
    )


def _sentence(sides: tuple[Side, ...]) -> str:
    # The side that tells most comes first: nearest to a tie, or else furthest above chance.
    side = max(sides, key=lambda one: (abs(one.strongest.similarity) >= TIED, one.typical / one.chance))
    pair = f"{side.noun}s {side.strongest.first} and {side.strongest.second}"
    value = number(round(side.strongest.similarity, 3))
    if abs(side.strongest.similarity) >= TIED:
        how = "opposites" if side.strongest.similarity < 0 else "the same"
        return f"{pair.capitalize()} are all but {how} (correlation {value})"
    ratio = side.typical / side.chance
    if ratio < 1.25:
        return f"{side.noun.capitalize()}s correlate no more than chance; the most, {pair}, by {value}"
    return (
        f"{side.noun.capitalize()}s correlate {number(round(ratio, 1))} times as much as chance; most {pair}, {value}"
    )


def draw(found: Correlations, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    wide = len(found.sides) == 2
    figure = style.new_figure(theme, 8.6 if wide else 6.6, 5.6 if wide else 6.9)
    panels = figure.subplots(1, len(found.sides), squeeze=False)[0]
    reach = _reach(found.sides)
    for axes, side in zip(panels, found.sides, strict=True):
        style.dress(axes, theme, f"{side.noun}s, similar ones side by side", grid=None)
        ordered = side.compared.values[np.ix_(side.order, side.order)].astype(np.float64)
        np.fill_diagonal(ordered, np.nan)
        image = axes.imshow(ordered, cmap=style.diverging(theme), vmin=-reach, vmax=reach, interpolation="nearest")
        axes.set_title(_heading(side), loc="left", fontsize=8.5, color=theme.text, family=style.FONT)
        if len(side.order) <= 20:
            style.tick_names(axes, "x", range(len(side.order)), _names(side), theme)
            style.tick_names(axes, "y", range(len(side.order)), _names(side), theme)
            axes.tick_params(axis="x", rotation=90)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
    text = "correlation" if reach == 1 else f"correlation; colors end at \N{PLUS-MINUS SIGN}{number(reach)}"
    extend = "neither" if reach == 1 else "both"
    layout: dict[str, Any] = {"location": "bottom", "shrink": 0.6, "aspect": 40, "pad": 0.02, "extend": extend}
    style.colorbar(figure, image, list(panels), theme, text, **layout)
    style.finish(figure, theme, found.title, found.subtitle, _notes(found))
    return figure


def _reach(sides: tuple[Side, ...]) -> float:
    """Where the colors end: weak correlations would be invisible on a scale up to 1."""
    strong = max(float(np.quantile(np.abs(side.compared.values), 0.99)) for side in sides)
    most = max(abs(side.strongest.similarity) for side in sides)
    return next((step for step in (0.1, 0.2, 0.3, 0.5) if max(strong, 0.5 * most) <= step), 1.0)


def _heading(side: Side) -> str:
    return f"{side.noun}s: typically \N{PLUS-MINUS SIGN}{number(side.typical)}, by chance {number(side.chance)}"


def _names(side: Side) -> list[str]:
    return [str(side.compared.indices[i]) for i in side.order]


def _notes(found: Correlations) -> list[str]:
    notes = []
    for side in found.sides:
        shown_, left_out, total = len(side.order), len(side.compared.undefined), side.compared.total
        if shown_ + left_out < total:
            notes.append(f"{shown_:,} of {total:,} {side.noun}s compared ({percent(shown_ / total)}), evenly spaced.")
        if left_out:
            notes.append(f"{count_of(left_out, side.noun)} constant or with NaN or Inf left out.")
    notes.append("By chance: what independent values would show on average. The diagonal is left blank.")
    return notes
