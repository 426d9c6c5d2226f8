"""Batch norm and sign after a layer of whole dot products, as a threshold on them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

NEVER = 2**31 - 1
ALWAYS = -(2**31)


def thresholds(
    norm: nn.Module | None, scale: Tensor | None, bias: Tensor | None, rows: int, columns: int, *, images: bool
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Where the sign of a layer and its batch norm changes.

    The sign is that of `norm(dot * scale + bias)`, every step rounded to float32 as torch rounds it: the norm itself is
    asked, and searched for the first dot product at which its answer changes. Rounding keeps order, so there is one.

    Args:
        norm: the batch norm after the layer, in evaluation mode; None for none.
        scale: float32[1] or float32[rows] of the weight, or None.
        bias: float32[rows] of the layer, or None.
        rows: outputs of the layer.
        columns: weights of each; dot products are whole numbers from `-columns` to `columns`.
        images: whether the norm is two-dimensional.

    Returns:
        The threshold int32[rows], slope and offset float32[rows] of `XnorLayer`; None where the norm is not finite, or
        the dot products are not whole in float32.
    """
    if columns >= 2**24:
        return None
    times = torch.ones(rows, device="cpu") if scale is None else scale.float().cpu().expand(rows)
    slope, offset = times.clone(), torch.zeros_like(times) if bias is None else bias.float().cpu()
    if isinstance(norm, nn.modules.batchnorm._BatchNorm):
        assert norm.running_var is not None
        grow = (norm.running_var.float() + norm.eps).rsqrt().cpu()
        slope = slope * (grow if norm.weight is None else grow * norm.weight.float().cpu())

    def preactivation(dots: Tensor) -> Tensor:
        values = dots.float()
        values = values if scale is None else values * times
        values = values if bias is None else values + offset
        if norm is None:
            return values
        shaped = values.view(1, rows, 1, 1) if images else values.view(1, rows)
        found: Tensor = norm(shaped)
        return found.view(rows)

    ends = torch.full_like(times, columns, dtype=torch.int64)
    if not bool((preactivation(ends).isfinite() & preactivation(-ends).isfinite() & slope.isfinite()).all()):
        return None
    return _search(preactivation, ends, slope), slope, preactivation(torch.zeros_like(times))


def _search(preactivation: Callable[[Tensor], Tensor], ends: Tensor, slope: Tensor) -> Tensor:
    """The first dot product of each row at which the sign differs from that of the lowest one."""
    low, high = -ends, ends.clone()  # the sign at `low` is the first one, that at `high` perhaps another
    first = preactivation(low) >= 0
    last = preactivation(high) >= 0
    while bool((high - low > 1).any()):
        middle = (low + high) // 2
        same = (preactivation(middle) >= 0) == first
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    constant = torch.where(first != (slope < 0), ALWAYS, NEVER)
    return torch.where(first == last, constant, high).to(torch.int32)
