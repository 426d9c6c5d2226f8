"""Those of smallest magnitude are masked, more of them as training goes on."""

from collections.abc import Sequence

import torch
from torch import Tensor

from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.mask import clear_masked, mask_of
from weightsmith.kinds.sparse.schedule import Schedule

_PRECISION = 0.01
"""Masks are drawn anew when the schedule has moved by this share of the final sparsity: sorting each step is dear."""


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
