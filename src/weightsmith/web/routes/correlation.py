"""`.../correlation`: how alike the neurons of a weight are, similar ones side by side."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from weightsmith.analysis import leaf_order, similarity
from weightsmith.analysis.correlation import Measure
from weightsmith.web.answer import as_json, numbers
from weightsmith.web.copied import copied
from weightsmith.web.long import long_answer
from weightsmith.web.routes.weight import Index
from weightsmith.web.served import Here
from weightsmith.web.work import Check

router = APIRouter()


@router.get("/api/sources/{source}/weights/{index}/correlation")
async def correlation(
    request: Request,
    here: Here,
    source: str,
    index: Index,
    rows: Annotated[int, Query(ge=2, le=256)] = 256,
    measure: Measure = "correlation",
) -> Response:
    """The similarity of at most `rows` rows, evenly spread over the matrix.

    `order` names the rows as they follow in `values`, `undefined` those without a direction, which are left out.
    """
    opened = await to_thread.run_sync(here.library.source, source)
    weight = copied(opened.weight(index))

    def compute(check: Check) -> bytes:
        check(doing="Comparing rows")
        found = similarity(weight, measure, rows)
        check(doing="Ordering rows")
        order = leaf_order(found.values)
        return as_json(
            {
                "order": found.indices[order].tolist(),
                "values": numbers(found.values[order][:, order], 4),
                "undefined": found.undefined.tolist(),
                "total": found.total,
                "measure": found.measure,
            }
        )

    return await long_answer(request, here, ("correlation", opened.content, index, rows, measure), compute)
