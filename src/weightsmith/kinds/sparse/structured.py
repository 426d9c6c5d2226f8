"""Whole outputs go: neurons of linear layers, channels of convolutions; `shrink` then makes the layers smaller."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.gradual import Gradual
from weightsmith.kinds.sparse.patterns import Scope


@dataclass(frozen=True)
class Structured(Gradual):
    """Outputs of the smallest weights go along a cubic (Li et al. 2017, "Pruning filters for efficient ConvNets").

    Smallest is the root mean square. The model's last matrix keeps its outputs, which are what the model is for.

    Attributes:
        sparsity: final share of outputs that are 0.
        scope: `layer`: of each layer; `global`: of all together, in units of the layer's root mean square.
    """

    scope: Scope = "layer"

    def __str__(self) -> str:
        return f"{self.sparsity:.4g} of the outputs zero from {self.end:.0%} of training on"

    def score(self, site: Site) -> Tensor:
        """The square of each weight; a row's score is its mean."""
        squares = site.stored.float().square()
        whole = squares.mean().clamp(min=torch.finfo(torch.float32).tiny)
        return squares / whole if self.scope == "global" else squares

    def keep(self, sites: Sequence[Site], scores: Sequence[Tensor], ramp: float) -> list[Tensor]:
        """Rows of the highest mean; of each layer at least one."""
        means = [score.mean(1) for score in scores]
        counts = [round(self.sparsity * ramp * len(mean)) for mean in means]
        if self.scope == "global":
            together = torch.cat(means)
            lowest = together.topk(round(self.sparsity * ramp * len(together)), largest=False).indices
            gone = torch.zeros(len(together), dtype=torch.bool, device=together.device)
            gone[lowest] = True
            counts = [int(part.sum()) for part in torch.split(gone, [len(mean) for mean in means])]
        return [_rows_kept(score, mean, count) for score, mean, count in zip(scores, means, counts, strict=True)]


def _rows_kept(score: Tensor, mean: Tensor, gone: int) -> Tensor:
    keep = torch.ones_like(mean, dtype=torch.bool)
    keep[mean.topk(min(gone, max(len(mean) - 1, 0)), largest=False).indices] = False
    return keep[:, None].expand(score.shape)
