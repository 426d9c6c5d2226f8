"""`bake`: plain weights in the place of those of a kind."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.sources.module import unwrap


def bake(model: nn.Module) -> list[str]:
    """Replace every weight of a kind by a plain parameter of the values that the model uses in evaluation.

    Zeros are exact and binary weights have their two values; masks, gates and latent weights are gone. Where the
    stored parameter had the weight's shape it stays the same object, so an optimizer still moves it. Binary
    activations and the parametrizations of other weights stay.

    Args:
        model: any module, changed in place; wrappers are looked through.

    Returns:
        Names of the weights that were baked.

    Raises:
        InputError: a weight that another parametrization computes as well, of which the kind is but a part.
    """
    model = unwrap(model)
    found = [(path, module, name) for path, module in model.named_modules() for name in _of_a_kind(module)]
    for path, module, name in found:
        chain = _chain(module, name)
        if not all(hasattr(step, "kind") for step in chain):
            where = f"{path}.{name}" if path else name
            raise InputError(f"'{where}' is computed by another parametrization too: remove that one first")
    for _, module, name in found:
        _chain(module, name).eval()  # gates and random values have one value in evaluation
        parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        weight = getattr(module, name)
        with torch.no_grad():
            weight.add_(0.0)  # -0 becomes +0
    return [f"{path}.{name}" if path else name for path, _, name in found]


def _of_a_kind(module: nn.Module) -> list[str]:
    chains = getattr(module, "parametrizations", None)
    if not isinstance(chains, nn.ModuleDict):
        return []
    return [name for name in chains if any(hasattr(step, "kind") for step in _chain(module, name))]


def _chain(module: nn.Module, name: str) -> parametrize.ParametrizationList:
    chains = module.parametrizations
    assert isinstance(chains, nn.ModuleDict)
    chain = chains[name]
    assert isinstance(chain, parametrize.ParametrizationList)
    return chain
