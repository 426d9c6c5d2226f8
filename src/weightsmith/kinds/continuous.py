"""Continuous weights, held inside bounds by projecting them back after each step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.controller import KindController, control
from weightsmith.kinds.selection import plain, select
from weightsmith.kinds.site import Site
from weightsmith.names import Patterns


@dataclass(frozen=True)
class Projection:
    """Euclidean projection of a weight onto the values it may take (projected gradient descent).

    Attributes:
        minimum: lower bound of each value; None for none.
        maximum: upper bound of each value; None for none.
        non_negative: no value below 0.
        unit_norm: every row (the weights of one output) has length 1; a row of zeros stays zero.
    """

    minimum: float | None = None
    maximum: float | None = None
    non_negative: bool = False
    unit_norm: bool = False

    def __post_init__(self) -> None:
        for name, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            number = isinstance(bound, Real) and not isinstance(bound, bool) and not math.isnan(bound)
            if bound is not None and not number:
                raise InputError(f"{name} must be a number, got {bound!r}")
        if self.unit_norm and (self.minimum is not None or self.maximum is not None):
            raise InputError("unit_norm goes with non_negative, not with minimum or maximum: scaling would break them")
        if self.low is not None and self.maximum is not None and self.low > self.maximum:
            raise InputError(f"no value lies between a minimum of {self.low} and a maximum of {self.maximum}")

    @property
    def low(self) -> float | None:
        """The effective lower bound."""
        if not self.non_negative:
            return self.minimum
        return 0.0 if self.minimum is None else max(0.0, self.minimum)

    def __str__(self) -> str:
        parts = [f"at least {self.low:g}"] if self.low is not None else []
        parts += [f"at most {self.maximum:g}"] if self.maximum is not None else []
        parts += ["rows of length 1"] if self.unit_norm else []
        return ", ".join(parts) or "unbounded"

    def project_(self, weight: Tensor, site: Site) -> None:
        """Move a weight to the nearest allowed values, in place."""
        if weight.numel() == 0:
            return
        with torch.no_grad():
            if self.low is not None or self.maximum is not None:
                weight.clamp_(self.low, self.maximum)
            if self.unit_norm:
                grouped = site.by_channel(weight)
                # 16-bit squares would overflow, or vanish
                working = torch.promote_types(grouped.dtype, torch.float32)
                dimensions = site.shared_dimensions(grouped)
                norm = torch.linalg.vector_norm(grouped, dim=dimensions, keepdim=True, dtype=working)
                grouped.copy_(grouped / torch.where(norm > 0, norm, 1.0))


def continuous(
    model: nn.Module,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    non_negative: bool = False,
    unit_norm: bool = False,
    include: Patterns = "*",
    exclude: Patterns = (),
) -> KindController:
    """Keep weights continuous, within bounds where some are given.

    The bounds hold from now on and after every `step`, by projection; the model's parameters and their names stay what
    they were. Weights that a parametrization computes (spectral norm, ...) cannot be projected and are left.

    Args:
        model: any module.
        minimum: lower bound of each value.
        maximum: upper bound of each value.
        non_negative: no value below 0.
        unit_norm: the weights of each output have length 1.
        include: as for `apply`.
        exclude: as for `apply`.

    Raises:
        InputError: bounds that contradict each other.
    """
    projection = Projection(minimum, maximum, non_negative, unit_norm)
    sites, left = plain(*select(model, include, exclude))

    def project(sites: Sequence[Site], progress: float) -> None:
        for site in sites:
            projection.project_(site.stored, site)

    return control(model, "continuous", sites, left, str(projection), project)
