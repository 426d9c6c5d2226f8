"""`.../marginals`: norm and mean of the rows or columns of a weight, for the margins of its picture."""

from typing import Literal

from fastapi import APIRouter, Request, Response

from weightsmith.analysis.blocks import margin
from weightsmith.web.answer import as_json, encoded, numbers
from weightsmith.web.picture import Asked
from weightsmith.web.routes.weight import Index
from weightsmith.web.served import Here

router = APIRouter()

MOST = 2048
"""Blocks at most; of more rows or columns, each block is several that follow each other."""


@router.get("/api/sources/{source}/weights/{index}/marginals")
def marginals(
    request: Request,
    here: Here,
    source: str,
    index: Index,
    picture: Asked,
    axis: Literal["rows", "columns"] = "rows",
) -> Response:
    """Euclidean norm and mean of each row or column; of several in a block, the root of the mean square norm."""
    opened = here.library.source(source)

    def compute() -> bytes:
        found = margin(here.pyramid(opened, index, picture).grid, axis, MOST)
        return as_json(
            {
                "axis": axis,
                "block": found.block,
                "norms": numbers(found.norms, 7),
                "means": numbers(found.means, 7),
            }
        )

    body = here.results.result(("marginals", here.content(opened, picture), index, axis, picture), compute, len)
    return encoded(request, body, "application/json")
