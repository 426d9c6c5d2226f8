"""Which pictures are drawn of a run or a source when several are asked for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from weightsmith.errors import InputError, StoreError
from weightsmith.names import matches
from weightsmith.plots import profile
from weightsmith.plots.catalog import FIRST_LAYER, PLOTS
from weightsmith.plots.style import count_of, shown
from weightsmith.plots.subject import matrices
from weightsmith.sources import Source

if TYPE_CHECKING:
    from weightsmith.store import Run

MOST_WEIGHTS = 8
"""Weights that all get pictures of their own when none are named."""

REMARKABLE = 4
"""Weights that get pictures of their own where there are more."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    kinds: Iterable[str] | None
    weights: Iterable[str] | None
    theme: str
    suffix: str
    options: dict[str, Any]

    def options_of(self, kind: str) -> dict[str, Any]:
        """Those of the options that this picture knows."""
        known = signature(PLOTS[kind].summarize).parameters
        return {name: value for name, value in self.options.items() if name in known}


def jobs(
    what: "Run | Source", kinds: list[str], wish: Wish, skipped: list[tuple[str, str]], progress: Progress | None
) -> Iterator[tuple[str, "Run | Source", str | None]]:
    """Kind, subject and weight of each picture to draw; what cannot be drawn at all goes to `skipped`."""
    for kind in kinds:
        if PLOTS[kind].reads == "run":
            yield kind, what, None
    others = [kind for kind in kinds if PLOTS[kind].reads != "run"]
    if not others:
        return
    try:
        source = what if isinstance(what, Source) else what.source()
    except StoreError as error:  # a run recorded without snapshots still has its curves
        skipped += [(kind, str(error)) for kind in others]
        return
    for kind in others:
        if PLOTS[kind].reads == "source":
            yield kind, source, None
    per_weight = [kind for kind in others if PLOTS[kind].reads == "weight"]
    names = _weights(source, per_weight, wish.weights, skipped, progress) if per_weight else []
    first = matrices(source.infos)[:1]
    for kind in per_weight:
        if wish.weights is None and kind in FIRST_LAYER:
            if first and first[0].role == "embedding":
                skipped.append((kind, f"the first layer, {shown(first[0].name)}, is looked up by row"))
            else:
                yield from ((kind, source, info.name) for info in first)
        else:
            yield from ((kind, source, name) for name in names)


def _weights(
    source: Source,
    kinds: list[str],
    weights: Iterable[str] | None,
    skipped: list[tuple[str, str]],
    progress: Progress | None,
) -> list[str]:
    """Names of the weights that get pictures of their own."""
    if weights is not None:
        return _matching(source, list(weights))
    names = [info.name for info in matrices(source.infos)]
    if not names:
        skipped += [(kind, f"{shown(source.label, 80)} holds no weight matrix") for kind in kinds]
    if len(names) <= MOST_WEIGHTS or set(kinds) <= set(FIRST_LAYER):
        return names
    quick = profile.summarize(
        source,
        statistics=("rms", "kurtosis"),
        progress=progress and (lambda done, total: progress(done, total, "choosing weights")),
    )
    # Beside those that stand out, the largest: they hold most of what the model knows.
    largest = sorted(names, key=lambda name: -source[name].size)
    found = list(dict.fromkeys([*profile.remarkable(quick, REMARKABLE), *largest]))[:REMARKABLE]
    rest = count_of(len(names) - len(found), "other matrix").replace("matrixs", "matrices")
    skipped.append((rest, f"drawn are the {len(found)} most remarkable of {len(names)}: choose others by name"))
    return [name for name in names if name in found]


def _matching(source: Source, patterns: list[str]) -> list[str]:
    """Names that the patterns select, in the order of the source.

    Raises:
        InputError: a pattern that selects none.
    """
    for pattern in patterns:
        if pattern not in source and not any(matches(name, pattern) for name in source):
            if not set("*?[") & set(pattern):
                source[pattern]  # says what it might have meant
            raise InputError(f"no weight of {shown(source.label, 80)} matches '{shown(pattern, 80)}'")
    return [name for name in source if name in patterns or matches(name, patterns)]
