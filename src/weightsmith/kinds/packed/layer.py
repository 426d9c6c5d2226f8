"""What packed layers of every kind check and hold."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.packed.forms import Floats, floats
from weightsmith.kinds.packed.weight import PackedWeight
from weightsmith.packing import SPARSE, Encoded, Format, encode, smallest

KERNEL_TYPES = (torch.float32, torch.bfloat16, torch.float16)
"""What kernels compute in float32 and give back in the inputs' type; any other takes the plain path."""


class Layer(nn.Module):
    """A layer over a packed weight.

    Attributes:
        formats: that its weight may be packed in.
        weight: the packed weight.
        bias: a parameter that does not train, or None.
    """

    formats: ClassVar[frozenset[Format]]
    weight: PackedWeight
    bias: nn.Parameter | None
    _seen: tuple[Tensor, int, Floats] | None = None

    def shift(self) -> Floats | None:
        """The bias as kernels take it; for float32 an array over its memory, kept until the bias lies elsewhere."""
        bias = self._parameters["bias"]
        if bias is None or bias.dtype is not torch.float32:
            return None if bias is None else floats(bias.float())
        seen, place = self._seen, bias.data_ptr()
        if seen is None or seen[0] is not bias or seen[1] != place:
            seen = self._seen = bias, place, floats(bias)
        return seen[2]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_seen": None}  # copies have a bias of their own

    def dense(self) -> nn.Module:
        """The layer of torch's with float32 weights."""
        raise NotImplementedError

    def stored(self) -> Encoded:
        """The weight as it is in a file, of the shape that it has in the model."""
        return self.weight.encoded()


def dense_linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer of torch's around a weight and a bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def hold(layer: Layer, weight: Encoded | PackedWeight, bias: Tensor | None) -> PackedWeight:
    """Give a layer its weight and bias; a bias is a parameter that does not train."""
    layer.weight = weight if isinstance(weight, PackedWeight) else PackedWeight(weight)
    layer.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False))
    return layer.weight


def check_weight(
    name: str, weight: Encoded | PackedWeight, bias: Tensor | None, formats: frozenset[Format], dimensions: int
) -> None:
    """Refuse a weight or bias that a layer of this class cannot hold.

    Raises:
        InputError: it is of another format or shape.
    """
    if weight.layout.format not in formats:
        raise InputError(f"{name} holds weights packed as {' or '.join(sorted(formats))}, not {weight.layout.format}")
    if len(weight.shape) != dimensions:
        raise InputError(f"{name} needs a weight of {dimensions} dimensions, not of shape {list(weight.shape)}")
    if bias is not None and tuple(bias.shape) != weight.shape[:1]:
        raise InputError(f"{name} needs a bias of shape [{weight.shape[0]}], not {list(bias.shape)}")


def encode_as(weight: Tensor, formats: frozenset[Format]) -> Encoded:
    """A weight packed in the smallest of some formats that loses nothing.

    Raises:
        InputError: none of them can hold it.
    """
    values = weight.detach().cpu().float().numpy()
    if formats == SPARSE and (values != 0).all():
        return encode(values, "bitmask")  # which is no candidate for the smallest
    return smallest(values, formats=formats).encoded
