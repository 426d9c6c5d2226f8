"""spred: a weight as the product of two, so that weight decay on both is L1 on it and any optimizer can do it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weightsmith.kinds.shares import check_share
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.mask import Mask, any_set, mask_of
from weightsmith.kinds.sparse.method import Clock, Evidence, Sparsifier
from weightsmith.penalties.penalty import check_strength


@dataclass(frozen=True)
class Spred(Sparsifier):
    """L1 as decay of both factors of `w = u v` (Ziyin & Wang 2023, "spred: solving L1 penalty with SGD").

    The penalty is `strength / 2 * sum(u^2 + v^2)`; its least over all factors of a product is `strength * sum(|w|)`.
    Weights only come close to 0; from `end` on those below a threshold are exactly 0 and stay so. The second factor is
    a parameter of its own, so apply the kind before the optimizer is built. `controller.penalty()` belongs into the
    loss.

    Attributes:
        strength: of the L1 penalty.
        threshold: magnitude below which a weight counts as 0.
        end: share of training from which on those are 0.
    """

    strength: float
    threshold: float = 1e-3
    end: float = 0.75

    def __post_init__(self) -> None:
        check_strength(self.strength, "strength")
        check_strength(self.threshold, "threshold")
        check_share(self.end, "end")

    def __str__(self) -> str:
        return f"L1 of {self.strength:.4g} as a product of two, below {self.threshold:.4g} zero from {self.end:.0%} on"

    def parametrize(self, site: Site) -> nn.Module:
        """A product."""
        return Product(site.stored)

    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Nothing: all weights start as they are."""

    def step(self, sites: Sequence[Site], clock: Clock) -> bool:
        """Mask what is small, once the end is reached."""
        if clock.progress < self.end:
            return False
        changed = []
        with torch.no_grad():
            for site in sites:
                product = product_of(site)
                small = product.mask & ((site.stored * product.spread(site.stored)).abs() < self.threshold)
                product.mask &= ~small
                product.factor.masked_fill_(~product.mask.flatten(), 0.0)
                changed.append(small.any())
        return any_set(changed)

    def settled(self, progress: float) -> bool:
        """From the end on."""
        return progress >= self.end

    def penalty(self, sites: Sequence[Site]) -> Tensor:
        """Half the squares of both factors, times the strength."""
        terms = [(site.stored.square().sum() + product_of(site).factor.square().sum()).float() for site in sites]
        return 0.5 * self.strength * torch.stack([term.to(terms[0]) for term in terms]).sum()


class Product(Mask):
    """Parametrization of a weight as a stored factor times a second one, a flat parameter of this module.

    Attributes:
        factor: of as many elements as the weight.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        self.factor = nn.Parameter(torch.ones_like(weight, requires_grad=False).flatten())

    def forward(self, weight: Tensor) -> Tensor:
        """The product where the mask is set, +0 elsewhere."""
        return torch.where(self.mask, weight * self.spread(weight), 0.0)

    def spread(self, weight: Tensor) -> Tensor:
        """The second factor in the weight's shape."""
        return self.factor.view(weight.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The first factor of a given weight; the second starts as one number, no smaller than any first.

        Two factors of one size could only shrink together, and the weight would never change its sign.
        """
        largest = weight.detach().abs().amax() if weight.numel() else weight.new_ones(())
        size = torch.where(largest > 0, largest.sqrt(), 1.0)
        if not weight.is_meta:
            with torch.no_grad():
                self.factor.copy_(size.expand(weight.numel()))
        return weight / size


def product_of(site: Site) -> Product:
    """The product that a weight is."""
    product = mask_of(site)
    assert isinstance(product, Product)
    return product
