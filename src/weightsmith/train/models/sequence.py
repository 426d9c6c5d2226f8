"""Rows as sequences: an image is read row by row, a plain row of features one feature a step."""

import math
from collections.abc import Sequence

import torch

from weightsmith.errors import InputError

LONGEST = 1024
"""Steps. Beyond, a recurrent network takes minutes a batch and attention gigabytes; flat rows of thousands of
features are for the mlp."""


def steps_and_features(input_shape: Sequence[int], model: str) -> tuple[int, int]:
    """How many steps a row has, and how many values a step.

    (channels, height, width) gives height steps of channels x width values; (time, features) is itself;
    (features,) gives as many steps of one value.

    Raises:
        InputError: for more than 1024 steps.
    """
    if len(input_shape) == 3:
        steps, features = input_shape[1], input_shape[0] * input_shape[2]
    else:
        steps, features = input_shape[0], math.prod(input_shape[1:])
    if steps > LONGEST:
        raise InputError(
            f"model {model} would read {steps} steps a row, at most {LONGEST} are supported: choose model mlp"
        )
    return steps, features


def as_sequence(inputs: torch.Tensor) -> torch.Tensor:
    """(batch, *input_shape) -> (batch, steps, values)."""
    if inputs.ndim == 4:
        return inputs.transpose(1, 2).flatten(2)
    return inputs if inputs.ndim == 3 else inputs.unsqueeze(-1)
