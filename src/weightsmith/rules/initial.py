"""The distributions that weights are drawn from before training; what the rule on untrained layers compares with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from weightsmith.weight import WeightInfo

_CUT = 2.0
"""Standard deviations at which TensorFlow, Keras and JAX cut a normal distribution off."""

_CUT_STD = 0.87962566103423978
"""Standard deviation of a standard normal cut off there."""


@dataclass(frozen=True)
class Initial:
    """A distribution that weights start from.

    Attributes:
        name: as people call it.
        std: its standard deviation.
        bound: its largest magnitude; infinite for a normal distribution.
        below: the share of its values at or below each of some numbers.
    """

    name: str
    std: float
    bound: float
    below: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def uniform(name: str, bound: float) -> Initial:
    """Uniform between -bound and bound."""
    return Initial(name, bound / sqrt(3), bound, lambda x: np.clip((x + bound) / (2 * bound), 0.0, 1.0))


def normal(name: str, std: float) -> Initial:
    """Normal around zero."""
    return Initial(name, std, np.inf, lambda x: _normal_below(x / std))


def cut_normal(name: str, scale: float) -> Initial:
    """Normal around zero, cut off at two of its (uncut) standard deviations."""
    low, high = _normal_below(np.array([-_CUT, _CUT])).tolist()

    def below(x: NDArray[np.float64]) -> NDArray[np.float64]:
        inside: NDArray[np.float64] = (_normal_below(x / scale) - low) / (high - low)
        return np.clip(inside, 0.0, 1.0, out=inside)

    return Initial(name, scale * _CUT_STD, _CUT * scale, below)


def _normal_below(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([0.5 * (1 + erf(value / sqrt(2))) for value in x], np.float64)


def usual_starts(info: WeightInfo) -> Iterator[Initial]:
    """The distributions that libraries draw a weight of this shape from, unless told otherwise.

    Glorot and Bengio (2010), He et al. (2015), LeCun et al. (1998), PyTorch's defaults for linear, convolutional and
    recurrent layers, and the 0.02 of Radford et al. (2018).
    """
    outputs = info.shape[info.output_axis]
    fan_in = info.size / outputs
    last = info.output_axis % len(info.shape) == len(info.shape) - 1
    inputs = info.shape[-2] if last else info.shape[1]
    fan_out = outputs * fan_in / inputs
    if info.role == "embedding":
        yield normal("normal(0, 1), PyTorch's default for embeddings", 1.0)
        yield uniform("uniform(-0.05, 0.05), Keras's default for embeddings", 0.05)
    else:
        yield uniform("PyTorch's default, uniform within 1/sqrt(fan_in)", 1 / sqrt(fan_in))
    if info.role == "recurrent":
        for gates in (1, 3, 4):
            yield uniform("PyTorch's default, uniform within 1/sqrt(hidden)", sqrt(gates / outputs))
    variances = {
        "Glorot (Xavier)": 2 / (fan_in + fan_out),
        "He (Kaiming)": 2 / fan_in,
        "He by fan-out": 2 / fan_out,
        "LeCun": 1 / fan_in,
    }
    for name, variance in variances.items():
        yield uniform(f"{name} uniform", sqrt(3 * variance))
        yield normal(f"{name} normal", sqrt(variance))
        yield cut_normal(f"{name} truncated normal", sqrt(variance) / _CUT_STD)
    yield normal("normal(0, 0.02)", 0.02)
    yield cut_normal("normal(0, 0.02) cut off at 0.04", 0.02)
