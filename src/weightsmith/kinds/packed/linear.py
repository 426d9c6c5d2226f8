"""What linear layers over packed weights share."""

from typing import Self

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.packed.layer import KERNEL_TYPES, Layer, check_weight, dense_linear, encode_as, hold
from weightsmith.kinds.packed.operators import call_linear, packed_linear, plain_linear, transformed, unobserved
from weightsmith.kinds.packed.weight import PackedWeight
from weightsmith.packing import Encoded


class PackedLinear(Layer):
    """y = x W^T + b with a packed weight.

    Computed in float32 by a kernel on the CPU; on other devices, for float64 and under `torch.func` by a dense product.
    Outputs have the inputs' type, autocast or not. Gradients reach the inputs and the bias, not the weight.

    Args:
        weight: of shape (out_features, in_features), in a format of the class.
        bias: float[out_features], or None.

    Raises:
        InputError: a weight or bias of another shape or format.
        SourceError: a weight whose parts do not fit together.
    """

    def __init__(self, weight: Encoded | PackedWeight, bias: Tensor | None = None) -> None:
        super().__init__()
        check_weight(type(self).__name__, weight, bias, self.formats, 2)
        self.out_features, self.in_features = hold(self, weight, bias).shape

    @classmethod
    def from_dense(cls, layer: nn.Linear) -> Self:
        """A packed copy of a linear layer whose values a format of the class can hold.

        Raises:
            InputError: they cannot.
        """
        return cls(encode_as(layer.weight, cls.formats), layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """float[..., out_features] of float[..., in_features]; NaN and infinities spread as in a dense product."""
        weight, bias = self._modules["weight"], self._parameters["bias"]  # past __getattr__, which takes a microsecond
        assert isinstance(weight, PackedWeight)
        if not inputs.dim() or inputs.shape[-1] != self.in_features:
            raise InputError(f"inputs of shape {list(inputs.shape)} for a layer of {self.in_features} inputs")
        if inputs.dtype not in KERNEL_TYPES or not weight.runs_on(inputs) or transformed():
            return plain_linear(inputs, weight.dense(), bias)
        flat = inputs.dim() == 2
        rows = inputs if flat else inputs.reshape(-1, self.in_features)
        rows = rows if rows.dtype is torch.float32 else rows.float()
        if unobserved(rows):
            found = call_linear(rows, weight.ready(), self.shift(), weight.form, weight.shape)
        else:
            offset = None if bias is None else bias.float()
            found = packed_linear(rows, weight.parts, offset, weight.form, weight.shape)
        found = found if found.dtype == inputs.dtype else found.to(inputs.dtype)
        return found if flat else found.reshape(*inputs.shape[:-1], self.out_features)

    def dense(self) -> nn.Linear:
        """The layer with float32 weights."""
        return dense_linear(self.weight.dense(), self.bias)

    def extra_repr(self) -> str:
        """Sizes, for printed models."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
