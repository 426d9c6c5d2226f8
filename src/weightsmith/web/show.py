"""`weightsmith.show`: the page inside a notebook, served by the notebook's own process."""

import os
import threading
from html import escape
from typing import TYPE_CHECKING, Union

from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.sources import Source
from weightsmith.sources import open as open_source
from weightsmith.store import Store
from weightsmith.web.app import create_app
from weightsmith.web.front import front
from weightsmith.web.guard import Guard
from weightsmith.web.library import Library
from weightsmith.web.serve import listen, server
from weightsmith.web.served import Served

if TYPE_CHECKING:
    from torch import nn

Showable = Union[Store, Source, "nn.Module", str, "os.PathLike[str]"]

_FRAMES = "'self' http://localhost:* http://127.0.0.1:*"
"""Pages that may show it in a frame: those of this machine, as notebooks are on other ports."""


class Shown:
    """A page that is being served; a notebook shows it as an inline frame.

    Attributes:
        address: what to open in a browser of this machine.
        height: of the frame in pixels.
    """

    def __init__(self, library: Library, height: int) -> None:
        self.height = height
        opened = listen("127.0.0.1", None)
        reached = front(opened, "127.0.0.1")
        self.address = reached.address
        self._server = server(Guard(create_app(Served(library)), reached.hosts, frames=_FRAMES))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [opened]}, daemon=True, name="weightsmith page"
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving; stores that were given stay open."""
        self._server.should_exit = True
        self._thread.join()

    def __repr__(self) -> str:
        return f"<Page at {self.address}>"

    def _repr_html_(self) -> str:
        address = escape(self.address, quote=True)
        return f'<iframe src="{address}" width="100%" height="{self.height}" style="border:0"></iframe>'


def show(*what: Showable, height: int = 700) -> Shown:
    """Show stores, files and live models on the page, in a notebook or in a browser of this machine.

    Args:
        what: stores, sources, modules, and paths or URLs of weights. The weights of a live model are shown as they are
            when they are looked at.
        height: of the frame in a notebook, in pixels.

    Raises:
        InputError: something else, or nothing.
        SourceError: a file that does not open.
    """
    if not what:
        raise InputError("there is nothing to show: give a store, the path of a file of weights, or a model")
    if height < 1:
        raise InputError(f"a frame cannot be {height} pixels high")
    stores = [one for one in what if isinstance(one, Store)]
    files = [_file(one) for one in what if not isinstance(one, Store)]
    library = Library(
        {f"s{place}": store for place, store in enumerate(stores)},
        {f"f{place}": file for place, file in enumerate(files)},
    )
    for name in library.files:
        library.source(name)
    return Shown(library, height)


def _file(what: "Source | nn.Module | str | os.PathLike[str]") -> str | Source:
    if isinstance(what, (str, os.PathLike)):
        return os.fspath(what)
    try:
        return open_source(what)
    except InputError as error:
        raise InputError(f"cannot show a {printable(type(what).__name__)}: {error}") from error
