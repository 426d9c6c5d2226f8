"""`XnorConv2d`: one bit a weight, one bit an activation."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.packed.convolution import Pair, dense_convolution, geometry_like
from weightsmith.kinds.packed.layer import check_weight
from weightsmith.kinds.packed.operators import output_size
from weightsmith.kinds.packed.xnor import Gives, XnorLayer
from weightsmith.packing import Encoded


class XnorConv2d(XnorLayer):
    """A convolution of binary weights over the signs of its inputs, padded with zeros, which count as nothing.

    Args:
        weight: of shape (out_channels, in_channels, height, width), packed as `binary`.
        bias: as `XnorLayer` takes it.
        threshold: likewise.
        slope: likewise.
        offset: likewise.
        gives: likewise.
        stride: as `nn.Conv2d` takes it.
        padding: likewise; the same on opposite sides.
        dilation: likewise.

    Raises:
        InputError: shapes that do not fit, or a padding that is not the same on opposite sides.
        SourceError: a weight whose parts do not fit together.
    """

    dimensions: ClassVar[int] = 4

    def __init__(
        self,
        weight: Encoded,
        bias: Tensor | None = None,
        *,
        threshold: Tensor | None = None,
        slope: Tensor | None = None,
        offset: Tensor | None = None,
        gives: Gives = "floats",
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
    ) -> None:
        check_weight(type(self).__name__, weight, bias, self.formats, 4)
        geometry, before = geometry_like(weight.shape, stride, padding, dilation, 1)
        if any(before):
            raise InputError(f"binary activations are padded alike on opposite sides, and {padding} here is not")
        super().__init__(weight, bias, threshold=threshold, slope=slope, offset=offset, gives=gives, geometry=geometry)
        self.padding = padding
        self.out_channels, self.in_channels = weight.shape[:2]

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of float[batch, in_channels, height, width], or of a packed image int64[batch, height, width, words].

        Floats may come without a batch.
        """
        packed = inputs.dtype == torch.int64
        if inputs.dim() == 3 and not packed:
            return self.forward(inputs.unsqueeze(0)).squeeze(0)
        if inputs.dim() != 4 or not (packed or inputs.shape[1] == self.in_channels):
            raise InputError(f"inputs of shape {list(inputs.shape)} for a layer of {self.in_channels} channels")
        size = inputs.shape[1:3] if packed else inputs.shape[2:]
        if min(output_size(size, self.weight.shape[2:], self.geometry)) < 1:
            raise InputError(f"images of {list(size)} are smaller than the {list(self.weight.shape[2:])} kernel")
        return self.compute(inputs)

    def dense(self) -> nn.Conv2d:
        """A convolution with float32 weights; where this one gives signs, one before the batch norm."""
        return dense_convolution(*self.signed(), self.geometry, self.padding)

    def extra_repr(self) -> str:
        """Sizes and geometry, for printed models."""
        stride, _, dilation, _ = self.geometry
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.weight.shape[2:]}, stride={stride}"
        return f"{sizes}, padding={self.padding}, dilation={dilation}, gives={self.gives}"
