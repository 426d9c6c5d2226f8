"""Layers by steps as a heat picture on a logarithmic color scale."""

from typing import TYPE_CHECKING, Any

import numpy as np

from weightsmith.plots import style
from weightsmith.plots.style import Theme
from weightsmith.plots.thinning import LayerHeat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def frame(theme: Theme, layers: int, above: float = 0.0) -> tuple["Figure", Any]:
    """A figure tall enough for that many layers, and its axes; with a panel `above` inches tall, an array of two."""
    height = float(np.clip(0.3 * layers, 1.6, 9.0))
    figure = style.new_figure(theme, 7.6, height + above + 1.7)
    if not above:
        return figure, figure.subplots()
    return figure, figure.subplots(2, 1, sharex=True, height_ratios=[above, height])


def draw_heat(
    figure: "Figure", axes: "Axes", heat: LayerHeat, theme: Theme, colors: Any, limits: tuple[float, float], text: str
) -> Any:
    """Draw the cells between the limits, first layer on top; returns the color bar.

    Zeros take the color of the lower limit; cells in which a value was NaN or Inf take the alarm color.
    """
    from matplotlib.colors import ListedColormap, LogNorm

    style.dress(axes, theme, "step", grid=None)
    rows = np.arange(len(heat.names) + 1)
    values = np.ma.masked_invalid(np.where(heat.values > 0, heat.values, np.where(heat.values == 0, limits[0], np.nan)))
    mesh = axes.pcolormesh(heat.edges, rows, values, cmap=colors, norm=LogNorm(*limits), rasterized=True)
    if heat.broken.any():
        broken = np.ma.masked_where(~heat.broken, np.ones(heat.values.shape))
        axes.pcolormesh(heat.edges, rows, broken, cmap=ListedColormap([theme.alarm]), rasterized=True)
        axes.plot([], [], "s", color=theme.alarm, label="NaN or Inf")
        style.legend(axes, theme)
    axes.set_ylim(len(heat.names), 0)
    style.tick_names(axes, "y", [row + 0.5 for row in range(len(heat.names))], heat.names, theme)
    style.plain_numbers(axes, "x")
    axes.set_xlim(heat.edges[0], heat.edges[-1])
    return style.colorbar(figure, mesh, axes, theme, text, extend="both", pad=0.02, aspect=18, fraction=0.06)
