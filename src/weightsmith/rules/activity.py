"""How active units were at the end of a run; what the rules on dead and saturated units share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from weightsmith.rules.rule import NotCheckedError

if TYPE_CHECKING:
    from weightsmith.store import Run


def final_shares(
    run: "Run", series: Literal["dead_units", "saturated_units"], limit: float
) -> Iterator[tuple[str, float, int]]:
    """Yield (weight, final share, step since which it was over) for the layers whose share ends above `limit`.

    Raises:
        NotCheckedError: nothing of the kind was recorded.
    """
    recorded = False
    for weight in run.weights:
        measured = run.series(series, weight.name)
        if len(measured.steps) == 0:
            continue
        recorded = True
        if measured.values[-1] <= limit:
            continue
        within = np.flatnonzero(measured.values <= limit)
        began = int(within[-1]) + 1 if within.size else 0
        yield weight.name, float(measured.values[-1]), int(measured.steps[began])
    if not recorded:
        kind = "a rectifier" if series == "dead_units" else "tanh or sigmoid"
        raise NotCheckedError(f"no layer before {kind} was measured")
