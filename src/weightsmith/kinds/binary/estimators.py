"""How a gradient passes through a step function that has none: straight-through estimators.

Forward all give the same two values. Backward each multiplies the gradient by a slope of its own at the latent value:

- `identity`: 1 (Hinton 2012; Bengio et al. 2013, "Estimating or propagating gradients").
- `clipped`: 1 within [-1, 1], else 0 (Hubara et al. 2016, "Binarized Neural Networks").
- `approx_sign`: `2 - 2|x|` within [-1, 1], else 0 (Liu et al. 2018, "Bi-Real Net", equation 6).
- `swish_sign`: the derivative of `2 s(bx) (1 + bx (1 - s(bx))) - 1` with the sigmoid s, which is
  `b (2 - bx tanh(bx / 2)) / (1 + cosh(bx))` (Darabi et al. 2018, "BNN+", equation 2; b is 5 there).
- `reste`: the derivative of the power function `sign(x) |x|^(1/o)`, which is `|x|^((1 - o) / o) / o`, else 0 beyond the
  cutoff; within 0.1 of zero, where it has no limit, the slope of the chord. The exponent o grows with training from 1,
  the identity, to 3 (Wu et al. 2023, "Estimator Meets Equilibrium Perspective").
"""

from dataclasses import dataclass
from numbers import Real
from typing import Literal, get_args

import torch
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.names import choose

ActivationEstimator = Literal["identity", "clipped", "approx_sign", "swish_sign", "reste"]

BETA, EXPONENT, CUTOFF = 5.0, 3.0, 1.5
_OWNERS = {"beta": "swish_sign", "exponent": "reste", "cutoff": "reste"}

_CHORD = 0.1
"""Within this distance of zero ReSTE's slope is that of the chord (the authors' `interval`)."""

_FLAT = 40.0
"""Beyond this `bx` SwishSign's slope is 0 in float32; there `cosh` would soon overflow."""


@dataclass(frozen=True)
class Estimator:
    """A straight-through estimator and its options.

    Attributes:
        name: which.
        beta: steepness of `swish_sign`; None: 5.
        exponent: at which `reste` ends; None: 3.
        cutoff: beyond which `reste` stops the gradient; None: 1.5.

    Raises:
        InputError: an unknown name, or an option that does not fit it.
    """

    name: ActivationEstimator = "clipped"
    beta: float | None = None
    exponent: float | None = None
    cutoff: float | None = None

    def __post_init__(self) -> None:
        choose(self.name, get_args(ActivationEstimator), "estimator")
        for option, owner in _OWNERS.items():
            value, least = getattr(self, option), 1.0 if option == "exponent" else 0.0
            if value is None:
                continue
            if self.name != owner:
                raise InputError(f"{option} belongs to the estimator {owner}, not to {self.name}")
            is_number = isinstance(value, Real) and not isinstance(value, bool) and value < float("inf")
            if not (is_number and value >= least and value > 0):
                allowed = "at least 1" if option == "exponent" else "above 0"
                raise InputError(f"{option} of the estimator {owner} is a finite number {allowed}, not {value!r}")

    @property
    def anneals(self) -> bool:
        """Whether its slope depends on how far the training is."""
        return self.name == "reste"

    def slope(self, latent: Tensor, progress: Tensor | None = None) -> Tensor | None:
        """What the gradient is multiplied by at each latent value, of its shape; None for 1 everywhere.

        Args:
            latent: distance from the step, in units in which the latent values span about [-1, 1].
            progress: share of training that is over, for an estimator that anneals.
        """
        match self.name:
            case "identity":
                return None
            case "clipped":
                return (latent.abs() <= 1).to(latent.dtype)
            case "approx_sign":
                return (2 - 2 * latent.abs()).clamp_(min=0)
            case "swish_sign":
                beta = BETA if self.beta is None else self.beta
                scaled = (beta * latent).clamp_(-_FLAT, _FLAT)
                return beta * (2 - scaled * torch.tanh(scaled / 2)) / (1 + torch.cosh(scaled))
            case "reste":
                return self._power_slope(latent.abs(), progress)

    def _power_slope(self, size: Tensor, progress: Tensor | None) -> Tensor:
        end = EXPONENT if self.exponent is None else self.exponent
        share = torch.zeros((), device=size.device) if progress is None else progress
        exponent = 1 + share * (end - 1)
        chord = (_CHORD ** (1 / exponent) / _CHORD).to(size.dtype)
        power = (size.clamp(min=_CHORD) ** ((1 - exponent) / exponent) / exponent).to(size.dtype)
        slope = torch.where(size <= _CHORD, chord, power)
        return torch.where(size <= (CUTOFF if self.cutoff is None else self.cutoff), slope, 0.0)


def two_values(latent: Tensor, low: float, threshold: Tensor | None = None, *, keep_nan: bool = True) -> Tensor:
    """1 where a latent value is 0 or more (or above its threshold), else `low`; in the latent dtype.

    Args:
        latent: any shape.
        low: the other value.
        threshold: of each latent value, of the same shape; None for 0.
        keep_nan: NaN stays NaN, to be seen; otherwise it counts as below.
    """
    above = latent >= 0 if threshold is None else latent > threshold
    # several times as fast as choosing between two numbers
    values = above.to(latent.dtype).mul_(1 - low).add_(low)
    return torch.where(latent.isnan(), latent, values) if keep_nan else values


def pass_through(
    latent: Tensor, values: Tensor, estimator: Estimator, progress: Tensor | None = None, unit: float = 1.0
) -> Tensor:
    """The values, with a gradient to the latent ones as the estimator has it.

    Args:
        latent: what the values come from.
        values: computed from it.
        estimator: how the gradient passes.
        progress: share of training that is over.
        unit: of the latent values; the estimator sees them divided by it.
    """
    if not (torch.is_grad_enabled() and latent.requires_grad):
        return values
    if estimator.name == "clipped":
        clipped = latent.clamp(-unit, unit)  # has that very gradient, and needs no slope to be kept
        return values + (clipped - clipped.detach())
    with torch.no_grad():
        distance = latent if unit == 1.0 else latent / unit
        slope = estimator.slope(distance, progress)
    # exactly 0, with the gradient of the latent value (NaN for one that is infinite or NaN, which should be seen);
    # unlike an autograd function of our own it compiles everywhere
    nothing = latent - latent.detach()
    return values + (nothing if slope is None else nothing * slope)
