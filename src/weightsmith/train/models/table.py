"""The table of models and their options."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from torch import nn

from weightsmith.errors import InputError
from weightsmith.names import suggestion
from weightsmith.train.models.convolutional import CNN
from weightsmith.train.models.feedforward import MLP, Linear
from weightsmith.train.models.recurrent import LSTM, RNN
from weightsmith.train.models.transformer import Transformer
from weightsmith.train.recipe.typed import Fields, options_class, wrong_options


@dataclass(frozen=True)
class ModelInfo:
    """One model that a recipe can name.

    Attributes:
        name: how the recipe calls it.
        summary: one line for listings.
        build: called with `input_shape`, `outputs` and options by name; its signature says which options there are.
    """

    name: str
    summary: str
    build: Callable[..., nn.Module]


MODELS: dict[str, ModelInfo] = {
    info.name: info
    for info in (
        ModelInfo("linear", "linear, logistic or softmax regression", Linear),
        ModelInfo("mlp", "multilayer perceptron", MLP),
        ModelInfo("cnn", "small convolutional network for images", CNN),
        ModelInfo("rnn", "Elman's recurrent network", RNN),
        ModelInfo("lstm", "long short-term memory", LSTM),
        ModelInfo("transformer", "small transformer encoder", Transformer),
    )
}


def find_model(name: str) -> ModelInfo:
    """The model of a name in the table.

    Raises:
        InputError: where there is none.
    """
    if name not in MODELS:
        raise InputError(
            f"model: unknown model '{name}': choose from {', '.join(MODELS)}, or package.module:function"
            f"{suggestion(name, MODELS)}"
        )
    return MODELS[name]


def takes_batch_norm(info: ModelInfo) -> bool:
    """Whether batch normalization can be switched on and off in a model."""
    return "batch_norm" in inspect.signature(info.build).parameters


def default_batch_norm(info: ModelInfo) -> bool | None:
    """Whether a model is batch-normalized where the recipe does not say; None where it cannot be."""
    parameter = inspect.signature(info.build).parameters.get("batch_norm")
    return None if parameter is None else bool(parameter.default)


def options_of(info: ModelInfo) -> Fields:
    """The options of a model with their types and defaults, from the builder's signature.

    `batch_norm` is none of them: the recipe has one field for it, whatever the model.
    """
    types = get_type_hints(info.build.__init__ if inspect.isclass(info.build) else info.build, include_extras=True)
    return {
        name: (types[name], parameter.default)
        for name, parameter in inspect.signature(info.build).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "batch_norm"
    }


def read_options(info: ModelInfo, given: dict[str, Any]) -> dict[str, Any]:
    """Every option of a model: as given, else its default.

    Raises:
        InputError: one line for each that is unknown or not allowed.
    """
    known = options_of(info)
    wrong = wrong_options("model", known, given)
    if wrong:
        raise InputError("\n".join(wrong))
    return options_class(known)(**given).model_dump()
