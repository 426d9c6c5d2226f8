"""Pruning along a cubic schedule: what is masked stays masked, more of it as training goes on."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.method import Clock, Evidence, Sparsifier
from weightsmith.kinds.sparse.patterns import Scope, keep_highest, set_masks, unmasked_or_lowest
from weightsmith.kinds.sparse.schedule import Schedule
from weightsmith.names import choose

PRECISION = 0.01
"""Masks are drawn anew when this share of the weights that are left is due: sorting each step is dear.

Not a share of the final sparsity: from 96 to 97 % zeros it is a quarter of what is left that goes, and all at once that
costs accuracy.
"""


@dataclass(frozen=True)
class Gradual(Sparsifier):
    """What methods have in common that mask the weights of the lowest score (Zhu & Gupta 2017, "To prune, or not").

    From the schedule's end on the number of zeros is exactly the share, rounded; before, a hundredth more weights than
    are due may be left.

    Attributes:
        sparsity: final share of zeros, from 0 up to but not including 1.
        start: share of training at which pruning starts.
        end: share of training from which on the sparsity is full; the rest is for recovery.
        scope: `global` prunes the lowest of all selected weights together, `layer` the same share of each, `erk` more
            of large layers.
    """

    sparsity: float
    start: float = 0.1
    end: float = 0.75
    scope: Scope = "global"

    def __post_init__(self) -> None:
        choose(self.scope, get_args(Scope), "scope")
        Schedule(self.sparsity, self.start, self.end)  # refuses what does not fit

    def __str__(self) -> str:
        wholes = {"global": "all weights together", "layer": "each weight", "erk": "all weights, less of small ones"}
        return f"{self.sparsity:.4g} of {wholes[self.scope]} zero from {self.end:.0%} of training on"

    @abstractmethod
    def score(self, site: Site) -> Tensor:
        """How much each weight matters, in the weight's shape; NaN counts as most."""

    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Prune where the schedule starts with its end."""
        self.step(sites, clock)

    def step(self, sites: Sequence[Site], clock: Clock) -> bool:
        """Prune where the schedule has moved far enough."""
        ramp = Schedule(self.sparsity, self.start, self.end).ramp(clock.progress)
        due, left = 1 - self.sparsity * ramp, 1 - self.sparsity * clock.level
        if not (ramp > clock.level and (ramp == 1 or due <= (1 - PRECISION) * left)):
            return False
        clock.level = ramp
        with torch.no_grad():
            scores = [unmasked_or_lowest(site, self.score(site)) for site in sites]
            set_masks(sites, self.keep(sites, scores, ramp))
        return True

    def settled(self, progress: float) -> bool:
        """From the end on."""
        return progress >= self.end

    def keep(self, sites: Sequence[Site], scores: Sequence[Tensor], ramp: float) -> list[Tensor]:
        """Which weights stay at a share of the final sparsity, as rows."""
        return keep_highest(sites, scores, self.sparsity, self.scope, ramp, None)
