"""Sparse weights: those of smallest magnitude are masked, more of them as training goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.site import Site
from weightsmith.names import choose

Scope = Literal["global", "layer"]

_PRECISION = 0.01
"""Masks are drawn anew when the schedule has moved by this share of the final sparsity: sorting each step is dear."""


class Mask(nn.Module):
    """Parametrization of a weight that is exactly 0 wherever its mask says so.

    The mask is a buffer: it moves with the module, is copied with it and is saved in its `state_dict`.

    Args:
        weight: the weight to mask; at first nothing is masked.
    """

    mask: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight where the mask is set, +0 elsewhere; the gradient likewise."""
        return torch.where(self.mask, weight, 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The weight itself."""
        return weight


@dataclass(frozen=True)
class Schedule:
    """Sparsity over training: 0 until `start`, then up along a cubic, full from `end` on (Zhu & Gupta 2017).

    Attributes:
        sparsity: final share of zeros, from 0 up to but not including 1.
        start: share of training at which pruning starts.
        end: share of training from which on the sparsity is full.
        scope: `global` prunes the smallest of all weights together, `layer` the same share of each.
    """

    sparsity: float
    start: float = 0.1
    end: float = 0.75
    scope: Scope = "global"

    def __post_init__(self) -> None:
        for name, share in (("sparsity", self.sparsity), ("start", self.start), ("end", self.end)):
            if not isinstance(share, Real):
                raise InputError(f"{name} is a share, a number, not {share!r}")
        if not 0 <= self.sparsity < 1:
            raise InputError(f"sparsity is a share of zeros from 0 up to below 1, not {self.sparsity}")
        if not 0 <= self.start <= self.end <= 1:
            raise InputError(f"a schedule needs 0 <= start <= end <= 1, not start={self.start}, end={self.end}")
        choose(self.scope, get_args(Scope), "scope")

    def __str__(self) -> str:
        share = f"{self.sparsity:.4g} of {'all weights together' if self.scope == 'global' else 'each weight'}"
        return f"{share} zero from {self.end:.0%} of training on"

    def at(self, progress: float) -> float:
        """Sparsity due at a share of training from 0 to 1."""
        if progress >= self.end:
            return self.sparsity
        if progress <= self.start:
            return 0.0
        remaining = 1 - (progress - self.start) / (self.end - self.start)
        return self.sparsity * (1 - remaining**3)


def mask_of(site: Site) -> Mask:
    """The mask of a weight that `apply` made sparse."""
    return next(step for step in site.chain if isinstance(step, Mask))


def follow_schedule(sites: Sequence[Site], schedule: Schedule, progress: float) -> None:
    """Mask the weights of smallest magnitude, as many as are due, and set the ones behind the masks to 0.

    What is masked stays so. From the schedule's end on the number of zeros is exactly the share, rounded; before, it
    may lag behind by a hundredth of it.
    """
    groups = [list(sites)] if schedule.scope == "global" else [[site] for site in sites]
    for group in groups:
        total = sum(site.stored.numel() for site in group)
        target = round(schedule.at(progress) * total)
        missing = target - sum(int((~mask_of(site).mask).sum()) for site in group)
        if missing > 0 and (progress >= schedule.end or missing >= _PRECISION * schedule.sparsity * total):
            _prune_together(group, target)
    clear_masked(sites)


def clear_masked(sites: Sequence[Site]) -> None:
    """Set to 0 what lies behind the masks, where momentum or decay may have moved it."""
    with torch.no_grad():
        for site in sites:
            site.stored.masked_fill_(~mask_of(site).mask, 0.0)


def _prune_together(sites: list[Site], zeros: int) -> None:
    with torch.no_grad():
        # scored on the first weight's device and in float32: models may be spread out and of mixed precision
        device = sites[0].stored.device
        scores = torch.cat([_score(site).flatten().to(device, torch.float32) for site in sites])
        keep = torch.ones_like(scores, dtype=torch.bool)
        keep[scores.topk(zeros, largest=False).indices] = False
        for site, part in zip(sites, torch.split(keep, [site.stored.numel() for site in sites]), strict=True):
            mask = mask_of(site).mask
            mask.copy_(part.view(mask.shape))


def _score(site: Site) -> Tensor:
    return torch.where(mask_of(site).mask, site.stored.abs(), -1.0)
