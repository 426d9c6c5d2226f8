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

    def as_rows(self, tensor: Tensor) -> Tensor:
        """A tensor of the weight's shape as a matrix `(outputs, inputs of each)`, in the order that packing has too.

        A view where the layout allows it, else a copy.
        """
        if not self.groups:
            return tensor.flatten(1)
        return self.by_channel(tensor).transpose(1, 2).flatten(0, 1).flatten(1)

    def from_rows(self, rows: Tensor) -> Tensor:
        """The tensor of the weight's shape of which `as_rows` gives these rows."""
        shape = self.stored.shape
        if not self.groups:
            return rows.reshape(shape)
        inside = rows.reshape(self.groups, shape[1], shape[0] // self.groups, *shape[2:])
        return inside.transpose(1, 2).reshape(shape)


def by_channel(weight: Tensor, groups: int) -> Tensor:
    """A view `(out, ...)`, or `(groups, in, out, ...)` of a transposed convolution's `(in, out / groups, ...)`."""
    return torch.unflatten(weight, 0, (groups, -1)) if groups else weight


def shared_dimensions(grouped: Tensor, groups: int) -> tuple[int, ...]:
    """Dimensions of the view over the weights of one output channel."""
    return (1, *range(3, grouped.dim())) if groups else tuple(range(1, grouped.dim()))
