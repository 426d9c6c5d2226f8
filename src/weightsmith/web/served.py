"""All that the routes share: the library, what was computed, and who computes."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from fastapi import Depends, Request
from numpy.typing import NDArray

from weightsmith.analysis.arranged import Order, arranged, line_order
from weightsmith.analysis.difference import difference
from weightsmith.analysis.grid import Grid
from weightsmith.analysis.pyramid import Pyramid
from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.rules import Configuration
from weightsmith.sources import Weight
from weightsmith.web.faults import UnknownError
from weightsmith.web.library import Library, Opened
from weightsmith.web.memory import Memory, Turns
from weightsmith.web.picture import AS_IT_IS, Picture
from weightsmith.web.watch import Watcher
from weightsmith.web.work import Work

MIB = 1 << 20
EXPORTS = 2


@dataclass
class Served:
    """One server's state.

    Args:
        library: what is served.
        configuration: thresholds and suppressions of the rules.

    Attributes:
        tiles: bytes of tiles.
        pyramids: of matrices, each with its kept levels and, where its values do not lie plain in a file, these too.
        models: of runs, built again to be explained, with their data.
        results: everything else that took a while.
        turns: of those who ask for the same thing that changes.
        work: runs what takes long.
        watcher: tells when runs and files change.
        exports: of the views that are made into files, the few at a time.
    """

    library: Library
    configuration: Configuration = field(default_factory=Configuration)
    tiles: Memory = field(default_factory=lambda: Memory(128 * MIB))
    pyramids: Memory = field(default_factory=lambda: Memory(256 * MIB, last=True))
    models: Memory = field(default_factory=lambda: Memory(256 * MIB, last=True))
    results: Memory = field(default_factory=lambda: Memory(64 * MIB))
    turns: Turns = field(default_factory=Turns)

    def __post_init__(self) -> None:
        self.work = Work(self.results)
        self.watcher = Watcher(self.library.stores, self.library.tags)
        self.exports = asyncio.Semaphore(EXPORTS)

    def pyramid(self, opened: Opened, index: int, picture: Picture = AS_IT_IS) -> Pyramid:
        """The pyramid of a weight's matrix.

        Raises:
            UnknownError: there is no such weight, or none to compare it with.
            InputError, SourceError: its values cannot be read, or not be shown so.
        """
        weight = opened.weight(index)
        return self.pyramids.result(
            (self.content(opened, picture), index, picture),
            lambda: Pyramid(Grid.of(weight) if picture == AS_IT_IS else self._pictured(opened, index, picture)),
            lambda pyramid: pyramid.nbytes + pyramid.grid.held,
        )

    def content(self, opened: Opened, picture: Picture) -> str:
        """Text that changes whenever what the picture shows may have."""
        if picture.against is None:
            return opened.content
        return f"{opened.content} {self.library.source(picture.against).content}"

    def counterpart(self, opened: Opened, index: int, against: str) -> Weight:
        """The weight of the same name and shape elsewhere.

        Raises:
            UnknownError: there is none.
            InputError: its shape is another.
        """
        return self._counterpart(opened, index, against)[0]

    def order(self, opened: Opened, index: int, axis: Literal["rows", "columns"], how: Order) -> NDArray[np.int64]:
        """The rows or columns of a weight's matrix in an order.

        Raises:
            UnknownError, InputError, SourceError: as `pyramid`.
        """
        grid = self.pyramid(opened, index).grid
        return self.results.result(
            ("order", opened.content, index, axis, how), lambda: line_order(grid, axis, how), lambda found: found.nbytes
        )

    def _counterpart(self, opened: Opened, index: int, against: str) -> tuple[Weight, Opened, int]:
        weight, elsewhere = opened.weight(index), self.library.source(against)
        for place, other in enumerate(elsewhere.weights):
            if other.name != weight.name:
                continue
            if other.shape != weight.shape:
                shapes = [" x ".join(map(str, one.shape)) or "scalar" for one in (weight, other)]
                raise InputError(f"the other {printable(weight.name[:200])} is {shapes[1]} and not {shapes[0]}")
            return other, elsewhere, place
        raise UnknownError(f"{printable(elsewhere.source.label)} has no weight {printable(weight.name[:200])}")

    def _pictured(self, opened: Opened, index: int, picture: Picture) -> Grid:
        rows = None if picture.rows is None else self.order(opened, index, "rows", picture.rows)
        columns = None if picture.columns is None else self.order(opened, index, "columns", picture.columns)
        grid = self.pyramid(opened, index).grid
        if picture.against is not None:
            _, elsewhere, place = self._counterpart(opened, index, picture.against)
            other = self.pyramid(elsewhere, place).grid
            grid = other if picture.show == "other" else difference(grid, other)
        return arranged(grid, rows, columns)


def _served(request: Request) -> Served:
    served: Served = request.app.state.served
    return served


Here = Annotated[Served, Depends(_served)]
"""For the parameter of a route that needs the server's state."""
