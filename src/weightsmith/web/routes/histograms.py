"""`.../histograms`: the distribution of a weight at every step at which it was sketched, over common bins."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from weightsmith.sketch import Sketch
from weightsmith.store.records import Quantity
from weightsmith.web.answer import as_json, encoded, numbers
from weightsmith.web.served import Here

router = APIRouter()

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

STEPS = 400
"""Most steps in one answer; of more, as many evenly spread ones."""


@router.get("/api/stores/{store}/runs/{run}/histograms")
def histograms(
    request: Request,
    here: Here,
    store: str,
    run: str,
    weight: Annotated[str, Query(max_length=1000)],
    quantity: Quantity = "weight",
    bins: Annotated[int, Query(ge=1, le=400)] = 96,
) -> Response:
    """One row of counts for each sketched step, and the course of some quantiles; nothing where none was sketched."""
    found = here.library.run(store, run)

    def compute() -> bytes:
        rows = _rows(found.sketches(weight, quantity, STEPS), bins)
        return as_json({"weight": weight, "quantity": quantity, **rows})

    key = ("histograms", store, run, found.updated, weight, quantity, bins)
    return encoded(request, here.results.result(key, compute, len), "application/json")


def _rows(sketches: list[tuple[int, Sketch]], bins: int) -> dict[str, Any]:
    finite = [(step, sketch) for step, sketch in sketches if sketch.finite]
    if not finite:
        return {"edges": [], "steps": [], "counts": [], "quantiles": {str(q): [] for q in QUANTILES}}
    edges = Sketch.empty().merge(*(sketch for _, sketch in finite)).edges(bins)
    courses = np.array([sketch.quantile(QUANTILES) for _, sketch in finite]).T
    return {
        "edges": numbers(edges, 7),
        "steps": [step for step, _ in finite],
        "counts": numbers(np.array([sketch.histogram(edges) for _, sketch in finite]), 7),
        "quantiles": {str(q): numbers(course, 7) for q, course in zip(QUANTILES, courses, strict=True)},
    }
