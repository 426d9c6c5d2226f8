"""How far each layer moves at each step, relative to its size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from weightsmith.names import Patterns
from weightsmith.plots import style
from weightsmith.plots.heat import draw_heat, frame
from weightsmith.plots.style import Theme, count_of, number, shown
from weightsmith.plots.subject import NothingToDrawError, chosen, run_line
from weightsmith.plots.thinning import LayerHeat, layer_heat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.store import Run

USUAL = (3e-4, 3e-3)
"""Around 1e-3 is the rule of thumb for the ratio of update to weight (Karpathy, CS231n notes, 2015); half a decade to
either side counts as usual here. Far outside of it is for the rules to judge."""


@dataclass(frozen=True)
class Updates:
    """What the picture shows: the update-to-weight ratio of each layer, and its median over the run as `typical`."""

    title: str
    subtitle: str
    heat: LayerHeat
    typical: tuple[float, ...]


def summarize(run: "Run", include: Patterns | None = None) -> Updates:
    """Collect the update-to-weight ratios of the weights that match (by default all matrices).

    Raises:
        NothingToDrawError: where none was recorded.
    """
    heat = layer_heat(run, "update_ratio", chosen(run, include))
    if heat is None:
        raise NothingToDrawError(f"run {run.id} has recorded no update_ratio")
    # The first steps are large in any healthy run, so they do not count.
    later = heat.values[:, heat.values.shape[1] // 10 :]
    typical = [float(np.median(row[np.isfinite(row)])) if np.isfinite(row).any() else np.nan for row in later]
    return Updates(_sentence(heat.names, typical), run_line(run), heat, tuple(typical))


def _sentence(names: Sequence[str], typical: Sequence[float]) -> str:
    ratios = np.array(typical)
    if np.isnan(ratios).all():
        return "No finite update was recorded"
    low, high = ratios < USUAL[0], ratios > USUAL[1]
    parts = []
    for outside, how, extreme in ((high, "more", np.nanargmax(ratios)), (low, "less", np.nanargmin(ratios))):
        if outside.any():
            example = f"{shown(names[int(extreme)], 30)} by {number(ratios[extreme])}"
            verb = "moves" if outside.sum() == 1 else "move"
            parts.append(
                f"{outside.sum()} of {count_of(len(names), 'layer')} {verb} {how} than usual ({example} a step)"
            )
    if parts:
        return "; ".join(parts)
    if len(names) == 1:
        return f"{shown(names[0])} moves at the usual pace: {number(ratios[0])} of its norm a step"
    span = f"between {number(np.nanmin(ratios))} and {number(np.nanmax(ratios))} of their norm a step"
    return f"All {len(names)} layers move at the usual pace, {span}"


def draw(updates: Updates, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    figure, axes = frame(theme, len(updates.heat.names))
    bar = draw_heat(figure, axes, updates.heat, theme, style.diverging(theme), (1e-6, 1), "update / weight, norms")
    # A bracket beside the scale, where it hides no color.
    bar.ax.plot([-0.45, -0.45], USUAL, color=theme.accent, linewidth=3, clip_on=False, solid_capstyle="butt")
    style.label(bar.ax, -0.9, 1e-3, "usual", theme.accent, 7.5, ha="right", va="center", rotation=90)
    style.finish(
        figure,
        theme,
        updates.title,
        updates.subtitle,
        [
            "Each cell: median of its steps. Without color: about 0.001, as usual. Blue: moves less. Orange: more.",
            "A learning rate that decays to zero ends in blue, as it should.",
        ],
    )
    return figure
