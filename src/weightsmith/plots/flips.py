"""How many weights of two or three values flip at each step, by layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from weightsmith.names import Patterns
from weightsmith.plots import style
from weightsmith.plots.heat import draw_heat, frame
from weightsmith.plots.style import Theme, percent, shown
from weightsmith.plots.subject import NothingToDrawError, chosen, run_line
from weightsmith.plots.thinning import LayerHeat, layer_heat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.store import Run

END = 10
"""The last of so many parts of the steps counts as the end."""

LIMITS = (1e-5, 1e-1)


@dataclass(frozen=True)
class Flips:
    """What the picture shows.

    Attributes:
        heat: share of values that flip in a step, by layer and step.
        oscillating: share of each layer's values that flip back and forth at the end; NaN where it was not recorded.
    """

    title: str
    subtitle: str
    heat: LayerHeat
    oscillating: tuple[float, ...]


def summarize(run: "Run", include: Patterns | None = None) -> Flips:
    """Collect the flip rates of the binary and ternary weights that match (by default all matrices).

    Raises:
        NothingToDrawError: where none was recorded.
    """
    heat = layer_heat(run, "flip_rate", chosen(run, include))
    if heat is None:
        raise NothingToDrawError(f"run {run.id} has recorded no flip_rate: it has no binary or ternary weights")
    oscillating = []
    for name in heat.names:
        values = run.series("oscillating", name).values
        oscillating.append(float(np.median(values[-max(len(values) // END, 1) :])) if len(values) else np.nan)
    return Flips(_sentence(heat), run_line(run), heat, tuple(oscillating))


def _sentence(heat: LayerHeat) -> str:
    part = max(heat.values.shape[1] // END, 1)
    late = np.nanmedian(heat.values[:, -part:], axis=1)
    first, last = float(np.nanmax(heat.values)), float(np.nanmax(late))
    if first == 0:
        return "No value flips at any measured step"
    if last == 0:
        return f"The values settle: up to {percent(first)} of a layer flip in a step, none at the end"
    if last < LIMITS[0]:
        return f"The values settle: up to {percent(first)} of a layer flip in a step, hardly any at the end"
    worst = shown(heat.names[int(np.nanargmax(late))], 30)
    verb = "settle" if last < 0.1 * first else "do not settle"
    return f"The values {verb}: at the end up to {percent(last)} of a layer flip in a step ({worst})"


def draw(flips: Flips, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    from matplotlib import colormaps

    names = flips.heat.names
    figure, axes = frame(theme, len(names))
    draw_heat(figure, axes, flips.heat, theme, colormaps["cividis"], LIMITS, "share that flips in a step")
    worst = np.nan_to_num(np.array(flips.oscillating), nan=-1.0)
    notes = [
        "Each cell: median of its steps; of the values that the model uses, not of the latent weights behind them."
    ]
    if worst.max() > 0:
        layer = shown(names[int(worst.argmax())], 30)
        notes.append(f"At the end up to {percent(float(worst.max()))} of a layer flip back again and again ({layer}).")
    elif worst.max() == 0:
        notes.append("At the end no value flips back again and again.")
    style.finish(figure, theme, flips.title, flips.subtitle, notes)
    return figure
