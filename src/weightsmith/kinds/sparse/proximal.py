"""Zeros that an exact proximal step makes: L1, and group lasso."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch

from weightsmith.kinds.shares import check_share
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.mask import any_set, mask_of
from weightsmith.kinds.sparse.method import Clock, Evidence, Sparsifier
from weightsmith.names import choose
from weightsmith.penalties import L1, GroupLasso, Penalty
from weightsmith.penalties.groups import Grouping
from weightsmith.penalties.penalty import check_strength


@dataclass(frozen=True)
class Proximal(Sparsifier):
    """What both have in common: the optimizer makes the zeros, and from `end` on they are masked and stay.

    Attributes:
        strength: of the penalty.
        end: share of training from which on what is 0 stays 0.
    """

    strength: float
    end: float = 1.0

    def __post_init__(self) -> None:
        check_strength(self.strength, "strength")
        check_share(self.end, "end")

    def __str__(self) -> str:
        return f"exact zeros of {self._penalty()}"

    @abstractmethod
    def _penalty(self) -> Penalty:
        """The penalty of each weight."""

    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Nothing: all weights start as they are."""

    def step(self, sites: Sequence[Site], clock: Clock) -> bool:
        """Mask what is 0, once the end is reached."""
        if clock.progress < self.end:
            return False
        changed = []
        with torch.no_grad():
            for site in sites:
                gone = mask_of(site).mask & (site.stored == 0)
                mask_of(site).mask &= ~gone
                changed.append(gone.any())
        return any_set(changed)

    def penalties(self, sites: Sequence[Site]) -> Mapping[str, Penalty]:
        """The penalty, by the names of the weights."""
        return {site.name: self._penalty() for site in sites}


@dataclass(frozen=True)
class ProximalL1(Proximal):
    """L1 (Tibshirani 1996, "Regression shrinkage and selection via the lasso"), weight by weight.

    Build the optimizer with `penalties=controller.penalties`.
    """

    def _penalty(self) -> L1:
        return L1(self.strength)


@dataclass(frozen=True)
class ProximalGroupLasso(Proximal):
    """Group lasso (Yuan & Lin 2006; Wen et al. 2016): rows, columns or filters become 0 together.

    Build the optimizer with `penalties=controller.penalties`.

    Attributes:
        by: `rows` (outputs), `columns` (inputs) or `filters` (of convolutions).
    """

    by: Grouping = "rows"

    def __post_init__(self) -> None:
        choose(self.by, get_args(Grouping), "grouping of group_lasso")
        super().__post_init__()

    def _penalty(self) -> GroupLasso:
        return GroupLasso(self.strength, self.by)

    def refuse(self, site: Site, evidence: Evidence) -> str:
        """Filters belong to convolutions, and a transposed one has its outputs where others have inputs."""
        if site.groups:
            return "group_lasso takes the rows of a transposed convolution for columns: leave it out"
        return "group_lasso by filters acts on convolutions" if self.by == "filters" and site.stored.dim() < 3 else ""
