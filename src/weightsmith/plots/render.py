"""From a run or a source to figures and files."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from inspect import signature
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from weightsmith.errors import InputError, StoreError
from weightsmith.names import choose
from weightsmith.plots.catalog import FIRST_LAYER, PLOTS
from weightsmith.plots.style import shown, theme_named
from weightsmith.plots.subject import NothingToDrawError, matrices
from weightsmith.sources import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.store import Run

FORMATS = ("png", "svg", "pdf")
MOST_WEIGHTS = 8
"""Weights that get pictures of their own when all pictures are drawn."""


def draw(
    what: "Run | Source", kind: str, *, weight: str | None = None, theme: str = "light", **options: Any
) -> "Figure":
    """Draw one picture.

    Args:
        what: a run, or a source of weights; a run's weights are those of its last snapshot.
        kind: a name in `PLOTS`.
        weight: for pictures of one weight, its name; by default the first matrix.
        theme: `light` or `dark`.
        options: of the picture's `summarize` function, such as `include` for the layers of a run, `method`, `color`,
            `perplexity`, `seed`, `limit`, `time_limit` and `progress` for `embedding`, `image` for `filters`.

    Raises:
        InputError: an unknown kind, theme, weight or option, or a picture of training asked of a mere source.
        NothingToDrawError: what the picture needs is not there.
        StoreError: the run cannot be read, or has no snapshot where weights are needed.
    """
    info = PLOTS[choose(kind, PLOTS, "picture")]
    colors = theme_named(theme)
    known = list(signature(info.summarize).parameters)[1 if info.reads == "run" else 2 :]
    for option in options:
        choose(option, known, f"option of the picture '{kind}'")
    if info.reads == "run":
        if isinstance(what, Source):
            raise InputError(f"'{kind}' shows a training: give a run, not {shown(what.label, 80)}")
        if weight is not None:
            options = {"include": weight, **options}
        return info.draw(info.summarize(what, **options), colors)
    source = what if isinstance(what, Source) else what.source()
    name = weight if weight is not None else _first_matrix(source)
    return info.draw(info.summarize(source, name, **options), colors)


def _first_matrix(source: Source) -> str:
    found = matrices(source.infos)
    if not found:
        raise NothingToDrawError(f"{shown(source.label, 80)} holds no weight matrix: name a weight")
    return found[0].name


def save(figure: "Figure", path: str | Path) -> Path:
    """Write a figure as PNG, SVG or PDF, by the suffix; the file is there whole or not at all.

    Raises:
        InputError: another suffix, or a folder that does not exist or cannot be written to.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    target = Path(path)
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        given = f"'{target.suffix}'" if target.suffix else "a name without a suffix"
        raise InputError(f"cannot write a picture to {given} ({target}): choose from .png, .svg, .pdf")
    # Plain dates would make every file differ from the last one drawn of the same run.
    metadata = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[suffix]
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{get_ident()}.part")
    FigureCanvasAgg(figure)
    try:
        figure.savefig(temporary, format=suffix, facecolor=figure.get_facecolor(), metadata=metadata)
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"cannot write the picture {target}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


class Pictures(list[Path]):
    """The files written, in order.

    Attributes:
        skipped: what was not drawn, and why, in one line each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped: list[tuple[str, str]] = []


def plot_run(
    run: "Run",
    folder: str | Path,
    kinds: Iterable[str] | None = None,
    format: str = "png",  # noqa: A002 -- what matplotlib and pandas call it
    *,
    weights: Iterable[str] | None = None,
    theme: str = "light",
    progress: Callable[[int, int, str], None] | None = None,
) -> Pictures:
    """Draw all pictures of a run that have data.

    Args:
        run: the run.
        folder: where the files go; made where it is missing. Files of the same names are replaced.
        kinds: names in `PLOTS`; by default all.
        format: `png`, `svg` or `pdf`.
        weights: names of weights for the pictures of one weight; by default the first eight matrices.
        theme: `light` or `dark`.
        progress: called before each picture with the number done, their total, and the name of the next.

    Returns:
        The files written; `skipped` lists the others with the reason.

    Raises:
        InputError: an unknown kind, format, theme or weight, or a folder that cannot be written to.
    """
    return _draw_all(run, folder, kinds, format, weights, theme, progress)


def plot_source(
    source: Source,
    folder: str | Path,
    kinds: Iterable[str] | None = None,
    format: str = "png",  # noqa: A002 -- as in plot_run
    *,
    weights: Iterable[str] | None = None,
    theme: str = "light",
    progress: Callable[[int, int, str], None] | None = None,
) -> Pictures:
    """Draw all pictures of a source of weights; as `plot_run`, without the pictures of training."""
    wanted = [info.name for info in PLOTS.values() if info.reads == "weight"] if kinds is None else kinds
    return _draw_all(source, folder, wanted, format, weights, theme, progress)


def _draw_all(
    what: "Run | Source",
    folder: str | Path,
    kinds: Iterable[str] | None,
    suffix: str,
    weights: Iterable[str] | None,
    theme: str,
    progress: Callable[[int, int, str], None] | None,
) -> Pictures:
    choose(suffix, FORMATS, "format")
    theme_named(theme)
    wanted = [choose(kind, PLOTS, "picture") for kind in (PLOTS if kinds is None else kinds)]
    pictures = Pictures()
    jobs = list(_jobs(what, wanted, None if weights is None else list(weights), pictures))
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {place}: {error.strerror or error}") from error
    for done, (kind, subject, weight) in enumerate(jobs):
        called = kind if weight is None else f"{kind} of {shown(weight)}"
        if progress is not None:
            progress(done, len(jobs), called)
        try:
            figure = draw(subject, kind, weight=weight, theme=theme)
        except NothingToDrawError as error:
            pictures.skipped.append((called, str(error)))
        else:
            pictures.append(save(figure, place / f"{_file_name(kind, weight, pictures)}.{suffix}"))
    return pictures


def _jobs(
    what: "Run | Source", kinds: list[str], weights: list[str] | None, pictures: Pictures
) -> Iterator[tuple[str, "Run | Source", str | None]]:
    """Kind, subject and weight of each picture to draw; what cannot be drawn at all goes to `skipped`."""
    for kind in kinds:
        if PLOTS[kind].reads == "run":
            yield kind, what, None
    per_weight = [kind for kind in kinds if PLOTS[kind].reads == "weight"]
    if not per_weight:
        return
    try:
        source = what if isinstance(what, Source) else what.source()
    except StoreError as error:  # a run recorded without snapshots still has its curves
        pictures.skipped += [(kind, str(error)) for kind in per_weight]
        return
    if weights is not None:
        names = [source[name].name for name in weights]
    else:
        names = [info.name for info in matrices(source.infos)]
        pictures.skipped += [
            (
                shown(name),
                f"pictures are drawn for the first {MOST_WEIGHTS} of {len(names)} matrices: name it to see it",
            )
            for name in names[MOST_WEIGHTS:]
        ]
        if not names:
            pictures.skipped += [(kind, f"{shown(source.label, 80)} holds no weight matrix") for kind in per_weight]
    for kind in per_weight:
        first_only = weights is None and kind in FIRST_LAYER
        for name in names[: 1 if first_only else MOST_WEIGHTS if weights is None else None]:
            yield kind, source, name


def _file_name(kind: str, weight: str | None, written: list[Path]) -> str:
    """A file name that every file system takes and that no earlier picture of this folder has."""
    if weight is None:
        return kind
    plain = f"{kind}-{re.sub(r'[^A-Za-z0-9._-]+', '_', weight)[-120:]}"
    name, again = plain, 1
    while any(path.stem == name for path in written):
        again += 1
        name = f"{plain}-{again}"
    return name
