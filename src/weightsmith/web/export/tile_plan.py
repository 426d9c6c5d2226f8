"""Which tiles of a matrix are kept in a file: near what is looked at first, and then as many as have room."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from weightsmith.analysis.blocks import STATISTICS
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Wanted

NEAR = 6
"""Tiles of each level around what is looked at first that come before all others."""

VISITED = 12
"""Of the largest values, those whose surroundings come early: the ones that bear a ring in the picture."""

COARSE = 4
"""Tiles up to which a level is an overview, which comes before finer ones of any kind."""

Orders = dict[str, list[int] | None]


@dataclass(frozen=True)
class Picture:
    """A matrix as it is shown: the orders of its rows and columns, what it is compared with and how."""

    rows: str | None = None
    columns: str | None = None
    against: str | None = None
    show: str | None = None

    @property
    def parameters(self) -> dict[str, str | None]:
        """What the addresses of its tiles and margins say."""
        return vars(self)


def tiles(
    base: tuple[str, ...],
    detail: dict[str, Any],
    pictures: list[Picture],
    place: Place,
    order: Orders,
) -> Iterator[Wanted]:
    """Tiles: first what is shown, from the overview down to single values, then the rest from coarse to fine.

    Args:
        base: segments of the weight's address.
        detail: what is known of the weight.
        pictures: of its matrix, the one that is shown first.
        place: the view.
        order: the file's rows and columns as they follow in the picture that is shown.
    """
    matrix = detail["matrix"]
    shown = place.parameter("block") if place.parameter("block") in STATISTICS else "mean"
    statistics = [shown, *(name for name in STATISTICS if name != shown)]
    levels = list(reversed(range(matrix["levels"])))
    finer = [level for level in levels if len(_grid(matrix, level)) > COARSE]
    coarse = [level for level in levels if level not in finer]
    look = _look(place, matrix, order)
    first = [one for one in pictures if (one.rows, one.columns) == (pictures[0].rows, pictures[0].columns)]
    for some in (first, pictures):
        for picture, level in product(some, coarse):
            yield from _level(base, matrix, level, picture, shown, _grid(matrix, level))
        for level, picture in product(finer, some):
            yield from _level(base, matrix, level, picture, shown, _nearest(matrix, level, look)[:NEAR])
        for one in detail["outliers"][:VISITED] if finer else []:
            row, column = _shown_at(one["row"], one["column"], order)
            at = (row // matrix["tile"], column // matrix["tile"])
            yield from _level(base, matrix, 0, pictures[0], shown, [at])
    for statistic, picture, level in product(statistics, pictures, coarse):
        yield from _level(base, matrix, level, picture, statistic, _grid(matrix, level))
    for statistic, level, picture in product(statistics, finer, pictures):
        yield from _level(base, matrix, level, picture, statistic, _nearest(matrix, level, look))


def _level(
    base: tuple[str, ...],
    matrix: dict[str, int],
    level: int,
    picture: Picture,
    statistic: str,
    places: list[tuple[int, int]],
) -> Iterator[Wanted]:
    part = f"small blocks by {statistic}" if level else "single values"
    # A single value is its own mean, minimum and maximum: the page asks for it without a statistic.
    of = statistic if level and matrix["levels"] > 1 else None
    for row, column in places:
        yield Wanted(Asked.at(*base, "tiles", level, row, column, statistic=of, **picture.parameters), part)


def _grid(matrix: dict[str, int], level: int) -> list[tuple[int, int]]:
    side = matrix["tile"] << level
    return list(product(range(-(-matrix["rows"] // side)), range(-(-matrix["columns"] // side))))


def _nearest(matrix: dict[str, int], level: int, look: tuple[float, float]) -> list[tuple[int, int]]:
    """The tiles of a level by their distance from where one looks."""
    side = matrix["tile"] << level
    row, column = look[0] / side - 0.5, look[1] / side - 0.5
    return sorted(_grid(matrix, level), key=lambda at: math.hypot(at[0] - row, at[1] - column))


def _look(place: Place, matrix: dict[str, int], order: Orders) -> tuple[float, float]:
    """Where in the picture one looks: at its middle, or at the marked value, or at the middle of the matrix."""
    at = _numbers(place.parameter("at"))
    if len(at) == 3 and all(map(math.isfinite, at)):
        return at[0], at[1]
    cell = _numbers(place.parameter("cell"))
    if len(cell) == 2 and 0 <= cell[0] < matrix["rows"] and 0 <= cell[1] < matrix["columns"]:
        return _shown_at(int(cell[0]), int(cell[1]), order)
    return matrix["rows"] / 2, matrix["columns"] / 2


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []


def _shown_at(row: int, column: int, order: Orders) -> tuple[int, int]:
    """Where in the picture a row and a column of the file stand."""
    rows, columns = order["rows"], order["columns"]
    return row if rows is None else rows.index(row), column if columns is None else columns.index(column)
