"""`api/runs`: all runs of all stores, newest first."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from weightsmith.analysis.thin import thin
from weightsmith.errors import UnknownRunError
from weightsmith.names import printable
from weightsmith.store import Run, RunSummary, Store
from weightsmith.web.answer import answer, moment, numbers, text
from weightsmith.web.served import Here

router = APIRouter()

SPARKLINE = 60
"""Most points of the little curve in the list."""

_ROW = 4096
"""Bytes that a row counts for in memory."""


@router.get("/api/runs")
def runs(request: Request, here: Here) -> Response:
    """One entry for each run: its outcome, its model and optimizer, and the course of its loss."""
    found: list[dict[str, Any]] = []
    for key, store in here.library.stores.items():
        for summary in store.runs():
            more = here.results.get(("row", key, summary.id, summary.updated))
            if more is None:
                try:
                    more = _more(store, summary)
                except UnknownRunError:  # deleted since the list was read
                    continue
                here.results.put(("row", key, summary.id, summary.updated), more, _ROW)
            found.append({"store": key, **facts(summary), **more})
    found.sort(key=lambda row: (row["created"], row["id"]), reverse=True)
    return answer(request, {"runs": found})


def facts(run: RunSummary) -> dict[str, Any]:
    """What every list says of a run."""
    return {
        "id": run.id,
        "name": text(run.name),
        "status": run.status,
        "created": moment(run.created),
        "updated": moment(run.updated),
        "finished": moment(run.finished),
        "error": text(run.error),
        "summary": run.summary,
        "tags": [text(tag) for tag in run.tags],
        "note": None if run.note is None else "".join(c if c in "\n\t" else printable(c) for c in run.note),
    }


def _more(store: Store, summary: RunSummary) -> dict[str, Any]:
    run = store.run(summary.id)
    return {
        "model": _named(run, "model"),
        "optimizer": _named(run, "optimizer"),
        "sparkline": _sparkline(run),
    }


def _sparkline(run: Run) -> dict[str, Any]:
    loss = run.series("loss")
    kept = thin(loss.values, SPARKLINE)
    return {"steps": loss.steps[kept].tolist(), "values": numbers(np.asarray(loss.values[kept]), 5)}


def _named(run: Run, field: str) -> str | None:
    """The name of a part of a recipe, which may be that name alone or a table with it."""
    part = (run.recipe or {}).get(field)
    name = part.get("name") if isinstance(part, Mapping) else part
    return text(name) if isinstance(name, str) else None
