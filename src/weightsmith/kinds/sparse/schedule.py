"""How sparse weights should be at each moment of a training."""

from dataclasses import dataclass
from numbers import Real
from typing import Literal, get_args

from weightsmith.errors import InputError
from weightsmith.names import choose

Scope = Literal["global", "layer"]


@dataclass(frozen=True)
class Schedule:
    """Sparsity over training: 0 until `start`, then up along a cubic, full from `end` on (Zhu & Gupta 2017).

    Attributes:
        sparsity: final share of zeros, from 0 up to but not including 1.
        start: share of training at which pruning starts.
        end: share of training from which on the sparsity is full.
        scope: `global` prunes the smallest of all weights together, `layer` the same share of each.
    """

    sparsity: float
    start: float = 0.1
    end: float = 0.75
    scope: Scope = "global"

    def __post_init__(self) -> None:
        for name, share in (("sparsity", self.sparsity), ("start", self.start), ("end", self.end)):
            if not isinstance(share, Real):
                raise InputError(f"{name} is a share, a number, not {share!r}")
        if not 0 <= self.sparsity < 1:
            raise InputError(f"sparsity is a share of zeros from 0 up to below 1, not {self.sparsity}")
        if not 0 <= self.start <= self.end <= 1:
            raise InputError(f"a schedule needs 0 <= start <= end <= 1, not start={self.start}, end={self.end}")
        choose(self.scope, get_args(Scope), "scope")

    def __str__(self) -> str:
        share = f"{self.sparsity:.4g} of {'all weights together' if self.scope == 'global' else 'each weight'}"
        return f"{share} zero from {self.end:.0%} of training on"

    def at(self, progress: float) -> float:
        """Sparsity due at a share of training from 0 to 1."""
        if progress >= self.end:
            return self.sparsity
        if progress <= self.start:
            return 0.0
        remaining = 1 - (progress - self.start) / (self.end - self.start)
        return self.sparsity * (1 - remaining**3)
