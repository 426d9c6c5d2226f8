"""Penalties that act on every element by itself: L1, L2 and both together.

L2 is **half** the sum of squares, so that its gradient is `strength * weight`: the convention of `weight_decay` in
PyTorch and of scikit-learn's `ElasticNet` (Keras and scikit-learn's `Ridge` leave the half out).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from weightsmith.penalties.penalty import Step, check_strength


@dataclass(frozen=True)
class L1:
    """`strength * sum(|w|)`: its optimum has exact zeros (Tibshirani 1996, "Regression shrinkage and selection").

    The proximal step is the soft threshold `sign(w) max(|w| - step * strength, 0)`.

    Raises:
        InputError: where the strength is not a finite number of at least 0.
    """

    strength: float
    dimensions: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "L1 strength")

    @property
    def strengths(self) -> tuple[float, float]:
        """Strength of the L1 and of the L2 part."""
        return self.strength, 0.0

    def value(self, weight: Tensor) -> Tensor:
        """The loss term; its subgradient at zero is taken as 0."""
        return self.strength * weight.abs().sum()

    def proximal_(self, weight: Tensor, step: Step) -> None:
        """Apply the soft threshold in place; see `Proximable.proximal_`."""
        shrink_(weight, step, self.strength, 0.0)


@dataclass(frozen=True)
class L2:
    """`strength / 2 * sum(w^2)`, with the gradient `strength * w` (Hoerl & Kennard 1970, "Ridge regression").

    The proximal step is `w / (1 + step * strength)`.

    Raises:
        InputError: where the strength is not a finite number of at least 0.
    """

    strength: float
    dimensions: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.strength, "L2 strength")

    @property
    def strengths(self) -> tuple[float, float]:
        """Strength of the L1 and of the L2 part."""
        return 0.0, self.strength

    def value(self, weight: Tensor) -> Tensor:
        """The loss term."""
        return 0.5 * self.strength * weight.square().sum()

    def proximal_(self, weight: Tensor, step: Step) -> None:
        """Shrink in place; see `Proximable.proximal_`."""
        shrink_(weight, step, 0.0, self.strength)


@dataclass(frozen=True)
class ElasticNet:
    """`l1 * sum(|w|) + l2 / 2 * sum(w^2)` (Zou & Hastie 2005, "Regularization and variable selection").

    In terms of scikit-learn's `ElasticNet`: `l1 = alpha * l1_ratio`, `l2 = alpha * (1 - l1_ratio)`.

    Raises:
        InputError: where a strength is not a finite number of at least 0.
    """

    l1: float
    l2: float
    dimensions: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_strength(self.l1, "ElasticNet l1")
        check_strength(self.l2, "ElasticNet l2")

    @property
    def strengths(self) -> tuple[float, float]:
        """Strength of the L1 and of the L2 part."""
        return self.l1, self.l2

    def value(self, weight: Tensor) -> Tensor:
        """The loss term; its subgradient at zero is taken as 0."""
        return self.l1 * weight.abs().sum() + 0.5 * self.l2 * weight.square().sum()

    def proximal_(self, weight: Tensor, step: Step) -> None:
        """Apply the soft threshold, then divide by `1 + step * l2`; see `Proximable.proximal_`."""
        shrink_(weight, step, self.l1, self.l2)


Elementwise = L1 | L2 | ElasticNet


@torch.no_grad()
def shrink_(weight: Tensor, step: Step, l1: float, l2: float) -> None:
    """The proximal step of elastic net in place: `sign(w) max(|w| - l1 step, 0) / (1 + l2 step)`.

    Elements within the threshold become +0 and NaN stays NaN. Weights of 16 bits and less are computed in float32 and
    rounded once.
    """
    values = weight.float() if weight.dtype.itemsize < 4 else weight.detach()
    if l1 > 0:
        bound = l1 * step
        values = values.sub_(values.clamp(-bound, bound))  # type: ignore[arg-type]
    if l2 > 0:
        values = values.div_(1.0 + l2 * step)
    if values.dtype != weight.dtype:
        weight.copy_(values)
