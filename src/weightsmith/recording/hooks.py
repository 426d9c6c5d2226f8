"""Where the recorder meets an optimizer: hooks around its next step, placed only when that step is to be measured.

Measuring at the optimizer's step, and not at the loop's or at backward passes, is what makes gradient accumulation,
clipping, several optimizers, `zero_grad` right after the step and skipped steps of a loss scaler come out right.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from weightsmith.errors import InputError
from weightsmith.recording.device import Copy, capturing
from weightsmith.recording.measure import StepMeasurement, WeightStep, take_gradient_sketches
from weightsmith.recording.watched import Watched
from weightsmith.sketch import Sketch

Guard = Callable[[str], AbstractContextManager[Any]]

Optimizers = Optimizer | Iterable[Optimizer]


def plain_optimizers(optimizer: Optimizers | None) -> list[Optimizer]:
    """The optimizers that take the steps, beneath Fabric's and other wrappers.

    Raises:
        InputError: something among them is not an optimizer.
    """
    if optimizer is None:
        return []
    if hasattr(optimizer, "param_groups") or not isinstance(optimizer, Iterable):
        return [_plain(optimizer)]
    return [_plain(one) for one in optimizer]


def _plain(optimizer: Any) -> Optimizer:
    # A wrapper may look like an optimizer to isinstance, but has no hooks of its own.
    while "_optimizer_step_pre_hooks" not in getattr(optimizer, "__dict__", {}):
        inner = getattr(optimizer, "optimizer", None)
        if inner is None:
            raise InputError(f"the optimizer is a {type(optimizer).__name__}: give a torch.optim.Optimizer or a list")
        optimizer = inner
    assert isinstance(optimizer, Optimizer)
    return optimizer


@dataclass(frozen=True)
class Taken:
    """What was measured around one step.

    Attributes:
        steps: the weights' changes and gradients.
        gradients: by weight, sketches of its gradients to be merged, where they were asked for.
        learning_rate: of the optimizer's first group, as the step used it.
    """

    steps: list[WeightStep]
    gradients: dict[str, list[Sketch | Copy]] = field(default_factory=dict)
    learning_rate: float | Tensor | None = None


class OptimizerHooks:
    """Measures single steps of one optimizer.

    Args:
        optimizer: takes the steps.
        guard: entered around all work, with the activity to charge; keeps errors from the training.
        ready: called when a step has been measured.
    """

    def __init__(self, optimizer: Optimizer, guard: Guard, ready: Callable[[], None]) -> None:
        self._optimizer = optimizer
        self._guard = guard
        self._ready = ready
        self._measurement = StepMeasurement([])
        self._handles: list[RemovableHandle] = []
        self._sketching = False
        self._done = False
        self._begun = False
        self._taken: Taken | None = None
        self._gradients: dict[str, list[Sketch | Copy]] = {}
        self._learning_rate: float | Tensor | None = None

    @property
    def armed(self) -> bool:
        """Whether the next step will be measured."""
        return bool(self._handles)

    def parameters(self) -> Iterator[Tensor]:
        """What the optimizer moves."""
        return (parameter for group in self._optimizer.param_groups for parameter in group["params"])

    def count(self) -> int:
        """How many tensors that are."""
        return sum(len(group["params"]) for group in self._optimizer.param_groups)

    def watch(self, watched: Sequence[Watched]) -> None:
        """Measure these weights from the next step on."""
        known = self._measurement
        self._measurement = StepMeasurement(watched, known.signs, known.masks)

    def rehearse(self) -> None:
        """Measure nothing once, so that the first measured step finds its memory and compiled code ready."""
        _rehearse(self._measurement)

    def arm(self, sketching: bool) -> None:
        """Measure the optimizer's next step, with sketches of its gradients if asked before it comes."""
        self._sketching = self._sketching or sketching
        self._handles = self._handles or [
            self._optimizer.register_step_pre_hook(self._before),
            self._optimizer.register_step_post_hook(self._after),
        ]

    def collect(self) -> Taken | None:
        """What was measured since `arm`, once; None while the step has not come."""
        taken = self._taken
        if taken is not None:
            self.disarm()
        return taken

    def halt(self) -> None:
        """Measure nothing any more. Unlike `disarm`, it may be called while the optimizer goes through its hooks."""
        self._done = True

    def disarm(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._done = self._begun = self._sketching = False
        self._taken, self._gradients = None, {}

    def _before(self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._done or capturing():
            return
        found_inf = getattr(self._optimizer, "found_inf", None)
        if isinstance(found_inf, Tensor) and bool(found_inf):
            # A fused optimizer is called by the loss scaler even for a step that will not happen. On a GPU this waits
            # for the backward pass, which is the training's own time.
            return
        with self._guard("scalars"):
            rate = self._optimizer.param_groups[0].get("lr")
            self._learning_rate = rate.clone() if isinstance(rate, Tensor) else rate
            self._measurement.before()
            self._begun = True
        if self._begun and not _has_closure(args, kwargs):
            self._measure_gradients(getattr(self._optimizer, "grad_scale", None))

    def _after(self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._done or not self._begun:
            return
        if _has_closure(args, kwargs):
            self._measure_gradients(None)
        with self._guard("scalars"):
            self._taken = Taken(self._measurement.after(), self._gradients, self._learning_rate)
            self._done = True
            self._ready()

    def _measure_gradients(self, scale: Tensor | None) -> None:
        with self._guard("scalars"):
            self._measurement.gradients(scale)
        if self._sketching:
            with self._guard("sketches"):
                self._gradients = {one.name: take_gradient_sketches(one, scale) for one in self._measurement.watched}


class WeightSampler:
    """Stands in for `OptimizerHooks` where the recorder knows no optimizer: compares weights between two of its steps.

    Gradients are left out: by then they may have been cleared, and zeros would look like a vanished gradient.

    Args:
        watched: the weights to compare.
        ready: called when there is something to collect at the next step.
    """

    def __init__(self, watched: Sequence[Watched], ready: Callable[[], None]) -> None:
        self.armed = False
        self._ready = ready
        self._measurement = StepMeasurement(watched)

    def rehearse(self) -> None:
        """As `OptimizerHooks.rehearse`."""
        _rehearse(self._measurement)

    def arm(self, sketching: bool) -> None:
        """Compare the weights of now with those at the next `collect`."""
        self._measurement.before()
        self.armed = True
        self._ready()

    def collect(self) -> Taken | None:
        """What happened since `arm`."""
        if not self.armed:
            return None
        self.armed = False
        return Taken(self._measurement.after())

    def halt(self) -> None:
        """Measure nothing any more."""
        self.armed = False

    disarm = halt


def _rehearse(measurement: StepMeasurement) -> None:
    measurement.before()
    measurement.gradients()
    measurement.after()


def _has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the gradients are computed during the step."""
    # Torch passes the optimizer itself along as the first argument.
    return kwargs.get("closure") is not None or any(callable(one) for one in args[1:])
