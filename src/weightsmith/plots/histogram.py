"""The values of one weight: where they lie, how heavy their tails are."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent, shown
from weightsmith.plots.subject import NothingToDrawError, shape_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.sketch import Sketch
    from weightsmith.sources import Source

REACH = 6.0
"""Standard deviations from which a value counts as an outlier: a normal sample of a billion values has two there."""


@dataclass(frozen=True)
class Histogram:
    """What the picture shows.

    Attributes:
        edges: float64[bins + 1].
        counts: float64[bins], without the exact zeros.
        zeros: number of exact zeros.
        below, above: number of values outside of the edges, and the extreme value on that side.
        mean, std: of all finite values.
        finite, non_finite: number of values.
        outliers: share of the finite values beyond `REACH` standard deviations.
        normal: whether a normal curve is worth comparing with: many different values, hardly a zero.
    """

    title: str
    subtitle: str
    edges: NDArray[np.float64]
    counts: NDArray[np.float64]
    zeros: int
    below: tuple[int, float]
    above: tuple[int, float]
    mean: float
    std: float
    finite: int
    non_finite: int
    outliers: float
    normal: bool


def summarize(source: "Source", name: str) -> Histogram:
    """Sketch one weight of a source.

    Raises:
        NothingToDrawError: where it has no finite value.
    """
    weight = source[name]
    return of(weight.sketch(), name, shape_line(source.label, name, weight.shape))


def of(sketch: "Sketch", name: str, subtitle: str) -> Histogram:
    """Read the histogram of a sketch."""
    if not sketch.finite:
        raise NothingToDrawError(
            f"{shown(name)} has no finite value: {count_of(sketch.non_finite, 'value')} NaN or Inf"
        )
    edges = value_edges([sketch])
    counts = without_zeros(sketch, edges)
    outside = sketch.histogram(np.array([-np.inf, edges[0], edges[-1], np.inf]))
    outliers = _beyond(sketch)
    return Histogram(
        _sentence(sketch, name, outliers),
        f"{subtitle} \N{MIDDLE DOT} mean {number(sketch.mean)}, standard deviation {number(sketch.std)}",
        edges,
        counts,
        sketch.zeros,
        (round(outside[0]), sketch.minimum),
        (round(outside[2]), sketch.maximum),
        sketch.mean,
        sketch.std,
        sketch.finite,
        sketch.non_finite,
        outliers,
        len(sketch.keys) > 30 and sketch.sparsity < 0.05,
    )


def _beyond(sketch: "Sketch") -> float:
    """Share of the finite values further than `REACH` standard deviations from the mean."""
    if not sketch.std > 0:
        return 0.0
    reach = np.array([-REACH, REACH]) * sketch.std + sketch.mean
    return float(1 - sketch.histogram(reach)[0] / sketch.finite)


def value_edges(sketches: "Sequence[Sketch]") -> NDArray[np.float64]:
    """Equally wide bins, a bin's middle at zero, over nearly all values of every one of the sketches.

    Their number grows with the cube root of the number of values (Freedman and Diaconis, 1981), from 30 to 90.

    From the 0.05 % to the 99.95 % quantile of the sketch that needs most room, a tenth wider; values beyond are counted
    apart. The range follows the bulk, so that one outlier does not flatten the picture.
    """
    bins = int(np.clip(3 * max(sketch.finite for sketch in sketches) ** (1 / 3), 30, 90))
    low = min(float(sketch.quantile(0.0005)) for sketch in sketches)
    high = max(float(sketch.quantile(0.9995)) for sketch in sketches)
    span = high - low
    # Where all values lie within half as much again there is no far outlier to cut off.
    least, most = min(sketch.minimum for sketch in sketches), max(sketch.maximum for sketch in sketches)
    low, high = (least if least > low - span / 2 else low), (most if most < high + span / 2 else high)
    if low == high:
        reach = abs(low) or 1.0
        low, high = low - 0.5 * reach, high + 0.5 * reach
    space = 0.05 * (high - low)
    low, high = low - space, high + space
    width = (high - low) / bins
    # Zero in the middle of a bin keeps a weight's smallest values, of both signs, together.
    first = (np.floor(low / width - 0.5) + 0.5) * width
    return np.asarray(first + width * np.arange(bins + 2))


def without_zeros(sketch: "Sketch", edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts in the bins without the exact zeros, which would tower over everything else in a sparse weight."""
    counts = sketch.histogram(edges)
    if sketch.zeros and edges[0] < 0 < edges[-1]:
        at = int(np.searchsorted(edges, 0.0, side="right")) - 1
        counts[at] = max(0.0, counts[at] - sketch.zeros)
    return counts


def _sentence(sketch: "Sketch", name: str, outliers: float) -> str:
    who = shown(name)
    if sketch.non_finite:
        verb = "is" if sketch.non_finite == 1 else "are"
        return f"{sketch.non_finite:,} of {sketch.count:,} values of {who} {verb} NaN or infinite"
    if sketch.minimum == sketch.maximum:
        return f"Every value of {who} is {number(sketch.minimum)}"
    if sketch.sparsity > 0.05:
        return f"{percent(sketch.sparsity)} of {who} is exactly zero"
    normal = erfc(REACH / sqrt(2))
    beyond = round(outliers * sketch.finite)
    if beyond and outliers > 10 * normal:
        verb = "lies" if beyond == 1 else "lie"
        return f"{who} has heavy tails: {count_of(beyond, 'value')} {verb} beyond 6 standard deviations"
    if beyond:
        few = f"{count_of(beyond, 'value')} beyond 6 standard deviations"
        return f"{who} has no more outliers than a normal distribution: {few}"
    return f"{who} has no outliers: every value lies within 6 standard deviations"


def draw(histogram: Histogram, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    one = histogram
    figure = style.new_figure(theme, 7.6, 4.6)
    axes = figure.subplots()
    style.dress(axes, theme, "value of the weight", "number of weights", grid="y")
    bars = axes.stairs(one.counts, one.edges, fill=True, color=theme.training, alpha=0.85, label="values")
    width = float(one.edges[1] - one.edges[0])
    most = float(one.counts.max(initial=0.0))
    if one.normal and one.std > 0:
        x = np.linspace(one.edges[0], one.edges[-1], 300)
        curve = one.finite * width / (one.std * sqrt(2 * pi)) * np.exp(-0.5 * np.square((x - one.mean) / one.std))
        axes.plot(x, curve, color=theme.muted, linewidth=1.1, linestyle=(0, (4, 3)), label="normal, same spread")
        most = max(most, float(curve.max()))
    floor = exp(-1)
    if most > 1000:  # tails matter as much as the bulk: a linear axis would hide them
        axes.set_yscale("log")
        axes.set_ylim(floor, most * 3)
    else:
        axes.set_ylim(0, most * 1.18 or 1)
    if one.zeros:
        axes.axvline(0, color=theme.validation, linewidth=2, label=f"{one.zeros:,} exact zeros (not in the bars)")
    axes.set_xlim(one.edges[0], one.edges[-1])
    box = {"facecolor": theme.background, "edgecolor": "none", "pad": 1.5}
    for (count, _), edge, marker, side in ((one.below, 0.005, "<", "left"), (one.above, 0.995, ">", "right")):
        if count:
            axes.plot(edge, 0.03, marker, color=theme.alarm, markersize=6, transform=axes.transAxes)
            place = edge + (0.015 if side == "left" else -0.015)
            style.label(
                axes, place, 0.03, f"{count:,}", theme.alarm, ha=side, va="center", transform=axes.transAxes, bbox=box
            )
    style.plain_numbers(axes)
    bars.set_linewidth(0)
    style.legend(axes, theme)
    style.finish(figure, theme, one.title, one.subtitle, _notes(one))
    return figure


def _notes(one: Histogram) -> list[str]:
    notes = []
    for (count, extreme), side, end in ((one.below, "left", "minimum"), (one.above, "right", "maximum")):
        if count:
            notes.append(f"{count_of(count, 'value')} beyond the {side} edge; {end} {number(extreme)}.")
    if one.non_finite:
        notes.append(f"{count_of(one.non_finite, 'value')} NaN or Inf not drawn.")
    return notes
