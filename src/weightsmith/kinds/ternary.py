"""Ternary weights: a common size with either sign, or 0, forward; a latent weight that learns behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.kinds.binary.estimators import Estimator, pass_through
from weightsmith.kinds.binary.settings import is_positive
from weightsmith.kinds.controller import KindController, control
from weightsmith.kinds.selection import keep_ends, require, select
from weightsmith.kinds.site import Site, by_channel, shared_dimensions
from weightsmith.names import Patterns, choose

TernaryScale = Literal["none", "tensor", "channel"]
TernaryEstimator = Literal["identity", "clipped"]


@dataclass(frozen=True)
class Ternarization:
    """How weights become ternary.

    Attributes:
        scale: `none` for {-1, 0, +1}, or a factor per `tensor` or output `channel`.
        threshold: times the mean |latent| is where the values leave 0.
        estimator: how the gradient passes to the latent weights, `identity` or `clipped` at 1.
        first_and_last: kind of the model's first and last matrix, `continuous` or `ternary`.
    """

    scale: TernaryScale = "tensor"
    threshold: float = 0.7
    estimator: TernaryEstimator = "clipped"
    first_and_last: Literal["continuous", "ternary"] = "continuous"

    def __post_init__(self) -> None:
        choose(self.scale, get_args(TernaryScale), "scale")
        choose(self.estimator, get_args(TernaryEstimator), "estimator")
        choose(self.first_and_last, ("continuous", "ternary"), "first_and_last")
        if not is_positive(self.threshold):
            raise InputError(f"threshold is a finite number above 0, not {self.threshold!r}")

    def __str__(self) -> str:
        return "-1, 0 and +1" if self.scale == "none" else f"-1, 0 and +1 times a scale per {self.scale}"


class Ternary(nn.Module):
    """Parametrization of a weight by the sign of a latent one where it is large, 0 elsewhere.

    Large is `|latent| > threshold * mean |latent|`, and the scale is the mean of those (Li & Liu 2016, "Ternary Weight
    Networks", equations 5 and 6, who found 0.7 close to the least-squares optimum); over the whole tensor, or over each
    output channel where the scale is per channel. NaN stays NaN.

    Args:
        settings: how weights become ternary.
        groups: for a transposed convolution its groups, else 0.
    """

    kind: ClassVar[str] = "ternary"

    def __init__(self, settings: Ternarization, groups: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.scale = settings.scale
        self.groups = groups
        self._estimator = Estimator(settings.estimator)

    def forward(self, latent: Tensor) -> Tensor:
        """The ternary weight, of the latent one's shape and dtype."""
        large = self._large(latent)
        values = torch.where(large, latent.detach().sign(), 0.0)
        values = pass_through(latent, torch.where(latent.isnan(), latent.detach(), values), self._estimator)
        return values if self.scale == "none" else values * self.factor(latent)

    def factor(self, latent: Tensor) -> Tensor:
        """The scale, of a shape that broadcasts to the weight's; its gradient reaches the latent weight too."""
        if self.scale == "none":
            return latent.new_ones(())
        weight = by_channel(latent, self.groups)
        large = by_channel(self._large(latent), self.groups)
        dimensions = self._dimensions(weight)
        count = large.sum(dimensions, keepdim=True).clamp(min=1)
        mean = torch.where(large, weight.abs(), 0.0).sum(dimensions, keepdim=True) / count
        return mean.expand_as(weight).flatten(0, 1) if self.groups else mean

    def _large(self, latent: Tensor) -> Tensor:
        """Where the values are not 0."""
        size = by_channel(latent.detach().abs(), self.groups)
        large = size > self.settings.threshold * size.mean(self._dimensions(size), keepdim=True)
        return large.flatten(0, 1) if self.groups else large

    def _dimensions(self, weight: Tensor) -> tuple[int, ...]:
        """Those of `by_channel`'s view that share a threshold and a scale."""
        return shared_dimensions(weight, self.groups) if self.scale == "channel" else tuple(range(weight.dim()))

    def right_inverse(self, weight: Tensor) -> Tensor:
        """A latent weight for a given one: itself, held inside [-1, 1] where gradients reach it."""
        return weight.clamp(-1, 1)

    def settle(self, latent: Tensor) -> None:
        """What is due after an optimizer's step: latent weights back where gradients reach them."""
        with torch.no_grad():
            latent.clamp_(-1, 1)

    def extra_repr(self) -> str:
        """Scale and threshold, for printed models."""
        return f"scale={self.scale}, threshold={self.settings.threshold:g}"


def ternary(
    model: nn.Module,
    *,
    scale: TernaryScale = "tensor",
    threshold: float = 0.7,
    estimator: TernaryEstimator = "clipped",
    first_and_last: Literal["continuous", "ternary"] = "continuous",
    include: Patterns = "*",
    exclude: Patterns = (),
) -> KindController:
    """Make weights ternary: a common size with either sign, or 0, forward; a latent continuous weight that learns.

    Args:
        model: any module.
        scale: `none` for {-1, 0, +1}, or a factor per `tensor` or output `channel` (Li & Liu 2016).
        threshold: times the mean |latent| is where the values leave 0; larger for more zeros.
        estimator: how the gradient passes to the latent weights: `identity`, or `clipped` at 1.
        first_and_last: the model's first and last matrix stay `continuous`, unless a pattern other than `*` includes
            them or this says `ternary`.
        include: as for `apply`.
        exclude: as for `apply`.

    Raises:
        InputError: nothing left to be ternary, an option that is unknown or does not fit, a weight already of a kind.
    """
    settings = Ternarization(scale, threshold, estimator, first_and_last)
    sites, left = select(model, include, exclude)
    if first_and_last == "continuous":
        sites, left = keep_ends(model, sites, left, include)
    require(sites, "ternary; the first and last matrix stay continuous unless first_and_last='ternary'", left)
    for site in sites:
        parametrize.register_parametrization(site.owner, site.attribute, Ternary(settings, site.groups))
    return control(model, "ternary", sites, left, str(settings), _settle)


def _settle(sites: Sequence[Site], progress: float) -> None:
    for site in sites:
        next(step for step in site.chain if isinstance(step, Ternary)).settle(site.stored)
