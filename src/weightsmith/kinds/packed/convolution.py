"""What two-dimensional convolutions over packed weights share."""

from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.packed.forms import Geometry
from weightsmith.kinds.packed.layer import KERNEL_TYPES, Layer, check_weight, encode_as, hold
from weightsmith.kinds.packed.operators import (
    call_convolution,
    output_size,
    packed_convolution,
    plain_convolution,
    transformed,
    unobserved,
)
from weightsmith.kinds.packed.weight import PackedWeight
from weightsmith.packing import Encoded

Pair = int | tuple[int, int]


class PackedConv2d(Layer):
    """A two-dimensional convolution with a packed weight, padded with zeros.

    Computed as `PackedLinear` is.

    Args:
        weight: of shape (out_channels, in_channels / groups, height, width), in a format of the class.
        bias: float[out_channels], or None.
        stride: as `nn.Conv2d` takes it.
        padding: likewise, `"same"` and `"valid"` included.
        dilation: likewise.
        groups: likewise.

    Raises:
        InputError: a weight or bias of another shape or format.
        SourceError: a weight whose parts do not fit together.
    """

    def __init__(
        self,
        weight: Encoded | PackedWeight,
        bias: Tensor | None = None,
        *,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        check_weight(type(self).__name__, weight, bias, self.formats, 4)
        self.out_channels, inner = hold(self, weight, bias).shape[:2]
        self.in_channels = inner * groups
        self.padding = padding
        self.geometry, self.before = geometry_like(self.weight.shape, stride, padding, dilation, groups)

    @classmethod
    def from_dense(cls, layer: nn.Conv2d) -> Self:
        """A packed copy of a convolution whose values a format of the class can hold.

        Raises:
            InputError: they cannot, or it pads with something else than zeros.
        """
        given = arguments(layer)
        return cls(encode_as(layer.weight, cls.formats), layer.bias, **given)

    def forward(self, inputs: Tensor) -> Tensor:
        """float[batch, out_channels, height, width] of float[batch, in_channels, height, width], or without batch."""
        if inputs.dim() not in (3, 4) or inputs.shape[-3] != self.in_channels:
            raise InputError(f"inputs of shape {list(inputs.shape)} for a layer of {self.in_channels} channels")
        if inputs.dim() == 3:
            return self.forward(inputs.unsqueeze(0)).squeeze(0)
        if any(self.before):
            inputs = F.pad(inputs, self.before)
        weight, bias = self.weight, self.bias
        kernel, geometry = weight.shape[2:], self.geometry
        if min(output_size(inputs.shape[2:], kernel, geometry)) < 1:
            raise InputError(f"inputs of shape {list(inputs.shape)} are smaller than the {list(kernel)} kernel")
        if inputs.dtype not in KERNEL_TYPES or not weight.runs_on(inputs) or transformed():
            return plain_convolution(inputs, weight.dense(), bias, geometry)
        images = inputs.float()
        if unobserved(images):
            found = call_convolution(images, weight.ready(), self.shift(), weight.form, weight.shape, geometry)
        else:
            offset = None if bias is None else bias.float()
            found = packed_convolution(images, weight.parts, offset, weight.form, weight.shape, *geometry)
        return found.to(inputs.dtype)

    def dense(self) -> nn.Conv2d:
        """The layer with float32 weights."""
        return dense_convolution(self.weight.dense(), self.bias, self.geometry, self.padding)

    def extra_repr(self) -> str:
        """Sizes and geometry, for printed models."""
        stride, _, dilation, groups = self.geometry
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.weight.shape[2:]}, stride={stride}"
        return f"{sizes}, padding={self.padding}, dilation={dilation}, groups={groups}, bias={self.bias is not None}"


def geometry_like(
    shape: tuple[int, ...], stride: Pair, padding: Pair | str, dilation: Pair, groups: int
) -> tuple[Geometry, tuple[int, int, int, int]]:
    """The geometry of `nn.Conv2d` with such a weight and arguments, and what to pad (left, right, top, bottom) before.

    Only `"same"` with an even kernel needs that: its padding differs on opposite sides.

    Raises:
        InputError: arguments that `nn.Conv2d` refuses.
    """
    outputs, inner, height, width = shape
    try:
        like = nn.Conv2d(inner * groups, outputs, (height, width), stride, padding, dilation, groups, device="meta")
    except (ValueError, TypeError) as error:
        raise InputError(f"no convolution has such arguments: {error}") from None
    left, right, top, bottom = like._reversed_padding_repeated_twice
    even = (left, top) == (right, bottom)
    inside, before = ((top, left), (0, 0, 0, 0)) if even else ((0, 0), (left, right, top, bottom))
    return Geometry(_pair(like.stride), inside, _pair(like.dilation), groups), before


def dense_convolution(weight: Tensor, bias: Tensor | None, geometry: Geometry, padding: Pair | str) -> nn.Conv2d:
    """A convolution of torch's around a weight and a bias."""
    outputs, inner, height, width = weight.shape
    layer = nn.Conv2d(
        inner * geometry.groups,
        outputs,
        (height, width),
        geometry.stride,
        padding,
        geometry.dilation,
        geometry.groups,
        bias=bias is not None,
        device="meta",
    )
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def arguments(layer: nn.Conv2d) -> dict[str, Any]:
    """The geometry of a convolution, as keyword arguments of a packed one.

    Raises:
        InputError: it pads with something else than zeros.
    """
    if layer.padding_mode != "zeros":
        raise InputError(f"packed convolutions pad with zeros, not in the mode '{layer.padding_mode}': keep it dense")
    names = ("stride", "padding", "dilation", "groups")
    return {name: getattr(layer, name) for name in names}


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    height, width = values
    return height, width
