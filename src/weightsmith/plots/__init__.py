"""Pictures of runs and weights in matplotlib."""

from weightsmith.plots.catalog import ALIASES, PLOTS, PlotInfo
from weightsmith.plots.render import FORMATS, Drawn, Pictures, draw, plot_run, plot_source, save
from weightsmith.plots.style import THEMES
from weightsmith.plots.subject import NothingToDrawError

__all__ = [
    "ALIASES",
    "FORMATS",
    "PLOTS",
    "THEMES",
    "Drawn",
    "NothingToDrawError",
    "Pictures",
    "PlotInfo",
    "draw",
    "plot_run",
    "plot_source",
    "save",
]
