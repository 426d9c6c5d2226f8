"""`HandedSigns`: a binary activation behind a layer that may give its signs packed."""

import torch
from torch import Tensor, nn

from weightsmith.kinds.binary import BinaryActivation


class HandedSigns(nn.Module):
    """A binary activation that lets packed signs pass as they are.

    Args:
        activation: for floats.
    """

    def __init__(self, activation: BinaryActivation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """Packed signs, or the signs of floats."""
        if inputs.dtype == torch.int64:
            return inputs
        found: Tensor = self.activation(inputs)
        return found

    def dense(self) -> BinaryActivation:
        """The activation."""
        return self.activation
