"""How sparse weights should be at each moment of a training."""

from dataclasses import dataclass

from weightsmith.errors import InputError
from weightsmith.kinds.shares import check_share, check_sparsity


@dataclass(frozen=True)
class Schedule:
    """Sparsity over training: 0 until `start`, then up along a cubic, full from `end` on (Zhu & Gupta 2017).

    Attributes:
        sparsity: final share of zeros, from 0 up to but not including 1.
        start: share of training at which pruning starts.
        end: share of training from which on the sparsity is full.
    """

    sparsity: float
    start: float = 0.1
    end: float = 0.75

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity)
        for name, share in (("start", self.start), ("end", self.end)):
            check_share(share, name)
        if not self.start <= self.end:
            raise InputError(f"a schedule needs 0 <= start <= end <= 1, not start={self.start}, end={self.end}")

    def at(self, progress: float) -> float:
        """Sparsity due at a share of training from 0 to 1."""
        return self.sparsity * self.ramp(progress)

    def ramp(self, progress: float) -> float:
        """Share of the final sparsity due at a share of training."""
        if progress >= self.end:
            return 1.0
        if progress <= self.start:
            return 0.0
        remaining = 1 - (progress - self.start) / (self.end - self.start)
        return 1.0 - float(remaining**3)
