"""Share of exact zeros in each layer over the steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from weightsmith.names import Patterns
from weightsmith.plots import style
from weightsmith.plots.style import Theme, percent, shown
from weightsmith.plots.subject import NothingToDrawError, chosen, run_line
from weightsmith.plots.thinning import Band, band

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.store import Run


@dataclass(frozen=True)
class Layer:
    """One line of the picture: a weight, its share of zeros over the steps, and its number of elements."""

    name: str
    zeros: Band
    size: int


@dataclass(frozen=True)
class Sparsity:
    """What the picture shows; `overall` is the share of zeros at the end, over all elements of the layers."""

    title: str
    subtitle: str
    layers: tuple[Layer, ...]
    overall: float


def summarize(run: "Run", include: Patterns | None = None) -> Sparsity:
    """Collect the shares of exact zeros of the weights that match (by default all matrices).

    Raises:
        NothingToDrawError: where none was recorded, or where no weight ever holds a zero.
    """
    sizes = {info.name: info.size for info in run.weights}
    found = [(name, run.series("zeros", name)) for name in chosen(run, include)]
    layers = tuple(
        Layer(name, thinned, sizes[name]) for name, one in found if len((thinned := band(one.steps, one.values)).steps)
    )
    if not layers:
        raise NothingToDrawError(f"run {run.id} has recorded no share of zeros")
    if not any(layer.zeros.high.any() for layer in layers):
        raise NothingToDrawError(f"no weight of run {run.id} is exactly zero at any step")
    elements = sum(layer.size for layer in layers)
    overall = sum(layer.zeros.middle[-1] * layer.size for layer in layers) / elements
    emptiest = max(layers, key=lambda layer: layer.zeros.middle[-1])
    title = f"{percent(overall)} of {elements:,} weights are exactly zero"
    if len(layers) > 1:
        title += f"; most in {shown(emptiest.name)} ({percent(float(emptiest.zeros.middle[-1]))})"
    return Sparsity(title, run_line(run, "at the last step"), layers, float(overall))


def draw(sparsity: Sparsity, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    from matplotlib.ticker import FuncFormatter

    figure = style.new_figure(theme, 7.6, 4.4)
    axes = figure.subplots()
    style.dress(axes, theme, "step", "share of exact zeros")
    layers = sparsity.layers
    colors = theme.palette if len(layers) <= len(theme.palette) else style.by_depth(theme, len(layers))
    for layer, color in zip(layers, colors, strict=False):
        alone = len(layer.zeros.steps) == 1
        axes.plot(layer.zeros.steps, layer.zeros.middle, color=color, linewidth=1.8, marker="o" if alone else "")
    top = max(float(layer.zeros.high.max()) for layer in layers)
    axes.set_ylim(-0.02 * top, min(1.05 * top, 1.02))
    style.plain_numbers(axes, "x")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: percent(share) if share <= 1 else ""))
    axes.margins(x=0.005)
    ends = [float(layer.zeros.middle[-1]) for layer in layers]
    style.name_ends(axes, [layer.name for layer in layers], ends, colors)
    style.finish(figure, theme, sparsity.title, sparsity.subtitle)
    return figure
