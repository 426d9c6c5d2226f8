"""Which parameters decay and are penalized: weights that multiply an input, never biases and norms."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.names import Patterns, matches
from weightsmith.optim.bop import holds_signs
from weightsmith.penalties.assign import check_matches
from weightsmith.sources.module import describe, unwrap
from weightsmith.sources.roles import infer_role
from weightsmith.weight import MATRIX_ROLES, Role

Parameters: TypeAlias = nn.Module | Iterable[tuple[str, Tensor]]
"""A model, or names and parameters as `named_parameters` gives them."""

_PARAMETRIZED = re.compile(r"(^|\.)parametrizations\.([^.]+)\.original$")


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter of a model.

    Attributes:
        name: dotted name; that of a parametrized weight is the plain one, `layer.weight`.
        tensor: the parameter itself.
        role: what it does in its layer.
        flips: whether it holds -1 and +1 with no latent weight behind, so that it can only be flipped.
    """

    name: str
    tensor: Tensor
    role: Role
    flips: bool = False


def named_parameters(parameters: Parameters) -> list[Parameter]:
    """The parameters with their roles, each tensor once.

    Roles come from the types of a model's modules, or from names and shapes where only these are given.

    Raises:
        InputError: where what was given is neither a model nor pairs of a name and a tensor.
    """
    roles: dict[str, Role] = {}
    pairs: list[tuple[str, Tensor]]
    if isinstance(parameters, nn.Module):
        roles = {info.name: info.role for info in describe(parameters)}
        pairs = [*unwrap(parameters).named_parameters()]
        flipped = _latent_free(parameters)
    else:
        pairs = _checked_pairs(parameters)
        flipped = {id(tensor) for name, tensor in pairs if _PARAMETRIZED.search(name) and holds_signs(tensor)}
    unique = {id(tensor): (_PARAMETRIZED.sub(r"\1\2", name), tensor) for name, tensor in reversed(pairs)}
    return [
        Parameter(name, tensor, roles.get(name) or infer_role(name, tuple(tensor.shape)), id(tensor) in flipped)
        for name, tensor in reversed(unique.values())
    ]


def _latent_free(model: nn.Module) -> set[int]:
    """Identities of the parameters that a kind has left without latent weights."""
    chains = [module for module in model.modules() if isinstance(module, parametrize.ParametrizationList)]
    return {
        id(parameter)
        for chain in chains
        if any(getattr(step, "latent_free", False) for step in chain)
        for parameter in chain.parameters(recurse=False)
    }


def _checked_pairs(parameters: Any) -> list[tuple[str, Tensor]]:
    pairs = list(parameters) if isinstance(parameters, Iterable) else [parameters]
    for pair in pairs:
        named = isinstance(pair, tuple) and len(pair) == 2
        if not (named and isinstance(pair[0], str) and isinstance(pair[1], Tensor)):
            raise InputError(
                "parameters must be a model or pairs of a name and a tensor, such as model.named_parameters(): "
                f"got {type(pair).__name__}"
            )
    return pairs


def held_back(parameters: Sequence[Parameter], include: Patterns = "*", exclude: Patterns = ()) -> list[Parameter]:
    """Those that decay and penalties act on: weights that multiply an input, as far as patterns allow.

    Args:
        parameters: of a model.
        include: patterns of the names to hold back.
        exclude: patterns of the names to leave alone.

    Raises:
        InputError: where a pattern matches no weight that could be held back.
    """
    matrices = [each for each in parameters if each.role in MATRIX_ROLES and not each.flips]
    names = [parameter.name for parameter in matrices]
    for pattern in (*as_tuple(include), *as_tuple(exclude)):
        if pattern != "*":
            check_matches(pattern, names)
    exclude = as_tuple(exclude)
    include = as_tuple(include)
    return [each for each in matrices if matches(each.name, include) and not matches(each.name, exclude)]


def as_tuple(patterns: Patterns) -> tuple[str, ...]:
    """Patterns as a tuple, that of a single one too."""
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def parameter_groups(
    parameters: Parameters, weight_decay: float = 0.0, *, include: Patterns = "*", exclude: Patterns = ()
) -> list[dict[str, Any]]:
    """Parameter groups for any optimizer of PyTorch: weights that decay, and all other parameters, which do not.

    Args:
        parameters: a model, or names and parameters; those that require no gradient are left out.
        weight_decay: decay of the first group.
        include: patterns of the weights that decay.
        exclude: patterns of the weights that do not.

    Returns:
        One or two groups with `params` (pairs of a name and a parameter, which PyTorch keeps as `param_names`) and
        `weight_decay`.

    Raises:
        InputError: where no parameter requires a gradient, or a pattern matches no weight that could decay.
    """
    known = trainable(named_parameters(parameters))
    chosen = {id(each.tensor) for each in held_back(known, include, exclude)}
    decaying = [(each.name, each.tensor) for each in known if id(each.tensor) in chosen]
    others = [(each.name, each.tensor) for each in known if id(each.tensor) not in chosen]
    groups = ((decaying, weight_decay), (others, 0.0))
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def trainable(parameters: Sequence[Parameter]) -> list[Parameter]:
    """Those that require a gradient.

    Raises:
        InputError: where none does.
    """
    found = [parameter for parameter in parameters if parameter.tensor.requires_grad]
    if not found:
        what = f"none of {len(parameters)} parameters requires a gradient" if parameters else "there are no parameters"
        raise InputError(f"nothing to optimize: {what}")
    return found
