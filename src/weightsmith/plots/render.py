"""From a run or a source to figures and files."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from weightsmith.errors import InputError, SourceError
from weightsmith.names import choose
from weightsmith.plots.catalog import ALIASES, PLOTS
from weightsmith.plots.jobs import Progress, Wish, jobs
from weightsmith.plots.style import shown, theme_named
from weightsmith.plots.subject import NothingToDrawError, matrices
from weightsmith.sources import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from weightsmith.store import Run

FORMATS = ("png", "svg", "pdf")


def draw(
    what: "Run | Source", kind: str, *, weight: str | None = None, theme: str = "light", **options: Any
) -> "Figure":
    """Draw one picture.

    Args:
        what: a run, or a source of weights; a run's weights are those of its last snapshot.
        kind: a name in `PLOTS`.
        weight: for pictures of one weight, its name; by default the first matrix.
        theme: `light` or `dark`.
        options: of the picture's `summarize` function, such as `include` for the layers of a run, `statistics` for
            `profile`, `method`, `dimensions`, `color`, `perplexity`, `seed`, `limit`, `time_limit` and `progress` for
            `embedding`, `image` for `filters`.

    Raises:
        InputError: an unknown kind, theme, weight or option, or a picture of training asked of a mere source.
        NothingToDrawError: what the picture needs is not there.
        StoreError: the run cannot be read, or has no snapshot where weights are needed.
    """
    kind = named(kind)
    colors = theme_named(theme)
    return PLOTS[kind].draw(record(what, kind, weight=weight, **options), colors)


def named(kind: str) -> str:
    """The name in `PLOTS` that a picture was asked for by.

    Raises:
        InputError: there is no such picture.
    """
    return ALIASES.get(kind) or choose(kind, PLOTS, "picture")


def record(what: "Run | Source", kind: str, *, weight: str | None = None, **options: Any) -> Any:
    """The frozen record that `draw` would draw: the numbers of a picture without its pixels; as `draw` otherwise."""
    kind = named(kind)
    info = PLOTS[kind]
    known = list(signature(info.summarize).parameters)[2 if info.reads == "weight" else 1 :]
    for option in options:
        choose(option, known, f"option of the picture '{kind}'")
    if info.reads != "weight" and weight is not None:
        options = {"include": weight, **options}
    if info.reads == "run":
        if isinstance(what, Source):
            raise InputError(f"'{kind}' shows a training: give a run, not {shown(what.label, 80)}")
        return info.summarize(what, **options)
    source = what if isinstance(what, Source) else what.source()
    if info.reads == "source":
        return info.summarize(source, **options)
    name = weight if weight is not None else _first_matrix(source)
    return info.summarize(source, name, **options)


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


@dataclass(frozen=True)
class Drawn:
    """One picture that was drawn.

    Attributes:
        path: its file.
        kind: name in `PLOTS`.
        weight: the weight that it shows, or None where it shows all or a training.
        record: what it was drawn from; `title` is its finding in words.
    """

    path: Path
    kind: str
    weight: str | None
    record: Any


class Pictures(list[Path]):
    """The files written, in order.

    Attributes:
        drawn: what each of them shows, in the same order.
        skipped: what was not drawn, and why, in one line each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Drawn] = []
        self.skipped: list[tuple[str, str]] = []

    def add(self, drawn: Drawn) -> None:
        """Take in one more picture."""
        self.append(drawn.path)
        self.drawn.append(drawn)


def plot_run(
    run: "Run",
    folder: str | Path,
    kinds: Iterable[str] | None = None,
    format: str = "png",  # noqa: A002 -- what matplotlib and pandas call it
    *,
    weights: Iterable[str] | None = None,
    theme: str = "light",
    progress: Progress | None = None,
    **options: Any,
) -> Pictures:
    """Draw all pictures of a run that have data.

    Args:
        run: the run.
        folder: where the files go; made where it is missing. Files of the same names are replaced.
        kinds: names in `PLOTS`; by default all.
        format: `png`, `svg` or `pdf`.
        weights: names or patterns of weights (`encoder.*.key.weight`) for the pictures of one weight; by default all
            matrices, or of more than eight the four most remarkable ones.
        theme: `light` or `dark`.
        progress: called before each picture with the number done, their total, and the name of the next.
        options: as for `draw`, given to the pictures that know them.

    Returns:
        The files written; `skipped` lists the others with the reason.

    Raises:
        InputError: an unknown kind, format, theme or weight, or a folder that cannot be written to.
    """
    return _draw_all(run, folder, Wish(kinds, weights, theme, format, options), progress)


def plot_source(
    source: Source,
    folder: str | Path,
    kinds: Iterable[str] | None = None,
    format: str = "png",  # noqa: A002 -- as in plot_run
    *,
    weights: Iterable[str] | None = None,
    theme: str = "light",
    progress: Progress | None = None,
    **options: Any,
) -> Pictures:
    """Draw all pictures of a source of weights; as `plot_run`, without the pictures of training."""
    wanted = [info.name for info in PLOTS.values() if info.reads != "run"] if kinds is None else kinds
    return _draw_all(source, folder, Wish(wanted, weights, theme, format, options), progress)


def _draw_all(what: "Run | Source", folder: str | Path, wish: Wish, progress: Progress | None) -> Pictures:
    choose(wish.suffix, FORMATS, "format")
    theme = theme_named(wish.theme)
    kinds = list(dict.fromkeys(named(kind) for kind in (PLOTS if wish.kinds is None else wish.kinds)))
    for option in wish.options:
        choose(option, {name for kind in kinds for name in signature(PLOTS[kind].summarize).parameters}, "option")
    pictures = Pictures()
    todo = list(jobs(what, kinds, wish, pictures.skipped, progress))
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {place}: {error.strerror or error}") from error
    for done, (kind, subject, weight) in enumerate(todo):
        called = kind if weight is None else f"{kind} of {shown(weight)}"
        if progress is not None:
            progress(done, len(todo), called)
        try:
            found = record(subject, kind, weight=weight, **wish.options_of(kind))
            figure = PLOTS[kind].draw(found, theme)
        except SourceError:
            raise
        except InputError as error:
            # What we chose ourselves may be of packed values; who names a weight or gives an option wants to know.
            if not isinstance(error, NothingToDrawError) and (weight is None or wish.weights is not None):
                raise
            pictures.skipped.append((called, str(error)))
        else:
            path = save(figure, place / f"{_file_name(kind, weight, pictures)}.{wish.suffix}")
            pictures.add(Drawn(path, kind, weight, found))
    return pictures


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
