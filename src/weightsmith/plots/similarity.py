"""How alike the neurons of a layer are to each other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import Alike, Similarity, as_matrix, duplicate_rows, leaf_order, near_duplicates, neurons
from weightsmith.analysis import similarity as compare
from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number
from weightsmith.plots.subject import NothingToDrawError, shape_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

SEARCH_SECONDS = 20.0
"""Time for the search of near-duplicates among very many neurons; where it is not enough the picture says so."""


@dataclass(frozen=True)
class Similarities:
    """What the picture shows.

    Attributes:
        compared: cosines between rows.
        order: int64[k], the order in which they are drawn, similar ones side by side.
        alike: near-duplicates among all rows.
        identical: groups of identical rows.
    """

    title: str
    subtitle: str
    compared: Similarity
    order: NDArray[np.int64]
    alike: Alike
    identical: tuple[tuple[int, ...], ...]


def summarize(source: "Source", name: str, threshold: float = 0.99) -> Similarities:
    """Compare the rows of one weight of a source.

    Raises:
        NothingToDrawError: where fewer than two rows have a direction to compare.
    """
    weight = source[name]
    return of(neurons(weight), name, shape_line(source.label, name, weight.shape), threshold)


def of(array: NDArray[Any], name: str, subtitle: str, threshold: float = 0.99) -> Similarities:
    """Compare the rows of an array of any real dtype and shape by their cosine."""
    matrix = as_matrix(array)
    compared = compare(matrix, "cosine", limit=800)
    # Vectors of one value all point one way or the other: their cosines say nothing.
    if len(compared.indices) < 2 or matrix.shape[1] < 2:
        raise NothingToDrawError(f"{style.shown(name)} has fewer than two rows whose direction could be compared")
    alike = near_duplicates(matrix, threshold, time_limit=SEARCH_SECONDS)
    identical = duplicate_rows(matrix)
    return Similarities(_sentence(alike, identical), subtitle, compared, leaf_order(compared.values), alike, identical)


def _sentence(alike: Alike, identical: tuple[tuple[int, ...], ...]) -> str:
    if identical:
        spare = sum(len(group) - 1 for group in identical)
        rows = ", ".join(str(row) for row in identical[0][:4])
        verb = "repeats" if spare == 1 else "repeat"
        return (
            f"{count_of(spare, 'row')} exactly {verb} another (rows {rows}{', ...' if len(identical[0]) > 4 else ''})"
        )
    assert alike.closest is not None
    pair = f"rows {alike.closest.first} and {alike.closest.second}"
    if alike.count:
        verb = "points" if alike.count == 1 else "point"
        many = f"{count_of(alike.count, 'pair')} of rows"
        return f"{many} {verb} the same way (cosine {number(alike.threshold)} and up), closest {pair}"
    cosine = number(round(alike.closest.similarity, 3))
    return f"No near-duplicates: the closest, {pair}, have a cosine of {cosine}"


def draw(found: Similarities, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    figure = style.new_figure(theme, 7.6, 7.2)
    axes = figure.subplots()
    style.dress(axes, theme, "row, similar ones side by side", "row", grid=None)
    ordered = found.compared.values[np.ix_(found.order, found.order)].astype(np.float64)
    np.fill_diagonal(ordered, np.nan)  # every row equals itself: no news, and it would hide real pairs beside it
    image = axes.imshow(ordered, cmap=style.diverging(theme), vmin=-1, vmax=1, interpolation="nearest")
    if len(found.order) <= 40:
        names = [str(found.compared.indices[i]) for i in found.order]
        for which in ("x", "y"):
            style.tick_names(axes, which, range(len(names)), names, theme)
        axes.tick_params(axis="x", rotation=90)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    style.colorbar(figure, image, axes, theme, "cosine", shrink=0.7, pad=0.02)
    style.finish(figure, theme, found.title, found.subtitle, _notes(found))
    return figure


def _notes(found: Similarities) -> list[str]:
    notes = []
    if len(found.compared.indices) + len(found.compared.undefined) < found.compared.total:
        notes.append(f"{len(found.order):,} of {found.compared.total:,} rows shown, evenly spaced.")
    if len(found.compared.undefined):
        notes.append(f"{count_of(len(found.compared.undefined), 'row')} all zero or with NaN or Inf left out.")
    if found.alike.compared < 1:
        notes.append(f"The search for near-duplicates covered {style.percent(found.alike.compared)} of all pairs.")
    return notes
