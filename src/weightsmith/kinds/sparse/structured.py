"""Whole outputs go: neurons of linear layers, channels of convolutions; `shrink` then makes the layers smaller."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from weightsmith.kinds.selection import matrices
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.gradual import Gradual
from weightsmith.kinds.sparse.mask import Mask, mask_of
from weightsmith.kinds.sparse.method import Clock, Evidence
from weightsmith.kinds.sparse.patterns import Scope


@dataclass(frozen=True)
class Structured(Gradual):
    """Outputs of the smallest weights go along a cubic (Li et al. 2017, "Pruning filters for efficient ConvNets").

    Smallest is the mean square. With its weights an output loses its bias and what batch norm makes of it, so that it
    is 0 for the layers that follow. Layers whose outputs a sum joins lose the same ones. Layers whose outputs the model
    returns, or uses in a way that is not understood, keep all of theirs; where the model cannot be traced, that is its
    last matrix, and of the others only weights and biases go.

    Attributes:
        sparsity: final share of outputs that are 0.
        scope: `layer`: of each layer; `global`: of all together, in units of the layer's mean square.
    """

    scope: Scope = "layer"

    def __str__(self) -> str:
        return f"{self.sparsity:.4g} of the outputs zero from {self.end:.0%} of training on"

    def refuse(self, site: Site, evidence: Evidence) -> str:
        """Layers whose outputs stay."""
        path = site.name.rpartition(".")[0]
        if evidence.spaces is None:
            last = [info.name for info in matrices(evidence.model) if info.role != "embedding"][-1]
            return "the outputs of the model's last matrix stay" if site.name == last else ""
        if path not in evidence.spaces:
            return "its outputs stay: how they are used is not understood"
        return f"its outputs stay: {evidence.spaces[path].fixed}" if evidence.spaces[path].fixed else ""

    def parametrize(self, site: Site) -> nn.Module:
        """A mask that knows what goes along with a row."""
        return RowMask(site.stored)

    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Note which layers share outputs and which norms follow."""
        for site in sites:
            space = (evidence.spaces or {}).get(site.name.rpartition(".")[0])
            mask = row_mask_of(site)
            mask.group = space.producers[0].path if space is not None else site.name
            followers = [node.module for node in space.followers] if space is not None else []
            mask.followers = tuple(module for module in followers if isinstance(module, _NormBase))
        super().begin(sites, evidence, clock)

    def step(self, sites: Sequence[Site], clock: Clock) -> bool:
        """Prune where the schedule has moved far enough, and hold at 0 what belongs to outputs that are gone."""
        changed = super().step(sites, clock)
        with torch.no_grad():
            for site in sites:
                gone = ~site.as_rows(mask_of(site).mask).any(1)
                for module in (site.owner, *row_mask_of(site).followers):
                    for name in ("bias",) if module is site.owner else ("weight", "bias"):
                        vector = getattr(module, name, None)
                        if isinstance(vector, Tensor) and vector.shape == gone.shape:
                            vector.masked_fill_(gone, 0.0)
        return changed

    def score(self, site: Site) -> Tensor:
        """The square of each weight; a row's score is its mean."""
        squares = site.stored.float().square()
        whole = squares.mean().clamp(min=torch.finfo(torch.float32).tiny)
        return squares / whole if self.scope == "global" else squares

    def keep(self, sites: Sequence[Site], scores: Sequence[Tensor], ramp: float) -> list[Tensor]:
        """Rows of the highest mean; of each layer at least one."""
        together: dict[str, Tensor] = {}
        for site, score in zip(sites, scores, strict=True):
            group, mean = row_mask_of(site).group, score.mean(1)
            together[group] = together[group] + mean.to(together[group].device) if group in together else mean
        means = list(together.values())
        counts = [round(self.sparsity * ramp * len(mean)) for mean in means]
        if self.scope != "layer":
            joined = torch.cat([mean.to(means[0].device) for mean in means])
            gone = torch.zeros_like(joined, dtype=torch.bool)
            gone[joined.topk(round(self.sparsity * ramp * len(joined)), largest=False).indices] = True
            counts = [int(part.sum()) for part in torch.split(gone, [len(mean) for mean in means])]
        kept = {group: _rows_kept(mean, count) for (group, mean), count in zip(together.items(), counts, strict=True)}
        rows = [kept[row_mask_of(site).group] for site in sites]
        return [row.to(score.device)[:, None].expand(score.shape) for row, score in zip(rows, scores, strict=True)]


class RowMask(Mask):
    """A mask of whole rows.

    Attributes:
        group: name that layers with the same outputs share.
        followers: norms that scale and shift them.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        self.group = ""
        self.followers: tuple[nn.Module, ...] = ()


def row_mask_of(site: Site) -> RowMask:
    """The mask of a weight whose outputs go as a whole."""
    mask = mask_of(site)
    assert isinstance(mask, RowMask)
    return mask


def _rows_kept(mean: Tensor, gone: int) -> Tensor:
    keep = torch.ones_like(mean, dtype=torch.bool)
    keep[mean.topk(min(gone, max(len(mean) - 1, 0)), largest=False).indices] = False
    return keep
