"""`.../layers`: one quantity of all weights over the steps, as a picture of layers by time shows it."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from numpy.typing import NDArray

from weightsmith.analysis.thin import means, stretches
from weightsmith.store import Run
from weightsmith.store.records import Series
from weightsmith.store.schema import storable
from weightsmith.web.answer import as_json, encoded, numbers
from weightsmith.web.served import Here

router = APIRouter()


@router.get("/api/stores/{store}/runs/{run}/layers")
def layers(
    request: Request,
    here: Here,
    store: str,
    run: str,
    name: Annotated[str, Query(max_length=1000)],
    columns: Annotated[int, Query(ge=1, le=2000)] = 300,
) -> Response:
    """The mean of a series of each weight in each of at most `columns` stretches of steps; null where there is none.

    `steps` holds the first step of each stretch, `not_finite` for each weight the places of those with NaN or infinity.
    """
    found = here.library.run(store, run)
    body = here.results.result(
        ("layers", store, run, found.updated, name, columns), lambda: as_json(_table(found, name, columns)), len
    )
    return encoded(request, body, "application/json")


def _table(run: Run, name: str, columns: int) -> dict[str, Any]:
    order = {storable(info.name): place for place, info in enumerate(run.weights)}
    known = [weight for key, weight in run.series_names() if key == name and weight is not None]
    known.sort(key=lambda weight: order.get(weight, len(order)))
    held = [(weight, series) for weight in known if len(series := run.series(name, weight))]
    if not held:
        return {"name": name, "weights": [], "steps": [], "values": [], "not_finite": []}
    first = min(int(series.steps.min()) for _, series in held)
    last = max(int(series.steps.max()) for _, series in held)
    edges = stretches(first, last, columns)
    return {
        "name": name,
        "weights": [weight for weight, _ in held],
        "steps": edges[:-1].tolist(),
        "values": [numbers(np.asarray(means(series.steps, series.values, edges)), 6) for _, series in held],
        "not_finite": [_not_finite(series, edges) for _, series in held],
    }


def _not_finite(series: Series, edges: NDArray[np.int64]) -> list[int]:
    """The stretches in which something was measured that is NaN or infinite."""
    steps = series.steps[~np.isfinite(series.values)]
    found: list[int] = np.unique(np.searchsorted(edges, steps, side="right") - 1).tolist()
    return found
