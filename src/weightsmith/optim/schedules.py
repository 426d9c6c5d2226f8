"""How the learning rate changes over training: a factor per step on what each parameter group started with."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from weightsmith.errors import InputError
from weightsmith.names import choose
from weightsmith.optim.options import Option, not_negative, one_of, positive, read_options, share, whole

Factor: TypeAlias = Callable[[int], float]
"""The factor on the learning rate of a step, counted from 0."""


def constant(step: int) -> float:
    """The factor 1."""
    return 1.0


def step_factor(step: int, every: int, gamma: float) -> float:
    """`gamma ^ floor(step / every)`."""
    return float(gamma ** (step // every))


def cosine_factor(step: int, total_steps: int, floor: float) -> float:
    """Half a cosine from 1 to `floor` at `total_steps`, and `floor` after (Loshchilov & Hutter 2017, "SGDR")."""
    progress = min(step / total_steps, 1.0)
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def one_cycle_factor(step: int, total_steps: int, peak_at: float, start: float, end: float) -> float:
    """Half a cosine from `start` up to 1, then one down to `end` (Smith & Topin 2019, "Super-convergence").

    The peak is at `peak_at * total_steps - 1`, the end at `total_steps - 1`: the steps are those of PyTorch's
    `OneCycleLR`.
    """
    peak, last = peak_at * total_steps - 1, total_steps - 1
    if step <= peak:
        low, high, progress = start, 1.0, step / peak if peak > 0 else 1.0
    else:
        low, high, progress = 1.0, end, min((step - peak) / (last - peak), 1.0) if last > peak else 1.0
    return high + (low - high) * (1 + math.cos(math.pi * progress)) / 2


def warm_up_factor(step: int, steps: int) -> float:
    """`(step + 1) / steps` up to 1: no step has a rate of 0 (Goyal et al. 2017, "Accurate, large minibatch")."""
    return min((step + 1) / steps, 1.0) if steps else 1.0


@dataclass
class Plateau:
    """Cuts the factor when a measure has stopped to improve.

    Attributes:
        gamma: what the factor is multiplied by.
        patience: measurements in a row without improvement that are put up with.
        threshold: least relative improvement that counts.
        floor: smallest factor.
        mode: whether `min` or `max` is better.
        factor: the present factor.
        best: best measure so far.
        waited: measurements since then (or since the last cut).
    """

    gamma: float
    patience: int
    threshold: float
    floor: float
    mode: str
    factor: float = 1.0
    best: float | None = None
    waited: int = 0

    def observe(self, measure: float) -> None:
        """Take in one measurement; NaN is never an improvement."""
        if self._improves(measure):
            self.best, self.waited = measure, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.factor, self.waited = max(self.factor * self.gamma, self.floor), 0

    def _improves(self, measure: float) -> bool:
        if self.best is None:
            return measure == measure
        margin = self.threshold * abs(self.best)
        return measure < self.best - margin if self.mode == "min" else measure > self.best + margin


class Schedule(LRScheduler):
    """A learning-rate schedule that steps once per optimizer step.

    Args:
        optimizer: any optimizer; its groups keep their own learning rates, all multiplied by the same factor.
        factor: the factor of each step after the warm-up, counted from its end.
        warm_up: steps over which the factor rises linearly to 1 before.
        plateau: a further factor that `observe` changes.
    """

    def __init__(self, optimizer: Optimizer, factor: Factor, warm_up: int = 0, plateau: Plateau | None = None) -> None:
        self._factor = factor
        self._warm_up = warm_up
        self._plateau = plateau
        super().__init__(optimizer)

    @property
    def factor(self) -> float:
        """The factor on the learning rates at the present step."""
        step = self.last_epoch
        shape = warm_up_factor(step, self._warm_up) if step < self._warm_up else self._factor(step - self._warm_up)
        return shape * (self._plateau.factor if self._plateau else 1.0)

    def get_lr(self) -> list[Any]:
        """The learning rate of each parameter group at the present step."""
        return [rate * self.factor for rate in self.base_lrs]

    def observe(self, measure: float) -> None:
        """Take in a measure of progress, such as the validation loss; only `reduce_on_plateau` reacts to it.

        A cut takes effect with the next `step`.
        """
        if self._plateau:
            self._plateau.observe(measure)

    def state_dict(self) -> dict[str, Any]:
        """The state as plain numbers and lists."""
        return {
            "last_epoch": self.last_epoch,
            "base_lrs": list(self.base_lrs),
            "step_count": self._step_count,
            "last_lr": list(self._last_lr),
            "plateau": asdict(self._plateau) if self._plateau else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, and set the learning rates of that step."""
        self.last_epoch = state_dict["last_epoch"]
        self.base_lrs = list(state_dict["base_lrs"])
        self._step_count = state_dict["step_count"]
        self._last_lr = list(state_dict["last_lr"])
        self._plateau = Plateau(**state_dict["plateau"]) if state_dict["plateau"] else None
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


@dataclass(frozen=True)
class ScheduleInfo:
    """What there is to know about a schedule.

    Attributes:
        name: what recipes call it.
        summary: one line.
        needs_total: whether it must know the number of steps.
        options: its own options.
        make: total steps after the warm-up and options to the factor.
        warm_up: warm-up where none is given, as a share of all steps.
    """

    name: str
    summary: str
    make: Callable[[int, Mapping[str, Any]], Factor]
    needs_total: bool = True
    options: Mapping[str, Option] = field(default_factory=dict)
    warm_up: float = 0.0


def _step(total_steps: int, options: Mapping[str, Any]) -> Factor:
    every = options["every"] or max(total_steps // 3, 1)
    return lambda step: step_factor(step, every, options["gamma"])


def _cosine(total_steps: int, options: Mapping[str, Any]) -> Factor:
    return lambda step: cosine_factor(step, total_steps, options["floor"])


def _one_cycle(total_steps: int, options: Mapping[str, Any]) -> Factor:
    return lambda step: one_cycle_factor(step, total_steps, **options)


def _constant(total_steps: int, options: Mapping[str, Any]) -> Factor:
    return constant


_INFOS = (
    ScheduleInfo("constant", "the same rate throughout", _constant, needs_total=False),
    ScheduleInfo(
        "step",
        "multiplied by gamma every so many steps (a third of all, if not said)",
        _step,
        options={"every": whole(None, 1), "gamma": positive(0.1)},
    ),
    ScheduleInfo("cosine", "half a cosine down to a floor", _cosine, options={"floor": share(0.0)}),
    ScheduleInfo(
        "one_cycle",
        "up to the full rate, then down to almost nothing",
        _one_cycle,
        options={"peak_at": share(0.3), "start": positive(1 / 25), "end": not_negative(1 / 25e4)},
    ),
    ScheduleInfo("warm_up", "a linear rise, then the same rate", _constant, needs_total=False, warm_up=0.05),
    ScheduleInfo(
        "reduce_on_plateau",
        "cut when a measure, given to observe, has stopped to improve",
        _constant,
        needs_total=False,
        options={
            "gamma": share(0.1),
            "patience": whole(10, 0),
            "threshold": not_negative(1e-4),
            "floor": share(0.0),
            "mode": one_of("min", "min", "max"),
        },
    ),
)

SCHEDULES: dict[str, ScheduleInfo] = {info.name: info for info in _INFOS}


def build_schedule(
    optimizer: Optimizer, name: str, total_steps: int | None = None, *, warm_up: float | None = None, **options: Any
) -> Schedule:
    """Build a schedule by name; call its `step` once after every step of the optimizer.

    Args:
        optimizer: its present learning rates are the full ones.
        name: one of `SCHEDULES`.
        total_steps: number of steps of the training, warm-up included; None where it is not known, which `constant`,
            `step` with `every`, `warm_up` in steps and `reduce_on_plateau` can do without.
        warm_up: how long the rate first rises linearly: steps (1 and above), or a share of all steps (below 1); None:
            the schedule's own default, which is 0 except for `warm_up`.
        **options: the schedule's own options, see `SCHEDULES[name].options`.

    Raises:
        InputError: naming the argument, the value given and the values allowed.
    """
    info = SCHEDULES[choose(name, SCHEDULES, "schedule")]
    chosen = read_options(f"schedule '{info.name}'", info.options, options)
    limits = {"warm_up": not_negative(info.warm_up), "total_steps": whole(None, 1)}
    given = {"warm_up": warm_up, "total_steps": total_steps}
    common = read_options("build_schedule", limits, {key: value for key, value in given.items() if value is not None})
    needs_total = info.needs_total and not chosen.get("every")
    if total_steps is None and (needs_total or 0 < common["warm_up"] < 1):
        raise InputError(f"schedule '{info.name}' must know total_steps; give it, or warm_up as a number of steps")
    rising = _warm_up_steps(common["warm_up"], total_steps)
    plateau = Plateau(**chosen) if info.name == "reduce_on_plateau" else None
    return Schedule(optimizer, info.make(max((total_steps or 1) - rising, 1), chosen), rising, plateau)


def _warm_up_steps(given: float, total_steps: int | None) -> int:
    steps = round(given * total_steps) if given < 1 and total_steps else math.floor(given)
    if total_steps is not None and steps > total_steps:
        raise InputError(f"warm_up must be at most the {total_steps} total_steps, got {given}")
    return steps
