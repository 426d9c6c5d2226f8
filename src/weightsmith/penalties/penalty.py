"""What a penalty is: a term of the loss, a proximal step, or both."""

import math
from numbers import Real
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from weightsmith.errors import InputError

Step: TypeAlias = float | Tensor
"""How far an optimizer moves a weight per unit of gradient: one number, or one per element in the weight's shape."""


@runtime_checkable
class LossTerm(Protocol):
    """A penalty that can be added to the loss."""

    @property
    def dimensions(self) -> int:
        """Fewest dimensions that a weight must have."""
        ...

    def value(self, weight: Tensor) -> Tensor:
        """The penalty of a weight: a differentiable scalar of the weight's type and device."""
        ...


@runtime_checkable
class Proximable(Protocol):
    """A penalty whose proximal step has a closed form (or that of a scalar equation)."""

    @property
    def dimensions(self) -> int:
        """Fewest dimensions that a weight must have."""
        ...

    def proximal_(self, weight: Tensor, step: Step) -> None:
        """Solve `min_u penalty(u) + sum((u - weight)^2 / (2 step))` in place, without gradients.

        Args:
            weight: floating-point tensor of any layout, changed in place.
            step: positive; one number, or a tensor of the weight's shape: the diagonal metric of an adaptive optimizer.
        """
        ...


Penalty: TypeAlias = LossTerm | Proximable


def check_strength(value: object, argument: str, *, positive: bool = False) -> None:
    """Refuse what is not a finite number of at least 0 (above 0 with `positive`).

    Raises:
        InputError: naming the argument, the value given and the values allowed.
    """
    allowed = "a finite number above 0" if positive else "a finite number of at least 0"
    number = value if isinstance(value, Real) and not isinstance(value, bool) else None
    if number is None or not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise InputError(f"{argument} must be {allowed}, got {value!r}")


def check_dimensions(weight: Tensor, wanted: int, penalty: object) -> None:
    """Refuse a weight with fewer dimensions than the penalty needs.

    Raises:
        InputError: naming the penalty and the shape.
    """
    if weight.ndim < wanted:
        shape = tuple(weight.shape)
        raise InputError(f"{penalty} needs a weight of at least {wanted} dimensions, got shape {shape}")
