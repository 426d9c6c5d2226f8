"""A statistic of every weight over the depth of the model, one panel for each statistic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import standing_out
from weightsmith.analysis.profile import CRITERIA, DEFAULTS
from weightsmith.analysis.profile import profile as measure
from weightsmith.names import Patterns, by_depth, choose, matches
from weightsmith.plots import style
from weightsmith.plots.depth import blocks, families, family
from weightsmith.plots.style import Theme, count_of, number, shown
from weightsmith.plots.subject import NothingToDrawError, matrices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

NAMED = 3
"""Outliers named in each panel."""

FEW = 8
"""Weights whose names the axis has room for."""

CROWD = 5
"""Weights of one family from which they are judged by themselves: fewer have no crowd to stand out from."""


@dataclass(frozen=True)
class Unusual:
    """One weight whose statistic stands out.

    Attributes:
        weight: its place in `Profile.names`.
        value: of the statistic.
        typical: the median of those that it was compared with.
        score: its modified z-score among them; negative where the value is unusually small.
    """

    weight: int
    value: float
    typical: float
    score: float


@dataclass(frozen=True)
class Profile:
    """What the picture shows.

    Attributes:
        names: weights in the order of their depth.
        family: for each, its name without numbers, which it shares with its siblings in other layers.
        values: for each statistic, float64[weights]; NaN where it is not defined or was not measured.
        unusual: for each statistic, the weights that stand out from their family, furthest first.
        unmeasured: what could not be measured and why, in whole sentences.
    """

    title: str
    subtitle: str
    names: tuple[str, ...]
    family: tuple[str, ...]
    values: dict[str, NDArray[np.float64]]
    unusual: dict[str, tuple[Unusual, ...]]
    unmeasured: tuple[str, ...]


def summarize(
    source: "Source",
    include: Patterns | None = None,
    *,
    statistics: Sequence[str] | None = None,
    time_limit: float | None = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> Profile:
    """Measure the weights of a source.

    Args:
        source: a file, a model or a snapshot.
        include: patterns of names; by default the matrices.
        statistics: names in `weightsmith.analysis.profile.CRITERIA`; by default rms, kurtosis, stable rank and alpha.
        time_limit: seconds for all spectra together, after which the rest go without.
        progress: called with the weights measured and their total.

    Raises:
        InputError: an unknown statistic.
        NothingToDrawError: no weight to measure.
    """
    wanted = [choose(name, CRITERIA, "statistic") for name in (statistics or DEFAULTS)]
    names = by_depth(_chosen(source, include))
    measured = measure(source, names, wanted, time_limit, progress)
    return of(source.label, names, measured.values, measured.notes)


def _chosen(source: "Source", include: Patterns | None) -> list[str]:
    if include is None:
        names = [info.name for info in matrices(source.infos)]
    else:
        names = [info.name for info in source.infos if matches(info.name, include) and info.size]
    if not names:
        raise NothingToDrawError(f"{shown(source.label, 80)} holds no such weight")
    return names


def of(
    label: str, names: Sequence[str], values: dict[str, NDArray[np.float64]], unmeasured: Sequence[str] = ()
) -> Profile:
    """Find what stands out among weights whose statistics are known.

    Args:
        label: of the source.
        names: of the weights, in the order of their depth.
        values: for each statistic in `CRITERIA`, float64[len(names)].
        unmeasured: sentences for the foot of the picture.
    """
    kin = tuple(family(name) for name in names)
    unusual = {name: _unusual(values[name] + CRITERIA[name].offset, kin) for name in values}
    shifted = {
        name: tuple(
            Unusual(one.weight, one.value - CRITERIA[name].offset, one.typical - CRITERIA[name].offset, one.score)
            for one in found
        )
        for name, found in unusual.items()
    }
    line = f"{shown(label, 70)} \N{MIDDLE DOT} {count_of(len(names), 'weight')} in the order of depth"
    return Profile(_sentence(names, kin, shifted), line, tuple(names), kin, values, shifted, tuple(unmeasured))


def _unusual(values: NDArray[np.float64], kin: Sequence[str]) -> tuple[Unusual, ...]:
    """Those that stand out from their family, or small families' from all others of small families."""
    groups: dict[str, list[int]] = {}
    sizes = {name: kin.count(name) for name in set(kin)}
    for i, name in enumerate(kin):
        groups.setdefault(name if sizes[name] >= CROWD else "", []).append(i)
    found = []
    for members in groups.values():
        kept = [i for i in members if isfinite(values[i])]
        crowd = values[kept]
        typical = float(np.median(crowd)) if kept else 0.0
        found += [Unusual(kept[one.index], one.norm, typical, one.score) for one in standing_out(crowd)]
    return tuple(sorted(found, key=lambda one: -abs(one.score)))


def _sentence(names: Sequence[str], kin: Sequence[str], unusual: dict[str, tuple[Unusual, ...]]) -> str:
    leading = [(found[0], name) for name, found in unusual.items() if found]
    if len(names) == 1:
        return f"{shown(names[0])} is the only weight: there is nothing that it could stand out from"
    if not leading:
        what = [CRITERIA[name].noun for name in unusual]
        return "No layer stands out in " + " or ".join([", ".join(what[:-1]), what[-1]] if len(what) > 1 else what)
    first, name = max(leading, key=lambda pair: abs(pair[0].score))
    affected = len({one.weight for found in unusual.values() for one in found})
    others = "its siblings" if kin.count(kin[first.weight]) >= CROWD else "others"
    who = f"{shown(names[first.weight], 44)} has {CRITERIA[name].noun} {number(first.value)}"
    compared = f"{others} about {number(first.typical)}"
    if affected == 1:
        return f"{who}, {compared}"
    return f"{affected:,} of {count_of(len(names), 'weight')} stand out; most: {who}, {compared}"


def remarkable(profile: Profile, most: int) -> list[str]:
    """Names of the weights that are most worth a look: those that stand out furthest, one a family first."""
    ranked = sorted((one for found in profile.unusual.values() for one in found), key=lambda one: -abs(one.score))
    picked: dict[int, None] = {}
    seen: set[str] = set()
    for one in ranked:
        if profile.family[one.weight] not in seen:
            seen.add(profile.family[one.weight])
            picked[one.weight] = None
    picked |= dict.fromkeys(one.weight for one in ranked)
    return [profile.names[i] for i in list(picked)[:most]]


def draw(profile: Profile, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    panels = list(profile.values)
    figure = style.new_figure(theme, 9.0, 1.75 * len(panels) + 1.9)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    groups = families(profile.family, len(theme.palette) - 1)
    for one, name in zip(axes, panels, strict=True):
        _draw_panel(one, profile, name, groups, theme)
    starts, numbers = blocks(profile.names)
    style.dress(axes[-1], theme, "layer" if numbers else "weight", axes[-1].get_ylabel())
    if numbers:
        axes[-1].set_xticks(starts, numbers)
    elif len(profile.names) <= FEW:
        style.tick_names(axes[-1], "x", range(len(profile.names)), [shown(name, 16) for name in profile.names], theme)
    else:
        style.whole_numbers(axes[-1], "x", len(profile.names))
    axes[-1].set_xlim(-0.6, len(profile.names) - 0.4)
    if groups:
        style.legend(axes[0], theme, ncols=4)
    notes = [*profile.unmeasured]
    if any(profile.unusual.values()):
        notes.insert(
            0, "Ringed: modified z-score over 3.5 among weights of the same name in other layers, or among the others."
        )
    style.finish(figure, theme, profile.title, profile.subtitle, notes)
    return figure


def _draw_panel(axes: "Axes", profile: Profile, name: str, groups: dict[str, str], theme: Theme) -> None:
    values = profile.values[name]
    style.dress(axes, theme, "", CRITERIA[name].noun)
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() > 8 * finite.min():
        axes.set_yscale("log")
    elif len(finite) and finite.min() <= 0 and finite.max() > 50 * max(1.0, -finite.min()):
        axes.set_yscale("symlog", linthresh=1.0)
    rest = np.array([kin not in groups for kin in profile.family])
    places = np.arange(len(values))
    axes.plot(places[rest], values[rest], "o", color=theme.muted, markersize=3.5, alpha=0.8)
    for color, (kin, text) in zip(theme.palette, groups.items(), strict=False):
        mine = np.array([one == kin for one in profile.family])
        axes.plot(places[mine], values[mine], "o-", color=color, markersize=3.5, linewidth=1, alpha=0.9, label=text)
    if rest.any() and groups:
        axes.plot([], [], "o", color=theme.muted, markersize=3.5, label="others")
    _name_outliers(axes, profile, name, theme)
    axes.margins(y=0.18)
    style.plain_numbers(axes, "y", few=True)


def _name_outliers(axes: "Axes", profile: Profile, name: str, theme: Theme) -> None:
    """Ring what stands out; name the furthest, each beside its ring where no name is yet."""
    found = profile.unusual[name]
    if not found:
        return
    x = [one.weight for one in found]
    axes.plot(x, [one.value for one in found], "o", color=theme.alarm, markersize=8, fillstyle="none")
    count = len(profile.names)
    named: list[Unusual] = []
    for one in found:
        # A name is about two fifths of the picture wide; a second one that near would cover it.
        if len(named) < NAMED and all(abs(one.weight - other.weight) > 0.42 * count for other in named):
            named.append(one)
    for one in named:
        right = one.weight > 0.55 * count
        options: dict[str, Any] = {"ha": "right" if right else "left", "va": "center"}
        axes.annotate(
            shown(profile.names[one.weight].removesuffix(".weight"), 40),
            (one.weight, one.value),
            (-8 if right else 8, 0),
            textcoords="offset points",
            fontsize=7.5,
            color=theme.text,
            family=style.FONT,
            parse_math=False,
            bbox={"facecolor": theme.background, "edgecolor": "none", "alpha": 0.75, "pad": 1},
            **options,
        )
