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
        InputError: no module, or a weight that another parametrization computes as well, of which the kind is but a
            part.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"only the weights of a torch.nn.Module can be baked, not those of a {type(model).__name__}")
    model = unwrap(model)
    found = [(path, module, name) for path, module in model.named_modules() for name in _of_a_kind(module)]
    for path, module, name in found:
        chain = _chain(module, name)
        if not all(hasattr(step, "kind") for step in chain):
            where = f"{path}.{name}" if path else name
            raise InputError(f"'{where}' is computed by another parametrization too: remove that one first")
    for _, module, name in found:
        make_plain(module, name)
    return [f"{path}.{name}" if path else name for path, _, name in found]


def bake_own(module: nn.Module) -> None:
    """Bake the weights of one module that kinds alone compute, and leave all others."""
    for name in _of_a_kind(module):
        if all(hasattr(step, "kind") for step in _chain(module, name)):
            make_plain(module, name)


def make_plain(module: nn.Module, name: str) -> None:
    """Put a parameter of the values in evaluation in the place of one parametrized weight of a module.

    Not by `remove_parametrizations`: it takes the weight from the module's class, which deep copies of a parametrized
    module share, and so breaks every copy.
    """
    chain = _chain(module, name).eval()  # gates and random values have one value in evaluation
    with torch.no_grad():
        value = getattr(module, name).detach() + 0.0  # -0 becomes +0
    stored = getattr(chain, "original", None)
    if isinstance(stored, nn.Parameter) and (stored.shape, stored.dtype) == (value.shape, value.dtype):
        with torch.no_grad():
            stored.copy_(value)
    else:
        trains = any(parameter.requires_grad for parameter in chain.parameters(recurse=False))
        stored = nn.Parameter(value.clone(), requires_grad=trains)
    _leave_class(module, name)
    module.register_parameter(name, stored)


def _leave_class(module: nn.Module, name: str) -> None:
    """Make a module one of a class in which nothing computes a weight, and leave its copies the class they had."""
    chains = module.parametrizations
    assert isinstance(chains, nn.ModuleDict)
    plain = parametrize.type_before_parametrizations(module)
    del chains[name]
    if chains:
        others = {
            key: value for key, value in vars(type(module)).items() if key not in (name, "__dict__", "__weakref__")
        }
        module.__class__ = type(type(module).__name__, (plain,), others)
    else:
        del module.parametrizations
        module.__class__ = plain


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
