"""`XnorLinear`: one bit a weight, one bit an activation."""

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.packed.layer import check_weight, dense_linear
from weightsmith.kinds.packed.xnor import Gives, XnorLayer
from weightsmith.packing import Encoded


class XnorLinear(XnorLayer):
    """A linear layer of binary weights over the signs of its inputs.

    Args:
        weight: of shape (out_features, in_features), packed as `binary`.
        bias: as `XnorLayer` takes it.
        threshold: likewise.
        slope: likewise.
        offset: likewise.
        gives: likewise.
        channels: of the image that was flattened into the inputs, where packed ones are an image's; else 0.

    Raises:
        InputError: shapes that do not fit.
        SourceError: a weight whose parts do not fit together.
    """

    dimensions: ClassVar[int] = 2

    def __init__(
        self,
        weight: Encoded,
        bias: Tensor | None = None,
        *,
        threshold: Tensor | None = None,
        slope: Tensor | None = None,
        offset: Tensor | None = None,
        gives: Gives = "floats",
        channels: int = 0,
    ) -> None:
        check_weight(type(self).__name__, weight, bias, self.formats, 2)
        self.out_features, self.in_features = weight.shape
        if channels:
            if self.in_features % channels:
                raise InputError(f"{self.in_features} inputs are no flattened image of {channels} channels")
            pixels = self.in_features // channels
            weight = replace(weight, shape=(self.out_features, channels, pixels, 1))
        super().__init__(weight, bias, threshold=threshold, slope=slope, offset=offset, gives=gives)
        self.channels = channels

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of float[..., in_features], or of packed signs int64[..., words]."""
        if inputs.dtype == torch.int64:
            rows = inputs if inputs.dim() == 2 else inputs.reshape(-1, inputs.shape[-1])
        elif not inputs.dim() or inputs.shape[-1] != self.in_features:
            raise InputError(f"inputs of shape {list(inputs.shape)} for a layer of {self.in_features} inputs")
        else:
            rows = inputs.reshape(-1, self.in_features)
            rows = rows.reshape(-1, *self.weight.shape[1:])
        found = self.compute(rows)
        return found if inputs.dim() == 2 else found.reshape(*inputs.shape[:-1], found.shape[-1])

    def dense(self) -> nn.Linear:
        """A linear layer with float32 weights; where this one gives signs, one before the batch norm."""
        weight, bias = self.signed()
        return dense_linear(weight.flatten(1), bias)

    def stored(self) -> Encoded:
        """The weight as it is in a file, of two dimensions."""
        return replace(self.weight.encoded(), shape=(self.out_features, self.in_features))

    def extra_repr(self) -> str:
        """Sizes, for printed models."""
        return f"in_features={self.in_features}, out_features={self.out_features}, gives={self.gives}"
