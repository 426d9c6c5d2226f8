"""Building the network that a recipe names."""

import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.train.data.data import Data
from weightsmith.train.models.custom import build_custom, find_builder, is_custom
from weightsmith.train.models.table import find_model, read_options, takes_batch_norm
from weightsmith.train.recipe.recipe import Recipe


def build_model(recipe: Recipe, data: Data) -> nn.Module:
    """The network that a recipe names, for the shapes of the data.

    It takes inputs as `Split.batch` gives them and returns (batch, outputs) for every task: logits for classification,
    one logit for binary_classification, predicted values for regression. Its first weights depend on `recipe.seed`
    alone; the state of torch's random numbers is left as it was.

    Raises:
        InputError: for a model that cannot read such rows, or a model of the user's own that fails.
    """
    given, choice = recipe.model.options, recipe.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if is_custom(choice.name):
            builder = find_builder(choice.name, choice.folder)
            return build_custom(choice.name, builder, data.input_shape, data.outputs, given, recipe.batch_norm)
        info = find_model(choice.name)
        options = read_options(info, given)
        if recipe.batch_norm is not None and takes_batch_norm(info):
            options["batch_norm"] = recipe.batch_norm
        try:
            return info.build(data.input_shape, data.outputs, **options)
        except RuntimeError as error:
            if "can't allocate memory" not in str(error):
                raise
            raise InputError(f"model: {info.name} of this size does not fit into memory: make it smaller") from None
