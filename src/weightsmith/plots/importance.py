"""Which inputs a layer listens to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import Importance, as_matrix, input_importance, kernel, norms
from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, percent, shown
from weightsmith.plots.subject import NothingToDrawError, shape_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

BARS = 24


@dataclass(frozen=True)
class Inputs:
    """What the picture shows; `half` is the number of strongest inputs that hold half of all squared weight."""

    title: str
    subtitle: str
    importance: Importance
    half: int


def summarize(source: "Source", name: str, inputs: Sequence[str] | None = None) -> Inputs:
    """Rank the inputs of one weight of a source, by names where `inputs` gives them.

    Raises:
        NothingToDrawError: where the weight has no inputs.
    """
    weight = source[name]
    return of(kernel(weight, source.file_format), name, shape_line(source.label, name, weight.shape), inputs)


def of(array: NDArray[Any], name: str, subtitle: str, inputs: Sequence[str] | None = None) -> Inputs:
    """Rank the inputs of an array `(outputs, inputs, ...)`."""
    if array.ndim < 2 or not array.size:
        raise NothingToDrawError(f"{shown(name)} of shape {array.shape} has no inputs to rank")
    if norms(as_matrix(array)).non_finite == array.size:
        raise NothingToDrawError(f"{shown(name)} has no finite value")
    found = input_importance(array, inputs)
    squares = np.square(found.scores[found.order])
    total = float(squares.sum())
    half = int(np.searchsorted(np.cumsum(squares), total / 2) + 1) if total else 0
    return Inputs(_sentence(found, half), subtitle, found, half)


def _sentence(found: Importance, half: int) -> str:
    count = len(found.scores)
    if not half:
        return "No input is used: every weight is zero"
    used = f"; {count_of(found.unused, 'input')} unused" if found.unused else ""
    verb = "holds" if half == 1 else "hold"
    return f"{half:,} of {count_of(count, 'input')} ({percent(half / count)}) {verb} half of the squared weight{used}"


def draw(inputs: Inputs, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    found = inputs.importance
    top = found.order[:BARS]
    figure = style.new_figure(theme, 7.6, max(2.6, 0.19 * len(top) + 1.7))
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    style.dress(left, theme, "norm of outgoing weights", grid="x")
    left.barh(range(len(top)), found.scores[top], color=theme.training, height=0.72)
    left.set_ylim(len(top) - 0.4, -0.6)
    style.tick_names(left, "y", range(len(top)), [found.names[i] for i in top], theme)
    style.plain_numbers(left, "x")
    left.set_title("strongest inputs", loc="left", fontsize=9, color=theme.text, family=style.FONT)
    style.dress(right, theme, "input, by rank", grid="both")
    right.set_title("all inputs", loc="left", fontsize=9, color=theme.text, family=style.FONT)
    ranked = found.scores[found.order]
    places = np.arange(len(ranked) + 1) + 0.5
    right.stairs(ranked, places, fill=True, color=theme.training, alpha=0.3)
    right.stairs(ranked[: inputs.half], places[: inputs.half + 1], fill=True, color=theme.training)
    right.set_ylim(0)
    style.plain_numbers(right)
    note = "Darker: the inputs that together hold half. Compares inputs only where they have the same spread."
    style.finish(figure, theme, inputs.title, inputs.subtitle, [note])
    return figure
