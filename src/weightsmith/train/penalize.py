"""The recipe's penalties, as the optimizer's proximal steps and as terms of the loss."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from weightsmith.kinds import KindController
from weightsmith.optim.groups import held_back, named_parameters
from weightsmith.penalties import L1, L2, ElasticNet, GroupLasso, LossTerm, MaxNorm, Orthogonality, Penalty, assign
from weightsmith.penalties.assign import penalties_of
from weightsmith.train.recipe import Recipe

ByPattern = dict[str, tuple[Penalty, ...]]


def proximal_penalties(recipe: Recipe) -> ByPattern:
    """Those that act as exact proximal steps after the optimizer's: by pattern over weight names, the first decides.

    Max-norm is always among them; it is a constraint and has no loss term.
    """
    chosen = recipe.penalties
    everywhere: tuple[Penalty, ...] = _elementwise(recipe) if chosen.proximal else ()
    if chosen.max_norm is not None:
        everywhere += (MaxNorm(chosen.max_norm),)
    if chosen.proximal:
        return _with_groups(recipe, everywhere)
    return {"*": everywhere} if everywhere else {}


def loss_penalties(recipe: Recipe) -> ByPattern:
    """Those that are added to the loss: what has no proximal step, or all that can be where the recipe says so."""
    chosen = recipe.penalties
    everywhere: tuple[Penalty, ...] = () if chosen.proximal else _elementwise(recipe)
    if chosen.orthogonality > 0:
        everywhere += (Orthogonality(chosen.orthogonality),)
    if not chosen.proximal:
        return _with_groups(recipe, everywhere)
    return {"*": everywhere} if everywhere else {}


def with_kind(penalties: ByPattern, kind: KindController | None) -> ByPattern:
    """Proximal penalties with those that the weights' kind brings, each by the whole name of its weight."""
    brought = {} if kind is None else kind.penalties
    return {name: (*penalties_of(name, penalties), penalty) for name, penalty in brought.items()} | penalties


def loss_term(
    module: nn.Module, penalties: ByPattern, kind: KindController | None = None
) -> Callable[[], Tensor] | None:
    """The sum of the penalties of a module's weights, never of biases and norms, at each call; None for none.

    The term of the weights' kind is among them.
    """
    brought = kind.penalty if kind is not None and kind.has_penalty else None
    if not penalties:
        return brought
    held = {each.name: each.tensor for each in held_back(named_parameters(module)) if each.tensor.requires_grad}
    terms = [(held[name], penalty) for name, found in assign(held, penalties).items() for penalty in found]

    def total() -> Tensor:
        values = [penalty.value(weight) for weight, penalty in terms if isinstance(penalty, LossTerm)]
        return torch.stack(values + ([] if brought is None else [brought().to(values[0])])).sum()

    return total


def _elementwise(recipe: Recipe) -> tuple[Penalty, ...]:
    chosen = recipe.penalties
    net = chosen.elastic_net
    wanted: tuple[tuple[float, Penalty], ...] = (
        (chosen.l1, L1(chosen.l1)),
        (chosen.l2, L2(chosen.l2)),
        (0.0 if net is None else net.l1 + net.l2, ElasticNet(net.l1, net.l2) if net else ElasticNet(0.0, 0.0)),
    )
    return tuple(penalty for strength, penalty in wanted if strength > 0)


def _with_groups(recipe: Recipe, everywhere: tuple[Penalty, ...]) -> ByPattern:
    """The penalties of all weights, and those of the weights under the group lasso as well."""
    groups = recipe.penalties.group_lasso
    if groups is None or groups.strength == 0:
        return {"*": everywhere} if everywhere else {}
    lasso = GroupLasso(groups.strength, groups.by)
    grouped: ByPattern = dict.fromkeys(groups.include, (*everywhere, lasso))
    return grouped | ({"*": everywhere} if everywhere and "*" not in grouped else {})
