"""Gradients that are too large, cut down before a step."""

from collections.abc import Iterable

import torch
from torch import Tensor

from weightsmith.penalties.penalty import check_strength


def clip_by_norm(parameters: Iterable[Tensor], limit: float) -> Tensor:
    """Scale all gradients together so that their norm is at most `limit` (Pascanu et al. 2013, "On the difficulty").

    Args:
        parameters: tensors with or without gradients.
        limit: largest Euclidean norm of all gradients taken as one vector.

    Returns:
        The norm before clipping, a scalar tensor on the gradients' device (so that no device has to be waited for); NaN
        or infinite where a gradient is, in which case all gradients become NaN or 0.

    Raises:
        InputError: where the limit is not a finite number above 0.
    """
    check_strength(limit, "limit", positive=True)
    return torch.nn.utils.clip_grad_norm_(list(parameters), limit)


def clip_by_value(parameters: Iterable[Tensor], limit: float) -> Tensor:
    """Clamp every element of every gradient to `[-limit, limit]`.

    Args:
        parameters: tensors with or without gradients.
        limit: largest absolute value.

    Returns:
        The norm of all gradients before clipping, as `clip_by_norm` returns it.

    Raises:
        InputError: where the limit is not a finite number above 0.
    """
    check_strength(limit, "limit", positive=True)
    with_gradient = [tensor for tensor in parameters if tensor.grad is not None]
    norm = torch.nn.utils.get_total_norm([tensor.grad for tensor in with_gradient if tensor.grad is not None])
    if with_gradient:
        torch.nn.utils.clip_grad_value_(with_gradient, limit)
    return norm
