"""How the masks of sparse weights change over the steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weightsmith.names import Patterns
from weightsmith.plots import style
from weightsmith.plots.style import Theme, percent, shown
from weightsmith.plots.subject import NothingToDrawError, chosen, run_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.store import Run

POINTS = 200


@dataclass(frozen=True)
class Mask:
    """How one mask changed; of long series the changes of neighboring looks are added up.

    Attributes:
        name: the weight.
        steps: int64[k].
        churn: float64[k], share of all places that changed since the step before.
        kept: float64[k], overlap (intersection over union) with the first mask.
    """

    name: str
    steps: NDArray[np.int64]
    churn: NDArray[np.float64]
    kept: NDArray[np.float64]


@dataclass(frozen=True)
class Masks:
    """What the picture shows; `last_change` is the last step at which any mask had changed, 0 for none."""

    title: str
    subtitle: str
    masks: tuple[Mask, ...]
    last_change: int


def summarize(run: "Run", include: Patterns | None = None) -> Masks:
    """Collect what was recorded of the masks of the weights that match (by default all matrices).

    Raises:
        NothingToDrawError: where nothing was.
    """
    masks = tuple(mask for name in chosen(run, include) if (mask := _mask(run, name)) is not None)
    if not masks:
        raise NothingToDrawError(f"run {run.id} has recorded no mask_churn: it has no sparse weights")
    changes = [mask.steps[mask.churn > 0][-1] for mask in masks if mask.churn.any()]
    last = int(max(changes, default=0))
    return Masks(_sentence(masks, last), run_line(run), masks, last)


def _mask(run: "Run", name: str) -> Mask | None:
    churn, kept = run.series("mask_churn", name), run.series("mask_overlap_first", name)
    if not len(churn) or len(churn) != len(kept):
        return None
    ends = np.unique(np.linspace(0, len(churn), min(POINTS, len(churn)) + 1).astype(int))[1:]
    starts = np.concatenate([[0], ends[:-1]])
    return Mask(name, churn.steps[ends - 1], np.add.reduceat(churn.values, starts), kept.values[ends - 1])


def _sentence(masks: tuple[Mask, ...], last: int) -> str:
    if not last:
        return "The mask never changes" if len(masks) == 1 else f"None of {len(masks)} masks ever changes"
    least = min(masks, key=lambda mask: mask.kept[-1])
    end = max(int(mask.steps[-1]) for mask in masks)
    when = "the masks change to the end" if last > 0.95 * end else f"the masks rest from step {last:,} on"
    return f"{shown(least.name, 30)} keeps {percent(float(least.kept[-1]))} of its first mask; {when}"


def draw(masks: Masks, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    from matplotlib.ticker import FuncFormatter

    figure = style.new_figure(theme, 7.6, 5.4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.3, 1])
    count = len(masks.masks)
    colors = theme.palette if count <= len(theme.palette) else style.by_depth(theme, count)
    style.dress(top, theme, y="overlap with the first mask")
    style.dress(bottom, theme, "step", "changed since the last look")
    for mask, color in zip(masks.masks, colors, strict=False):
        top.plot(mask.steps, mask.kept, color=color, linewidth=1.8, marker="o" if len(mask.steps) == 1 else "")
        _draw_churn(bottom, mask, color)
    top.set_ylim(-0.02, 1.04)
    bottom.set_ylim(0)
    for axes in (top, bottom):
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda share, _: percent(round(share, 9)) if -1e-9 < share < 1 + 1e-9 else "")
        )
    style.plain_numbers(bottom, "x")
    bottom.margins(x=0.005)
    style.name_ends(top, [mask.name for mask in masks.masks], [float(mask.kept[-1]) for mask in masks.masks], colors)
    note = "Overlap: places in both masks over places in either. Pruning lowers it once, rewiring again and again."
    style.finish(figure, theme, masks.title, masks.subtitle, [note])
    return figure


def _draw_churn(axes: "Axes", mask: Mask, color: object) -> None:
    moved = mask.churn > 0
    axes.vlines(mask.steps[moved], 0, mask.churn[moved], color=color, linewidth=1.0, alpha=0.5)
    axes.plot(mask.steps[moved], mask.churn[moved], "o", color=color, markersize=2.5)
