"""How far each optimizer moves an element per unit of gradient: its diagonal metric.

If an optimizer moves an element by `-step * g` once its averages have settled on a constant gradient g, then following
it by the proximal step with that same `step` leaves `w` where it is exactly when `g + penalty'(w)` contains 0. So the
fixed points are the optima of the penalized problem, for any positive steps, however different between elements (the
proximal step in a diagonal metric: Becker & Fadili 2012, "A quasi-Newton proximal splitting method"; for Adam, Yun et
al. 2021, "Adaptive proximal gradient methods"). The steps are:

- Adam, AdamW: `lr / (sqrt(v) / sqrt(1 - beta2^t) + eps)`, with the largest v so far under amsgrad.
- RMSprop: `lr / (sqrt(v) + eps)`, with the variance in place of v when centered. Adagrad: `lr / (1 + (t - 1) lr_decay)
  / (sqrt(sum) + eps)`.
- Gradient descent: `lr`.
- Heavy-ball momentum keeps `b <- mu b + (1 - dampening) g` and moves by `lr b`; on a constant gradient b becomes
  `(1 - dampening) / (1 - mu)` gradients, ten of them for mu = 0.9, and the step is `lr` times that *mass*. A threshold
  of `lr * l1` would have its fixed point at a tenth of the penalty. Before the average has settled the mass is that of
  the gradients it holds so far, which obeys the same recursion with `g = 1`; then an L1 penalty moves a weight that
  keeps its sign just as if `l1 * sign(w)` had been part of its gradient from the first step. Nesterov's momentum moves
  by `lr (g + mu b)`, of mass `1 + mu mass(b)`; both tend to `1 / (1 - mu)`.
- Muon replaces its momentum by the nearest orthogonal matrix, which is no diagonal metric: the step is `lr`. That gives
  exact zeros, but the fixed point is not the optimum of the penalized problem.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.optim.bop import BopWithAdam
from weightsmith.optim.joint import ALGORITHM
from weightsmith.optim.muon import MuonWithAdamW
from weightsmith.penalties.penalty import Step

MASS = "momentum_mass"
"""Key of a parameter's state: how many gradients its momentum buffer holds."""

_BUFFER = "momentum_buffer"

Group: TypeAlias = Mapping[str, Any]
State: TypeAlias = MutableMapping[str, Any]


class Metric(NamedTuple):
    """The step of each element: `scale / (sqrt(moment) / correction + epsilon)`, or `scale` where moment is None."""

    scale: float
    moment: Tensor | None = None
    correction: float | Tensor = 1.0
    epsilon: float = 0.0

    def step(self) -> Step:
        """One number, or a tensor of the weight's shape (float32 at least)."""
        if self.moment is None:
            return self.scale
        moment = self.moment.float() if self.moment.dtype.itemsize < 4 else self.moment
        return self.scale / moment.sqrt().div_(self.correction).add_(self.epsilon)


MetricOf: TypeAlias = Callable[[Group, State], Metric]
"""The metric of one parameter's latest step, from its group and its state after that step."""


def metric_of(optimizer: torch.optim.Optimizer) -> MetricOf:
    """The function that gives the metric of an optimizer's parameters.

    Raises:
        InputError: where the optimizer's metric is not known.
    """
    for kind in type(optimizer).__mro__:
        if kind in _METRICS:
            return _METRICS[kind]
    raise InputError(
        f"no proximal step is known for {type(optimizer).__name__}: wrap one of "
        + ", ".join(sorted(kind.__name__ for kind in _METRICS))
    )


def settle_mass(optimizer: torch.optim.Optimizer, group: Group, state: State) -> None:
    """Give a momentum buffer from before the penalty, or from a checkpoint without it, the mass it tends to."""
    sums_gradients = isinstance(optimizer, torch.optim.SGD | torch.optim.RMSprop)
    if sums_gradients and state.get(_BUFFER) is not None and MASS not in state:
        state[MASS] = (1 - group.get("dampening", 0)) / (1 - group["momentum"])


def _mass(group: Group, state: State, dampening: float) -> float:
    held: float | None = state.get(MASS)
    # PyTorch puts the first gradient into the buffer without dampening.
    state[MASS] = mass = 1.0 if held is None else group["momentum"] * held + 1 - dampening
    return mass


def _sgd(group: Group, state: State) -> Metric:
    lr = float(group["lr"])
    if group["momentum"] == 0:
        return Metric(lr)
    mass = _mass(group, state, group["dampening"])
    return Metric(lr * (1 + group["momentum"] * mass) if group["nesterov"] else lr * mass)


def _adam(group: Group, state: State) -> Metric:
    moment = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
    correction = (1 - group["betas"][1] ** _count(state)) ** 0.5
    return Metric(float(group["lr"]), moment, correction, group["eps"])


def _rmsprop(group: Group, state: State) -> Metric:
    moment = state["square_avg"]
    if group["centered"]:
        moment = moment.addcmul(state["grad_avg"], state["grad_avg"], value=-1).clamp_min_(0)
    scale = float(group["lr"]) * (_mass(group, state, 0.0) if group["momentum"] > 0 else 1.0)
    return Metric(scale, moment, epsilon=group["eps"])


def _adagrad(group: Group, state: State) -> Metric:
    decay = group["lr_decay"]
    scale = float(group["lr"]) / (1 + (float(state["step"]) - 1) * decay) if decay else float(group["lr"])
    return Metric(scale, state["sum"], epsilon=group["eps"])


def _muon(group: Group, state: State) -> Metric:
    return Metric(float(group["lr"]))


def _muon_with_adamw(group: Group, state: State) -> Metric:
    return _muon(group, state) if group[ALGORITHM] == "muon" else _adam(group, state)


def _count(state: State) -> float | Tensor:
    """Number of steps taken; left on its device where reading it would mean waiting for an accelerator.

    In float64, as Python counts: 1 minus a power of 0.999 loses four digits of seven in float32.
    """
    count: Tensor = state["step"]
    return count.double() if count.device.type != "cpu" else count.item()


_METRICS: dict[type[torch.optim.Optimizer], MetricOf] = {
    torch.optim.SGD: _sgd,
    torch.optim.Adam: _adam,
    torch.optim.RMSprop: _rmsprop,
    torch.optim.Adagrad: _adagrad,
    torch.optim.Muon: _muon,
    MuonWithAdamW: _muon_with_adamw,
    # what Bop moves has no size to shrink and is never held back
    BopWithAdam: _adam,
}
