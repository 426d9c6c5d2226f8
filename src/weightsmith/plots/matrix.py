"""A weight matrix as a heat picture with the norms of its rows and columns beside it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import Cells, Norms, Outlier, as_matrix, downsample, neurons, norms, standing_out, strongest
from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent
from weightsmith.plots.subject import NothingToDrawError, shape_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

CLIP = 0.995
"""Quantile of the magnitudes at which the colors end, so that one outlier does not bleach the rest."""

RINGS = 40
"""Cells with NaN or Inf up to which each gets a ring around it."""

SPARSE = 0.01
"""Share of exact zeros from which they get a color of their own."""


@dataclass(frozen=True)
class Matrix:
    """What the picture shows.

    Attributes:
        cells: the matrix, brought down to a bounded size.
        norms: its row and column norms at full resolution.
        rows, columns: those whose norm stands out.
        limit: magnitude at which the colors end; 0 where no value needs one.
        clipped: share of the cells beyond it.
        zeros: share of exact zeros in the whole matrix.
    """

    title: str
    subtitle: str
    cells: Cells
    norms: Norms
    rows: tuple[Outlier, ...]
    columns: tuple[Outlier, ...]
    limit: float
    clipped: float
    zeros: float


def summarize(source: "Source", name: str) -> Matrix:
    """Measure one weight of a source; convolutions and vectors become matrices first.

    Raises:
        NothingToDrawError: where it has no elements.
    """
    weight = source[name]
    return of(neurons(weight), name, shape_line(source.label, name, weight.shape))


def of(array: NDArray[Any], name: str, subtitle: str) -> Matrix:
    """Measure an array of any real dtype and shape."""
    matrix = as_matrix(array)
    if not matrix.size:
        raise NothingToDrawError(f"{style.shown(name)} has no elements")
    cells = downsample(matrix, 260, 420)
    found = norms(matrix)
    magnitudes = np.abs(cells.values[np.isfinite(cells.values) & (cells.values != 0)])
    limit = float(np.quantile(magnitudes, CLIP)) if len(magnitudes) else 0.0
    clipped = float(np.mean(magnitudes > limit)) if len(magnitudes) else 0.0
    rows, columns = standing_out(found.rows), standing_out(found.columns)
    zeros = found.zeros / matrix.size
    title = _sentence(matrix, found, rows, columns, zeros)
    return Matrix(title, subtitle, cells, found, rows, columns, limit, clipped, zeros)


def _sentence(
    matrix: NDArray[Any], found: Norms, rows: tuple[Outlier, ...], columns: tuple[Outlier, ...], zeros: float
) -> str:
    if found.non_finite:
        what = f"{count_of(found.non_finite, 'value')} of {matrix.size:,} {'is' if found.non_finite == 1 else 'are'}"
        return f"{what} NaN or infinite, in {count_of(len(found.non_finite_rows), 'row')}"
    if zeros == 1:
        return "Every weight is exactly zero"
    if zeros > 0.2:
        empty = int(np.count_nonzero(found.rows == 0)), int(np.count_nonzero(found.columns == 0))
        parts = [count_of(n, noun) for n, noun in zip(empty, ("row", "column"), strict=True) if n]
        return f"{percent(zeros)} of the weights are exactly zero" + (f"; {' and '.join(parts)} empty" if parts else "")
    groups = [(r, noun, all_) for r, noun, all_ in ((rows, "row", found.rows), (columns, "column", found.columns)) if r]
    if groups:
        many = " and ".join(count_of(len(group), noun) for group, noun, _ in groups)
        one, noun, all_norms = max(groups, key=lambda group: abs(group[0][0].score))
        verb = "stands" if sum(len(group) for group, _, _ in groups) == 1 else "stand"
        median = float(np.median(all_norms))
        return (
            f"{many} {verb} out: {noun} {one[0].index} has norm {number(one[0].norm)}, the median is {number(median)}"
        )
    (top,) = strongest(matrix, 1)
    return (
        f"No row or column stands out; the strongest weight is {number(top.value)} (row {top.row}, column {top.column})"
    )


def draw(matrix: Matrix, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    rows, columns = len(matrix.norms.rows), len(matrix.norms.columns)
    height = float(np.clip(5.6 * rows / columns, 1.6, 5.6))
    figure = style.new_figure(theme, 7.6, height + 3.1)
    grid = figure.add_gridspec(2, 2, width_ratios=[6, 1], height_ratios=[0.8, height])
    heat = figure.add_subplot(grid[1, 0])
    above = figure.add_subplot(grid[0, 0], sharex=heat)
    beside = figure.add_subplot(grid[1, 1], sharey=heat)
    image = _draw_cells(heat, matrix, theme)
    _draw_norms(above, beside, matrix, theme)
    corner = figure.add_subplot(grid[0, 1])
    corner.set_axis_off()
    handles, names = heat.get_legend_handles_labels()
    if handles:
        style.legend(
            corner,
            theme,
            handles=handles,
            labels=names,
            loc="center",
            bbox_to_anchor=(0.5, 0.5),
            ncols=1,
            handlelength=1,
        )
    style.dress(heat, theme, "column (input)", "row (neuron)", grid=None)
    style.whole_numbers(heat, "x", columns)
    style.whole_numbers(heat, "y", rows)
    if matrix.limit:
        _draw_scale(figure, heat, image, matrix, theme)
    style.finish(figure, theme, matrix.title, matrix.subtitle, _notes(matrix))
    return figure


def _draw_scale(figure: "Figure", heat: "Axes", image: Any, matrix: Matrix, theme: Theme) -> None:
    text = f"weight; colors end at \N{PLUS-MINUS SIGN}{number(matrix.limit)}"
    if matrix.clipped:
        text += f", {percent(matrix.clipped)} of the cells lie beyond"
    extend = "both" if matrix.clipped else "neither"
    layout = {"location": "bottom", "fraction": 0.2, "aspect": 45, "pad": 0.02, "shrink": 0.9}
    style.colorbar(figure, image, heat, theme, text, extend=extend, **layout)


def _notes(matrix: Matrix) -> list[str]:
    height, width = matrix.cells.block
    if (height, width) == (1, 1):
        return []
    block = f"{height:,} \N{MULTIPLICATION SIGN} {width:,}"
    return [f"Each cell shows the weight of largest magnitude in its block of up to {block} weights."]


def _draw_cells(axes: "Axes", matrix: Matrix, theme: Theme) -> Any:
    from matplotlib.colors import ListedColormap

    cells = matrix.cells
    extent = (-0.5, len(matrix.norms.columns) - 0.5, len(matrix.norms.rows) - 0.5, -0.5)
    shape = {"extent": extent, "aspect": "auto", "interpolation": "nearest"}
    values = np.ma.masked_invalid(cells.values)
    image = axes.imshow(values, cmap=style.diverging(theme), vmin=-matrix.limit or -1, vmax=matrix.limit or 1, **shape)  # type: ignore[arg-type]
    layers = [(cells.zero, theme.zero, "exactly zero", matrix.zeros >= SPARSE)]
    layers.append((cells.non_finite, theme.alarm, "NaN or Inf", True))
    for mask, color, text, wanted in layers:
        if wanted and mask.any():
            axes.imshow(np.ma.masked_where(~mask, mask), cmap=ListedColormap([color]), **shape)  # type: ignore[arg-type]
            axes.plot([], [], "s", color=color, markersize=8, label=text)
    broken = np.argwhere(cells.non_finite)
    if 0 < len(broken) <= RINGS:  # single cells of a large matrix are too small to be seen
        y, x = ((edges[:-1] + edges[1:] - 1) / 2 for edges in (cells.row_edges, cells.column_edges))
        axes.plot(x[broken[:, 1]], y[broken[:, 0]], "o", color=theme.alarm, markersize=10, fillstyle="none")
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    return image


def _draw_norms(above: "Axes", beside: "Axes", matrix: Matrix, theme: Theme) -> None:
    """Row norms at the right and column norms on top, those that stand out marked."""
    style.dress(above, theme, y="column\nnorm", grid="y")
    style.dress(beside, theme, x="row norm", grid="x")
    for axes, norms_, outliers, edges, across in (
        (above, matrix.norms.columns, matrix.columns, matrix.cells.column_edges, False),
        (beside, matrix.norms.rows, matrix.rows, matrix.cells.row_edges, True),
    ):
        finite = np.where(np.isfinite(norms_), norms_, 0.0)
        # Smallest and largest norm in each cell: thousands of rows become a band, and no spike is lost.
        high = np.maximum.reduceat(finite, edges[:-1])
        low = np.minimum.reduceat(finite, edges[:-1])
        places = (edges - 0.5).astype(np.float64)
        orientation: Literal["horizontal", "vertical"] = "horizontal" if across else "vertical"
        axes.stairs(high, places, baseline=0, fill=True, color=theme.muted, alpha=0.35, orientation=orientation)
        axes.stairs(low, places, baseline=0, fill=True, color=theme.muted, alpha=0.55, orientation=orientation)
        points = np.array([(one.index, one.norm) for one in outliers if np.isfinite(one.norm)]).reshape(-1, 2)
        x, y = (points[:, 1], points[:, 0]) if across else (points[:, 0], points[:, 1])
        if len(points):  # an empty line that is not clipped would count as a mark at the figure's corner
            axes.plot(x, y, "o", color=theme.validation, markersize=3.5, clip_on=False)
        top = float(finite.max(initial=0.0)) * 1.08 or 1.0
        (axes.set_xlim if across else axes.set_ylim)(0, top)
        axes.tick_params(labelleft=not across, labelbottom=across)
        style.plain_numbers(axes, "x" if across else "y", few=True)
