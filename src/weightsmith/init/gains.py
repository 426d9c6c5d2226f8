"""How much an activation shrinks its signal, and the factor on the weights that makes up for it.

Torch's table stops at six names; here any activation of the table gets its gain by integration.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.names import choose

Family = Literal["linear", "rectifier", "smooth", "saturating", "self_normalizing"]

_KINKS = (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0)
"""Where the activations of the table are not smooth; integration panels must not straddle them."""

_REACH = 12.0
"""Standard deviations integrated over: the normal density beyond is below 1e-31."""

_PANEL = 0.5
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@dataclass(frozen=True)
class Activation:
    """One activation, as initialization sees it.

    Attributes:
        name: its name in `torch.nn.functional`.
        family: which argument decides its scheme: `rectifier` and `smooth` ones keep a signal's mean square under
            He's argument, `saturating` ones are bounded, `self_normalizing` and `linear` ones need no correction.
        parameter: default of its one parameter (slope, alpha or beta), None where it has none.
        function: maps a float64 tensor and the parameter to a tensor of the same shape.
    """

    name: str
    family: Family
    parameter: float | None
    function: Callable[[Tensor, float], Tensor]


ACTIVATIONS: dict[str, Activation] = {
    record.name: record
    for record in (
        Activation("linear", "linear", None, lambda z, _: z),
        Activation("relu", "rectifier", None, lambda z, _: F.relu(z)),
        Activation("relu6", "rectifier", None, lambda z, _: F.relu6(z)),
        Activation("leaky_relu", "rectifier", 0.01, F.leaky_relu),
        Activation("prelu", "rectifier", 0.25, F.leaky_relu),
        # In training the slope is drawn from U(1/8, 1/3); its middle stands for it.
        Activation("rrelu", "rectifier", 11 / 48, F.leaky_relu),
        Activation("gelu", "smooth", None, lambda z, _: F.gelu(z)),
        Activation("silu", "smooth", None, lambda z, _: F.silu(z)),
        Activation("mish", "smooth", None, lambda z, _: F.mish(z)),
        Activation("hardswish", "smooth", None, lambda z, _: F.hardswish(z)),
        Activation("elu", "smooth", 1.0, F.elu),
        Activation("celu", "smooth", 1.0, F.celu),
        Activation("softplus", "smooth", 1.0, F.softplus),
        Activation("logsigmoid", "smooth", None, lambda z, _: F.logsigmoid(z)),
        Activation("tanhshrink", "smooth", None, lambda z, _: F.tanhshrink(z)),
        Activation("softshrink", "smooth", 0.5, F.softshrink),
        Activation("hardshrink", "smooth", 0.5, F.hardshrink),
        Activation("selu", "self_normalizing", None, lambda z, _: F.selu(z)),
        Activation("tanh", "saturating", None, lambda z, _: torch.tanh(z)),
        Activation("hardtanh", "saturating", None, lambda z, _: F.hardtanh(z)),
        Activation("softsign", "saturating", None, lambda z, _: F.softsign(z)),
        Activation("sigmoid", "saturating", None, lambda z, _: torch.sigmoid(z)),
        Activation("hardsigmoid", "saturating", None, lambda z, _: F.hardsigmoid(z)),
    )
}

_TORCH_GAINS = {"sigmoid": 1.0, "hardsigmoid": 1.0, "tanh": 5.0 / 3, "selu": 3.0 / 4}
"""Values torch fixes, kept so that code moving here gets the numbers it had; a hard sigmoid follows the sigmoid."""

_LINEAR = frozenset({"linear", "identity", "softmax", "log_softmax"}) | {
    f"conv{transposed}{dimension}d" for transposed in ("", "_transpose") for dimension in (1, 2, 3)
}
_SYNONYMS = {"swish": "silu"}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on a layer's weights that makes up for the activation after it.

    For the names `torch.nn.init.calculate_gain` knows, its values. For every other unbounded activation the gain `g`
    that solves `E[f(g u)^2] = 1` with `u ~ N(0, 1)`: a layer with weights of variance `g^2 / fan_in` followed by `f`
    then turns inputs of mean square 1 into outputs of mean square 1, and so does the next one. For ReLU that is
    He et al. (2015), equation 10, and gives the square root of 2. Bounded activations (hardtanh, softsign) cannot
    reach 1; they get `1 / sqrt(E[f(u)^2])`, which holds the variance before the activation at 1.

    Args:
        nonlinearity: name in `torch.nn.functional`; `swish` is `silu`.
        param: slope of leaky_relu (default 0.01) and prelu (0.25), alpha of elu and celu (1), beta of softplus (1),
            lambda of softshrink and hardshrink (0.5); ignored elsewhere, as torch ignores it.

    Raises:
        InputError: unknown name, or a parameter that is not a number.
    """
    name = _SYNONYMS.get(nonlinearity, nonlinearity)
    if name in _LINEAR:
        return 1.0
    activation = ACTIVATIONS[choose(name, ACTIVATIONS, "nonlinearity")]
    if name in _TORCH_GAINS:
        return _TORCH_GAINS[name]
    return _gain(name, _parameter(activation, param))


def preserving_gain(name: str, param: float | None = None) -> float:
    """The gain that `init.apply` uses: `calculate_gain`, save for SELU, whose own fixed point needs 1.

    Klambauer et al. (2017) derive SELU's constants for weights of variance `1 / fan_in`; torch's 3/4 leaves it.
    """
    return 1.0 if name == "selu" else calculate_gain(name, param)


def mean_square(name: str, gain: float = 1.0, param: float | None = None) -> float:
    """`E[f(gain * u)^2]` for a standard normal `u`, by composite Gauss-Legendre quadrature in float64.

    Args:
        name: an entry of `ACTIVATIONS`.
        gain: standard deviation of the activation's input; positive.
        param: as for `calculate_gain`.
    """
    activation = ACTIVATIONS[choose(name, ACTIVATIONS, "nonlinearity")]
    return _mean_square(activation, gain, _parameter(activation, param))


def _parameter(activation: Activation, param: object) -> float:
    default = activation.parameter
    if default is None or param is None:
        return default if default is not None else 0.0
    if isinstance(param, bool) or not isinstance(param, (int, float)):
        raise InputError(f"the parameter of {activation.name} must be a number, not {param!r}")
    return float(param)


def _mean_square(activation: Activation, deviation: float, parameter: float) -> float:
    # Integrated over z = deviation * u, where the kinks stay in place; panels are short against both the density's
    # width and the activation's own scale of 1.
    reach = _REACH * deviation
    width = _PANEL * min(max(deviation, 1e-3), 1.0)
    kinks = {kink for kink in (*_KINKS, parameter, -parameter) if -reach < kink < reach}
    edges = np.union1d(np.linspace(-reach, reach, math.ceil(2 * reach / width) + 1), sorted(kinks))
    half = np.diff(edges) / 2
    z = (edges[:-1] + half)[:, None] + half[:, None] * _NODES
    density = np.exp(-0.5 * (z / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    values = activation.function(torch.from_numpy(z), parameter).numpy()
    return float((half[:, None] * _WEIGHTS * density * values**2).sum())


@cache
def _gain(name: str, parameter: float) -> float:
    activation = ACTIVATIONS[name]
    if activation.function is F.leaky_relu:
        return math.sqrt(2.0 / (1.0 + parameter**2))
    if name == "relu":
        return math.sqrt(2.0)
    if activation.family == "saturating":
        return 1.0 / math.sqrt(_mean_square(activation, 1.0, parameter))
    return _solve(lambda gain: _mean_square(activation, gain, parameter) - 1.0, name)


def _solve(excess: Callable[[float], float], name: str) -> float:
    from scipy.optimize import brentq

    low, high = 1e-3, 1.0
    while excess(high) < 0:
        high *= 2
        if high > 1e3:
            raise InputError(f"no gain keeps a signal's mean square at 1 through {name} with this parameter")
    if excess(low) > 0:
        raise InputError(f"{name} with this parameter puts out a mean square above 1 whatever the weights")
    return float(brentq(excess, low, high, xtol=1e-13, rtol=1e-14))
