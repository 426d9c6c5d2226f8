"""Groups of elements that a penalty treats as one: the rows, columns or filters of a weight."""

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from weightsmith.penalties.penalty import Step

Grouping: TypeAlias = Literal["rows", "columns", "filters"]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)

_MOST_ITERATIONS = 60


def group_view(weight: Tensor, by: Grouping) -> Tensor:
    """The weight, as a view whose first dimension runs over its groups.

    Args:
        weight: tensor of at least two dimensions (three for filters), laid out as PyTorch's Linear and Conv have it.
        by: `rows`: one group per output unit; `columns`: one per input feature or input channel; `filters`: one per
            filter of a convolution.
    """
    return weight.transpose(0, 1) if by == "columns" else weight


def expand_step(step: Step, weight: Tensor, by: Grouping) -> Tensor | float:
    """The step in the layout of `group_view(weight, by).flatten(1)`, in float64 where it is a tensor."""
    if not isinstance(step, Tensor):
        return step
    return group_view(step.expand_as(weight), by).flatten(1).double()


def secular_root(values: Tensor, offset: Tensor, slope: Tensor, target: float) -> Tensor:
    """Solve `norm(values / (offset + x * slope)) = target` for `x >= 0`, one equation per row.

    Newton's method on the reciprocal of the norm, which is concave in x and almost a straight line, so that from
    x = 0 it rises to the root without overshooting (Moré & Sorensen 1983, "Computing a trust region step").

    Args:
        values: float64 tensor of shape `[groups, size]`.
        offset: positive, of a shape that broadcasts to it.
        slope: positive, likewise.
        target: positive; rows whose norm at x = 0 is below it get 0.

    Returns:
        Float64 tensor of shape `[groups, 1]`.
    """
    squares = values.square()
    root = values.new_zeros((len(values), 1))
    for _ in range(_MOST_ITERATIONS):
        inverse = (offset + root * slope).reciprocal()
        norm_square = (squares * inverse.square()).sum(1, keepdim=True)
        descent = (squares * slope * inverse.pow(3)).sum(1, keepdim=True)
        change = norm_square * (norm_square.sqrt() / target - 1) / descent
        change = torch.where(descent == 0, 0.0, change)
        root = (root + change).clamp_min_(0)
        if not (change.abs() > 1e-13 * root).any():
            break
    return root
