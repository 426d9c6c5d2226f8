"""The neurons of a layer as points in two or three dimensions, similar ones together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import Alike, Embedding, near_duplicates, neurons, norms, pca, tsne, umap
from weightsmith.errors import InputError
from weightsmith.names import choose
from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent, shown
from weightsmith.plots.subject import NothingToDrawError, matrices, shape_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

METHODS = ("tsne", "pca", "umap")
DIMENSIONS = (2, 3)
COLORS = ("norm", "sign", "output")
LABELED = 14

FEW = 100
"""Neurons below which colors span all norms."""

CLIP = 0.99
"""Quantile of the norms at which the colors end; they begin at its counterpart."""


@dataclass(frozen=True)
class Neurons:
    """What the picture shows.

    Attributes:
        layout: the points.
        norms: float64[k], the norm of each neuron's weights; the size of its dot.
        color: `norm`, `sign` (mean sign of its weights) or `output` (the output that it feeds most).
        shades: float64[k], what the color stands for: the norm, the mean sign, or the index of the output.
        labeled: indices into the points of those that get their row number: furthest from the median in norm.
    """

    title: str
    subtitle: str
    layout: Embedding
    norms: NDArray[np.float64]
    color: str
    shades: NDArray[np.float64]
    labeled: NDArray[np.int64]


def summarize(
    source: "Source",
    name: str,
    *,
    method: Literal["tsne", "pca", "umap"] = "tsne",
    dimensions: int = 2,
    color: Literal["norm", "sign", "output"] = "norm",
    perplexity: float | None = None,
    seed: int = 0,
    limit: int = 2000,
    time_limit: float | None = 60.0,
    progress: Callable[[int, int], None] | None = None,
) -> Neurons:
    """Lay out the rows of one weight of a source.

    Args:
        source: holds the weight, and the next one where `color` is `output`.
        name: of the weight.
        method: `tsne`, `pca` or `umap` (needs the extra `umap`).
        dimensions: 2, or 3 for a view of three.
        color: `norm`, `sign`, or `output`: the row of the next matrix in the source that takes the neuron in most
            strongly (for the last hidden layer of a classifier: its class).
        perplexity: of the t-SNE; see `weightsmith.analysis.tsne`.
        seed: of the layout.
        limit: of a layer with more neurons, that many evenly spaced ones are shown.
        time_limit: seconds for the t-SNE.
        progress: called with the iterations done and their total.

    Raises:
        MissingExtraError: a UMAP without umap-learn.
        InputError: an unknown method, color or number of dimensions, or no next matrix that takes in as many inputs
            as there are neurons.
        NothingToDrawError: fewer than two rows that are finite.
    """
    choose(method, METHODS, "method")
    choose(color, COLORS, "color")
    if dimensions not in DIMENSIONS:
        raise InputError(f"a picture shows 2 or 3 dimensions, not {dimensions}")
    weight = source[name]
    matrix = neurons(weight)
    outgoing = _next_matrix(source, name, matrix.shape[0]) if color == "output" else None
    if method == "pca":
        layout = pca(matrix, dimensions, seed=seed, limit=limit)
    elif method == "umap":
        layout = umap(matrix, dimensions, seed=seed, limit=limit)
    else:
        layout = tsne(
            matrix,
            dimensions,
            perplexity=perplexity,
            seed=seed,
            limit=limit,
            time_limit=time_limit,
            progress=progress,
        )
    return of(matrix, layout, name, shape_line(source.label, name, weight.shape), color, outgoing)


def _next_matrix(source: "Source", name: str, count: int) -> NDArray[Any]:
    names = [info.name for info in matrices(source.infos)]
    for later in names[names.index(name) + 1 :] if name in names else ():
        following = neurons(source[later])
        if len(source[later].shape) == 2 and following.shape[1] == count:
            return following
        break
    raise NothingToDrawError(f"no matrix after {shown(name)} takes in its {count} outputs: color by norm or sign")


def of(
    matrix: NDArray[Any],
    layout: Embedding,
    name: str,
    subtitle: str,
    color: str = "norm",
    outgoing: NDArray[Any] | None = None,
) -> Neurons:
    """Join the points with what their size, color and labels say."""
    if len(layout.indices) < 2:
        raise NothingToDrawError(f"{shown(name)} has fewer than two finite rows to lay out")
    rows = np.asarray(matrix[layout.indices])
    lengths = norms(rows).rows
    if color == "output":
        assert outgoing is not None
        strength = np.abs(np.nan_to_num(outgoing.astype(np.float64), posinf=0.0, neginf=0.0))
        shades = np.argmax(strength[:, layout.indices], axis=0).astype(np.float64)
    else:
        shades = lengths if color == "norm" else np.sign(rows.astype(np.float64)).mean(axis=1)
    unusual = np.argsort(-np.abs(lengths - np.median(lengths)), kind="stable")[:LABELED]
    alike = near_duplicates(rows, 0.99, time_limit=10.0)
    title = _sentence(layout, alike, name)
    how: str = layout.method
    if layout.perplexity is not None:
        how += f", {'perplexity' if how == 't-SNE' else 'neighbors'} {number(layout.perplexity)}"
    return Neurons(title, f"{subtitle} \N{MIDDLE DOT} {how}", layout, lengths, color, shades, np.sort(unusual))


def _sentence(layout: Embedding, alike: Alike, name: str) -> str:
    who = f"{count_of(len(layout.indices), 'neuron')} of {shown(name, 30)}"
    if alike.count:
        verb = "is a near-duplicate" if alike.count == 1 else "are near-duplicates"
        return f"{who}: {count_of(alike.count, 'pair')} {verb} (cosine 0.99 and up)"
    if alike.closest is None:
        return f"{who}, all zero"
    return f"{who}, no two alike: the closest have a cosine of {number(round(alike.closest.similarity, 2))}"


def draw(neurons: Neurons, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    figure = style.new_figure(theme, 7.6, 6.6)
    solid = neurons.layout.points.shape[1] == 3
    axes: Any = figure.add_subplot(projection="3d" if solid else None)
    # One neuron of many times the usual norm must not shrink all others to points of one color.
    largest = float(np.quantile(neurons.norms, CLIP)) or float(neurons.norms.max()) or 1.0
    base = float(np.clip(9000 / len(neurons.layout.points), 6, 90))
    sizes = base * (0.25 + 0.75 * np.square(np.minimum(neurons.norms / largest, 1.5)))
    (_dress_solid if solid else _dress_plane)(axes, neurons.layout, theme)
    if neurons.color == "output":
        _by_output(axes, neurons, sizes, theme)
    else:
        _by_value(figure, axes, neurons, sizes, theme)
    if not solid:  # numbers would float in front of dots that they do not belong to
        _label_points(axes, neurons, sizes, theme)
    style.finish(figure, theme, neurons.title, neurons.subtitle, _notes(neurons.layout))
    return figure


def _dress_plane(axes: "Axes", layout: Embedding, theme: Theme) -> None:
    style.dress(axes, theme, grid=None)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.07)
    if layout.method == "PCA":
        for axis, share in zip((axes.xaxis, axes.yaxis), layout.explained, strict=False):
            axis.set_label_text(f"{percent(share)} of the variance")
    else:  # the axes of a t-SNE have no unit and no meaning
        for side in axes.spines.values():
            side.set_visible(True)
            side.set_color(theme.grid)
    axes.set_xticks([])
    axes.set_yticks([])


def _dress_solid(axes: Any, layout: Embedding, theme: Theme) -> None:
    """Three axes in the theme's colors, all on one scale."""
    axes.set_facecolor(theme.background)
    axes.set_proj_type("ortho")
    axes.set_box_aspect(None, zoom=1.05)
    for i, axis in enumerate((axes.xaxis, axes.yaxis, axes.zaxis)):
        axis.set_pane_color((0, 0, 0, 0))
        axis.pane.set_edgecolor(theme.grid)
        axis.line.set_color(theme.muted)
        axis.labelpad = -8
        axis.set_ticks([])
        if layout.method == "PCA":
            axis.set_label_text(
                f"{percent(layout.explained[i])} of the variance", fontsize=8.5, color=theme.text, family=style.FONT
            )
    middle = (layout.points.max(axis=0) + layout.points.min(axis=0)) / 2
    reach = 0.52 * float(np.ptp(layout.points, axis=0).max()) or 1.0
    for limits, center in zip((axes.set_xlim, axes.set_ylim, axes.set_zlim), middle, strict=True):
        limits(center - reach, center + reach)


def _by_value(figure: "Figure", axes: Any, neurons: Neurons, sizes: NDArray[np.float64], theme: Theme) -> None:
    from matplotlib import colormaps

    clip = 1.0 if len(neurons.shades) < FEW else CLIP
    low, high = (float(np.quantile(neurons.shades, share)) for share in (1 - clip, clip))
    options: dict[str, Any] = {"cmap": colormaps["viridis"], "vmin": low, "vmax": high}
    beyond = "neither" if clip == 1 else "both"
    text = "norm of the neuron's weights"
    if neurons.color == "sign":
        reach = float(np.abs(neurons.shades).max()) or 1.0
        options = {"cmap": style.diverging(theme), "vmin": -reach, "vmax": reach}
        beyond = "neither"
        text = "mean sign of the neuron's weights"
    dots = axes.scatter(
        *neurons.layout.points.T,
        s=sizes,
        c=neurons.shades,
        **options,
        edgecolors=theme.muted,
        linewidths=0.4,
        alpha=0.95,
    )
    pad = 0.02 if neurons.layout.points.shape[1] == 2 else 0.1
    style.colorbar(figure, dots, axes, theme, text, shrink=0.6, pad=pad, aspect=24, extend=beyond)


def _by_output(axes: Any, neurons: Neurons, sizes: NDArray[np.float64], theme: Theme) -> None:
    """One color for each output that most neurons feed; with more outputs than colors, the rest in gray."""
    outputs, counts = np.unique(neurons.shades, return_counts=True)
    room = 10
    often = outputs[np.argsort(-counts, kind="stable")][:room]
    colors = style.categories(theme, room)
    rest = ~np.isin(neurons.shades, often)
    groups = [(neurons.shades == one, colors[i], f"{one:.0f}") for i, one in enumerate(np.sort(often))]
    if rest.any():
        groups.append((rest, theme.zero, "other"))
    for mask, color, text in groups:
        points = neurons.layout.points[mask]
        axes.scatter(
            *points.T,
            s=sizes[mask],
            color=color,
            edgecolors=theme.background,
            linewidths=0.4,
            label=text,
        )
    style.legend(
        axes, theme, loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=1, title="feeds output", markerscale=1.0
    )


def _label_points(axes: "Axes", neurons: Neurons, sizes: NDArray[np.float64], theme: Theme) -> None:
    """Row numbers beside their dots, on the side where they hide no other dot or number; left out where none is."""
    points = neurons.layout.points
    span = float(np.ptp(points, axis=0).max()) or 1.0
    taken = [points / span]
    for i in neurons.labeled:
        text = str(neurons.layout.indices[i])
        half = np.array([0.006 * len(text) + 0.004, 0.012])  # half the size of the number, in spans
        for side in (np.array([1, 0]), np.array([-1, 0]), np.array([0, 1]), np.array([0, -1])):
            middle = points[i] / span + side * (half + 0.012)
            others = np.concatenate([np.delete(taken[0], i, axis=0), *taken[1:]])
            if not (np.abs(others - middle) < half + 0.01).all(axis=1).any():
                taken.append(middle[None] + np.outer([-1.0, 0.0, 1.0], [half[0], 0.0]))
                gap = float(np.sqrt(sizes[i])) / 2 + 1.5
                axes.annotate(
                    text,
                    points[i],
                    tuple(side * gap),
                    textcoords="offset points",
                    ha=("right", "center", "left")[side[0] + 1],
                    va=("top", "center", "bottom")[side[1] + 1],
                    fontsize=7.5,
                    family=style.FONT,
                    color=theme.text,
                )
                break


def _notes(layout: Embedding) -> list[str]:
    notes = ["Dots: neurons, larger with larger norm."]
    if layout.points.shape[1] == 2:
        notes = ["Dots: neurons, larger with larger norm; numbers: rows whose norm differs most from the median."]
    if layout.method != "PCA":
        notes.append("Neighbors mean something here; distances between groups and their sizes do not.")
    sampled = layout.total - len(layout.indices) - len(layout.left_out)
    if sampled > 0:
        notes.append(f"{len(layout.indices):,} of {layout.total:,} rows shown, evenly spaced.")
    if len(layout.left_out):
        notes.append(f"{count_of(len(layout.left_out), 'row')} with NaN or Inf left out.")
    if not layout.finished:
        notes.append("Ended by its time limit: neighborhoods are not final.")
    return notes
