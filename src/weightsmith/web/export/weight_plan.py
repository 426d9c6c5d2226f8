"""What the view of one weight needs: its matrix at every scale, near what is looked at first, and its panels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, get_args

from weightsmith.analysis.blocks import Statistic
from weightsmith.web.export.ask import Ask
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Plan, Wanted, known, origin

NEAR = 6
"""Tiles of each level around what is looked at first that come before all others."""

VISITED = 12
"""Of the largest values, those whose surroundings come early: the ones that bear a ring in the picture."""

COARSE = 4
"""Tiles up to which a level is an overview, which comes before finer ones of any kind."""

CELL_BYTES = 13.0
"""In the file for each value of a matrix, all levels and statistics together: 4 bytes as base64, 7/3 times."""


@dataclass(frozen=True)
class _Picture:
    """A matrix as it is shown: the parameters of its tiles."""

    rows: str | None = None
    columns: str | None = None
    against: str | None = None
    show: str | None = None

    def asked(self) -> dict[str, str | None]:
        return vars(self)


async def weight(ask: Ask, source_id: str, index: str, place: Place, budget: int) -> Plan:
    """One weight with all its panels.

    Args:
        ask: asks the application.
        source_id: where it is.
        index: its place there.
        place: the view: orders, what is compared, and where one looks.
        budget: bytes that the file may have, from which follows how many orders of rows and columns it can offer.
    """
    base = ("sources", source_id, "weights", index)
    detail = await known(ask, Asked.at(*base))
    known_counterparts = (await known(ask, Asked.at(*base, "counterparts")))["counterparts"]
    against = next((one for one in known_counterparts if one["source"] == place.parameter("against")), None)
    pictures, orders = _pictures(detail, place, against and against["source"], budget)
    yield origin(source_id)
    yield Wanted(Asked.at("sources", source_id))
    yield Wanted(Asked.at(*base), trim=lambda told: told | {"orders": orders})
    yield Wanted(Asked.at(*base, "counterparts"), trim=lambda _: {"counterparts": [against] if against else []})
    if detail["matrix"] is None or 0 in (detail["matrix"]["rows"], detail["matrix"]["columns"]):
        return
    if against:
        yield Wanted(Asked.at(*base, "difference", against=against["source"]))
    for picture in pictures:
        for wanted in _around(base, picture):
            yield wanted
    if detail["image"]:
        async for wanted in _filters(ask, base, detail["matrix"]["rows"], place):
            yield wanted
    if min(detail["matrix"]["rows"], detail["matrix"]["columns"]) > 1:
        for wanted in _panels(base):
            yield wanted
    for wanted in _tiles(base, detail, pictures, place):
        yield wanted


def _panels(base: tuple[str, ...]) -> Iterator[Wanted]:
    yield Wanted(Asked.at(*base, "spectrum"), "spectrum")
    yield Wanted(Asked.at(*base, "correlation"), "correlation of rows")
    for method in ("pca", "tsne"):
        yield Wanted(Asked.at(*base, "embedding", method=method, dimensions=2), f"neurons as points by {method}")


def _around(base: tuple[str, ...], picture: _Picture) -> Iterator[Wanted]:
    """What a picture has beside its tiles."""
    if picture.show is None and (picture.rows or picture.columns):
        yield Wanted(Asked.at(*base, "order", rows=picture.rows, columns=picture.columns))
    for axis in ("rows", "columns"):
        yield Wanted(Asked.at(*base, "marginals", axis=axis, **picture.asked()))


async def _filters(ask: Ask, base: tuple[str, ...], rows: int, place: Place) -> Plan:
    """Rows as images: the page that is shown, then all pages, colors, other shapes and single channels."""
    first, channel = place.parameter("filter") or "0", place.parameter("channel") or "strongest"
    shape = _parsed(place.parameter("image"))
    told = await known(ask, Asked.at(*base, "filters"))
    part = "rows as images"
    yield Wanted(Asked.at(*base, "filters", first=first, channel=channel, **shape), part)
    shapes = [{}, *(_shape(one) for one in told["choices"][1:])]
    for chosen in shapes:
        if not chosen and told["channels"] == 3:
            yield Wanted(Asked.at(*base, "filters", first=0, channel="color"), part)
        for start in range(0, rows, max(1, told["per_page"])):
            yield Wanted(Asked.at(*base, "filters", first=start, channel="strongest", **chosen), part)
    for one in range(told["channels"] if told["channels"] > 1 else 0):
        yield Wanted(Asked.at(*base, "filters", first=0, channel=one), "single channels of the images")


def _shape(choice: dict[str, Any]) -> dict[str, str]:
    last = "true" if choice["channels_last"] else "false"
    return {"height": str(choice["height"]), "width": str(choice["width"]), "channels_last": last}


def _parsed(image: str) -> dict[str, str]:
    """Parameters of a shape that the page's address names as `28x28` or `28x28l`."""
    height, cross, width = image.removesuffix("l").partition("x")
    if not cross:
        return {}
    return {"height": height, "width": width, "channels_last": "true" if image.endswith("l") else "false"}


def _pictures(
    detail: dict[str, Any], place: Place, against: str | None, budget: int
) -> tuple[list[_Picture], dict[str, list[str]]]:
    """All pictures, the one that is shown first, and the orders that they have rows and columns in.

    As many orders as have room with all their tiles; of a matrix too large for that, those that the view has.
    """
    matrix, possible = detail["matrix"], detail["orders"]
    if matrix is None:
        return [], possible
    shown = {axis: place.parameter(name) for axis, name in (("rows", "rorder"), ("columns", "corder"))}
    chosen = {axis: [name for name in possible[axis] if name == shown[axis]] for axis in possible}
    sides = (None, "other", "difference") if against else (None,)
    cells = matrix["rows"] * matrix["columns"] * len(sides)
    tries = (possible, {**possible, "columns": chosen["columns"]}, chosen)
    orders = next(
        (one for one in tries if cells * CELL_BYTES * math.prod(1 + len(one[axis]) for axis in one) < budget), chosen
    )
    first = _Picture(*(chosen[axis][0] if chosen[axis] else None for axis in ("rows", "columns")))
    arranged = [_Picture(*names) for names in product([None, *orders["rows"]], [None, *orders["columns"]])]
    own = dict.fromkeys([first, *arranged])
    pictures = [replace(one, against=against if side else None, show=side) for one in own for side in sides]
    return pictures, orders


def _tiles(base: tuple[str, ...], detail: dict[str, Any], pictures: list[_Picture], place: Place) -> Iterator[Wanted]:
    """Tiles: overviews, then near what is looked at first down to single values, then the rest from coarse to fine."""
    matrix = detail["matrix"]
    shown = place.parameter("block") if place.parameter("block") in get_args(Statistic) else "mean"
    statistics = [shown, *(name for name in get_args(Statistic) if name != shown)]
    finer = [level for level in reversed(range(matrix["levels"])) if len(_grid(matrix, level)) > COARSE]
    coarse = [level for level in reversed(range(matrix["levels"])) if level not in finer]
    look = _look(place, matrix)
    for level, picture, statistic in product(coarse, pictures, statistics):
        yield from _level(base, matrix, level, picture, statistic, _grid(matrix, level))
    for level, picture in product(finer, pictures):
        yield from _level(base, matrix, level, picture, shown, _nearest(matrix, level, look)[:NEAR])
    for one in detail["outliers"][:VISITED] if finer else []:
        at = (one["row"] // matrix["tile"], one["column"] // matrix["tile"])
        yield from _level(base, matrix, 0, pictures[0], shown, [at])
    for statistic, level, picture in product(statistics, finer, pictures):
        yield from _level(base, matrix, level, picture, statistic, _nearest(matrix, level, look))


def _level(
    base: tuple[str, ...],
    matrix: dict[str, int],
    level: int,
    picture: _Picture,
    statistic: str,
    places: list[tuple[int, int]],
) -> Iterator[Wanted]:
    block = 1 << level
    part = f"blocks of {block} x {block} values by {statistic}" if level else "single values"
    # A single value is its own mean, minimum and maximum: the page asks for it without a statistic.
    of = statistic if level and matrix["levels"] > 1 else None
    for row, column in places:
        yield Wanted(Asked.at(*base, "tiles", level, row, column, statistic=of, **picture.asked()), part)


def _grid(matrix: dict[str, int], level: int) -> list[tuple[int, int]]:
    side = matrix["tile"] << level
    return list(product(range(-(-matrix["rows"] // side)), range(-(-matrix["columns"] // side))))


def _nearest(matrix: dict[str, int], level: int, look: tuple[float, float]) -> list[tuple[int, int]]:
    """The tiles of a level by their distance from where one looks."""
    side = matrix["tile"] << level
    row, column = look[0] / side - 0.5, look[1] / side - 0.5
    return sorted(_grid(matrix, level), key=lambda at: math.hypot(at[0] - row, at[1] - column))


def _look(place: Place, matrix: dict[str, int]) -> tuple[float, float]:
    """Row and column in the middle of the picture, or of the marked value, or of the matrix."""
    for name in ("at", "cell"):
        try:
            row, column, *_ = map(float, place.parameter(name).split(","))
        except ValueError:
            continue
        if math.isfinite(row) and math.isfinite(column):
            return row, column
    return matrix["rows"] / 2, matrix["columns"] / 2
