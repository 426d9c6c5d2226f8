"""RigL: the weakest connections go, others grow where the loss would fall fastest."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.mask import mask_of
from weightsmith.kinds.sparse.method import Clock
from weightsmith.kinds.sparse.rewiring import Rewiring


@dataclass(frozen=True)
class RigL(Rewiring):
    """Growth by the magnitude of the gradient (Evci et al. 2020, "Rigging the Lottery: making all tickets winners").

    Only in the step of an update do masked weights get a gradient. It is that of the whole step: of all batches whose
    gradients were accumulated, averaged over processes. The optimizer does not see it, and unlike the paper's moves the
    weights in that step too. New connections start at 0.
    """

    def watch(self, sites: Sequence[Site], due: bool) -> None:
        """Let gradients pass the masks in the step of an update."""
        for site in sites:
            mask_of(site).dense = due

    def collect(self, sites: Sequence[Site], clock: Clock) -> None:
        """Take the gradient of masked weights away from the optimizer."""
        if not clock.due:
            return
        for site in sites:
            gradient = site.stored.grad
            if gradient is not None and site.name not in clock.gradients:
                clock.gradients[site.name] = gradient.detach().abs()
                gradient.masked_fill_(~mask_of(site).mask, 0.0)

    def growth(self, site: Site, clock: Clock) -> Tensor | None:
        """Magnitude of the gradient; none where the weight took no part in the loss."""
        gradient = clock.gradients.get(site.name)
        if gradient is None and site.stored.grad is None:
            return torch.zeros_like(site.stored, requires_grad=False) if clock.gradients else None
        return gradient
