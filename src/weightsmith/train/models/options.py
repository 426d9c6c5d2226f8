"""The types of the models' options; a recipe is checked against them before anything is built."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator
from torch import nn

from weightsmith.kinds.binary import BinaryActivation
from weightsmith.train.recipe.fields import Count, Share


def _as_list(given: Any) -> Any:
    return [given] if isinstance(given, int) else list(given) if isinstance(given, tuple) else given


Sizes = Annotated[list[Count], BeforeValidator(_as_list)]
"""Units or channels, layer by layer; a single number is one layer."""

Dropout = Share
"""Share of units zeroed in training."""

Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid", "binary"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "binary": BinaryActivation,
}
assert tuple(_ACTIVATIONS) == get_args(Activation)


def activation_module(name: str) -> nn.Module:
    """A new module for one of the activations; a module and not a function, so that hooks see its output."""
    return _ACTIVATIONS[name]()
