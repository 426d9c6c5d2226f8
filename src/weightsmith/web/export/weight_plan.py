"""What the view of one weight needs: its matrix in several orders, and its panels."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from weightsmith.web.export.ask import Ask
from weightsmith.web.export.image_plan import more_images, shown_images
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Patience, Plan, Wanted, known, origin
from weightsmith.web.export.tile_plan import Picture, tiles

TILES = 0.8
"""Part of a file that tiles may take."""

LAYOUTS = 30.0
"""Seconds for t-SNE where another layout is shown: of some thousand rows it takes about a minute."""

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
    yield origin(source_id)
    yield Wanted(Asked.at("sources", source_id))
    pages = list(shown_images(base, place)) if _has_values(detail) and detail["image"] else []
    alike = [one async for one in _alike(ask, base, detail["matrix"], place)] if _has_values(detail) else []
    async for wanted in pictured(ask, base, place, budget, before_tiles=[*pages, *alike]):
        yield wanted
    if pages:
        async for wanted in more_images(ask, base):
            yield wanted


async def pictured(
    ask: Ask, base: tuple[str, ...], place: Place, budget: int, part: str = "", before_tiles: Iterable[Wanted] = ()
) -> Plan:
    """What the picture of a weight's matrix asks for: cheap and small answers before tiles.

    Args:
        ask: asks the application.
        base: segments of the weight's address.
        place: the view.
        budget: bytes in which every order that it offers must find room.
        part: what the weight itself belongs to; empty where the view is nothing without it.
        before_tiles: what other panels ask for.
    """
    detail = await known(ask, Asked.at(*base))
    against = await _against(ask, base, place)
    pictures, orders = _pictures(detail, place, against["source"] if against else None, budget)
    yield Wanted(Asked.at(*base), part, trim=lambda told: told | {"orders": orders})
    for wanted in _compared(base, place, against, part):
        yield wanted
    if not _has_values(detail):
        return
    for picture in pictures:
        for wanted in _around(base, picture, part):
            yield wanted
    for wanted in before_tiles:
        yield wanted
    shown = Asked.at(*base, "order", rows=pictures[0].rows, columns=pictures[0].columns)
    order = await known(ask, shown) if shown.parameters else {"rows": None, "columns": None}
    for wanted in tiles(base, detail, pictures, place, order):
        yield wanted


def _has_values(detail: dict[str, Any]) -> bool:
    """Whether a weight is shown as a matrix that holds any values."""
    return detail["matrix"] is not None and 0 not in (detail["matrix"]["rows"], detail["matrix"]["columns"])


async def _against(ask: Ask, base: tuple[str, ...], place: Place) -> dict[str, Any] | None:
    """The counterpart that the view compares the weight with, if there is such a one."""
    chosen = place.parameter("against")
    if not chosen:
        return None
    told = await known(ask, Asked.at(*base, "counterparts", also=chosen))
    return next((one for one in told["counterparts"] if one["source"] == chosen), None)


def _compared(base: tuple[str, ...], place: Place, against: dict[str, Any] | None, part: str) -> Iterator[Wanted]:
    """What the choice of counterparts asks for: of all of them the file offers the one that is compared."""
    chosen = place.parameter("against")
    for also in dict.fromkeys((chosen or None, None)):
        asked = Asked.at(*base, "counterparts", also=also)
        yield Wanted(asked, part, trim=lambda _: {"counterparts": [against] if against else []})
    if against:
        yield Wanted(Asked.at(*base, "difference", against=chosen), part)


async def _alike(ask: Ask, base: tuple[str, ...], matrix: dict[str, int], place: Place) -> Plan:
    """The panels below the matrix, where it has several rows and columns; the layout that is shown before others."""
    if min(matrix["rows"], matrix["columns"]) < 2:
        return
    yield Wanted(Asked.at(*base, "spectrum"), "spectrum")
    yield Wanted(Asked.at(*base, "correlation"), "correlation of rows")
    method = "tsne" if place.parameter("method") == "tsne" else "pca"
    yield _layout(base, method, "3" if place.parameter("dimensions") == "3" else "2")
    for dimensions in ("2", "3"):
        yield _layout(base, "pca", dimensions)
    others = [_layout(base, "tsne", dimensions) for dimensions in ("2", "3")]
    async for wanted in Patience(ask, LAYOUTS).those_in_time(others):
        yield wanted


def _layout(base: tuple[str, ...], method: str, dimensions: str) -> Wanted:
    asked = Asked.at(*base, "embedding", method=method, dimensions=dimensions)
    return Wanted(asked, f"neurons as points by {method}")


def _around(base: tuple[str, ...], picture: Picture, part: str) -> Iterator[Wanted]:
    """What a picture has beside its tiles."""
    if picture.show is None and (picture.rows or picture.columns):
        yield Wanted(Asked.at(*base, "order", rows=picture.rows, columns=picture.columns), part)
    for axis in ("rows", "columns"):
        yield Wanted(Asked.at(*base, "marginals", axis=axis, **picture.parameters), part)


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
