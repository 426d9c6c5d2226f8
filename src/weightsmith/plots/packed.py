"""What packing a model brought, drawn: bytes, and latency at each batch, against dense float32 and bfloat16."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from weightsmith.plots import style
from weightsmith.plots.style import Theme, number, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.kinds.packed.report import PackReport

MOST_LAYERS = 16
"""Layers that are drawn beside the whole model; of more, the largest."""

KINDS = ("float32", "bfloat16", "packed")
_MARKERS = {"float32": "o", "bfloat16": "s", "packed": "D"}


@dataclass(frozen=True)
class Drawn:
    """What the picture shows, as numbers.

    Attributes:
        sizes: of disk and memory, bytes by kind.
        batches: rows at once, one panel each.
        names: of the whole model and its layers, from the top.
        latencies: of each batch and name, milliseconds by kind; empty where nothing was measured.
        left_out: layers that are not drawn.
    """

    sizes: dict[str, dict[str, float]]
    batches: list[int]
    names: list[str]
    latencies: list[list[dict[str, float]]]
    left_out: int


def record_report(report: "PackReport") -> Drawn:
    """The numbers of the picture."""
    largest = sorted(report.layers, key=lambda layer: -layer.dense)[:MOST_LAYERS]
    layers = [layer for layer in report.layers if layer in largest]
    batches = [timing.batch for timing in report.whole]
    latencies = []
    for at, batch in enumerate(batches):
        timings = [report.whole[at], *(next((t for t in one.timings if t.batch == batch), None) for one in layers)]
        latencies.append(
            [{} if timing is None else {kind: 1e3 * s for kind, s in timing.seconds.items()} for timing in timings]
        )
    return Drawn(
        {"on disk": dict(report.disk), "in memory": dict(report.resident)},
        batches,
        ["whole model", *(layer.weight for layer in layers)],
        latencies,
        len(report.layers) - len(layers),
    )


def draw_report(report: "PackReport", theme: Theme, subtitle: str) -> "Figure":
    """Draw a report: bars of bytes above, and below for each batch the milliseconds of each layer.

    Args:
        report: what was measured.
        theme: of the picture.
        subtitle: what was measured: the run and its rows.
    """
    drawn = record_report(report)
    columns = max(1, len(drawn.batches))
    below = 0.7 + 0.27 * len(drawn.names)
    figure = style.new_figure(theme, 2.6 + 2.1 * columns, 3.4 + below)
    grid = figure.add_gridspec(2, columns, height_ratios=(1.75, below))
    _draw_sizes(figure.add_subplot(grid[0, :]), drawn, theme)
    panels = [figure.add_subplot(grid[1, at]) for at in range(columns)]
    for at, batch in enumerate(drawn.batches):
        _draw_latencies(panels[at], drawn, at, theme, f"batch {batch}")
    notes = [
        "Circle: dense float32. Square: dense bfloat16. Diamond: packed; further left is faster. "
        f"Medians on one machine, {report.threads} threads."
    ]
    if drawn.left_out:
        notes.append(f"{style.count_of(drawn.left_out, 'smaller layer')} not drawn.")
    style.finish(figure, theme, _title(report), f"{subtitle} \N{MIDDLE DOT} {_quality(report)}", notes)
    return figure


def colors(theme: Theme) -> dict[str, str]:
    """Of the three kinds; shapes tell them apart as well."""
    return {"float32": theme.muted, "bfloat16": theme.validation, "packed": theme.training}


def _title(report: "PackReport") -> str:
    smaller = (
        f"packed: {number(round(report.disk['float32'] / max(1, report.disk['packed']), 1))} times smaller on disk"
    )
    first = report.whole[0] if report.whole else None
    gain = first.speedup() if first is not None else None
    if first is None or gain is None:
        return smaller.capitalize()
    speed = f"{gain:.3g} times faster" if gain >= 1 else f"{1 / gain:.3g} times slower"
    return f"{smaller}, {speed} at batch {first.batch}".capitalize()


def _quality(report: "PackReport") -> str:
    parity = report.parity
    equal = (
        "outputs equal to the last bit" if parity.exact else f"outputs differ by {number(parity.difference)} at most"
    )
    if not report.scores:
        return equal
    before, after = (f"{report.scores[name]:.4f}" for name in ("trained", "packed"))
    return f"{report.metric} {before} trained, {after} packed \N{MIDDLE DOT} {equal}"


def _draw_sizes(axes: "Axes", drawn: Drawn, theme: Theme) -> None:
    places, names = [], []
    at = 0.0
    longest = max(size for sizes in drawn.sizes.values() for size in sizes.values())
    for what, sizes in drawn.sizes.items():
        for kind in KINDS:
            axes.barh(at, sizes[kind], 0.72, color=colors(theme)[kind])
            times = sizes["float32"] / max(1, sizes[kind])
            text = f"{_bytes(sizes[kind])}" + ("" if kind == "float32" else f", {times:.3g} times smaller")
            style.label(axes, sizes[kind] + longest * 0.008, at, text, theme.text, 8, va="center")
            places.append(at)
            names.append(f"{kind} {what}")
            at -= 1
        at -= 0.5
    style.dress(axes, theme, grid="x")
    axes.set_xlim(0, longest * 1.18 or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    style.tick_names(axes, "y", places, names, theme)


def _bytes(size: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} bytes"


def _draw_latencies(axes: "Axes", drawn: Drawn, at: int, theme: Theme, title: str) -> None:
    rows = range(len(drawn.names))
    for row, found in zip(rows, drawn.latencies[at], strict=True):
        if len(found) > 1:
            axes.plot([min(found.values()), max(found.values())], [-row, -row], color=theme.grid, linewidth=2, zorder=1)
        for kind in KINDS:
            if kind in found:
                fill = colors(theme)[kind] if kind == "packed" else theme.background
                axes.plot(
                    found[kind],
                    -row,
                    _MARKERS[kind],
                    color=colors(theme)[kind],
                    markerfacecolor=fill,
                    markersize=6 if kind == "packed" else 7,
                    markeredgewidth=1.5,
                )
    style.dress(axes, theme, x="ms", grid="x")
    axes.set_xscale("log")
    _widen(axes, [value for found in drawn.latencies[at] for value in found.values()])
    style.plain_numbers(axes, "x", few=True)
    axes.set_ylim(-len(drawn.names) + 0.4, 0.6)
    axes.set_title(title, loc="left", fontsize=9, color=theme.text, fontfamily=style.FONT)
    names: Sequence[str] = [shown(name, 28) for name in drawn.names] if at == 0 else [""] * len(drawn.names)
    axes.set_yticks([-row for row in rows], names, fontsize=8, color=theme.text, fontfamily=style.FONT)


def _widen(axes: "Axes", values: Sequence[float]) -> None:
    """Leave room on both sides, and half a decade at least, where all values are close."""
    if not values:
        return
    low, high = min(values), max(values)
    spread = max((high / low) ** 0.5, 1.8)
    middle = (low * high) ** 0.5
    axes.set_xlim(middle / spread / 1.3, middle * spread * 1.3)
