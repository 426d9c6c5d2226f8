"""How the values of each layer spread over training: one ridge for each recorded step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from weightsmith.names import Patterns
from weightsmith.plots import style
from weightsmith.plots.histogram import value_edges, without_zeros
from weightsmith.plots.style import Theme, number, percent, shown
from weightsmith.plots.subject import NothingToDrawError, chosen, run_line
from weightsmith.plots.thinning import evenly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.sketch import Sketch
    from weightsmith.store import Run

LAYERS = 9
RIDGES = 14
OVERLAP = 3.0
"""Height of the tallest ridge in steps between ridges."""


@dataclass(frozen=True)
class Ridges:
    """One panel: the distribution of one weight over time.

    Attributes:
        name: of the weight.
        steps: int64[t], ascending.
        edges: float64[bins + 1], the same for all steps.
        density: float64[t, bins], share of the values in each bin; exact zeros are left out.
        zeros: float64[t], share of exact zeros.
        non_finite: int64[t], number of NaN and Inf.
        scaled: whether each ridge is scaled to its own peak, as the peaks differ too much for one scale.
        std: float64[t], standard deviation.
    """

    name: str
    steps: NDArray[np.int64]
    edges: NDArray[np.float64]
    density: NDArray[np.float64]
    zeros: NDArray[np.float64]
    non_finite: NDArray[np.int64]
    scaled: bool
    std: NDArray[np.float64]


@dataclass(frozen=True)
class Histograms:
    """What the picture shows; `left_out` counts the layers with sketches that found no room."""

    title: str
    subtitle: str
    panels: tuple[Ridges, ...]
    left_out: int
    thinned: bool


def summarize(
    run: "Run", include: Patterns | None = None, quantity: Literal["weight", "gradient"] = "weight"
) -> Histograms:
    """Collect the sketches of the weights that match (by default all matrices).

    At most nine layers and fourteen steps each, evenly chosen with the first and the last among them.

    Raises:
        NothingToDrawError: where none was recorded.
    """
    names = chosen(run, include)
    recorded = {weight for name, weight in run.series_names() if weight is not None}
    panels: list[Ridges] = []
    thinned = False
    wanted = evenly(names, LAYERS)
    for name in wanted:
        found = run.sketches(name, quantity)
        if found:
            panels.append(ridges(name, evenly(found, RIDGES)))
            thinned |= len(found) > RIDGES
    if not panels:
        raise NothingToDrawError(f"run {run.id} has recorded no sketch of a {quantity}" + _hint(recorded))
    what = "weights" if quantity == "weight" else "gradients"
    line = run_line(run, f"distribution of the {what} over training")
    return Histograms(_sentence(panels, what), line, tuple(panels), len(names) - len(wanted), thinned)


def _hint(recorded: set[str]) -> str:
    return ", only numbers about its weights" if recorded else ""


def ridges(name: str, found: "Sequence[tuple[int, Sketch]]") -> Ridges:
    """The panel of one weight from its sketches by step."""
    sketches = [sketch for _, sketch in found]
    filled = [sketch for sketch in sketches if sketch.finite]
    edges = value_edges(filled) if filled else np.linspace(-1, 1, 21)
    counts = np.array([without_zeros(sketch, edges) for sketch in sketches])
    finite = np.array([sketch.finite for sketch in sketches], dtype=np.float64)
    density = counts / np.maximum(finite, 1)[:, None]
    peaks = density.max(axis=1)
    peaks = peaks[peaks > 0]
    return Ridges(
        name,
        np.array([step for step, _ in found], dtype=np.int64),
        edges,
        density,
        np.array([sketch.zeros / max(1, sketch.count) for sketch in sketches]),
        np.array([sketch.non_finite for sketch in sketches], dtype=np.int64),
        bool(len(peaks) and peaks.max() > 8 * peaks.min()),
        np.array([sketch.std for sketch in sketches]),
    )


def _sentence(panels: Sequence[Ridges], what: str) -> str:
    for panel in panels:
        if panel.non_finite.any():
            at = int(panel.steps[np.argmax(panel.non_finite > 0)])
            return f"{shown(panel.name)} holds NaN or infinite values from step {at:,}"
    changes = {}
    for panel in panels:
        if len(panel.steps) > 1 and panel.std[0] > 0 and panel.std[-1] > 0:
            changes[panel.name] = float(panel.std[-1] / panel.std[0])
    if not changes:
        return f"Distribution of the {what}: too few steps to compare"
    name = max(changes, key=lambda one: abs(np.log(changes[one])))
    ratio = changes[name]
    if abs(np.log(ratio)) < np.log(1.1):
        return f"The spread of the {what} stayed within {percent(0.1)} in every layer"
    if ratio > 1:
        return f"{shown(name)} spread the most: to {number(ratio)} times its first standard deviation"
    return f"{shown(name)} shrank the most: to {percent(ratio)} of its first standard deviation"


def draw(histograms: Histograms, theme: Theme) -> "Figure":
    """Draw what `summarize` found, time running upward."""
    count = len(histograms.panels)
    columns = min(3, count) if count != 4 else 2
    rows = -(-count // columns)
    width = 7.6 if columns < 3 else 10.5
    figure = style.new_figure(theme, width, rows * (4.2 if rows == 1 else 3.3) + 1.2)
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < count:
            _draw_ridges(axes, histograms.panels[place], theme, place % columns == 0)
        else:
            axes.set_axis_off()
    style.finish(figure, theme, histograms.title, histograms.subtitle, _notes(histograms))
    return figure


def _draw_ridges(axes: "Axes", panel: Ridges, theme: Theme, first: bool) -> None:
    style.dress(axes, theme, "value", "step (time runs upward)" if first else "", grid="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(
        shown(panel.name, 36), loc="left", fontsize=9.5, color=theme.text, family=style.FONT, parse_math=False
    )
    tall = panel.density.max(axis=1, keepdims=True) if panel.scaled else panel.density.max()
    heights = OVERLAP * np.divide(panel.density, tall, out=np.zeros_like(panel.density), where=tall > 0)
    centers = (panel.edges[:-1] + panel.edges[1:]) / 2
    total = len(panel.steps)
    for row, color in zip(reversed(range(total)), reversed(style.by_depth(theme, total)), strict=True):
        # From the top down, so that earlier ridges stand before later ones.
        order = total - row
        axes.fill_between(centers, row, row + heights[row], color=color, alpha=0.85, linewidth=0, zorder=order)
        axes.plot(centers, row + heights[row], color=theme.background, linewidth=0.8, zorder=order)
        remark = _remark(panel, row)
        if remark:
            color = theme.alarm if panel.non_finite[row] else theme.muted
            axes.annotate(
                remark,
                (1.0, row),
                (0, 1.5),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=6.5,
                color=color,
                family=style.FONT,
                zorder=total + 1,
            )
    axes.set_yticks(range(total), [f"{step:,}" for step in panel.steps])
    axes.tick_params(axis="y", labelsize=7.5)
    axes.set_xlim(panel.edges[0], panel.edges[-1])
    axes.set_ylim(-0.15, total - 1 + OVERLAP * 1.05)
    style.plain_numbers(axes, "x", few=True)


def _remark(panel: Ridges, row: int) -> str:
    if panel.non_finite[row]:
        return f"{panel.non_finite[row]:,} NaN or Inf"
    return f"{percent(float(panel.zeros[row]))} zero" if panel.zeros[row] > 0.005 else ""


def _notes(histograms: Histograms) -> list[str]:
    notes = []
    if any(panel.zeros.max() > 0.005 for panel in histograms.panels):
        notes.append("Exact zeros are not in the ridges: their share stands at the right.")
    scaled = [shown(panel.name, 28) for panel in histograms.panels if panel.scaled]
    if scaled:
        notes.append(f"Each ridge is scaled to its own peak in {', '.join(scaled)}; elsewhere one scale for a layer.")
    else:
        notes.append("Heights compare within a layer.")
    if histograms.thinned:
        notes.append(f"Of all sketched steps {RIDGES} are shown, picked evenly from their list.")
    if histograms.left_out:
        notes.append(f"{histograms.left_out} further layers are not shown: name them to see them.")
    return notes
