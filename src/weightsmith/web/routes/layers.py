"""`.../layers`: one quantity of all weights over the steps, as a picture of layers by time shows it."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from weightsmith.analysis.thin import means, stretches
from weightsmith.store.schema import storable
from weightsmith.web.answer import answer, numbers
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

    `steps` holds the first step of each stretch.
    """
    found = here.library.run(store, run)
    order = {storable(info.name): place for place, info in enumerate(found.weights)}
    known = [weight for key, weight in found.series_names() if key == name and weight is not None]
    known.sort(key=lambda weight: order.get(weight, len(order)))
    held = [(weight, found.series(name, weight)) for weight in known]
    held = [(weight, series) for weight, series in held if len(series)]
    if not held:
        return answer(request, {"name": name, "weights": [], "steps": [], "values": []})
    first = min(int(series.steps.min()) for _, series in held)
    last = max(int(series.steps.max()) for _, series in held)
    edges = stretches(first, last, columns)
    return answer(
        request,
        {
            "name": name,
            "weights": [weight for weight, _ in held],
            "steps": edges[:-1].tolist(),
            "values": [numbers(np.asarray(means(series.steps, series.values, edges)), 6) for _, series in held],
        },
    )
