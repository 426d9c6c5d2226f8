"""Which weights a recorder watches, and where each of them lives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.init.following import following_activations
from weightsmith.names import Patterns, matches
from weightsmith.sources.module import describe, unwrap
from weightsmith.weight import MATRIX_ROLES, WeightInfo

Models = nn.Module | Mapping[str, nn.Module]


@dataclass(frozen=True)
class Watched:
    """One weight of a live model.

    Attributes:
        info: its description, the name with its model's prefix.
        owner: the module it belongs to.
        attribute: its name there.
        parametrization: what computes it where it is parametrized, or None.
    """

    info: WeightInfo
    owner: nn.Module
    attribute: str
    parametrization: nn.Module | None

    @property
    def name(self) -> str:
        """Its name in the run."""
        return self.info.name

    def originals(self) -> tuple[Tensor, ...]:
        """What the optimizer moves: the weight itself, or the tensors it is computed from."""
        if self.parametrization is not None:
            return tuple(self.parametrization.parameters(recurse=False))
        tensor = getattr(self.owner, self.attribute)
        assert isinstance(tensor, Tensor)
        return (tensor,)

    def trainable(self) -> bool:
        """Whether any of its originals asks for a gradient."""
        return any(original.requires_grad for original in self.originals())

    def value(self) -> Tensor:
        """The weight as the model uses it, detached; shares memory with a plain parameter.

        A parametrization is computed as in evaluation, which leaves its own state (spectral norm's vectors) alone,
        and past the cache of `torch.nn.utils.parametrize.cached`, which must not keep a value without a gradient.
        """
        chain = self.parametrization
        if chain is None:
            return self.originals()[0].detach()
        training = [module for module in chain.modules() if module.training]
        try:
            for module in training:
                module.training = False
            with torch.no_grad():
                value = chain()
        finally:
            for module in training:
                module.training = True
        assert isinstance(value, Tensor)
        return value.detach()


def named_models(model: Models) -> dict[str, nn.Module]:
    """The user's own modules, without wrappers, by the prefix of their weights' names.

    Raises:
        InputError: neither a module nor a mapping from names to modules.
    """
    given = model if isinstance(model, Mapping) else {"": model}
    for name, module in given.items():
        if not isinstance(module, nn.Module):
            where = f"model '{name}'" if name else "the model"
            raise InputError(
                f"{where} is a {type(module).__name__}: give a torch.nn.Module or a mapping of names to them"
            )
    return {f"{name}." if name else "": unwrap(module) for name, module in given.items()}


def watch(models: Mapping[str, nn.Module], include: Patterns, exclude: Patterns) -> list[Watched]:
    """The weights to record, in the models' order: tied ones once, empty and meta ones not at all.

    Args:
        models: modules by name prefix, as `named_models` gives them.
        include: shell patterns of names to record.
        exclude: shell patterns of names to leave out.

    Raises:
        InputError: nothing is left to record.
    """
    watched, seen = [], set()
    for prefix, model in models.items():
        following = following_activations(model)
        for info in describe(model):
            name = prefix + info.name
            if info.tied_to is not None or not matches(name, include) or matches(name, exclude):
                continue
            activation = following.get(info.name.rpartition(".")[0]) if info.role in MATRIX_ROLES else None
            found = _locate(model, replace(info, name=name, activation=activation), info.name)
            identity = tuple(id(original) for original in found.originals())
            if info.size and identity not in seen and not found.originals()[0].is_meta:
                seen.add(identity)  # two models of a mapping may share a module
                watched.append(found)
    if not watched:
        raise InputError("no weight to record: the model has none that 'include' and 'exclude' leave")
    return watched


def following(watched: Sequence[Watched], prefix: str) -> dict[str, str]:
    """The activation that follows each watched layer of the model of that prefix, by the layer's path."""
    own = [one.info for one in watched if one.name.startswith(prefix)]
    return {info.name.removeprefix(prefix).rpartition(".")[0]: info.activation for info in own if info.activation}


def _locate(model: nn.Module, info: WeightInfo, name: str) -> Watched:
    path, _, attribute = name.rpartition(".")
    owner = reduce(getattr, path.split("."), model) if path else model
    chain: object = None
    if parametrize.is_parametrized(owner, attribute):
        assert isinstance(owner.parametrizations, nn.ModuleDict)
        chain = owner.parametrizations[attribute]
    assert chain is None or isinstance(chain, nn.Module)
    return Watched(info, owner, attribute, chain)
