"""Options that several commands share, so that they read and behave alike."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from weightsmith.store import Store

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH|URL",
        help="Where runs are kept: a folder, a .db file or a postgresql:// URL.",
        envvar="WEIGHTSMITH_STORE",
        show_default="the user's data folder",
        show_envvar=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


PIPE_WIDTH = 300


def read_note(given: str | None) -> str | None:
    """The note as given, or what standard input holds for `-`."""
    return sys.stdin.read() if given == "-" else given


def open_store(location: str | None) -> "Store":
    """Open the store that a reading command was pointed at; one that is not there is a mistake, not a new store.

    Raises:
        StoreError: `location` names a path where nothing is, or a store that cannot be opened.
    """
    from weightsmith.errors import StoreError
    from weightsmith.store import Store
    from weightsmith.store.location import locate

    place = locate(location)
    if location and not place.is_postgres and not Path(place.address).exists():
        raise StoreError(f"{location}: no store is there; weightsmith train --store {location} would make one")
    return Store.open(location)


def print_json(**fields: Any) -> None:
    """Print one JSON object; values JSON has no word for (dates, paths, NaN) become text or null."""
    json.dump(_plain(fields), sys.stdout, indent=2, default=str, allow_nan=False)
    sys.stdout.write("\n")


def console(*, stderr: bool = False) -> "Console":
    """A rich console, imported only when something is to be laid out.

    What goes into a pipe or file is not cut to a terminal's width, so that each message stays on one line.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    fixed = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, highlight=False, width=None if fixed else PIPE_WIDTH)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
