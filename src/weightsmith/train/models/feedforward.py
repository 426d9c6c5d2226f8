"""Networks of fully connected layers: the linear model and the multilayer perceptron."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn

from weightsmith.train.models.options import Activation, Dropout, Sizes, activation_module
from weightsmith.train.models.sparse_input import SparseInputDropout, SparseInputLinear


class Linear(nn.Module):
    """Linear, logistic or softmax regression: one layer over the flattened input.

    Args:
        input_shape: shape of one row.
        outputs: number of logits or predicted values.
    """

    takes_sparse_rows: ClassVar[bool] = True

    def __init__(self, input_shape: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.output = SparseInputLinear(math.prod(input_shape), outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, *input_shape), or sparse CSR rows -> (batch, outputs)."""
        predicted: torch.Tensor = self.output(_as_rows(inputs))
        return predicted


class MLP(nn.Module):
    """Hidden layers, each a linear map, batch normalization if asked for, an activation and dropout; then the output.

    Weights are named `hidden.0.weight`, `norms.0.weight`, ..., `output.weight`.

    Args:
        input_shape: shape of one row, flattened here.
        outputs: number of logits or predicted values.
        hidden: units of each hidden layer.
        activation: after each hidden layer.
        dropout: share of hidden units zeroed in training.
        input_dropout: share of inputs zeroed in training (Srivastava et al., 2014, section 7).
        batch_norm: normalize before each activation (Ioffe and Szegedy, 2015); the layer's own bias is then left out.
    """

    takes_sparse_rows: ClassVar[bool] = True

    def __init__(
        self,
        input_shape: Sequence[int],
        outputs: int,
        *,
        hidden: Sizes = [300, 100],  # noqa: B006 - read only, and shown as the option's default
        activation: Activation = "relu",
        dropout: Dropout = 0.0,
        input_dropout: Dropout = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.input_dropout = SparseInputDropout(input_dropout)
        sizes = [math.prod(input_shape), *hidden]
        self.hidden = nn.ModuleList(
            (nn.Linear if place else SparseInputLinear)(given, units, bias=not batch_norm)
            for place, (given, units) in enumerate(pairwise(sizes))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(units) if batch_norm else nn.Identity() for units in hidden)
        self.activations = nn.ModuleList(activation_module(activation) for _ in hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sizes[-1], outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, *input_shape), or sparse CSR rows -> (batch, outputs)."""
        units = self.input_dropout(_as_rows(inputs))
        for layer, norm, activation in zip(self.hidden, self.norms, self.activations, strict=True):
            units = self.dropout(activation(norm(layer(units))))
        predicted: torch.Tensor = self.output(units)
        return predicted


def _as_rows(inputs: torch.Tensor) -> torch.Tensor:
    return inputs if inputs.layout is torch.sparse_csr else inputs.flatten(1)
