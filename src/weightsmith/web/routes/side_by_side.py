"""`api/compare/statistics`: the statistics of corresponding weights of several checkpoints, side by side."""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from weightsmith.names import printable
from weightsmith.scan import Summary, scan
from weightsmith.web.answer import as_json, finite
from weightsmith.web.library import Opened
from weightsmith.web.long import long_answer
from weightsmith.web.routes.compare import Reference
from weightsmith.web.served import Here
from weightsmith.web.work import Check

router = APIRouter()

MOST = 8
"""Checkpoints beside each other."""

STATISTICS = ("mean", "std", "norm", "minimum", "maximum", "sparsity")
"""Which are handed out; `sparsity` is the share of zeros."""


@router.get("/api/compare/statistics")
async def side_by_side(
    request: Request, here: Here, source: Annotated[list[Reference], Query(min_length=1, max_length=MOST)]
) -> Response:
    """One row for each name of a weight; `of` holds one entry for each source, null where it has no such weight."""
    opened = [await to_thread.run_sync(here.library.source, one) for one in source]

    def compute(check: Check) -> bytes:
        columns = [_measured(one, check, place, len(opened)) for place, one in enumerate(opened)]
        return as_json({"statistics": list(STATISTICS), "weights": _rows(columns)})

    return await long_answer(request, here, ("side by side", *(one.content for one in opened)), compute)


def _measured(opened: Opened, check: Check, place: int, count: int) -> dict[str, dict[str, Any]]:
    """What each weight of a checkpoint is like, by its name; it is the one at `place` of `count`."""

    def progress(done: int, total: int, what: str) -> None:
        check(place + done / max(total, 1), count, f"Measuring {printable(what[:200])}")

    found = scan(opened.source, cache=opened.cache, progress=progress)
    return {summary.name: _entry(index, summary) for index, summary in enumerate(found.summaries)}


def _entry(index: int, summary: Summary) -> dict[str, Any]:
    facts: dict[str, Any] = {"index": index, "shape": list(summary.info.shape)}
    if summary.sketch is None:
        return {**facts, "reason": printable(summary.reason or "it could not be read")}
    values = summary.sketch.to_json()
    return {**facts, **{name: finite(values[name]) for name in STATISTICS}}


def _rows(columns: list[dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name for column in columns for name in column)
    return [{"name": printable(name), "of": [column.get(name) for column in columns]} for name in names]
