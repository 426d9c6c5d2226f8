"""`.../gradients`: how large the gradient of each weight was over the whole run, and where it vanishes or explodes."""

import math
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from weightsmith.rules.exploding_gradients import JUMP, LEAST_MEASUREMENTS, LEAST_NORM
from weightsmith.rules.vanishing_gradients import FLOOR, RATIO
from weightsmith.store import Run
from weightsmith.store.schema import storable
from weightsmith.web.answer import as_json, encoded, number
from weightsmith.web.served import Here
from weightsmith.weight import MATRIX_ROLES, WeightInfo

router = APIRouter()

BAND = (0.05, 0.95)
"""Quantiles between which most steps of a run lie."""

LARGER = 100.0
"""Times that a gradient may be as long as its weight; beyond, a step of learning rate 0.01 replaces the weight."""


@router.get("/api/stores/{store}/runs/{run}/gradients")
def gradients(request: Request, here: Here, store: str, run: str) -> Response:
    """Norms of each weight's gradient in the model's order: quantiles over all recorded steps, and how it fares.

    `state` is `vanishing`, `exploding`, `non_finite`, `healthy`, or null for what is no matrix. Thresholds are those of
    WS101 and WS102, which compare root mean squares: norms divided by the root of `size`. A gradient that is `larger`
    times as long as its weight was at first explodes as well.
    """
    found = here.library.run(store, run)
    body = here.results.result(("gradients", store, run, found.updated), lambda: as_json(_table(found)), len)
    return encoded(request, body, "application/json")


def _table(run: Run) -> dict[str, Any]:
    recorded = {weight for name, weight in run.series_names() if name == "gradient_norm"}
    rows = [_row(run, info) for info in run.weights if storable(info.name) in recorded]
    matrices = [row for row in rows if row["role"] in MATRIX_ROLES and row["median"] is not None]
    last = _mean_square(matrices[-1]) if matrices else None
    for row in rows:
        if row["role"] in MATRIX_ROLES:
            row["state"] = _state(row, last)
    return {
        "weights": [{key: value for key, value in row.items() if key != "explodes"} for row in rows],
        "band": BAND,
        "thresholds": {"ratio": RATIO, "floor": FLOOR, "jump": JUMP, "larger": LARGER},
    }


def _row(run: Run, info: WeightInfo) -> dict[str, Any]:
    norms = run.series("gradient_norm", info.name)
    finite = norms.values[np.isfinite(norms.values)]
    low, middle, high = np.quantile(finite, [BAND[0], 0.5, BAND[1]]) if finite.size else (np.nan,) * 3
    broken = run.series("gradient_non_finite", info.name)
    since = broken.steps[broken.values > 0]
    return {
        "name": storable(info.name),
        "role": info.role,
        "size": info.size,
        "measured": len(norms),
        "low": number(float(low)),
        "median": number(float(middle)),
        "high": number(float(high)),
        "broken_since": int(since[0]) if len(since) else None,
        "explodes": _jumps(finite) or _replaces(finite, run.series("norm", info.name).values),
        "state": None,
    }


def _jumps(norms: NDArray[np.float64]) -> bool:
    """Whether a norm is far above all that is usual for its weight, as WS101 asks of the whole model."""
    if len(norms) <= LEAST_MEASUREMENTS:
        return False
    return bool(norms.max() > max(JUMP * float(np.median(norms)), LEAST_NORM))


def _replaces(norms: NDArray[np.float64], weights: NDArray[np.float64]) -> bool:
    """Whether the typical gradient is far longer than the weight was at first: what explodes takes its weight along."""
    lengths = weights[np.isfinite(weights)]
    if not len(norms) or not len(lengths):
        return False
    return bool(np.median(norms) > LARGER * lengths[0] > 0)


def _mean_square(row: dict[str, Any]) -> float:
    """The root of the mean square: what one value of the weight gets."""
    return float(row["median"]) / math.sqrt(max(row["size"], 1))


def _state(row: dict[str, Any], last: float | None) -> str | None:
    if row["broken_since"] is not None:
        return "non_finite"
    if row["median"] is None or last is None:
        return None
    each = _mean_square(row)
    if row["explodes"] or each > RATIO * last > 0:
        return "exploding"
    return "vanishing" if each * RATIO < last or (each < FLOOR and last < FLOOR) else "healthy"
