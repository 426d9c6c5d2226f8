"""A small transformer encoder (Vaswani et al., 2017), normalized before each part (Xiong et al., 2020)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from weightsmith.errors import InputError
from weightsmith.train.models.options import Activation, Dropout, activation_module
from weightsmith.train.models.sequence import as_sequence, steps_and_features
from weightsmith.train.recipe.fields import Count


class _Block(nn.Module):
    """Attention, then a hidden layer, each added to what it read. Plain linear layers, so that hooks see every one."""

    def __init__(self, width: int, heads: int, hidden: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)
        self.hidden_norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, hidden)
        self.activation = activation_module(activation)
        self.contraction = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        normed = self.attention_norm(tokens)
        query, key, value = (self._split(layer(normed)) for layer in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = tokens + self.dropout(self.projection(attended))
        changed = self.contraction(self.activation(self.hidden(self.hidden_norm(tokens))))
        added: torch.Tensor = tokens + self.dropout(changed)
        return added

    def _split(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, steps, width) -> (batch, heads, steps, width / heads)."""
        return tokens.view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class Transformer(nn.Module):
    """Steps embedded with learned positions, encoder blocks, and the output from the mean over steps.

    Layer normalization is part of it; there is no `batch_norm` to choose.
    Weights are named `embedding.weight`, `position`, `blocks.0.query.weight`, ..., `output.weight`.

    Args:
        input_shape: shape of one row; `steps_and_features` says how it is read.
        outputs: number of logits or predicted values.
        width: values that describe a step.
        heads: of attention; must divide `width`.
        layers: encoder blocks.
        hidden: units of the hidden layer in each block.
        activation: of that hidden layer.
        dropout: share of units zeroed in training after attention and after the hidden layer.

    Raises:
        InputError: where `heads` does not divide `width`.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        outputs: int,
        *,
        width: Count = 64,
        heads: Count = 4,
        layers: Count = 2,
        hidden: Count = 128,
        activation: Activation = "gelu",
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise InputError(f"model.heads: {heads} heads do not divide a width of {width}")
        steps, features = steps_and_features(input_shape, "transformer")
        self.embedding = nn.Linear(features, width)
        self.position = nn.Parameter(torch.randn(steps, width) * 0.02)
        self.blocks = nn.ModuleList(_Block(width, heads, hidden, activation, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, *input_shape) -> (batch, outputs)."""
        tokens = self.embedding(as_sequence(inputs)) + self.position
        for block in self.blocks:
            tokens = block(tokens)
        predicted: torch.Tensor = self.output(self.norm(tokens).mean(1))
        return predicted
