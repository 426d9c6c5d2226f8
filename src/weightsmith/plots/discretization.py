"""What each matrix costs alone when it becomes binary or sparse, as bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent, shown
from weightsmith.plots.subject import NothingToDrawError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.kinds import Sensitivity

BARS = 40


@dataclass(frozen=True)
class Discretization:
    """What the picture shows.

    Attributes:
        score: what `evaluate` measured, such as `accuracy`.
        before: its value for the model as it is.
        records: the matrices, in the model's order; of many the ones that cost most.
        left_out: matrices not shown.
    """

    title: str
    subtitle: str
    score: str
    before: float
    records: tuple["Sensitivity", ...]
    left_out: int


def summarize(
    records: "Sequence[Sensitivity]", subtitle: str = "", score: str = "score", *, larger_is_better: bool = True
) -> Discretization:
    """Collect what `weightsmith.kinds.sensitivity` found.

    Args:
        records: at least one, all of one model and one target.
        subtitle: what was evaluated, in a few words.
        score: what the evaluation measured.
        larger_is_better: whether a falling score is a loss.

    Raises:
        NothingToDrawError: there is no record.
    """
    if not records:
        raise NothingToDrawError("no matrix was made binary or sparse: there is nothing to compare")
    losses = np.array([-one.change if larger_is_better else one.change for one in records])
    losses = np.where(np.isnan(losses), np.inf, losses)
    kept = sorted(np.argsort(-losses, kind="stable")[:BARS].tolist())
    worst = records[int(losses.argmax())]
    made = "binary" if records[0].to == "binary" else "sparse"
    if losses.max() <= 0:
        title = f"No layer loses {score} when it alone becomes {made}"
    else:
        title = f"{shown(worst.weight, 30)} costs most when it alone becomes {made}: {score} {number(worst.before)}"
        title += f" \N{RIGHTWARDS ARROW} {number(worst.after)}"
    shown_records = tuple(records[at] for at in kept)
    return Discretization(title, subtitle, score, records[0].before, shown_records, len(records) - len(kept))


def draw(found: Discretization, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    records = found.records
    figure = style.new_figure(theme, 7.6, max(2.8, 0.24 * len(records) + 1.9))
    axes = figure.subplots()
    style.dress(axes, theme, f"{found.score} with this layer alone made {records[0].to}", grid="x")
    after = np.array([one.after for one in records])
    finite = np.isfinite(after)
    rows = np.arange(len(records))
    axes.hlines(rows[finite], found.before, after[finite], color=theme.training, linewidth=4, alpha=0.5)
    axes.plot(after[finite], rows[finite], "o", color=theme.training, markersize=6)
    axes.axvline(found.before, color=theme.accent, linewidth=1.4)
    style.label(axes, found.before, -0.8, "as it is ", theme.accent, 8, ha="right", va="center")
    if not finite.all():
        axes.plot(np.full(np.count_nonzero(~finite), found.before), rows[~finite], "X", color=theme.alarm, markersize=8)
    axes.set_ylim(len(records) - 0.4, -1.1)
    axes.margins(x=0.08)
    style.tick_names(axes, "y", rows.tolist(), [one.weight for one in records], theme)
    style.plain_numbers(axes, "x")
    errors = [one.error for one in records]
    notes = [f"Of the weights' squares {percent(min(errors))} to {percent(max(errors))} change; nothing is trained on."]
    if found.left_out:
        notes.append(
            f"{count_of(found.left_out, 'layer')} that cost less {'is' if found.left_out == 1 else 'are'} left out."
        )
    if not finite.all():
        notes.append("A cross marks a result that is NaN or infinite.")
    style.finish(figure, theme, found.title, found.subtitle, notes)
    return figure
