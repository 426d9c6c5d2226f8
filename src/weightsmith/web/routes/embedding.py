"""`.../embedding`: the neurons of a weight as points, near each other where they are alike."""

from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from weightsmith.analysis import pca, tsne
from weightsmith.web.answer import as_json, numbers
from weightsmith.web.copied import copied
from weightsmith.web.long import long_answer
from weightsmith.web.routes.weight import Index
from weightsmith.web.served import Here
from weightsmith.web.work import Check

router = APIRouter()

ROWS = 2000
"""Most rows; of more, as many evenly spread ones."""

TIME_LIMIT = 60.0
"""Seconds after which a t-SNE is taken as it is."""


@router.get("/api/sources/{source}/weights/{index}/embedding")
async def embedding(
    request: Request,
    here: Here,
    source: str,
    index: Index,
    method: Literal["pca", "tsne"] = "pca",
    dimensions: Annotated[int, Query(ge=2, le=3)] = 2,
) -> Response:
    """One point for each row; `method` of the answer is PCA where a t-SNE of so few or equal rows means nothing."""
    opened = await to_thread.run_sync(here.library.source, source)
    weight = copied(opened.weight(index))

    def compute(check: Check) -> bytes:
        def moved(done: int, total: int) -> None:
            check(done, total, f"Moving points: step {done:,} of {total:,}")

        check(doing="Reading rows")
        if method == "pca":
            found = pca(weight, dimensions, limit=ROWS)
        else:
            found = tsne(weight, dimensions, limit=ROWS, time_limit=TIME_LIMIT, progress=moved)
        return as_json(
            {
                "points": numbers(found.points, 6),
                "rows": found.indices.tolist(),
                "method": found.method,
                "left_out": found.left_out.tolist(),
                "total": found.total,
                "explained": list(found.explained),
                "finished": found.finished,
            }
        )

    return await long_answer(request, here, ("embedding", opened.content, index, method, dimensions), compute)
