"""What a picture is drawn from, and how its subtitle names it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weightsmith.errors import InputError
from weightsmith.names import Patterns, matches
from weightsmith.plots.style import shown
from weightsmith.weight import MATRIX_ROLES, WeightInfo

if TYPE_CHECKING:
    from weightsmith.store import Run


class NothingToDrawError(InputError):
    """The run or source holds nothing that this picture could show; the message says what is missing."""


def run_line(run: "Run", *more: str) -> str:
    """The subtitle of a picture of a run: its name, its id and what else the picture has to say."""
    named = f"run {shown(run.name)} ({run.id})" if run.name else f"run {run.id}"
    return " \N{MIDDLE DOT} ".join([named, *more])


def shape_line(label: str, name: str, shape: Sequence[int], *more: str) -> str:
    """The subtitle of a picture of one weight: its name, shape and source."""
    dimensions = " \N{MULTIPLICATION SIGN} ".join(f"{length:,}" for length in shape) or "scalar"
    return " \N{MIDDLE DOT} ".join([shown(name, 60), dimensions, shown(label, 60), *more])


def matrices(infos: Sequence[WeightInfo]) -> list[WeightInfo]:
    """The weights that multiply an input and have rows and columns, each storage once."""
    return [
        info
        for info in infos
        if info.role in MATRIX_ROLES and len(info.shape) >= 2 and info.size and info.tied_to is None
    ]


def chosen(run: "Run", include: Patterns | None) -> list[str]:
    """Names of the run's weights that match the patterns; by default its matrices, or all where it has none.

    Raises:
        InputError: where patterns were given and no weight matches.
    """
    if include is None:
        return [info.name for info in matrices(run.weights) or run.weights]
    names = [info.name for info in run.weights if matches(info.name, include)]
    if not names:
        raise InputError(f"no weight of run {run.id} matches {include!r}: it has {', '.join(_few(run.weights))}")
    return names


def _few(infos: Sequence[WeightInfo]) -> list[str]:
    names = [shown(info.name) for info in infos[:8]]
    return [*names, "..."] if len(infos) > 8 else names
