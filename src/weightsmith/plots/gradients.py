"""Size of the gradient of each layer over the steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from weightsmith.names import Patterns
from weightsmith.plots import style
from weightsmith.plots.heat import draw_heat, frame
from weightsmith.plots.style import Theme, number, shown
from weightsmith.plots.subject import NothingToDrawError, chosen, run_line
from weightsmith.plots.thinning import Band, LayerHeat, band, layer_heat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.store import Run


@dataclass(frozen=True)
class Gradients:
    """What the picture shows.

    Attributes:
        heat: gradient norm of each layer.
        total: gradient norm of the whole model, or None where it was not recorded.
        limits: smallest and largest norm on the color scale.
    """

    title: str
    subtitle: str
    heat: LayerHeat
    total: Band | None
    limits: tuple[float, float]


def summarize(run: "Run", include: Patterns | None = None) -> Gradients:
    """Collect the gradient norms of the weights that match (by default all matrices).

    Raises:
        NothingToDrawError: where none was recorded.
    """
    heat = layer_heat(run, "gradient_norm", chosen(run, include))
    if heat is None:
        raise NothingToDrawError(f"run {run.id} has recorded no gradient_norm of a weight")
    whole = run.series("gradient_norm")
    total = band(whole.steps, whole.values) if len(whole) else None
    return Gradients(_sentence(heat), run_line(run), heat, total if total and len(total.steps) else None, _limits(heat))


def _limits(heat: LayerHeat) -> tuple[float, float]:
    positive = heat.values[np.isfinite(heat.values) & (heat.values > 0)]
    if not len(positive):
        return 1e-8, 1.0
    low, high = np.quantile(positive, [0.01, 0.99])
    return float(low), float(max(high, 1.01 * low))


def _sentence(heat: LayerHeat) -> str:
    if heat.broken.any():
        row, column = np.argwhere(heat.broken)[np.argmin(np.argwhere(heat.broken)[:, 1])]
        step = max(0, round(float(heat.edges[column])))
        return f"The gradient of {shown(heat.names[row])} became NaN or infinite around step {step:,}"
    if not (heat.values > 0).any():
        return "Every recorded gradient is zero"
    # Medians over the whole run: single steps say little about how gradients pass through the layers.
    typical = np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in heat.values])
    if len(typical) == 1:
        return f"The gradient of {shown(heat.names[0])} has a typical norm of {number(typical[0])}"
    large, small = int(np.nanargmax(typical)), int(np.nanargmin(typical))
    if typical[small] == 0:
        return f"The gradient of {shown(heat.names[small])} is zero in at least half of the steps"
    ratio = typical[large] / typical[small]
    if ratio < 10:
        return f"Gradients are alike in all {len(typical)} layers: typical norms within a factor of {number(ratio)}"
    pair = f"{shown(heat.names[small])} gets {number(ratio)} times less gradient than {shown(heat.names[large])}"
    return (
        f"Gradients vanish toward the input: {pair}" if small < large and ratio > 1000 else f"Gradients differ: {pair}"
    )


def draw(gradients: Gradients, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    from matplotlib import colormaps

    total = gradients.total
    if total is None:
        figure, axes = frame(theme, len(gradients.heat.names))
    else:
        figure, (top, axes) = frame(theme, len(gradients.heat.names), above=1.2)
        style.dress(top, theme, y="whole\nmodel")
        top.fill_between(total.steps, total.low, total.high, color=theme.training, alpha=0.2, linewidth=0)
        top.plot(total.steps, total.middle, color=theme.training, linewidth=1.3)
        if (total.low > 0).all():
            top.set_yscale("log")
        style.plain_numbers(top, "y")
    draw_heat(figure, axes, gradients.heat, theme, colormaps["cividis"], gradients.limits, "gradient norm")
    style.finish(figure, theme, gradients.title, gradients.subtitle, ["Each cell: median of its steps."])
    return figure
