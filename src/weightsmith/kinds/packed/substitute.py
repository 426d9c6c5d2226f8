"""Putting modules in the places of others, wherever a model holds them."""

from collections.abc import Mapping

from torch import nn


def substitute(model: nn.Module, replacements: Mapping[int, nn.Module]) -> nn.Module:
    """The model with each module that has a replacement, by its `id`, replaced under all its names, in place.

    The model itself may be one of them: use what is returned.
    """
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and id(child) in replacements:
                parent._modules[name] = replacements[id(child)]
    return replacements.get(id(model), model)
