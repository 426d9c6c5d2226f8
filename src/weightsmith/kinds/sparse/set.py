"""Sparse evolutionary training: the weakest connections go, others grow anywhere."""

from dataclasses import dataclass

import torch
from torch import Tensor

from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.method import Clock
from weightsmith.kinds.sparse.rewiring import Rewiring


@dataclass(frozen=True)
class Set(Rewiring):
    """Growth at random (Mocanu et al. 2018, "Scalable training ... with adaptive sparse connectivity").

    Connections go by magnitude, of either sign together, and new ones start at 0.
    """

    def growth(self, site: Site, clock: Clock) -> Tensor:
        """Chance, from the seed, the weight's name and the number of the update."""
        generator = self.generator(site, f"growth {clock.updates}")
        return torch.rand(site.stored.shape, generator=generator, device="cpu").to(site.stored.device)
