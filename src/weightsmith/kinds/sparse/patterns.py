"""Which weights stay, by a score of each: the highest of all, of each layer, of each block, of each group of inputs."""

from collections.abc import Sequence
from numbers import Integral
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.allocation import erdos_renyi_kernel, uniform
from weightsmith.kinds.sparse.mask import mask_of

Scope = Literal["global", "layer", "erk"]
Block = tuple[int, int]


def kept_of_each(sites: Sequence[Site], sparsity: float, scope: Scope) -> list[int]:
    """Weights to keep of each site: the same share of each, or more of small ones."""
    shapes = [tuple(site.stored.shape) for site in sites]
    return erdos_renyi_kernel(shapes, sparsity) if scope == "erk" else uniform(shapes, sparsity)


def keep_highest(
    sites: Sequence[Site], scores: Sequence[Tensor], sparsity: float, scope: Scope, ramp: float, block: Block | None
) -> list[Tensor]:
    """Masks of the highest scores.

    Args:
        sites: the weights.
        scores: of each site a matrix `(outputs, inputs)` of `Site.as_rows`; NaN counts as highest.
        sparsity: final share of zeros.
        scope: whose highest: of all together, or of each layer by its own share.
        ramp: share of the final sparsity that is due.
        block: rows and columns that go or stay together, by their mean score; None: each weight by itself.

    Returns:
        Bool matrices of the scores' shapes.
    """
    units = [score if block is None else _block_means(score, block) for score in scores]
    if scope == "global":
        keep = _without_lowest(units, round(sparsity * ramp * sum(unit.numel() for unit in units)))
    else:
        kept = kept_of_each(sites, sparsity, scope)
        shares = [1 - count / max(score.numel(), 1) for count, score in zip(kept, scores, strict=True)]
        keep = [
            _without_lowest([unit], round(share * ramp * unit.numel()))[0]
            for unit, share in zip(units, shares, strict=True)
        ]
    return keep if block is None else [_spread(*each, block) for each in zip(keep, scores, strict=True)]


def _without_lowest(scores: Sequence[Tensor], zeros: int) -> list[Tensor]:
    # scored on the first one's device and in float32: models may be spread out and of mixed precision
    device = scores[0].device
    joined = torch.cat([score.flatten().to(device, torch.float32) for score in scores])
    keep = torch.ones_like(joined, dtype=torch.bool)
    keep[joined.topk(zeros, largest=False).indices] = False
    parts = torch.split(keep, [score.numel() for score in scores])
    return [part.view(score.shape).to(score.device) for part, score in zip(parts, scores, strict=True)]


def _block_means(rows: Tensor, block: Block) -> Tensor:
    """Mean score of each block, `(ceil(outputs / height), ceil(inputs / width))`; of one at the rim, of its part."""
    return _block_sums(rows.float(), block) / _block_sums(torch.ones_like(rows, dtype=torch.float32), block)


def _block_sums(rows: Tensor, block: Block) -> Tensor:
    height, width = block
    padded = F.pad(rows, (0, -rows.shape[1] % width, 0, -rows.shape[0] % height))
    tiles = padded.view(padded.shape[0] // height, height, padded.shape[1] // width, width)
    return tiles.sum((1, 3))


def _spread(keep: Tensor, rows: Tensor, block: Block) -> Tensor:
    height, width = block
    return keep.repeat_interleave(height, 0).repeat_interleave(width, 1)[: rows.shape[0], : rows.shape[1]]


def keep_in_groups(scores: Tensor, size: int, keep: int) -> Tensor:
    """Mask of the `keep` highest scores of every `size` inputs in a row, of each row by itself.

    A last group of fewer inputs keeps as large a share of its own, rounded up.

    Args:
        scores: matrix `(outputs, inputs)`; NaN counts as highest.
        size: of the groups.
        keep: of each group, from 0 to its size.
    """
    whole = scores.shape[1] // size * size
    mask = torch.zeros_like(scores, dtype=torch.bool)
    for part, result in ((scores[:, :whole], mask[:, :whole]), (scores[:, whole:], mask[:, whole:])):
        width = min(size, part.shape[1])
        if width and part.shape[0]:
            wanted = -(-keep * width // size)
            groups = part.reshape(part.shape[0], -1, width).float()
            chosen = torch.zeros_like(groups, dtype=torch.bool)
            chosen.scatter_(2, groups.topk(wanted, dim=2).indices, True)
            result.copy_(chosen.flatten(1))
    return mask


def check_groups(n: object, m: object) -> None:
    """Refuse what is no pair of whole numbers with 1 <= n < m.

    Raises:
        InputError: naming them.
    """
    whole = all(isinstance(value, Integral) and not isinstance(value, bool) for value in (n, m))
    if not whole or not 1 <= int(n) < int(m):  # type: ignore[call-overload]
        raise InputError(f"n of every m weights stay: give whole numbers with 1 <= n < m, not n={n!r}, m={m!r}")


def unmasked_or_lowest(site: Site, score: Tensor) -> Tensor:
    """Scores as rows, masked weights below all others, so that they stay masked."""
    return site.as_rows(torch.where(mask_of(site).mask, score, -torch.inf))


def set_masks(sites: Sequence[Site], keep: Sequence[Tensor]) -> None:
    """Put masks given as rows in place."""
    for site, rows in zip(sites, keep, strict=True):
        mask_of(site).mask.copy_(site.from_rows(rows))
