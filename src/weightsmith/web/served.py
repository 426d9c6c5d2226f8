"""All that the routes share: the library, what was computed, and who computes."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from weightsmith.analysis.grid import Grid
from weightsmith.analysis.pyramid import Pyramid
from weightsmith.rules import Configuration
from weightsmith.web.library import Library, Opened
from weightsmith.web.memory import Memory
from weightsmith.web.watch import Watcher
from weightsmith.web.work import Work

MIB = 1 << 20


@dataclass
class Served:
    """One server's state.

    Args:
        library: what is served.
        configuration: thresholds and suppressions of the rules.

    Attributes:
        tiles: bytes of tiles.
        pyramids: of matrices, each with its kept levels and, where its values do not lie plain in a file, these too.
        results: everything else that took a while.
        work: runs what takes long.
        watcher: tells when runs change.
    """

    library: Library
    configuration: Configuration = field(default_factory=Configuration)
    tiles: Memory = field(default_factory=lambda: Memory(128 * MIB))
    pyramids: Memory = field(default_factory=lambda: Memory(256 * MIB, last=True))
    results: Memory = field(default_factory=lambda: Memory(64 * MIB))

    def __post_init__(self) -> None:
        self.work = Work(self.results)
        self.watcher = Watcher(self.library.stores)

    def pyramid(self, opened: Opened, index: int) -> Pyramid:
        """The pyramid of a weight's matrix.

        Raises:
            UnknownError: there is no such weight.
            InputError, SourceError: its values cannot be read.
        """
        weight = opened.weight(index)
        return self.pyramids.result(
            (opened.content, index),
            lambda: Pyramid(Grid.of(weight)),
            lambda pyramid: pyramid.nbytes + pyramid.grid.held,
        )


def _served(request: Request) -> Served:
    served: Served = request.app.state.served
    return served


Here = Annotated[Served, Depends(_served)]
"""For the parameter of a route that needs the server's state."""
