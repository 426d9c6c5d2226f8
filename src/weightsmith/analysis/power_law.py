"""A power law fitted to the tail of a sample: exponent, start of the tail, distance. All starts are tried at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEW = 20
"""Values below which the fit corrects for the bias of small samples, as WeightWatcher 0.7.7 does."""

SHORTEST_TAIL = 8
"""Values that the tail of a small sample keeps at least."""

BLOCK_CELLS = 1 << 19
"""Distances computed at a time: 4 MiB of float64."""


@dataclass(frozen=True)
class PowerLaw:
    """The tail of a sample as p(x) ~ x^-alpha for x from `xmin` on.

    Attributes:
        alpha: the exponent, by maximum likelihood.
        xmin: where the tail begins: the value of the sample that makes `distance` least.
        distance: the Kolmogorov-Smirnov distance between the tail and the fit; above about 0.1 it is a poor one.
        sigma: standard error of alpha, (alpha - 1) / sqrt(tail).
        tail: number of values from `xmin` on.
        values: number of values that were fitted to.
    """

    alpha: float
    xmin: float
    distance: float
    sigma: float
    tail: int
    values: int


def fit_power_law(values: NDArray[np.float64]) -> PowerLaw | None:
    """Fit a continuous power law to the tail of positive values.

    Maximum likelihood for the exponent at every possible start of the tail, and the start whose tail comes closest to
    its fit (Clauset, Shalizi and Newman, Power-law distributions in empirical data, 2009, equations 3.1 and 3.9).
    Below `FEW` values alpha - 1 is scaled by (n - 1) / n against its bias, and the tail keeps `SHORTEST_TAIL` values.

    Args:
        values: float64[n], positive and finite, in any order.

    Returns:
        The fit, or None where fewer than `SHORTEST_TAIL` values, or only equal ones, leave nothing to fit.
    """
    logs = np.sort(np.log(values))
    count = len(logs)
    if count < SHORTEST_TAIL or logs[0] == logs[-1]:
        return None
    few = count < FEW
    tails = np.arange(count, 1, -1)
    # The sum of log(x / xmin) over each tail. Taken from the largest value, so that it does not cancel.
    below = np.cumsum((logs[-1] - logs)[::-1])[::-1][:-1]
    spread = tails * (logs[-1] - logs[:-1]) - below
    usable = spread > 1e-12 * tails * max(1.0, abs(float(logs[-1])))
    if few:
        usable &= tails >= SHORTEST_TAIL
    if not usable.any():
        return None
    slopes = np.where(usable, (tails - few) / np.where(usable, spread, 1.0), 0.0)  # alpha - 1
    distances = np.where(usable, _distances(logs, slopes), np.inf)
    best = int(np.argmin(distances))
    tail = int(tails[best])
    return PowerLaw(
        alpha=float(1 + slopes[best]),
        xmin=float(np.exp(logs[best])),
        distance=float(distances[best]),
        sigma=float(slopes[best] / np.sqrt(tail)),
        tail=tail,
        values=count,
    )


def _distances(logs: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each start i, the largest gap between 1 - (x / x_i)^-slope_i and the share of the tail below x."""
    count = len(logs)
    found = np.empty(len(slopes))
    start = 0
    while start < len(slopes):
        # Tails shorten as the start moves up, so later blocks hold more of them.
        stop = min(len(slopes), start + max(1, BLOCK_CELLS // (count - start)))
        rows = np.arange(start, stop)[:, None]
        gap = (logs[rows] - logs[None, start:]) * slopes[start:stop, None]
        np.exp(np.minimum(gap, 0.0, out=gap), out=gap)
        places = np.arange(start, count)[None, :] - rows
        gap += places / (count - rows)
        gap -= 1.0
        np.abs(gap, out=gap)
        gap[places < 0] = 0.0
        found[start:stop] = gap.max(axis=1)
        start = stop
    return found
