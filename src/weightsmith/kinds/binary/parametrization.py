"""Binary weights: two values in the forward pass, a continuous latent weight that learns behind them."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from weightsmith.kinds.binary.estimators import pass_through, two_values
from weightsmith.kinds.binary.settings import Binarization
from weightsmith.kinds.site import by_channel, shared_dimensions
from weightsmith.seeding import generator_for


class Binary(nn.Module):
    """Parametrization of a weight by the sign of a latent one.

    The gradient passes to the latent weight by a straight-through estimator (Courbariaux et al. 2015, "BinaryConnect";
    Hubara et al. 2016, "Binarized Neural Networks"). In evaluation the weight is always exactly binary. A latent 0
    counts as positive, and NaN stays NaN.

    What changes with training is kept in buffers, so that `state_dict` and copies have it: `progress` (of `reste` and
    `proximal`) and `draws`, the number of the random thresholds that stochastic weights are compared with.

    Args:
        settings: how weights become binary.
        weight: the weight to replace; only its shape, dtype and device count here.
        name: of the weight; random numbers depend on it and the seed alone.
        groups: for a transposed convolution its groups, else 0.
    """

    kind: ClassVar[str] = "binary"
    progress: Tensor
    draws: Tensor
    thresholds: Tensor
    scales: Tensor

    def __init__(self, settings: Binarization, weight: Tensor, name: str = "", groups: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.alphabet = settings.alphabet
        self.scale = settings.scale
        self.groups = groups
        self.name = name
        self.bound = latent_bound(settings, weight, groups)
        self._estimator = settings.straight_through()
        self._until = settings.proximal_until
        if self._estimator.anneals or self._until is not None:
            self.register_buffer("progress", torch.zeros((), device=weight.device))
        if settings.stochastic:
            self.register_buffer("draws", torch.zeros((), dtype=torch.int64, device=weight.device))
            # drawn anew from their number when a state is loaded
            self.register_buffer("thresholds", torch.zeros_like(weight, requires_grad=False), persistent=False)
            self._draw()
        if settings.scale == "learned":
            count = weight.shape[1] * groups if groups else weight.shape[0]
            self.scales = nn.Parameter(weight.new_ones(count))

    @property
    def latent_free(self) -> bool:
        """Whether the stored weight is -1 or +1 itself, so that an optimizer can only flip it."""
        return not self.settings.latent

    @property
    def unit(self) -> float:
        """What counts as 1 in the latent weights."""
        return 1.0 if self.bound is None else self.bound

    def forward(self, latent: Tensor) -> Tensor:
        """The binary weight, of the latent one's shape and dtype; while `proximal` anneals in training, nearly so."""
        drawn = self.thresholds if self.settings.stochastic and self.training else None
        # what passes a gradient keeps NaN by itself
        keep_nan = not (torch.is_grad_enabled() and latent.requires_grad)
        values = two_values(latent, -1.0 if self.alphabet == "signs" else 0.0, drawn, keep_nan=keep_nan)
        progress = self.progress if self._estimator.anneals else None
        binary = pass_through(latent, values, self._estimator, progress, self.unit)
        if self.scale != "none":
            binary = binary * self.factor(latent)
        return self._annealed(latent, binary) if self._until is not None and self.training else binary

    def _annealed(self, latent: Tensor, binary: Tensor) -> Tensor:
        """On the straight way from the latent weight to the binary one (Yin et al. 2018, "BinaryRelax")."""
        assert self._until is not None
        share = (self.progress / self._until).clamp(max=1.0)
        start = latent / self.unit if self.scale == "none" else latent
        return (1 - share) * start + share * binary

    def factor(self, latent: Tensor) -> Tensor:
        """The scale, of a shape that broadcasts to the weight's.

        That of a tensor or channel is the mean |latent| for signs (Rastegari et al. 2016, "XNOR-Net", section 3.1), the
        mean of the positive latent weights for bits: the least-squares one. Its gradient reaches the latent weight too.
        """
        if self.scale == "none":
            return latent.new_ones(())
        if self.scale == "learned":
            return self._spread(self.scales.to(latent.dtype), latent)
        return self._least_squares(latent, self.scale == "tensor")

    def _least_squares(self, latent: Tensor, whole: bool) -> Tensor:
        weight = by_channel(latent, self.groups)
        dimensions = tuple(range(weight.dim())) if whole else shared_dimensions(weight, self.groups)
        active = torch.ones_like(weight) if self.alphabet == "signs" else (weight >= 0).to(weight.dtype)
        count = active.sum(dimensions, keepdim=True).clamp_(min=1)
        mean = (weight.abs() * active).sum(dimensions, keepdim=True) / count
        return mean.expand(*weight.shape[:2], *mean.shape[2:]).flatten(0, 1) if self.groups else mean

    def _spread(self, scales: Tensor, latent: Tensor) -> Tensor:
        """One number for each output channel, of a shape that broadcasts to the weight's."""
        ones = (1,) * (latent.dim() - 2)
        if not self.groups:
            return scales.view(-1, 1, *ones)
        per_group = scales.view(self.groups, 1, -1)
        return per_group.expand(-1, latent.shape[0] // self.groups, -1).reshape(latent.shape[0], -1, *ones)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """A latent weight for a given one: itself, held where gradients reach it; a learned scale starts to fit it."""
        latent = weight if self.bound is None else weight.clamp(-self.bound, self.bound)
        if self.latent_free:
            latent = two_values(weight, -1.0)
        if self.scale == "learned" and not weight.is_meta:
            with torch.no_grad():
                means = by_channel(self._least_squares(weight, whole=False), self.groups)
                self.scales.copy_((means[:, 0] if self.groups else means).flatten())
        return latent

    def settle(self, latent: Tensor, progress: float) -> None:
        """What is due after an optimizer's step: latent weights back in bounds, progress noted, new thresholds."""
        with torch.no_grad():
            if self.latent_free:
                latent.copy_(two_values(latent, -1.0))
            elif self.bound is not None:
                # beyond, the gradient would not reach it any more (Courbariaux et al. 2015)
                latent.clamp_(-self.bound, self.bound)
            if "progress" in self._buffers:
                self.progress.fill_(progress)
            if self.settings.stochastic:
                self.draws += 1
                self._draw()

    def _draw(self) -> None:
        """Thresholds such that a latent weight exceeds its own with the probability of BinaryConnect's hard sigmoid."""
        if self.thresholds.is_meta:
            return
        generator = generator_for(self.settings.seed or 0, f"{self.name}\0binary\0{int(self.draws)}")
        uniform = torch.rand(self.thresholds.shape, generator=generator, device="cpu")
        self.thresholds.copy_((2 * uniform - 1) * self.unit)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.settings.stochastic:
            self._draw()

    def extra_repr(self) -> str:
        """Alphabet, scale and estimator, for printed models."""
        estimator = f", estimator={self.settings.estimator}" if self.settings.latent else ", latent=False"
        return f"alphabet={self.alphabet}, scale={self.scale}{estimator}"


def latent_bound(settings: Binarization, weight: Tensor, groups: int = 0) -> float | None:
    """Largest size of latent weights; None where there is no limit.

    Glorot's coefficient `sqrt(1.5 / (fan_in + fan_out))` does for Adam what multiplying its learning rate by the
    inverse does for latent weights within [-1, 1] (Courbariaux et al. 2015, section 2.5), and is of the size that
    weights start with.
    """
    if settings.latent_bound == "none" or not settings.latent:
        return None
    if settings.latent_bound != "glorot":
        return float(settings.latent_bound)
    field = math.prod(weight.shape[2:])
    outputs, inputs = (weight.shape[1] * groups, weight.shape[0] // groups) if groups else weight.shape[:2]
    return math.sqrt(1.5 / max(1, (inputs + outputs) * field))
