"""Binary weights: two values in the forward pass, a continuous latent weight that learns behind them."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from weightsmith.kinds.binary.settings import Alphabet, Scale
from weightsmith.kinds.site import by_channel, shared_dimensions


class Binary(nn.Module):
    """Parametrization of a weight by the sign of a latent one.

    The gradient passes straight through to the latent weight, clipped (Hubara et al. 2016, "Binarized Neural
    Networks"; Courbariaux et al. 2015, "BinaryConnect").

    Args:
        alphabet: `signs` for {-1, +1}, `bits` for {0, 1}; a latent 0 counts as positive.
        scale: factor on the two values: `none`, or the one that brings them closest to the latent weight in least
            squares, over the whole `tensor` or each output `channel`. For signs it is mean |latent| (Rastegari et al.
            2016, "XNOR-Net", section 3.1), for bits the mean of the positive latent weights.
        groups: for a transposed convolution its groups, else 0.
    """

    kind: ClassVar[str] = "binary"

    def __init__(self, alphabet: Alphabet = "signs", scale: Scale = "none", groups: int = 0) -> None:
        super().__init__()
        self.alphabet = alphabet
        self.scale = scale
        self.groups = groups

    def forward(self, latent: Tensor) -> Tensor:
        """The binary weight, of the latent one's shape and dtype."""
        low = -1.0 if self.alphabet == "signs" else 0.0
        values = torch.where(latent >= 0, 1.0, low).to(latent.dtype)
        # x - x.detach() is exactly 0 and has the gradient of x; that of the clamp vanishes outside [-1, 1]
        clipped = latent.clamp(-1, 1)
        values = values + (clipped - clipped.detach())
        if self.scale == "none":
            return values
        return values * self.factor(latent)

    def factor(self, latent: Tensor) -> Tensor:
        """The scale, of a shape that broadcasts to the weight's; its gradient reaches the latent weight too."""
        weight = by_channel(latent, self.groups)
        dimensions = tuple(range(weight.dim())) if self.scale == "tensor" else shared_dimensions(weight, self.groups)
        active = torch.ones_like(weight) if self.alphabet == "signs" else (weight >= 0).to(weight.dtype)
        count = active.sum(dimensions, keepdim=True).clamp_(min=1)
        mean = (weight.abs() * active).sum(dimensions, keepdim=True) / count
        return mean.expand_as(weight).flatten(0, 1) if self.groups else mean

    def right_inverse(self, weight: Tensor) -> Tensor:
        """A latent weight for a given one: itself, held inside [-1, 1] where gradients reach it."""
        return weight.clamp(-1, 1)

    def extra_repr(self) -> str:
        """Alphabet and scale, for printed models."""
        return f"alphabet={self.alphabet}, scale={self.scale}"


def clamp_latent(latent: Tensor) -> None:
    """Keep a latent weight where its gradient passes; beyond, it would never come back (Courbariaux et al. 2015)."""
    with torch.no_grad():
        latent.clamp_(-1, 1)
