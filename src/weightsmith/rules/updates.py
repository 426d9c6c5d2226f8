"""How much of itself a weight changes at a typical step; what the two rules on update ratios share."""

from typing import TYPE_CHECKING

import numpy as np

from weightsmith.rules.rule import NotCheckedError
from weightsmith.weight import MATRIX_ROLES

if TYPE_CHECKING:
    from weightsmith.store import Run

LEAST_MEASUREMENTS = 5
SETTLING_SHARE = 0.1


def typical_ratios(run: "Run") -> dict[str, float]:
    """The median update ratio of each weight matrix after the first tenth of the recorded steps.

    Raises:
        NotCheckedError: no matrix has five measurements.
    """
    ratios: dict[str, float] = {}
    for weight in run.weights:
        if weight.role not in MATRIX_ROLES:
            continue
        series = run.series("update_ratio", weight.name)
        if len(series.steps) < LEAST_MEASUREMENTS:
            continue
        settled = series.values[series.steps >= series.steps[-1] * SETTLING_SHARE]
        finite = settled[np.isfinite(settled)]
        if finite.size:
            ratios[weight.name] = float(np.median(finite))
    if not ratios:
        raise NotCheckedError(f"fewer than {LEAST_MEASUREMENTS} update ratios were recorded for any weight matrix")
    return ratios
