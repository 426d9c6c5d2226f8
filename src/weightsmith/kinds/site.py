"""Where a weight of some kind sits: its module, its attribute and which of its dimensions is the output."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils import parametrize


@dataclass(frozen=True)
class Site:
    """One weight in its module.

    Attributes:
        name: the weight's dotted name.
        owner: the module that holds it.
        attribute: its name in that module.
    """

    name: str
    owner: nn.Module
    attribute: str

    @property
    def stored(self) -> Tensor:
        """The tensor the optimizer moves: the latent weight of a parametrized one, else the weight itself."""
        if parametrize.is_parametrized(self.owner, self.attribute):
            return self.chain.get_parameter("original")
        weight = getattr(self.owner, self.attribute)
        assert isinstance(weight, Tensor)
        return weight

    @property
    def chain(self) -> parametrize.ParametrizationList:
        """The weight's parametrizations."""
        chains = self.owner.parametrizations
        assert isinstance(chains, nn.ModuleDict)
        chain = chains[self.attribute]
        assert isinstance(chain, parametrize.ParametrizationList)
        return chain

    @property
    def groups(self) -> int:
        """Groups of a transposed convolution, whose outputs are counted within each; 0 for any other layer."""
        return self.owner.groups if isinstance(self.owner, _ConvTransposeNd) else 0

    def by_channel(self, weight: Tensor) -> Tensor:
        """A view of the weight in which `shared_dimensions` are those of one output channel."""
        return by_channel(weight, self.groups)

    def shared_dimensions(self, grouped: Tensor) -> tuple[int, ...]:
        """Dimensions of `by_channel`'s view that run over the weights of one output channel."""
        return shared_dimensions(grouped, self.groups)


def by_channel(weight: Tensor, groups: int) -> Tensor:
    """A view `(out, ...)`, or `(groups, in, out, ...)` of a transposed convolution's `(in, out / groups, ...)`."""
    return torch.unflatten(weight, 0, (groups, -1)) if groups else weight


def shared_dimensions(grouped: Tensor, groups: int) -> tuple[int, ...]:
    """Dimensions of the view over the weights of one output channel."""
    return (1, *range(3, grouped.dim())) if groups else tuple(range(1, grouped.dim()))
