"""`.../series`: curves, thinned so that every extreme stays."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from weightsmith.analysis.thin import thin
from weightsmith.store import Run
from weightsmith.web.answer import as_json, encoded, numbers
from weightsmith.web.served import Here

router = APIRouter()

AT_ONCE = 64
"""Most series in one answer."""

Name = Annotated[str, Query(max_length=1000)]


@router.get("/api/stores/{store}/runs/{run}/series")
def series(
    request: Request,
    here: Here,
    store: str,
    run: str,
    name: Annotated[list[Name] | None, Query(max_length=AT_ONCE)] = None,
    weight: Name | None = None,
    points: Annotated[int, Query(ge=4, le=20_000)] = 1200,
    since: Annotated[int | None, Query(ge=-(2**62), le=2**62)] = None,
) -> Response:
    """The named series of a weight or, without `weight`, of the run itself; without names, the first `AT_ONCE` ones.

    Each has at most `points` points; with `since`, only those after that step.
    """

    def compute() -> bytes:
        found = here.library.run(store, run)
        wanted = name or [key for key, of in found.series_names() if of == weight][:AT_ONCE]
        return as_json({"series": [_one(found, key, weight, points, since) for key in wanted]})

    key = ("series", store, run, tuple(name or ()), weight, points, since)
    return encoded(request, here.turns.result(key, compute), "application/json")


def _one(run: Run, name: str, weight: str | None, points: int, since: int | None) -> dict[str, Any]:
    held = run.series(name, weight)
    steps, values = held.steps, held.values
    if since is not None:
        later = steps > since
        steps, values = steps[later], values[later]
    kept = thin(np.asarray(values), points)
    return {"name": name, "weight": weight, "steps": steps[kept].tolist(), "values": numbers(values[kept])}
