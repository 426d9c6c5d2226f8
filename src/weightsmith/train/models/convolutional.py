"""A small convolutional network for small images."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.kinds.binary import BinaryActivation
from weightsmith.train.models.options import Activation, Dropout, Sizes, activation_module
from weightsmith.train.recipe.fields import Count


class CNN(nn.Module):
    """Blocks of a 3x3 convolution, batch normalization, an activation and 2x2 pooling; one hidden layer; the output.

    Where the activation is binary, pooling comes first, right after the convolution: the maximum of signs would say
    little, and would pass its gradient to whichever of many equals comes first (Rastegari et al. 2016, section 3.2).

    Weights are named `convolutions.0.weight`, `norms.0.weight`, ..., `hidden.weight`, `output.weight`.

    Args:
        input_shape: channels, height and width; each block halves height and width.
        outputs: number of logits or predicted values.
        channels: of each block.
        hidden: units of the hidden layer.
        activation: after each convolution and the hidden layer.
        dropout: share of hidden units zeroed in training.
        batch_norm: normalize before each activation (Ioffe and Szegedy, 2015); the layer's own bias is then left out.

    Raises:
        InputError: for rows that are not images, or images too small to be halved so often.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        outputs: int,
        *,
        channels: Sizes = [32, 64],  # noqa: B006 - read only, and shown as the option's default
        hidden: Count = 128,
        activation: Activation = "relu",
        dropout: Dropout = 0.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        height, width = _pooled(input_shape, len(channels))
        planes = [input_shape[0], *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(given, wanted, kernel_size=3, padding=1, bias=not batch_norm)
            for given, wanted in pairwise(planes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(wanted) if batch_norm else nn.Identity() for wanted in channels)
        self.activations = nn.ModuleList(activation_module(activation) for _ in channels)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(planes[-1] * height * width, hidden, bias=not batch_norm)
        self.hidden_norm = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.hidden_activation = activation_module(activation)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> (batch, outputs)."""
        maps = inputs
        for convolution, norm, activation in zip(self.convolutions, self.norms, self.activations, strict=True):
            if isinstance(activation, BinaryActivation):
                maps = activation(norm(self.pool(convolution(maps))))
            else:
                maps = self.pool(activation(norm(convolution(maps))))
        units = self.dropout(self.hidden_activation(self.hidden_norm(self.hidden(maps.flatten(1)))))
        predicted: torch.Tensor = self.output(units)
        return predicted


def _pooled(input_shape: Sequence[int], blocks: int) -> tuple[int, int]:
    """Height and width after every block has halved them."""
    if len(input_shape) != 3:
        raise InputError(
            f"model cnn needs images (channels, height, width), but a row has shape {tuple(input_shape)}: "
            "choose model mlp, or data that holds images"
        )
    height, width = input_shape[1] >> blocks, input_shape[2] >> blocks
    if not height or not width:
        raise InputError(
            f"model.channels: {blocks} blocks halve {input_shape[1]}x{input_shape[2]} images to nothing: give fewer"
        )
    return height, width
