"""What the view of one weight needs: its matrix in several orders, and its panels."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from weightsmith.web.export.ask import Ask
from weightsmith.web.export.image_plan import more_images, shown_images
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Plan, Wanted, known, origin
from weightsmith.web.export.tile_plan import Picture, tiles

TILES = 0.8
"""Part of a file that tiles may take."""

CELL_BYTES = 13.0
"""In the file for each value of a matrix, all levels and statistics together: 4 bytes as base64, 7/3 times."""


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
    async for wanted in _panels(ask, base, detail, pictures, place):
        yield wanted


async def _panels(
    ask: Ask, base: tuple[str, ...], detail: dict[str, Any], pictures: list[Picture], place: Place
) -> Plan:
    """What the panels of a matrix that holds values ask for: cheap and small answers before tiles."""
    for picture in pictures:
        for wanted in _around(base, picture):
            yield wanted
    pages = shown_images(base, place) if detail["image"] else []
    for wanted in [*pages, *_alike(base, detail["matrix"])]:
        yield wanted
    shown = Asked.at(*base, "order", rows=pictures[0].rows, columns=pictures[0].columns)
    order = await known(ask, shown) if shown.parameters else {"rows": None, "columns": None}
    for wanted in tiles(base, detail, pictures, place, order):
        yield wanted
    if detail["image"]:
        async for wanted in more_images(ask, base):
            yield wanted


def _alike(base: tuple[str, ...], matrix: dict[str, int]) -> Iterator[Wanted]:
    """The panels below the matrix, where it has several rows and columns."""
    if min(matrix["rows"], matrix["columns"]) < 2:
        return
    yield Wanted(Asked.at(*base, "spectrum"), "spectrum")
    yield Wanted(Asked.at(*base, "correlation"), "correlation of rows")
    for method in ("pca", "tsne"):
        yield Wanted(Asked.at(*base, "embedding", method=method, dimensions=2), f"neurons as points by {method}")


def _around(base: tuple[str, ...], picture: Picture) -> Iterator[Wanted]:
    """What a picture has beside its tiles."""
    if picture.show is None and (picture.rows or picture.columns):
        yield Wanted(Asked.at(*base, "order", rows=picture.rows, columns=picture.columns))
    for axis in ("rows", "columns"):
        yield Wanted(Asked.at(*base, "marginals", axis=axis, **picture.parameters))


def _pictures(
    detail: dict[str, Any], place: Place, against: str | None, budget: int
) -> tuple[list[Picture], dict[str, list[str]]]:
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
        (one for one in tries if cells * CELL_BYTES * math.prod(1 + len(one[axis]) for axis in one) < TILES * budget),
        chosen,
    )
    first = Picture(*(chosen[axis][0] if chosen[axis] else None for axis in ("rows", "columns")))
    arranged = [Picture(*names) for names in product([None, *orders["rows"]], [None, *orders["columns"]])]
    own = dict.fromkeys([first, *arranged])
    pictures = [replace(one, against=against if side else None, show=side) for one in own for side in sides]
    return pictures, orders
