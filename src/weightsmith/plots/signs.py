"""Binary and ternary weights by layer: the latent weights behind them, and how evenly their values are spread."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weightsmith.names import Patterns
from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent, shown
from weightsmith.plots.subject import NothingToDrawError, chosen, run_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.store import Run

BINS = 81
COLLAPSED = 0.05
"""Bits below which an output channel counts as holding one value."""


@dataclass(frozen=True)
class Layer:
    """One layer at the last recorded step.

    Attributes:
        name: the weight.
        latent: float64[bins], share of latent weights in each bin, or None where no sketch was recorded.
        near: share of latent weights within a tenth of their root mean square around 0, where they flip easily.
        entropy: bits over the whole weight.
        mean: bits of an output channel, on average.
        least: bits of the most uneven output channel.
    """

    name: str
    latent: NDArray[np.float64] | None
    near: float
    entropy: float
    mean: float
    least: float


@dataclass(frozen=True)
class Signs:
    """What the picture shows; `edges` float64[bins + 1] are of the latent weights, the same for all layers."""

    title: str
    subtitle: str
    layers: tuple[Layer, ...]
    edges: NDArray[np.float64]


def summarize(run: "Run", include: Patterns | None = None) -> Signs:
    """Collect entropies and latent weights of the binary and ternary weights that match (by default all matrices).

    Raises:
        NothingToDrawError: where none was recorded.
    """
    names = [name for name in chosen(run, include) if len(run.series("sign_entropy", name))]
    if not names:
        raise NothingToDrawError(f"run {run.id} has recorded no sign_entropy: it has no binary or ternary weights")
    sketches = {name: found[-1][1] for name in names if (found := run.sketches(name, "latent"))}
    wide = max((float(np.abs(sketch.quantile([0.001, 0.999])).max()) for sketch in sketches.values()), default=1.0)
    edges = np.linspace(-1.02 * wide, 1.02 * wide, BINS + 1)
    layers = []
    for name in names:
        numbers = [float(run.series(f"sign_entropy{which}", name).values[-1]) for which in ("", "_mean", "_least")]
        sketch = sketches.get(name)
        latent = None if sketch is None else np.asarray(sketch.histogram(edges)) / max(sketch.finite, 1)
        near = np.nan if sketch is None else 1 - sketch.tail(0.1 * sketch.rms)
        layers.append(Layer(name, latent, near, *numbers))
    return Signs(_sentence(layers), run_line(run, "at the last recorded step"), tuple(layers), edges)


def _sentence(layers: list[Layer]) -> str:
    collapsed = [layer for layer in layers if layer.least < COLLAPSED]
    if collapsed:
        worst = shown(min(collapsed, key=lambda layer: layer.mean).name, 30)
        verb = "holds" if len(collapsed) == 1 else "hold"
        return f"{len(collapsed)} of {count_of(len(layers), 'layer')} {verb} an output channel of one value ({worst})"
    least = min(layers, key=lambda layer: layer.least)
    return (
        f"No output channel has collapsed: the most uneven holds {number(least.least)} bits ({shown(least.name, 30)})"
    )


def draw(signs: Signs, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    count = len(signs.layers)
    figure = style.new_figure(theme, 7.6, float(np.clip(0.42 * count, 1.6, 9.0)) + 2.0)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.5, 1])
    style.dress(left, theme, "latent weight", grid="x")
    style.dress(right, theme, "bits for each value", grid="x")
    top = max((float(layer.latent[1:-1].max()) for layer in signs.layers if layer.latent is not None), default=1.0)
    for row, layer in enumerate(signs.layers):
        if layer.latent is not None:
            ridge = row + 0.42 - 0.84 * np.minimum(layer.latent / (top or 1.0), 1.0)
            left.stairs(ridge, signs.edges, baseline=row + 0.42, fill=True, color=theme.training, alpha=0.75)
            left.text(
                0.995,
                row + 0.36,
                f"{percent(layer.near)} near 0",
                transform=left.get_yaxis_transform(),
                ha="right",
                color=theme.muted,
                fontsize=7.5,
                fontfamily=style.FONT,
            )
        right.plot([layer.least, layer.entropy], [row, row], color=theme.grid, linewidth=3, zorder=1)
        right.plot(layer.least, row, "|", color=theme.validation, markersize=11, markeredgewidth=2)
        right.plot(layer.mean, row, "o", color=theme.training, markersize=5)
        right.plot(layer.entropy, row, "o", color=theme.text, markersize=4, fillstyle="none")
    left.axvline(0, color=theme.accent, linewidth=0.9)
    left.set_ylim(count - 0.5, -0.5)
    low, high = float(signs.edges[0]), float(signs.edges[-1])
    left.set_xlim(low, high + 0.3 * (high - low))  # room for the numbers
    style.tick_names(left, "y", range(count), [layer.name for layer in signs.layers], theme)
    right.set_xlim(-0.04, max(1.04, 1.04 * max(layer.entropy for layer in signs.layers)))
    right.tick_params(labelleft=False)
    for label, marker, color in (
        ("whole layer", "o", theme.text),
        ("mean channel", "o", theme.training),
        ("worst channel", "|", theme.validation),
    ):
        face = "none" if color == theme.text else color
        right.plot([], [], marker, color=color, markerfacecolor=face, markersize=5, label=label)
    style.legend(right, theme, ncols=3, handlelength=0.8, columnspacing=0.8, fontsize=7.5)
    style.plain_numbers(left, "x")
    style.plain_numbers(right, "x")
    note = (
        "Latent weights near 0 flip easily; those at the ends are held there. "
        "1 bit: as many positive as negative values; 0: all alike."
    )
    style.finish(figure, theme, signs.title, signs.subtitle, [note])
    return figure
