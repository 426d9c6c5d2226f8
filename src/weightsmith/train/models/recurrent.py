"""Recurrent networks: they read a row step by step and predict from the last state."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from weightsmith.train.models.options import Dropout
from weightsmith.train.models.sequence import as_sequence, steps_and_features
from weightsmith.train.recipe.fields import Count


class _LastState(nn.Module):
    """What the recurrent models share: the output from the last step's state."""

    def __init__(self, recurrent: nn.RNNBase, outputs: int, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        hidden = recurrent.hidden_size
        self.recurrent = recurrent
        self.norm = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(batch, *input_shape) -> (batch, outputs)."""
        states, _ = self.recurrent(as_sequence(inputs))
        predicted: torch.Tensor = self.output(self.dropout(self.norm(states[:, -1])))
        return predicted


class RNN(_LastState):
    """Elman's network (1990): layers of simple recurrent units, then the output from the last step's state.

    Weights are named `recurrent.weight_ih_l0`, `recurrent.weight_hh_l0`, ..., `output.weight`.

    Args:
        input_shape: shape of one row; `steps_and_features` says how it is read.
        outputs: number of logits or predicted values.
        hidden: units of each layer.
        layers: recurrent layers on top of each other.
        activation: of the recurrent units.
        dropout: share of units zeroed in training, between layers and before the output.
        batch_norm: normalize the last state before the output (never inside the recurrence).
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 1,
        activation: Literal["tanh", "relu"] = "tanh",
        dropout: Dropout = 0.0,
        batch_norm: bool = False,
    ) -> None:
        _, features = steps_and_features(input_shape, "rnn")
        between = dropout if layers > 1 else 0.0
        recurrent = nn.RNN(features, hidden, layers, activation, batch_first=True, dropout=between)
        super().__init__(recurrent, outputs, dropout, batch_norm)


class LSTM(_LastState):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), then the output from the last step's state.

    Its gates are sigmoid and tanh by construction, so there is no `activation` to choose.
    Weights are named as in `RNN`; the four gates are stacked in each.

    Args:
        input_shape: shape of one row; `steps_and_features` says how it is read.
        outputs: number of logits or predicted values.
        hidden: units of each layer.
        layers: recurrent layers on top of each other.
        dropout: share of units zeroed in training, between layers and before the output.
        batch_norm: normalize the last state before the output (never inside the recurrence).
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 1,
        dropout: Dropout = 0.0,
        batch_norm: bool = False,
    ) -> None:
        _, features = steps_and_features(input_shape, "lstm")
        between = dropout if layers > 1 else 0.0
        recurrent = nn.LSTM(features, hidden, layers, batch_first=True, dropout=between)
        super().__init__(recurrent, outputs, dropout, batch_norm)
