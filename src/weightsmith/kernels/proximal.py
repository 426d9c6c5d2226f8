"""Proximal steps of L1 and elastic net, in place and in one pass over the weight.

A proximal step solves `min_u l1 |u| + l2/2 u^2 + (u - w)^2 / (2 step)` for every element, where `step` is how far the
optimizer moves that element per unit of gradient: the same for all (`soft_threshold`, `shrink`), or `scale /
(sqrt(second_moment) / correction + epsilon)` as Adam, RMSprop and Adagrad have it (`*_metric`). The solution is
`sign(w) max(|w| - l1 step, 0) / (1 + l2 step)` (Parikh & Boyd 2014, "Proximal Algorithms", section 6.5.2).

All arithmetic is in the weight's own type. Elements within the threshold become +0; NaN in either array stays NaN.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from weightsmith.kernels.parallel import map_blocks

Floats: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""A contiguous one-dimensional array of either type; the arrays of one call have the same type and length."""

BLOCK = 1 << 18
"""Elements per task: 1 MiB of float32 from each array."""


# Slicing first tells the compiler that no index is negative, and the error model that division by zero gives infinity:
# otherwise it emits no vector code.
@njit(nogil=True, cache=True, error_model="numpy")
def _soft_threshold(weight, threshold, start, stop):  # type: ignore[no-untyped-def]
    values = weight[start:stop]
    bound = values.dtype.type(threshold)
    for i in range(values.size):
        value = values[i]
        moved = value - np.copysign(bound, value)
        values[i] = 0 if abs(value) <= bound else moved


@njit(nogil=True, cache=True, error_model="numpy")
def _soft_threshold_metric(weight, second_moment, scale, correction, epsilon, start, stop):  # type: ignore[no-untyped-def]
    values, moments = weight[start:stop], second_moment[start:stop]
    kind = values.dtype.type
    unit, factor, floor = kind(scale), kind(1.0 / correction), kind(epsilon)
    for i in range(values.size):
        value = values[i]
        bound = unit / (np.sqrt(moments[i]) * factor + floor)
        moved = value - np.copysign(bound, value)
        values[i] = 0 if abs(value) <= bound else moved


@njit(nogil=True, cache=True, error_model="numpy")
def _shrink(weight, threshold, l2_step, start, stop):  # type: ignore[no-untyped-def]
    values = weight[start:stop]
    bound = values.dtype.type(threshold)
    divisor = values.dtype.type(1.0 + l2_step)
    for i in range(values.size):
        value = values[i]
        moved = (value - np.copysign(bound, value)) / divisor
        values[i] = 0 if abs(value) <= bound else moved


@njit(nogil=True, cache=True, error_model="numpy")
def _shrink_metric(weight, second_moment, scale, l2_scale, correction, epsilon, start, stop):  # type: ignore[no-untyped-def]
    values, moments = weight[start:stop], second_moment[start:stop]
    kind = values.dtype.type
    unit, l2_unit, factor, floor = kind(scale), kind(l2_scale), kind(1.0 / correction), kind(epsilon)
    for i in range(values.size):
        metric = np.sqrt(moments[i]) * factor + floor
        # Numerator and denominator are multiplied by the metric, which saves one of two divisions.
        scaled = values[i] * metric
        moved = (scaled - np.copysign(unit, scaled)) / (metric + l2_unit)
        values[i] = 0 if abs(scaled) <= unit else moved


def soft_threshold(weight: Floats, threshold: float, threads: int | None = None) -> None:
    """Proximal step of L1 with one step for all: `w = sign(w) max(|w| - threshold, 0)`.

    Args:
        weight: array `[n]`, changed in place.
        threshold: strength times step, not negative.
        threads: number of threads at most; None for the package's default.
    """
    if weight.size <= BLOCK:
        _soft_threshold(weight, threshold, 0, weight.size)
    else:
        map_blocks(lambda start, stop: _soft_threshold(weight, threshold, start, stop), weight.size, BLOCK, threads)


def soft_threshold_metric(
    weight: Floats,
    second_moment: Floats,
    scale: float,
    correction: float,
    epsilon: float,
    threads: int | None = None,
) -> None:
    """Proximal step of L1 in the metric of an adaptive optimizer.

    Args:
        weight: array `[n]`, changed in place.
        second_moment: what the optimizer keeps of squared gradients, `[n]`.
        scale: strength times learning rate, positive.
        correction: what the root of the second moment is divided by (Adam's `sqrt(1 - beta2^t)`).
        epsilon: what the optimizer adds to the root.
        threads: number of threads at most; None for the package's default.
    """
    if weight.size <= BLOCK:
        _soft_threshold_metric(weight, second_moment, scale, correction, epsilon, 0, weight.size)
    else:
        map_blocks(
            lambda start, stop: _soft_threshold_metric(weight, second_moment, scale, correction, epsilon, start, stop),
            weight.size,
            BLOCK,
            threads,
        )


def shrink(weight: Floats, threshold: float, l2_step: float, threads: int | None = None) -> None:
    """Proximal step of elastic net with one step for all: the soft threshold, then division by `1 + l2_step`."""
    if weight.size <= BLOCK:
        _shrink(weight, threshold, l2_step, 0, weight.size)
    else:
        map_blocks(lambda start, stop: _shrink(weight, threshold, l2_step, start, stop), weight.size, BLOCK, threads)


def shrink_metric(
    weight: Floats,
    second_moment: Floats,
    scale: float,
    l2_scale: float,
    correction: float,
    epsilon: float,
    threads: int | None = None,
) -> None:
    """Proximal step of elastic net in the metric of an adaptive optimizer; `l2_scale` is l2 times learning rate."""
    if weight.size <= BLOCK:
        _shrink_metric(weight, second_moment, scale, l2_scale, correction, epsilon, 0, weight.size)
    else:
        map_blocks(
            lambda start, stop: _shrink_metric(
                weight, second_moment, scale, l2_scale, correction, epsilon, start, stop
            ),
            weight.size,
            BLOCK,
            threads,
        )
