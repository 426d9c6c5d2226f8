"""How far a weight is from the optimum of a penalized problem: the residual of its optimality (KKT) conditions.

At the optimum of `loss(w) + l1 * sum(|w|) + l2/2 * sum(w^2)`, with g the gradient of the loss alone, every element has
`g + l2 w + l1 sign(w) = 0` where w is not zero and `|g| <= l1` where it is (Bach et al. 2012, "Optimization with
sparsity-inducing penalties", section 1.2; Zou & Hastie 2005 for l2). At that of the group lasso every group has
`g + s u / norm(u) = 0`, or `norm(g) <= s` where it is zero, with `s = strength * sqrt(group size)` (Yuan & Lin 2006).
"""

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.penalties.group_lasso import GroupLasso
from weightsmith.penalties.groups import group_view
from weightsmith.penalties.penalty import check_strength


def kkt_residual(
    weight: Tensor | npt.NDArray[Any], gradient: Tensor | npt.NDArray[Any], l1: float, l2: float = 0.0
) -> float:
    """Largest violation of the optimality conditions of L1 or elastic net, in units of the gradient.

    Args:
        weight: tensor or array of any shape.
        gradient: gradient of the loss without penalties, of the same shape.
        l1: strength of the L1 part.
        l2: strength of the L2 part, in the convention of `L2` (half the sum of squares).

    Returns:
        `max |g + l2 w + l1 sign(w)|` over elements that are not zero and `max(|g| - l1, 0)` over those that are; 0 at
        the optimum and for empty weights, NaN where either has NaN.

    Raises:
        InputError: where a strength is negative or not finite, or the shapes differ.
    """
    check_strength(l1, "l1")
    check_strength(l2, "l2")
    w, g = _pair(weight, gradient)
    active = (g + l2 * w + l1 * w.sign()).abs()
    inactive = (g.abs() - l1).clamp_min(0)
    return _largest(torch.where(w == 0, inactive, active))


def relative_kkt_residual(
    weight: Tensor | npt.NDArray[Any], gradient: Tensor | npt.NDArray[Any], l1: float, l2: float = 0.0
) -> float:
    """The residual of `kkt_residual` as a multiple of l1: 0.01 means that each condition holds within 1 % of l1.

    Raises:
        InputError: as `kkt_residual`, and where l1 is 0.
    """
    check_strength(l1, "l1", positive=True)
    return kkt_residual(weight, gradient, l1, l2) / l1


def group_kkt_residual(weight: Tensor, gradient: Tensor, penalty: GroupLasso) -> float:
    """Largest violation, over groups, of the optimality condition of the group lasso, in units of the gradient.

    Args:
        weight: tensor of at least two dimensions.
        gradient: gradient of the loss without penalties, of the same shape.
        penalty: the group lasso.

    Raises:
        InputError: where the shapes differ or have too few dimensions.
    """
    w, g = _pair(weight, gradient)
    norms = penalty.group_norms(w)[:, None]
    strength = penalty.group_strength(w)
    values, slopes = (group_view(tensor, penalty.by).flatten(1) for tensor in (w, g))
    direction = torch.where(norms == 0, 0.0, values / norms)
    active = torch.linalg.vector_norm(slopes + strength * direction, dim=1)
    inactive = (torch.linalg.vector_norm(slopes, dim=1) - strength).clamp_min(0)
    return _largest(torch.where(norms[:, 0] == 0, inactive, active))


def _pair(weight: Tensor | npt.NDArray[Any], gradient: Tensor | npt.NDArray[Any]) -> tuple[Tensor, Tensor]:
    w, g = (torch.as_tensor(given).detach().double() for given in (weight, gradient))
    if w.shape != g.shape:
        raise InputError(f"weight and gradient must have one shape, got {tuple(w.shape)} and {tuple(g.shape)}")
    return w, g


def _largest(violations: Tensor) -> float:
    return float(violations.max()) if violations.numel() else 0.0
