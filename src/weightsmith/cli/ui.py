"""`weightsmith ui`: the page in the browser."""

import os
import sys
import webbrowser
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightsmith.cli.interrupt import ending_at_once
from weightsmith.cli.options import StoreOption, open_store

if TYPE_CHECKING:
    from fastapi import FastAPI

    from weightsmith.rules import Configuration
    from weightsmith.store import Store
    from weightsmith.web.library import Library


def ui(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE|FILE]...",
            help="Stores, and files, folders or URLs of weights.",
            show_default="the user's store",
        ),
    ] = None,
    *,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Port.", show_default="a free one from 8300 on")
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Name or address to listen at; beyond this machine a token is asked for.")
    ] = "127.0.0.1",
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix",
            metavar="PATH|URL",
            help="Path or full address under which a proxy shows the page.",
            show_default=False,
        ),
    ] = "",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
    store: StoreOption = None,
) -> None:
    """Show runs and weights in the browser: curves, histograms, matrices, spectra, findings. Only reads.

    Serves until Ctrl-C. Without arguments it shows the user's store; files alone are shown without it.

    Examples: `weightsmith ui`, `weightsmith ui model.safetensors`, `weightsmith ui runs/ model.gguf --port 9000`
    """
    with ending_at_once():
        from weightsmith.rules import Configuration
        from weightsmith.web.front import front
        from weightsmith.web.guard import Guard
        from weightsmith.web.serve import listen, serve
        from weightsmith.web.starting import Starting
        from weightsmith.web.work import is_computing

    with ExitStack() as stack:
        configuration = Configuration.find()
        library = _library(what or [], store, stack)
        opened = stack.enter_context(listen(host, port))
        reached = front(opened, host, prefix)
        typer.echo(f"Weightsmith is at {reached.address} (Ctrl-C ends it)")
        starting = Starting(lambda: _application(library, configuration))
        if not no_browser:
            webbrowser.open(reached.address)
        app = Guard(
            starting,
            reached.hosts,
            any_address=reached.any_address,
            token=reached.token,
            prefix=reached.prefix,
        )
        serve(app, opened, starting.loading)
    if is_computing() or not starting.loading.done():
        _leave()


def _application(library: "Library", configuration: "Configuration") -> "FastAPI":
    from weightsmith.web.app import create_app  # loads FastAPI and all routes
    from weightsmith.web.served import Served

    return create_app(Served(library, configuration))


def _leave() -> None:
    """End the process without the interpreter's own way out, which threads hold up, or inside C++ code abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _library(references: list[str], store: str | None, stack: ExitStack) -> "Library":
    """Open all that is to be shown now: a mistake is better told here than to somebody who clicks.

    Raises:
        SourceError, StoreError: something does not open.
    """
    from weightsmith.scan import Cache, cache_folder
    from weightsmith.web.library import Library

    places = [reference for reference in references if is_store(reference)]
    files = [reference for reference in references if not is_store(reference)]
    wanted: list[str | None] = [*places]
    # The option, or without anything else the user's own store; the environment fills the option in as well.
    if store is not None and (not references or _was_given(store)):
        wanted.append(store)
    elif not references:
        wanted.append(None)
    stores: dict[str, Store] = {}
    for place, location in enumerate(wanted):
        stores[f"s{place}"] = stack.enter_context(open_store(location))
    library = Library(stores, {f"f{place}": file for place, file in enumerate(files)}, Cache(cache_folder(store)))
    for name in library.files:
        library.source(name)
    return library


def _was_given(store: str) -> bool:
    """Whether a store was named on the command line and does not just come from the environment."""
    return os.environ.get("WEIGHTSMITH_STORE") != store


def is_store(reference: str) -> bool:
    """Whether a reference means a store of runs: a database's URL or file, or a folder that holds one."""
    if reference.partition("://")[0] in ("postgresql", "postgresql+psycopg", "postgres", "sqlite"):
        return True
    path = Path(reference)
    try:
        if path.suffix.lower() in (".db", ".sqlite", ".sqlite3"):
            return not path.is_dir() or (path / "weightsmith.db").exists()
        return (path / "weightsmith.db").is_file()
    except (OSError, ValueError):
        return False
