"""Sparse from the start, with connections that move: the weakest go, as many others grow."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal, get_args

import torch
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.kinds.shares import check_share, check_sparsity
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.magnitude import inputs_of_each
from weightsmith.kinds.sparse.mask import mask_of
from weightsmith.kinds.sparse.method import Clock, Evidence, Sparsifier
from weightsmith.kinds.sparse.patterns import keep_in_groups, kept_of_each
from weightsmith.names import choose
from weightsmith.seeding import generator_for

Distribution = Literal["erk", "uniform"]


@dataclass(frozen=True)
class Rewiring(Sparsifier):
    """What SET and RigL have in common.

    Attributes:
        sparsity: share of zeros over the selected weights, from the start on.
        distribution: `erk` leaves more of small layers (Erdos-Renyi-Kernel), `uniform` the same share of each.
        drop: share of a layer's connections that an update replaces in the beginning; it falls along a cosine.
        every: interval of updates: a share of training below 1, a number of steps from 1 on.
        until: share of training at which connections are final.
        fan_in: whether every output of a layer has the same number of inputs, always (Lasby et al. 2023, "Dynamic
            sparse training with structured sparsity").
        rescale: whether what is left of each layer is multiplied by `1 / sqrt(density)` at the start, so that outputs
            keep the variance that initialization gave them (Evci et al. 2022, "Gradient flow in sparse networks").
        seed: of everything random; None: 0, or that of the recipe.
    """

    sparsity: float
    distribution: Distribution = "erk"
    drop: float = 0.3
    every: float = 0.01
    until: float = 0.75
    fan_in: bool = False
    rescale: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        choose(self.distribution, get_args(Distribution), "distribution")
        check_share(self.drop, "drop")
        check_share(self.until, "until")
        for name in ("fan_in", "rescale"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is True or False, not {getattr(self, name)!r}")
        number = isinstance(self.every, Real) and not isinstance(self.every, bool)
        if not number or not 0 < self.every < math.inf or (self.every >= 1 and self.every != int(self.every)):
            raise InputError(
                f"every is a share of training above 0 and below 1, or a whole number of steps, not {self.every!r}"
            )
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            raise InputError(f"the seed is a whole number, not {self.seed!r}")

    def __str__(self) -> str:
        interval = f"{self.every:.0f} steps" if self.every >= 1 else f"{self.every:.4g} of training"
        rows = ", every output with as many inputs" if self.fan_in else ""
        return f"{self.sparsity:.4g} zero from the start{rows}, rewired every {interval} until {self.until:.0%} of it"

    @abstractmethod
    def growth(self, site: Site, clock: Clock) -> Tensor | None:
        """How much each weight that is not connected deserves to be, in the weight's shape; None where not known."""

    def watch(self, sites: Sequence[Site], due: bool) -> None:
        """Prepare for the step that updates masks."""

    def generator(self, site: Site, purpose: str) -> torch.Generator:
        """Random numbers for a weight, the same in every process."""
        return generator_for(self.seed or 0, f"{site.name}\0{purpose}")

    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Connect at random."""
        kept = kept_of_each(sites, self.sparsity, "erk" if self.distribution == "erk" else "layer")
        with torch.no_grad():
            for site, count in zip(sites, kept, strict=True):
                mask = mask_of(site).mask
                mask.copy_(site.from_rows(self._random(site, count)))
                density = float(mask.float().mean()) if mask.numel() else 1.0
                if self.rescale and density > 0:
                    site.stored.mul_(density**-0.5)
        self._schedule(sites, clock)

    def _random(self, site: Site, kept: int) -> Tensor:
        outputs, inputs = site.as_rows(site.stored).shape
        chances = torch.rand((outputs, inputs), generator=self.generator(site, "mask"), device="cpu")
        if self.fan_in:
            return keep_in_groups(chances, max(inputs, 1), inputs_of_each(kept, outputs, inputs))
        mask = torch.zeros_like(chances, dtype=torch.bool).flatten()
        mask[chances.flatten().topk(kept).indices] = True
        return mask.view(outputs, inputs)

    def step(self, sites: Sequence[Site], clock: Clock) -> bool:
        """Rewire where it is due."""
        changed = False
        if clock.due and clock.progress < self.until:
            fraction = self.drop / 2 * (1 + math.cos(math.pi * clock.progress / self.until))
            changed = self._rewire(sites, clock, fraction)
            clock.updates += changed
        if changed or not clock.due or clock.progress >= self.until:
            self._schedule(sites, clock)
        return changed

    def _rewire(self, sites: Sequence[Site], clock: Clock, fraction: float) -> bool:
        """Rewire all; where scores are not known or not finite, as after an overflow, wait for the next step."""
        scores = [self.growth(site, clock) for site in sites]
        known = [score for score in scores if score is not None]
        if len(known) < len(scores) or not all(bool(score.isfinite().all()) for score in known):
            return False
        with torch.no_grad():
            for site, score in zip(sites, known, strict=True):
                mask = mask_of(site).mask
                rows = rewired(
                    site.as_rows(mask), site.as_rows(site.stored), site.as_rows(score), fraction, per_row=self.fan_in
                )
                new = site.from_rows(rows)
                # what was not connected starts at 0, whatever lies behind its mask
                site.stored.masked_fill_(~mask, 0.0)
                mask.copy_(new)
        return True

    def _schedule(self, sites: Sequence[Site], clock: Clock) -> None:
        clock.due = clock.progress < self.until and clock.reaches(self.every)
        self.watch(sites, clock.due)

    def resume(self, sites: Sequence[Site], clock: Clock) -> None:
        """Prepare for the step at hand as before the interruption."""
        self.watch(sites, clock.due)


def rewired(mask: Tensor, weights: Tensor, growth: Tensor, fraction: float, *, per_row: bool) -> Tensor:
    """The mask after an update: a share of the connections, the smallest, go, and as many that deserve it most come.

    What has just gone may come back at once, as in Evci et al. (2020), algorithm 1.

    Args:
        mask: bool matrix `(outputs, inputs)`.
        weights: of that shape; their magnitudes decide what goes.
        growth: of that shape; decides what comes.
        fraction: share of the connections.
        per_row: whether every row keeps its number of connections.
    """
    count = int(fraction * int(mask.sum()))
    if count == 0:
        return mask
    sizes = torch.where(mask, weights.abs(), torch.inf).flatten()
    left = mask.flatten().clone()
    left[sizes.topk(count, largest=False).indices] = False
    left = left.view(mask.shape)
    candidates = torch.where(left, -torch.inf, growth.float())
    if not per_row:
        new = left.flatten()
        new[candidates.flatten().topk(count).indices] = True
        return new.view(mask.shape)
    missing = mask.sum(1, keepdim=True) - left.sum(1, keepdim=True)
    order = candidates.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order)
    rank.scatter_(1, order, torch.arange(mask.shape[1], device=mask.device).expand_as(order))
    return left | (rank < missing)
