"""`.../tiles/{level}/{row}/{column}`: a part of a matrix at one scale, as plain float32."""

from typing import Annotated

import xxhash
from fastapi import APIRouter, Path, Request, Response

from weightsmith.analysis.blocks import Statistic
from weightsmith.analysis.pyramid import TILE
from weightsmith.web.answer import matches
from weightsmith.web.faults import UnknownError
from weightsmith.web.picture import Asked
from weightsmith.web.served import Here

router = APIRouter()

VERSION = "1"
"""Part of every ETag: what a tile holds follows from the content of the file and from this code."""

Place = Annotated[int, Path(ge=0, le=1 << 40)]


@router.get(
    "/api/sources/{source}/weights/{index}/tiles/{level}/{row}/{column}",
    responses={200: {"content": {"application/octet-stream": {}}}},
    response_class=Response,
)
def tile(
    request: Request,
    here: Here,
    source: str,
    index: Place,
    level: Annotated[int, Path(ge=0, le=60)],
    row: Place,
    column: Place,
    picture: Asked,
    statistic: Statistic = "mean",
) -> Response:
    """Up to 256 x 256 cells, float32 little endian in rows, with their numbers in `X-Rows` and `X-Columns`.

    Level 0 gives single values, level k blocks of 2^k by 2^k of them. NaN is left out; a block of nothing else is NaN.
    """
    opened = here.library.source(source)
    place = (here.content(opened, picture), index, level, row, column, statistic, picture)
    tag = f'"{xxhash.xxh3_128_hexdigest(" ".join(map(str, (VERSION, *place))).encode())}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    pyramid = here.pyramid(opened, index, picture)
    down, across = pyramid.shape(level) if level < pyramid.levels else (0, 0)
    if TILE * row >= down or TILE * column >= across:
        raise UnknownError(f"weight {index} has no tile {row}/{column} at level {level}")
    if matches(request, tag):
        return Response(status_code=304, headers=headers)
    body = here.tiles.result(place, lambda: pyramid.tile(level, row, column, statistic).tobytes(), len)
    rows, columns = min(TILE, down - TILE * row), min(TILE, across - TILE * column)
    headers |= {"X-Rows": str(rows), "X-Columns": str(columns)}
    return Response(body, headers=headers, media_type="application/octet-stream")
