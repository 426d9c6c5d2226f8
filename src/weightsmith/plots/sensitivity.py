"""What a model is sensitive to, drawn on its input: heat over images and sequences, bars for plain features."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    from weightsmith.explain import Attribution, Maximized

COLUMNS = 4
"""Rows of the data that stand side by side, each as a pair of tiles."""

BARS = 15
NAMED = 4
"""Outputs named below a ranking of features."""

CLIP = 0.995
"""Quantile of the magnitudes at which a tile's colors end, so that one pixel does not fade all others."""

Floats = NDArray[np.float32]


def draw_attribution(
    found: "Attribution",
    theme: Theme,
    subtitle: str,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> "Figure":
    """Draw an explanation: for images and sequences each input beside its heat, for features a ranking.

    Args:
        found: for one row at least.
        theme: of the picture.
        subtitle: what was explained: the run and its rows.
        feature_names: of plain features.
        class_names: of the outputs.
    """
    if found.inputs.ndim == 2:
        return _draw_features(found, theme, subtitle, feature_names, class_names)
    names = [_target(found, row, class_names) for row in range(len(found.inputs))]
    figure, tiles = _tiles(theme, len(names), 2, _picture(found.inputs[0]).shape)
    limits = [_limit(values) for values in found.values]
    is_image = found.inputs.ndim == 4
    painted = None
    for row, (left, right) in enumerate(tiles):
        _show_input(left, found.inputs[row], theme)
        heat = _heat(found.values[row], found.inputs[row])
        painted = right.imshow(
            heat / (limits[row] or 1.0),
            cmap=_scale(theme, found),
            vmin=-1 if found.signed else 0,
            vmax=1,
            interpolation="nearest",
            aspect="equal" if is_image else "auto",
        )
        left.set_title(names[row], loc="left", fontsize=8, color=theme.text, family=style.FONT)
    style.colorbar(figure, painted, [tile for pair in tiles for tile in pair], theme, "of each row's maximum")
    sides = "orange speaks for it, blue against it" if found.signed else "the stronger the color, the more it matters"
    notes = [f"Left: the input. Right: its part in the output named above; {sides}."]
    if found.gap is not None:
        notes.append(f"The shares miss the change of the output by {_gap(found)} at most.")
    if found.layer is not None:
        notes.append(f"Seen from layer {shown(found.layer)}, whose coarser map is stretched over the image.")
    empty = sum(not limit for limit in limits)
    if empty:
        notes.append(f"Nothing {'speaks for' if found.layer else 'changes'} the output of {count_of(empty, 'row')}.")
    title = _title(found, f"what the outputs of {count_of(len(names), 'row')} depend on")
    style.finish(figure, theme, title, subtitle, notes)
    return figure


def draw_maximized(
    found: "Maximized",
    theme: Theme,
    subtitle: str,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> "Figure":
    """Draw the inputs that excite units most; arguments as for `draw_attribution`."""
    where = f"layer {shown(found.layer)}" if found.layer else "the output"
    title = f"What excites {count_of(len(found.units), 'unit')} of {where} most"
    names = [_unit(found, row, class_names) for row in range(len(found.units))]
    notes = ["In brackets: the unit's value on faint noise, and on the input shown."]
    if found.inputs.ndim == 2:
        figure = _draw_liked_features(found, theme, names, feature_names)
    else:
        figure, tiles = _tiles(theme, len(names), 1, _picture(found.inputs[0]).shape)
        for row, (tile,) in enumerate(tiles):
            _show_input(tile, found.inputs[row], theme)
            tile.set_title(names[row].replace(" (", "\n("), loc="left", fontsize=8, color=theme.text, family=style.FONT)
    style.finish(figure, theme, title, subtitle, notes)
    return figure


def _scale(theme: Theme, found: "Attribution") -> "LinearSegmentedColormap":
    """Both sides of the diverging colors where values have a sign, else the upper one alone."""
    from matplotlib.colors import LinearSegmentedColormap

    if found.signed:
        return style.diverging(theme)
    return LinearSegmentedColormap.from_list("upper", theme.diverging[len(theme.diverging) // 2 :])


def _title(found: "Attribution", what: str) -> str:
    return f"{found.method[0].upper()}{found.method[1:]}: {what}"


def _gap(found: "Attribution") -> str:
    assert found.gap is not None
    worst = float(np.max(np.abs(found.gap))) if len(found.gap) else 0.0
    return f"{number(worst)} (outputs reach {number(float(np.max(np.abs(found.outputs))))})"


def _target(found: "Attribution", row: int, class_names: Sequence[str] | None) -> str:
    return f"{_output(int(found.targets[row]), class_names)} ({number(float(found.outputs[row]))})"


def _unit(found: "Maximized", row: int, class_names: Sequence[str] | None) -> str:
    unit = int(found.units[row])
    known = not found.layer and class_names and unit < len(class_names)
    name = shown(str(class_names[unit]), 14) if known and class_names else f"unit {unit}"
    return f"{name} ({number(float(found.before[row]))} \N{RIGHTWARDS ARROW} {number(float(found.after[row]))})"


def _tiles(theme: Theme, count: int, each: int, shape: Sequence[int]) -> "tuple[Figure, list[tuple[Axes, ...]]]":
    """A figure with `each` tiles for every one of `count` things, without axes."""
    beside = min(count, COLUMNS if each == 2 else 2 * COLUMNS)
    rows = -(-count // beside)
    tall = float(np.clip(shape[0] / shape[1], 0.3, 2.0))
    width = float(np.clip(2.0 * beside * each, 5.0, 10.0))
    titles = 0.3 if each == 2 else 0.45
    figure = style.new_figure(theme, width, rows * (0.86 * width / beside / each * tall + titles) + 1.4)
    grid = figure.subplots(rows, beside * each, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    places = [grid[place // beside, place % beside * each : (place % beside + 1) * each] for place in range(count)]
    return figure, [tuple(place) for place in places]


def _picture(values: Floats) -> Floats:
    """An input as (height, width) or (height, width, 3), from 0 to 1: features of a sequence run downwards."""
    if values.ndim == 2:
        image = values.T
    elif len(values) == 3:
        image = np.moveaxis(values, 0, -1)
    else:
        image = values[0] if len(values) == 1 else np.abs(values).mean(axis=0)
    low, high = np.quantile(image, [1 - CLIP, CLIP])
    return np.asarray(np.clip((image - low) / max(float(high - low), 1e-12), 0, 1), np.float32)


def _show_input(axes: "Axes", values: Floats, theme: Theme) -> None:
    options: dict[str, Any] = {} if _picture(values).ndim == 3 else {"cmap": "gray", "vmin": 0, "vmax": 1}
    axes.imshow(_picture(values), interpolation="nearest", aspect="equal" if values.ndim == 3 else "auto", **options)


def _heat(values: Floats, inputs: Floats) -> Floats:
    """One value for each place: of several channels the sum, which keeps what the values add up to."""
    if values.ndim == inputs.ndim and values.ndim == 3:
        return np.asarray(values.sum(axis=0))
    return values.T if inputs.ndim == 2 else values


def _limit(values: Floats) -> float:
    heat = np.abs(values.sum(axis=0) if values.ndim == 3 else values)
    return float(np.quantile(heat, CLIP)) or float(heat.max())


def _explained(found: "Attribution", class_names: Sequence[str] | None) -> str:
    """Which outputs, and for how many rows each: of features one picture holds them all."""
    targets, counts = np.unique(found.targets, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    parts = [f"{_output(int(targets[i]), class_names)} ({count_of(int(counts[i]), 'row')})" for i in order[:NAMED]]
    return ", ".join([*parts, *([f"{len(targets) - NAMED:,} others"] if len(targets) > NAMED else [])])


def _output(target: int, class_names: Sequence[str] | None) -> str:
    return shown(str(class_names[target]), 14) if class_names and target < len(class_names) else f"output {target}"


def _draw_features(
    found: "Attribution",
    theme: Theme,
    subtitle: str,
    names: Sequence[str] | None,
    class_names: Sequence[str] | None,
) -> "Figure":
    strongest = found.strongest(BARS)
    rows = [position for position, _ in strongest]
    figure = style.new_figure(theme, 7.6, max(2.8, 0.24 * len(rows) + 1.7))
    axes = figure.subplots()
    style.dress(axes, theme, f"mean magnitude of {found.method}", grid="x")
    axes.barh(range(len(rows)), [mean for _, mean in strongest], color=theme.training, height=0.72)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    style.tick_names(axes, "y", range(len(rows)), [_feature(row, names) for row in rows], theme)
    style.plain_numbers(axes, "x")
    magnitudes = np.abs(found.values).mean(axis=0, dtype=np.float64)
    share = float(magnitudes[rows].sum() / magnitudes.sum()) if magnitudes.sum() else 0.0
    notes = [f"Explained: {_explained(found, class_names)}."]
    notes.append(
        f"{count_of(len(rows), 'feature')} of {found.inputs.shape[1]:,} hold {percent(share)} of all magnitude."
    )
    if found.gap is not None:
        notes.append(f"The shares miss the change of the output by {_gap(found)} at most.")
    first = _feature(rows[0], names)
    title = _title(found, f"{first} decides most, over {count_of(len(found.inputs), 'row')}")
    style.finish(figure, theme, title, subtitle, notes)
    return figure


def _draw_liked_features(
    found: "Maximized", theme: Theme, titles: Sequence[str], names: Sequence[str] | None
) -> "Figure":
    strength = np.abs(found.inputs).mean(axis=0)
    order = np.sort(np.argsort(-strength, kind="stable")[: 2 * BARS])
    figure = style.new_figure(theme, 8.5, 0.22 * len(order) + 2.2)
    axes = figure.subplots()
    style.dress(axes, theme, "", "", grid=None)
    limit = float(np.abs(found.inputs[:, order]).max()) or 1.0
    painted = axes.imshow(found.inputs[:, order].T, cmap=style.diverging(theme), vmin=-limit, vmax=limit, aspect="auto")
    style.tick_names(axes, "y", range(len(order)), [_feature(int(row), names) for row in order], theme)
    style.tick_names(axes, "x", range(len(titles)), list(titles), theme)
    axes.tick_params(axis="x", rotation=20)
    style.colorbar(figure, painted, axes, theme, "value of the feature (standardized)")
    return figure


def _feature(position: int, names: Sequence[str] | None) -> str:
    return shown(str(names[position]), 28) if names and position < len(names) else f"feature {position}"
