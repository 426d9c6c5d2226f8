"""Movement pruning: weights that move towards 0 are masked, those that move away from it stay."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.gradual import Gradual
from weightsmith.kinds.sparse.mask import Mask, mask_of
from weightsmith.kinds.sparse.method import Clock


@dataclass(frozen=True)
class Movement(Gradual):
    """The score of a weight is minus the sum of `weight * gradient` so far (Sanh et al. 2020, "Movement pruning").

    For weights that were learned before, whose size says what they were for. As the score of gradient descent on a
    straight-through mask has a learning rate of its own that only scales it, none is asked for; and unlike there a
    masked weight is 0 and does not come back. Sums are over steps: of weights before and gradients in each. Without an
    attached optimizer the weights are those after it.
    """

    def parametrize(self, site: Site) -> nn.Module:
        """A mask that keeps the score in a buffer."""
        return ScoredMask(site.stored)

    def collect(self, sites: Sequence[Site], clock: Clock) -> None:
        """Add up the movement of a step."""
        with torch.no_grad():
            for site in sites:
                gradient = site.stored.grad
                if gradient is not None and site.name not in clock.gradients:
                    clock.gradients[site.name] = gradient
                    scored = mask_of(site)
                    assert isinstance(scored, ScoredMask)
                    # a loss scaler tries steps whose gradients overflow, and takes them back
                    scored.score.addcmul_(site.stored, gradient.nan_to_num(0.0, 0.0, 0.0), value=-1)

    def score(self, site: Site) -> Tensor:
        """The movement so far."""
        scored = mask_of(site)
        assert isinstance(scored, ScoredMask)
        return scored.score


class ScoredMask(Mask):
    """A mask with a number for each weight.

    Attributes:
        score: of the weight's shape, float32 at least, 0 at first.
    """

    score: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        self.register_buffer("score", torch.zeros_like(weight, dtype=torch.float32, requires_grad=False))
