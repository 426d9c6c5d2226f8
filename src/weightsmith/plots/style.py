"""How every picture looks: colors, fonts, titles and numbers, in a light and a dark variant.

Nothing here touches matplotlib's global state (pyplot, rcParams), so pictures may be drawn in several threads at once.
Text is never read as TeX: a weight may be called anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from weightsmith.names import choose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

FONT = "DejaVu Sans"  # comes with matplotlib: pictures look the same on every machine
DPI = 144
MARGIN = 0.14  # inches around everything


@dataclass(frozen=True)
class Theme:
    """Colors of one variant; hexadecimal RGB.

    Attributes:
        palette: for categories: Okabe and Ito (Color Universal Design, 2008), which people with every common kind of
            color vision tell apart; lightened where the dark background asks for it.
        diverging: from negative through zero to positive: blue, the background's own tone, orange.
        zero: cells that are exactly zero. alarm: NaN, Inf and what else is broken.
    """

    name: str
    background: str
    text: str
    muted: str
    grid: str
    training: str
    validation: str
    accent: str
    alarm: str
    zero: str
    palette: tuple[str, ...]
    diverging: tuple[str, ...]


LIGHT = Theme(
    name="light",
    background="#ffffff",
    text="#1b1d22",
    muted="#646b76",
    grid="#e4e7eb",
    training="#0072b2",
    validation="#d55e00",
    accent="#009e73",
    alarm="#c2187e",
    zero="#c4c9cf",
    palette=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7f00", "#000000"),
    diverging=("#08306b", "#2171b5", "#86bbdd", "#fbfbfb", "#fbb06c", "#d95f02", "#7a2604"),
)
DARK = Theme(
    name="dark",
    background="#15171c",
    text="#eceef1",
    muted="#9ba3af",
    grid="#2b2f38",
    training="#56b4e9",
    validation="#f08a3c",
    accent="#2fc79b",
    alarm="#ff5fb8",
    zero="#4a505b",
    palette=("#56b4e9", "#f08a3c", "#2fc79b", "#de9cc2", "#f0c75e", "#8fa8ff", "#d8d24a", "#ffffff"),
    diverging=("#b5dcff", "#4a9be0", "#1f5285", "#1b1e24", "#8c4512", "#ea7d2e", "#ffd6ab"),
)
THEMES = {"light": LIGHT, "dark": DARK}


def theme_named(name: str) -> Theme:
    """The theme of that name.

    Raises:
        InputError: where there is none.
    """
    return THEMES[choose(name, THEMES, "theme")]


def new_figure(theme: Theme, width: float, height: float) -> "Figure":
    """An empty figure of `width` by `height` inches, laid out when it is drawn."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor=theme.background, layout="constrained")


def finish(figure: "Figure", theme: Theme, title: str, subtitle: str, notes: Sequence[str] = ()) -> None:
    """Write the title, the line below it and the notes at the foot, and leave the axes what remains."""
    width, height = figure.get_size_inches()
    room = (width - 2 * MARGIN) * 72
    top = height - MARGIN
    for text, size, weight, color in ((title, 12.5, "bold", theme.text), (subtitle, 8.5, "normal", theme.muted)):
        lines = wrapped(text, room, size, weight)
        figure.text(
            MARGIN / width,
            top / height,
            "\n".join(lines),
            **_font(size, color),
            fontweight=weight,
            va="top",
            linespacing=1.2,
        )
        top -= len(lines) * size * 1.45 / 72 + 0.03
    lines = [line for note in notes for line in wrapped(note, room, 8, "normal")]
    if lines:
        figure.text(
            MARGIN / width, MARGIN / height, "\n".join(lines), **_font(8, theme.muted), va="bottom", linespacing=1.3
        )
    foot = MARGIN + (len(lines) * 8 * 1.5 / 72 + 0.06 if lines else 0)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(MARGIN / width / 2, foot / height, 1 - MARGIN / width, (top - foot) / height))  # type: ignore[call-arg]


def dress(axes: "Axes", theme: Theme, x: str = "", y: str = "", grid: str | None = "y") -> None:
    """Give axes the theme's colors, labels and a light grid along `grid` (`x`, `y`, `both` or None)."""
    axes.set_facecolor(theme.background)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
        spine.set_linewidth(0.7)
    axes.tick_params(colors=theme.muted, labelsize=8.5, labelfontfamily=FONT, width=0.7, length=3)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel(x, **_font(9, theme.text))
    axes.set_ylabel(y, **_font(9, theme.text))
    if grid is not None:
        axes.grid(axis=grid, color=theme.grid, linewidth=0.7)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def plain_numbers(axes: "Axes", *which: str, few: bool = False) -> None:
    """Label the ticks of the axes named (`x`, `y`) with plain numbers, on linear and logarithmic scales.

    `few` is for axes with room for two or three labels.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    for name in which or ("x", "y"):
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        if axis.get_scale() == "log":
            low, high = sorted(axis.get_view_interval())
            axis.set_major_locator(log_locator(low, high))
            axis.set_minor_formatter(NullFormatter())
        elif axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(2 if few else 5, steps=[1, 2, 2.5, 5, 10]))


def log_locator(low: float, high: float) -> "LogLocator":
    """Ticks of a logarithmic axis: under two decades, powers of ten alone would leave it with one label or none."""
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=8)


def whole_numbers(axes: "Axes", which: str, count: int) -> None:
    """Ticks at whole numbers only, for an axis that counts `count` rows or columns from 0."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    few = FixedLocator(range(count))
    axis.set_major_locator(few if count <= 6 else MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if 0 <= value < count else ""))


def label(axes: "Axes", x: float, y: float, text: str, color: str, size: float = 8.5, **options: Any) -> Any:
    """Text at a point of the axes, never read as TeX."""
    return axes.text(x, y, text, **{**_font(size, color), **options})


def legend(axes: "Axes", theme: Theme, **options: Any) -> None:
    """A frameless legend in one row above the axes, at their left."""
    box = axes.legend(
        **{
            "loc": "lower left",
            "bbox_to_anchor": (-0.01, 0.99),
            "ncols": 6,
            "frameon": False,
            "fontsize": 8.5,
            "handlelength": 1.4,
            "columnspacing": 1.4,
            "borderpad": 0.2,
            **options,
        }
    )
    for text in [box.get_title(), *box.get_texts()]:
        text.set(parse_math=False, color=theme.text, fontfamily=FONT)


def name_ends(axes: "Axes", names: Sequence[str], ends: Sequence[float], colors: Sequence[Any], most: int = 18) -> None:
    """Name lines at their right end, moved apart where they would overlap; of very many only evenly chosen ones."""
    order = sorted(range(len(ends)), key=lambda i: ends[i])
    if len(order) > most:
        order = [order[round(i * (len(order) - 1) / (most - 1))] for i in range(most)]
    low, high = axes.get_ylim()
    gap = (high - low) / (most + 2)
    places: list[float] = []
    for i in order:
        places.append(max(ends[i], places[-1] + gap) if places else ends[i])
    # What was pushed beyond the top comes back down together with all it rests on.
    ceiling = high
    for i in reversed(range(len(places))):
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - gap
    for i, place in zip(order, places, strict=True):
        axes.annotate(
            shown(names[i], 28),
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            **_font(8, colors[i]),
        )


def tick_names(axes: "Axes", which: str, positions: Sequence[float], names: Sequence[str], theme: Theme) -> None:
    """Names along an axis, thinned evenly where they would overlap."""
    every = max(1, -(-len(names) // 48))
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(
        list(positions)[::every],
        [shown(name) for name in names][::every],
        **_font(8 if len(names) <= 24 else 6.5, theme.text),
    )


def colorbar(figure: "Figure", image: Any, axes: Any, theme: Theme, text: str, **options: Any) -> Any:
    """A thin color scale beside the axes, or in `cax`, with plain numbers and a description."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    bar = figure.colorbar(image, ax=axes, **options)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=theme.muted, labelsize=8, labelfontfamily=FONT, width=0.7, length=3)
    bar.ax.tick_params(which="minor", length=0)
    bar.formatter = FuncFormatter(lambda value, _: number(value))
    bar.minorformatter = NullFormatter()
    if bar.long_axis.get_scale() == "log":
        bar.locator = log_locator(*bar.mappable.get_clim())
    bar.update_ticks()
    bar.set_label(text, **_font(8.5, theme.text))
    return bar


def diverging(theme: Theme) -> "LinearSegmentedColormap":
    """Colors from negative to positive, with the theme's background tone at zero."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("weightsmith-diverging", list(theme.diverging), N=511)


def categories(theme: Theme, count: int) -> list[Any]:
    """Colors for `count` unordered things: the palette, then muted copies of it."""
    from matplotlib.colors import to_rgb

    copies = [tuple(0.5 * c + 0.25 for c in to_rgb(color)) for color in theme.palette]
    return [*theme.palette, *copies][:count]


def by_depth(theme: Theme, count: int) -> list[Any]:
    """One color for each of `count` ordered things (layers, steps), from early to late."""
    from matplotlib import colormaps

    low, high = (0.0, 0.82) if theme is LIGHT else (0.25, 1.0)
    scale = colormaps["viridis"]
    return [scale(low + (high - low) * i / max(1, count - 1)) for i in range(count)]


def number(value: float) -> str:
    """A number as people write it: `0.12`, `1,200`, `3.4e-5`."""
    if not isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", "\N{MINUS SIGN}")
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share as a percentage that shows neither 0 nor 100 where it is not exactly that."""
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    if share < 1e-3:
        return f"{number(share * 100)} %"
    digits = 1 if 0.01 <= share <= 0.99 else 2
    return f"{min(share, 0.9999) * 100:.{digits}f}".rstrip("0").rstrip(".") + " %"


def count_of(count: int, noun: str) -> str:
    """`1 row`, `12 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shown(name: str, most: int = 40) -> str:
    """A name as it can be drawn: control characters and glyphs the font lacks escaped, the middle of long ones cut."""
    glyphs = _glyphs()
    text = "".join(c if ord(c) in glyphs else c.encode("unicode_escape").decode() for c in name)
    if len(text) <= most:
        return text
    tail = (most - 1) * 3 // 5  # the end of a dotted name says more than its beginning
    return f"{text[: most - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{text[-tail:]}"


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    return frozenset(code for code in FT2Font(str(findfont(FONT))).get_charmap() if chr(code).isprintable())


def _font(size: float, color: str) -> dict[str, Any]:
    return {"fontsize": size, "color": color, "fontfamily": FONT, "parse_math": False}


def wrapped(text: str, room: float, size: float, weight: str) -> list[str]:
    """The text in lines no wider than `room` points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONT, weight=weight, size=size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_to_path.get_text_width_height_descent(longer, font, ismath=False)[0] <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
