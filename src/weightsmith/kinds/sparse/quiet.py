"""Running a model without leaving a trace in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from weightsmith.seeding import kept_random_state


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Whatever runs inside, the model's buffers, gradients, modes and the random state are as before."""
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    modes = {module: module.training for module in model.modules()}
    try:
        with kept_random_state(model):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])


def call(model: nn.Module, sample: Any) -> Any:
    """Run one batch: a tensor, a tuple of arguments, or a dictionary of keyword arguments."""
    if isinstance(sample, dict):
        return model(**sample)
    return model(*sample) if isinstance(sample, (tuple, list)) else model(sample)
