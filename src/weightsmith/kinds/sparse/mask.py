"""A weight that is exactly 0 wherever its mask says so, and stays so."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from weightsmith.kinds.site import Site


class Mask(nn.Module):
    """Parametrization of a weight that is exactly 0 wherever its mask says so.

    The mask is a buffer: it moves with the module, is copied with it and is saved in its `state_dict`.

    Args:
        weight: the weight to mask; at first nothing is masked.

    Attributes:
        mask: bool, of the weight's shape; True where it is used.
        dense: whether gradients pass to masked weights as well, as one look at them needs.
    """

    kind: ClassVar[str] = "sparse"
    mask: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))
        self.dense = False

    def forward(self, weight: Tensor) -> Tensor:
        """The weight where the mask is set, +0 elsewhere; the gradient likewise, unless it is wanted everywhere."""
        if self.dense:
            # 0 in value for what lies behind the mask, which is 0 itself, and 1 in slope
            return torch.where(self.mask, weight, weight - weight.detach())
        return torch.where(self.mask, weight, 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight itself."""
        return weight


def mask_of(site: Site) -> Mask:
    """The mask of a weight that `apply` made sparse."""
    return next(step for step in site.chain if isinstance(step, Mask))


def clear_masked(sites: Sequence[Site]) -> None:
    """Set to 0 what lies behind the masks, where momentum or decay may have moved it."""
    with torch.no_grad():
        for site in sites:
            site.stored.masked_fill_(~mask_of(site).mask, 0.0)


def any_set(flags: Sequence[Tensor]) -> bool:
    """Whether any of these flags is set. They are read together, as each read waits for an accelerator."""
    return bool(torch.stack([flag.to(flags[0].device) for flag in flags]).any())


def clear_momentum(sites: Sequence[Site], optimizer: Optimizer) -> None:
    """Set to 0 what an optimizer remembers of masked weights: every tensor of its state of the weight's shape."""
    with torch.no_grad():
        for site in sites:
            weight = site.stored
            if weight in optimizer.state:
                for value in optimizer.state[weight].values():
                    if isinstance(value, Tensor) and value.shape == weight.shape and value.dim() > 0:
                        value.masked_fill_(~mask_of(site).mask, 0)
