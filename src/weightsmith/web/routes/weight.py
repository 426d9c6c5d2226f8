"""`.../weights/{index}`: one weight: its distribution, its largest values, and the size of its matrix."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from weightsmith.analysis.arranged import orders_for
from weightsmith.analysis.pyramid import TILE, Pyramid
from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.web.answer import answer
from weightsmith.web.images import has_images
from weightsmith.web.library import Opened
from weightsmith.web.routes.source import described
from weightsmith.web.routes.statistics import histogram
from weightsmith.web.served import Here

router = APIRouter()

BINS = 128
OUTLIERS = 50

Index = Annotated[int, Path(ge=0, le=1 << 40)]
"""For the parameter `index` of every route about one weight."""


@router.get("/api/sources/{source}/weights/{index}")
def weight(request: Request, here: Here, source: str, index: Index) -> Response:
    """Statistics, quantiles, histogram and outliers; `reason` instead where the values cannot be read."""
    opened = here.library.source(source)
    found = here.results.result(
        ("weight", opened.content, index), lambda: _measured(here, opened, index), lambda _: 16_384
    )
    facts = described(index, opened.weight(index))
    return answer(request, {**facts, **found, "image": has_images(opened, index), "content": opened.tag})


def _measured(here: Here, opened: Opened, index: int) -> dict[str, Any]:
    held = opened.weight(index)
    try:
        sketch = held.sketch()
        pyramid = here.pyramid(opened, index)
        outliers = pyramid.largest(OUTLIERS)
    except InputError as error:
        return {
            "statistics": None,
            "quantiles": {},
            "histogram": {"edges": [], "counts": []},
            "outliers": [],
            "matrix": None,
            "orders": {"rows": (), "columns": ()},
            "reason": printable(str(error)),
        }
    statistics = sketch.to_json()
    return {
        "statistics": statistics,
        "quantiles": statistics.pop("quantiles"),
        "histogram": histogram(sketch, BINS),
        "outliers": [{"row": one.row, "column": one.column, "value": one.value} for one in outliers],
        "matrix": shape(pyramid),
        "orders": {
            "rows": orders_for(pyramid.grid.rows, pyramid.grid.columns),
            "columns": orders_for(pyramid.grid.columns, pyramid.grid.rows),
        },
        "reason": None,
    }


def shape(pyramid: Pyramid) -> dict[str, int]:
    """What a zoomable picture needs to know of a matrix."""
    return {
        "rows": pyramid.grid.rows,
        "columns": pyramid.grid.columns,
        "levels": pyramid.levels,
        "tile": TILE,
    }
