"""Which penalty acts on which weight, by name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.names import matches, suggestion
from weightsmith.penalties.penalty import LossTerm, Penalty, Proximable

Penalties: TypeAlias = Penalty | Sequence[Penalty] | Mapping[str, Penalty | Sequence[Penalty]]
"""One penalty or several for all weights, or a mapping from name pattern to the penalties of the weights it matches."""


def assign(names: Iterable[str], penalties: Penalties) -> dict[str, tuple[Penalty, ...]]:
    """The penalties of each weight; the first pattern that matches a name decides.

    Args:
        names: dotted names of the weights that penalties may act on.
        penalties: for all, or by name pattern (`{"fc*": L1(1e-4)}`).

    Returns:
        Name to penalties, without the names that none acts on.

    Raises:
        InputError: where a pattern matches no name, or a value is not a penalty.
    """
    known = list(names)
    if isinstance(penalties, Mapping):
        for pattern in penalties:
            check_matches(pattern, known)
    assigned = {name: penalties_of(name, penalties) for name in known}
    return {name: found for name, found in assigned.items() if found}


def penalties_of(name: str, penalties: Penalties) -> tuple[Penalty, ...]:
    """The penalties of one weight, by the first pattern that matches its name; none where no pattern does.

    Raises:
        InputError: where what was given is not a penalty.
    """
    patterns = penalties if isinstance(penalties, Mapping) else {"*": penalties}
    lists = {pattern: _as_tuple(given, pattern) for pattern, given in patterns.items()}
    return next((found for pattern, found in lists.items() if matches(name, pattern)), ())


def check_matches(pattern: str, names: Sequence[str]) -> None:
    """Refuse a pattern that matches none of the names.

    Raises:
        InputError: naming the pattern, the names and the closest of them.
    """
    if not any(matches(name, pattern) for name in names):
        some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "none"
        raise InputError(
            f"pattern '{pattern}' matches no weight that is held back (biases and norms never are): "
            f"the weights are {some}{suggestion(pattern, names)}"
        )


def loss_term(weights: Iterable[tuple[str, Tensor]], penalties: Penalties) -> Tensor:
    """Sum of the penalties of named weights, to be added to the loss.

    Args:
        weights: names and weights, only those that should be held back (biases and norms usually should not).
        penalties: for all, or by name pattern.

    Returns:
        A differentiable scalar on the device of the first weight; 0 where no penalty acts.

    Raises:
        InputError: where a penalty has no loss term, needs more dimensions, or a pattern matches no weight.
    """
    named = dict(weights)
    terms: list[Tensor] = []
    for name, found in assign(named, penalties).items():
        for penalty in found:
            if not isinstance(penalty, LossTerm):
                raise InputError(f"{penalty} has no loss term: apply it with weightsmith.optim.Proximal")
            terms.append(penalty.value(named[name]))
    if not terms:
        return torch.zeros((), device=next((weight.device for weight in named.values()), None))
    return torch.stack([term.to(terms[0]) for term in terms]).sum()


def _as_tuple(given: object, pattern: str) -> tuple[Penalty, ...]:
    found = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    for penalty in found:
        if isinstance(penalty, type) or not isinstance(penalty, LossTerm | Proximable):
            raise InputError(f"penalties for '{pattern}' must be penalties such as L1(1e-4), got {penalty!r}")
    return found
