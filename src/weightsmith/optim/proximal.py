"""Exact proximal steps after any optimizer: exact zeros from L1, also with Adam."""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from weightsmith.errors import InputError
from weightsmith.names import Patterns, matches
from weightsmith.optim.groups import Parameter, Parameters, as_tuple, held_back, named_parameters
from weightsmith.optim.metric import Metric, metric_of, settle_mass
from weightsmith.penalties.assign import Penalties, assign, penalties_of
from weightsmith.penalties.elementwise import L1, L2, ElasticNet, shrink_
from weightsmith.penalties.penalty import Penalty, Proximable, check_dimensions
from weightsmith.sources.roles import infer_role


class _Held(NamedTuple):
    """A weight and what holds it back: all L1 and L2 strengths together, then the other penalties in their order."""

    weight: Tensor
    l1: float
    l2: float
    others: tuple[Proximable, ...]


class Proximal(Optimizer):
    """An optimizer that follows each step of another by the exact proximal step of penalties.

    The proximal step is taken in the optimizer's own diagonal metric (see `weightsmith.optim.metric`), so that its
    fixed points are the optima of the penalized loss: with L1 the weights that should be zero are exactly zero, which
    a penalty in the loss never gives. A weight that had no gradient in a step is left alone. One whose gradient has
    always been exactly zero (the weights from an input that is always zero) has an almost unbounded step in Adam,
    RMSprop and Adagrad, and L1 sets it to zero at once; that is its optimum.

    Several penalties of one weight: L1 and L2 parts are added up, then group penalties follow in the order given. For
    gradient descent and momentum that is the exact step of their sum (Yu 2013, "On decomposing the proximal map"); in
    a metric that differs within a group each step is exact by itself, their sequence an approximation.

    It has the parameter groups, state and hooks of an optimizer, works with schedulers, closures and gradient scalers,
    and its state dictionary fits the wrapped optimizer's, also without the penalties.

    Args:
        optimizer: one of `torch.optim`'s SGD, Adam, AdamW, RMSprop, Adagrad and Muon, or a subclass, or Bop with Adam;
            it stays available as `.optimizer`.
        penalties: one or several for all weights, or a mapping from name pattern to penalties, of which the first
            pattern that matches decides: `{"fc*": L1(1e-4)}`.
        parameters: the model, or names and parameters. Without it, names are those that the optimizer knows, and
            everything with two dimensions or more is held back if it knows none.
        include: patterns of the weights that penalties may act on, among those that multiply an input.
        exclude: patterns of the weights that they leave alone.

    Raises:
        InputError: where the optimizer is not supported, a pattern matches no weight, a penalty has no proximal step,
            or does not fit a weight.

    Example:
        >>> model = torch.nn.Linear(4, 2)
        >>> optimizer = Proximal(torch.optim.Adam(model.parameters(), lr=0.01), L1(1e-4), model)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        penalties: Penalties,
        parameters: Parameters | None = None,
        *,
        include: Patterns = "*",
        exclude: Patterns = (),
    ) -> None:
        metric_of(optimizer)  # refuses what is not supported
        moved = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
        known = named_parameters(parameters) if parameters is not None else _known_to(optimizer)
        if parameters is not None and not any(id(each.tensor) in moved for each in known):
            raise InputError("parameters: the optimizer moves none of them; pass the model that it was built for")
        include, exclude = as_tuple(include), as_tuple(exclude)
        candidates = held_back(known, include, exclude)
        assigned = assign((each.name for each in candidates), penalties)
        held = [_hold(each, assigned[each.name]) for each in candidates if each.name in assigned]
        if not held:
            raise InputError(f"penalties act on no weight: there are {len(candidates)} weights to choose from")
        self.optimizer = optimizer
        self._penalties = penalties
        self._include, self._exclude = include, exclude
        self._held = held
        self._prepare()

    def __getstate__(self) -> dict[str, Any]:
        own = ("optimizer", "_penalties", "_include", "_exclude", "_held")
        return {name: getattr(self, name) for name in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "param_groups" in state:  # load_state_dict hands over what belongs to the wrapped optimizer
            self.optimizer.__setstate__(state)
        else:
            self.__dict__.update(state)
        self._prepare()

    def _prepare(self) -> None:
        super().__setstate__({})  # lets Optimizer set up its hooks
        self._metric = metric_of(self.optimizer)
        self._plan()

    def _plan(self) -> None:
        """List what is held back in each parameter group, so that a step looks up nothing."""
        held = {id(each.weight): each for each in self._held}
        self._steps = [
            [held[id(tensor)] for tensor in group["params"] if id(tensor) in held] for group in self.param_groups
        ]
        for group, steps in zip(self.param_groups, self._steps, strict=True):
            for each in steps:
                if each.weight in self.state:
                    settle_mass(self.optimizer, group, self.state[each.weight])

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The wrapped optimizer's parameter groups."""
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.optimizer.param_groups = groups
        self._plan()

    @property
    def state(self) -> Any:
        """The wrapped optimizer's state, by parameter."""
        return self.optimizer.state

    @state.setter
    def state(self, state: Any) -> None:
        self.optimizer.state = state

    @property
    def defaults(self) -> dict[str, Any]:
        """The wrapped optimizer's default options."""
        return self.optimizer.defaults

    @defaults.setter
    def defaults(self, defaults: dict[str, Any]) -> None:
        self.optimizer.defaults = defaults

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group; penalties act on its weights as their names (or dimensions) and the patterns tell."""
        self.optimizer.add_param_group(param_group)
        planned = {id(each.weight) for each in self._held}
        index = len(self.param_groups) - 1
        for each in held_back(_named_in_group(self.param_groups[index], index)):
            if not matches(each.name, self._include) or matches(each.name, self._exclude):
                continue
            found = penalties_of(each.name, self._penalties)
            if found and id(each.tensor) not in planned:
                self._held.append(_hold(each, found))
        self._plan()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Perform a step of the wrapped optimizer, then the proximal step.

        Args:
            closure: reevaluates the model and returns the loss; passed on.

        Returns:
            What the wrapped optimizer returns: the closure's loss, or None.
        """
        loss = self.optimizer.step(closure)
        states = self.state
        for group, steps in zip(self.param_groups, self._steps, strict=True):
            for held in steps:
                if held.weight.grad is not None:
                    metric = self._metric(group, states[held.weight])
                    if metric.scale > 0:
                        _apply(held, metric)
        return loss

    def __repr__(self) -> str:
        return f"Proximal({self._penalties!r}, {self.optimizer!r})"


def _apply(held: _Held, metric: Metric) -> None:
    if held.l1 > 0 or held.l2 > 0:
        weight = held.weight
        if weight.device.type == "cpu" and _fits_kernel(weight, metric.moment):
            _run_kernel(held, metric)
        else:
            shrink_(weight, metric.step(), held.l1, held.l2)
    for penalty in held.others:
        penalty.proximal_(held.weight, metric.step())


def _fits_kernel(weight: Tensor, moment: Tensor | None) -> bool:
    fits = weight.dtype in (torch.float32, torch.float64) and weight.is_contiguous() and weight.numel() > 0
    return fits and (moment is None or (moment.dtype == weight.dtype and moment.is_contiguous()))


def _run_kernel(held: _Held, metric: Metric) -> None:
    kernels = _kernels()
    weight, scale = _flat(held.weight), metric.scale
    if metric.moment is None:
        if held.l2 > 0:
            kernels.shrink(weight, held.l1 * scale, held.l2 * scale)
        else:
            kernels.soft_threshold(weight, held.l1 * scale)
        return
    moment, correction, epsilon = _flat(metric.moment), metric.correction, metric.epsilon
    if held.l2 > 0:
        kernels.shrink_metric(weight, moment, held.l1 * scale, held.l2 * scale, correction, epsilon)
    else:
        kernels.soft_threshold_metric(weight, moment, held.l1 * scale, correction, epsilon)


def _flat(tensor: Tensor) -> Any:
    """A contiguous tensor's memory as a one-dimensional array."""
    return tensor.detach().numpy().reshape(-1)


@functools.cache
def _kernels() -> ModuleType:
    # numba takes half a second to import; who never penalizes a weight on the CPU does not pay for it.
    from weightsmith.kernels import proximal

    return proximal


def _hold(parameter: Parameter, penalties: tuple[Penalty, ...]) -> _Held:
    """Check that penalties fit a weight, and add up those that act on each element by itself."""
    name, tensor = parameter.name, parameter.tensor
    if not tensor.is_floating_point():
        raise InputError(f"penalties act on real floating-point weights: '{name}' is {tensor.dtype}")
    others: list[Proximable] = []
    l1 = l2 = 0.0
    for penalty in penalties:
        if not isinstance(penalty, Proximable):
            raise InputError(f"{penalty} has no proximal step: add penalty.value(weight) of '{name}' to the loss")
        check_dimensions(tensor, penalty.dimensions, f"{penalty} on '{name}'")
        if isinstance(penalty, L1 | L2 | ElasticNet):
            l1, l2 = l1 + penalty.strengths[0], l2 + penalty.strengths[1]
        else:
            others.append(penalty)
    return _Held(tensor, l1, l2, tuple(others))


def _known_to(optimizer: Optimizer) -> list[Parameter]:
    """The parameters of an optimizer by the names that it was given, or else by group and position."""
    groups = enumerate(optimizer.param_groups)
    return [each for index, group in groups for each in _named_in_group(group, index)]


def _named_in_group(group: dict[str, Any], index: int) -> list[Parameter]:
    tensors: list[Tensor] = group["params"]
    names = group.get("param_names")
    if names is not None:
        pairs = zip(names, tensors, strict=True)
        return [Parameter(name, tensor, infer_role(name, tuple(tensor.shape))) for name, tensor in pairs]
    return [
        Parameter(f"{index}.{place}", tensor, "linear" if tensor.ndim >= 2 else "other")
        for place, tensor in enumerate(tensors)
    ]
