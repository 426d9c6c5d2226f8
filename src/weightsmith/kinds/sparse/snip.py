"""SNIP: before training, keep the connections that the loss is most sensitive to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch

from weightsmith.errors import InputError
from weightsmith.kinds.shares import check_sparsity
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.method import Clock, Evidence, Sparsifier
from weightsmith.kinds.sparse.patterns import Scope, keep_highest, set_masks
from weightsmith.kinds.sparse.quiet import undisturbed
from weightsmith.names import choose


@dataclass(frozen=True)
class Snip(Sparsifier):
    """Sensitivity is `|weight * gradient|` (Lee et al. 2019, "SNIP: single-shot network pruning"); masks are final.

    Attributes:
        sparsity: share of zeros, from 0 up to but not including 1.
        scope: `global` keeps the most sensitive of all weights together, `layer` the same share of each, `erk` more of
            small layers.
    """

    sparsity: float
    scope: Scope = "global"

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        choose(self.scope, get_args(Scope), "scope")

    def __str__(self) -> str:
        return f"{self.sparsity:.4g} zero from the start, those that the loss was least sensitive to"

    def refuse(self, site: Site, evidence: Evidence) -> str:
        """Only weights that learn."""
        return "" if site.stored.requires_grad else "it requires no gradient, by which snip chooses"

    def check(self, evidence: Evidence) -> None:
        """Ask for a loss."""
        if evidence.loss is None:
            raise InputError("method 'snip' needs loss=: a function that takes the model and returns a batch's loss")

    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Look at the gradient once."""
        assert evidence.loss is not None
        with undisturbed(evidence.model), torch.enable_grad():
            loss = evidence.loss(evidence.model)
            stored = [site.stored for site in sites]
            gradients = torch.autograd.grad(loss, stored, allow_unused=True)
        with torch.no_grad():
            scores = [
                site.as_rows(torch.zeros_like(weight) if gradient is None else (weight * gradient).abs())
                for site, weight, gradient in zip(sites, stored, gradients, strict=True)
            ]
            set_masks(sites, keep_highest(sites, scores, self.sparsity, self.scope, 1.0, None))
