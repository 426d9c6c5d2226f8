"""The training loss in windows, as the rules on its course read it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.rule import NotCheckedError

if TYPE_CHECKING:
    from weightsmith.store import Run

WINDOWS = 20
LEAST_STEPS = 40
FIRST = 5


@dataclass(frozen=True)
class LossWindows:
    """Mean loss of twenty equal stretches of a run.

    Attributes:
        initial: mean of the first five finite losses.
        steps: first step of each stretch, shape (20,).
        means: mean of its finite losses, shape (20,).
    """

    initial: float
    steps: NDArray[np.int64]
    means: NDArray[np.float64]


def loss_windows(run: "Run") -> LossWindows:
    """Cut the recorded step losses into twenty stretches.

    Raises:
        NotCheckedError: fewer than 40 finite losses were recorded.
    """
    series = run.series("loss")
    finite = np.isfinite(series.values)
    steps, values = series.steps[finite], series.values[finite]
    if len(values) < LEAST_STEPS:
        raise NotCheckedError(f"fewer than {LEAST_STEPS} finite losses were recorded")
    parts = np.array_split(np.arange(len(values)), WINDOWS)
    return LossWindows(
        initial=float(values[:FIRST].mean()),
        steps=np.array([steps[part[0]] for part in parts], dtype=np.int64),
        means=np.array([values[part].mean() for part in parts], dtype=np.float64),
    )
