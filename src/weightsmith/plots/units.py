"""What each unit of a binary or sparse layer uses: its inputs by name and sign, or as an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import Unit, as_matrix, kernel, units_used
from weightsmith.analysis.units import feature_names_of
from weightsmith.plots import filters, style
from weightsmith.plots.style import Theme, count_of, percent, shown
from weightsmith.plots.subject import NothingToDrawError, shape_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

UNITS = 48
FEATURES = 40
LEAST_SPARSITY = 0.5
"""Share of zeros from which on a list of what is used says more than a picture of all weights."""


@dataclass(frozen=True)
class Units:
    """What the picture shows.

    Attributes:
        units: what each unit uses; those that use most weight first.
        images: the same as images, where the inputs are pixels; else None.
        features: indices of the inputs shown, in their own order: those that most units use.
        cells: float64[units shown, features shown], weights over the largest magnitude of their unit.
        names: of the features shown.
        total: units and inputs of the layer.
    """

    title: str
    subtitle: str
    units: tuple[Unit, ...]
    images: filters.Filters | None
    features: NDArray[np.int64]
    cells: NDArray[np.float64]
    names: tuple[str, ...]
    total: tuple[int, int]


def summarize(
    source: "Source", name: str, inputs: Sequence[str] | None = None, image: tuple[int, ...] | None = None
) -> Units:
    """Collect what the units of one weight of a source use.

    Args:
        source: holds the weight.
        name: of a binary, ternary or sparse weight.
        inputs: names of the inputs.
        image: `(height, width)` or `(channels, height, width)` of inputs that are pixels; by default guessed, unless
            the inputs have names.

    Raises:
        InputError: another number of names or pixels than inputs.
        NothingToDrawError: the weight is neither binary nor mostly zeros.
    """
    weight = source[name]
    return of(kernel(weight, source.file_format), name, shape_line(source.label, name, weight.shape), inputs, image)


def of(
    array: NDArray[Any],
    name: str,
    subtitle: str,
    inputs: Sequence[str] | None = None,
    image: tuple[int, ...] | None = None,
) -> Units:
    """Collect what the units of an array `(units, inputs, ...)` use."""
    if array.ndim < 2 or not array.size:
        raise NothingToDrawError(f"{shown(name)} of shape {array.shape} has no inputs to name")
    matrix = as_matrix(array).astype(np.float64)
    if not np.isfinite(matrix).all():
        raise NothingToDrawError(f"{shown(name)} holds NaN or infinite values")
    zeros = float(np.mean(matrix == 0))
    if zeros == 1:
        raise NothingToDrawError(f"{shown(name)} is all zeros: its units use nothing")
    if zeros < LEAST_SPARSITY and not _few_values(matrix):
        raise NothingToDrawError(f"{shown(name)} is neither binary nor sparse: its units use all their inputs")
    names = feature_names_of(matrix.shape[1], inputs)
    strength = np.abs(matrix).sum(axis=1)
    rows = np.argsort(-strength, kind="stable")
    units = units_used(matrix, names)
    used_by = (matrix != 0).sum(axis=0)
    chosen = np.sort(np.lexsort((-np.abs(matrix).sum(axis=0), -used_by))[:FEATURES])
    peaks = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    cells = (matrix / peaks)[np.ix_(rows[:UNITS], chosen)]
    images = _images(array, name, subtitle, image) if inputs is None else None
    ordered = tuple(units[row] for row in rows)
    shown_names = tuple(names[at] for at in chosen)
    return Units(_sentence(matrix, used_by, names), subtitle, ordered, images, chosen, cells, shown_names, matrix.shape)


def _few_values(matrix: NDArray[np.float64]) -> bool:
    """Whether each row holds one magnitude, beside zeros."""
    magnitudes = np.abs(matrix)
    return bool(np.all((magnitudes == 0) | (magnitudes == magnitudes.max(axis=1, keepdims=True))))


def _images(array: NDArray[Any], name: str, subtitle: str, image: tuple[int, ...] | None) -> filters.Filters | None:
    try:
        return filters.of(array, name, subtitle, image, UNITS)
    except NothingToDrawError:
        if image is not None:
            raise
        return None


def _sentence(matrix: NDArray[np.float64], used_by: NDArray[np.int64], names: Sequence[str]) -> str:
    typical = int(np.median((matrix != 0).sum(axis=1)))
    unused = int(np.count_nonzero(used_by == 0))
    if typical == matrix.shape[1]:
        plus = float(np.mean(matrix > 0))
        return f"Each unit adds or takes away all {count_of(matrix.shape[1], 'input')}: {percent(plus)} with a plus"
    text = f"A unit uses {typical:,} of {count_of(matrix.shape[1], 'input')}"
    if unused:
        return f"{text}; {unused:,} are used by none"
    most = int(used_by.argmax())
    return f"{text}; {shown(names[most], 24)} is used by {used_by[most]:,} of {count_of(len(matrix), 'unit')}"


def draw(units: Units, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    if units.images is not None:
        return filters.draw(units.images, theme, units.title)
    rows, columns = units.cells.shape
    figure = style.new_figure(theme, 8.2, float(np.clip(0.17 * rows, 1.4, 8.5)) + 2.6)
    axes = figure.subplots()
    style.dress(axes, theme, grid=None)
    painted = axes.imshow(
        np.ma.masked_equal(units.cells, 0),
        cmap=style.diverging(theme).with_extremes(bad=theme.background),
        vmin=-1,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    down, across = np.nonzero(units.cells)
    axes.plot(across, down, ".", color=theme.muted, markersize=2.5)  # small weights have hardly any color
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=theme.grid, linewidth=0.5)
    style.tick_names(axes, "x", range(columns), [shown(name, 22) for name in units.names], theme)
    axes.tick_params(axis="x", rotation=90)
    style.tick_names(axes, "y", range(rows), [f"unit {unit.index}" for unit in units.units[:rows]], theme)
    style.colorbar(figure, painted, axes, theme, "weight, of the unit's largest", pad=0.02, aspect=18, fraction=0.05)
    notes = ["A cell without a dot is an input that the unit does not use."]
    if (rows, columns) != units.total:
        notes.append(
            f"Shown: the {rows} strongest of {count_of(units.total[0], 'unit')}, and the {columns} of "
            f"{count_of(units.total[1], 'input')} that most units use."
        )
    style.finish(figure, theme, units.title, units.subtitle, notes)
    return figure
