"""Decides which steps are measured and sketched, and sees that they are."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer

from weightsmith.recording.activations import Activations
from weightsmith.recording.budget import Budget, Spacing, Stopwatch
from weightsmith.recording.discrete import latent_of
from weightsmith.recording.hooks import OptimizerHooks, Taken, WeightSampler
from weightsmith.recording.measure import locate_non_finite, sketch_of, take_sketch
from weightsmith.recording.report import Reporter
from weightsmith.recording.watched import Watched, following

_HEAD_START_INTERVAL = 0.01
"""Seconds of training between measured steps while these are paid from the head start, which would be gone at once."""

_POLL = 0.25
"""Seconds of training after which the plan is looked at again in any case."""


class Observer:
    """Measures single steps of a training as the budget allows.

    Args:
        models: modules by name prefix whose activations are watched; none for compiled models.
        optimizers: whose steps are measured; none to compare weights between steps of the loop.
        watched: the weights.
        stopwatch: tells the training time, and is told what time is spent on.
        budget: says what can be afforded.
        reporter: gets what is measured.
        guard: entered around work outside the recorder's own calls, with the activity to charge.
        call: called when a step has been measured, for `collect` to be called at the end of it.

    Attributes:
        ready: whether something is waiting to be collected.
        measured: steps measured.
        sketched: steps sketched.
    """

    def __init__(
        self,
        models: dict[str, nn.Module],
        optimizers: Sequence[Optimizer],
        watched: Sequence[Watched],
        stopwatch: Stopwatch,
        budget: Budget,
        reporter: Reporter,
        guard: Callable[[str], AbstractContextManager[Any]],
        call: Callable[[], None],
    ) -> None:
        self.ready = False
        self._call = call
        self.measured = 0
        self.sketched = 0
        self._watched = watched
        self._stopwatch = stopwatch
        self._budget = budget
        self._reporter = reporter
        self._by_name = {one.name: one for one in watched}
        self._hooks = [OptimizerHooks(one, guard, self._set_ready) for one in optimizers]
        self._sources: list[OptimizerHooks] | list[WeightSampler] = self._hooks or [
            WeightSampler(watched, self._set_ready)
        ]
        watchers = (
            Activations(model, following(watched, prefix), prefix, partial(guard, "activations"))
            for prefix, model in models.items()
        )
        self._activations = [one for one in watchers if one]
        self._activations_armed = False
        self._counts: list[int] = []
        self._sketching = False
        # Evenly in log time (each a tenth later than the one before) and every two seconds of training, until that is
        # less than a 250th part of the time so far: a day of training keeps below two thousand.
        self._spacing = Spacing(growth=1.1, seconds=2.0, share=1 / 250)
        self._last_measured = self._last_sketched = -1
        self._measured_at = 0.0
        self._spent_before: dict[str, float] = {}

    def rehearse(self) -> None:
        """Do everything once for nothing: compiles kernels, touches memory, and shows what things cost."""
        self._share_out()
        for _ in range(2):  # the first time is slower than any other
            measuring = self._stopwatch.timed("setup", self._rehearse_measurement)
            sketching = self._stopwatch.timed("setup", self._rehearse_sketches)
        self._budget.expect("scalars", measuring)
        self._budget.expect("sketches", 2 * sketching)  # weights and gradients
        self._budget.reserve("sketches", sketching)  # for the last weights

    def _rehearse_measurement(self) -> None:
        for source in self._sources:
            source.rehearse()

    def _rehearse_sketches(self) -> None:
        for one in self._watched:
            sketch_of(take_sketch(one.value()))
            latent = latent_of(one)
            if latent is not None:
                sketch_of(take_sketch(latent))

    def sketch_weights(self, step: int, everything: bool) -> None:
        """Sketch the trainable weights, or everything with its norm and zeros: at the start and at the end."""
        sketched, measured = self._last_sketched == step, self._last_measured == step
        with self._stopwatch.charging("sketches"):
            for one in self._watched:
                trainable = one.trainable()
                if not (trainable and sketched) and (trainable or everything):
                    state = everything and not (trainable and measured)
                    self._reporter.sketch(step, one, "weight", [take_sketch(one.value())], state)
                    latent = latent_of(one)
                    if latent is not None:
                        self._reporter.sketch(step, one, "latent", [take_sketch(latent)])
        self.sketched += not sketched
        self._last_sketched = step
        self._spacing.done(step, self._stopwatch.seconds["training"])

    def collect(self, step: int) -> None:
        """Take in what was measured on the way to `step`."""
        self.ready = False
        collected = [source.collect() for source in self._sources]
        taken = [found for found in collected if found is not None]
        if not taken:
            return
        with self._stopwatch.charging("scalars"):
            for number, found in enumerate(collected, 1):
                if found is not None and found.learning_rate is not None:
                    name = "learning_rate" if number == 1 else f"learning_rate_{number}"
                    self._reporter.value(name, step, found.learning_rate)
            self._reporter.weight_steps(step, [one for found in taken for one in found.steps])
        self.measured += 1
        self._last_measured = step
        self._observe_cost("scalars")
        if self._activations_armed:
            self._collect_activations(step)
        # An optimizer that steps rarely may come with sketches that were asked for long before.
        if self._sketching or any(found.gradients for found in taken):
            self._collect_sketches(step, taken)

    def plan(self, step: int) -> float:
        """Arrange for the next step to be measured if that can be afforded.

        Returns:
            Seconds of training until it makes sense to ask again, unless a step is measured before.
        """
        if all(source.armed for source in self._sources):
            return _POLL
        time = self._stopwatch.seconds["training"]
        sketching = self._spacing.wants(step + 1, time) and self._budget.affords("sketches")
        # The first step tells most about how a training begins, and what measuring costs.
        first = not self.measured and self._budget.share > 0
        early = self._budget.in_debt and time - self._measured_at < _HEAD_START_INTERVAL
        if not (first or sketching or (self._budget.affords("scalars") and not early)):
            return min(max(self._budget.wait("scalars"), _HEAD_START_INTERVAL if early else 0.0), _POLL)
        self._measured_at = time
        self._sketching = sketching
        self._spent_before = dict(self._stopwatch.seconds)
        if self._activations and not self._activations_armed and self._budget.affords("activations"):
            with self._stopwatch.charging("activations"):
                for activations in self._activations:
                    activations.arm()
            self._activations_armed = True
        with self._stopwatch.charging("scalars"):
            self._share_out()
            for source in self._sources:
                source.arm(sketching)  # one that is armed already learns whether sketches are due
        return _POLL

    def find_non_finite(self, step: int) -> None:
        """After a loss that is not finite: which weights are not, and where."""
        self._reporter.alarmed = False
        with self._stopwatch.charging("scalars"):
            for one in self._watched:
                index = locate_non_finite(one.value())
                if index is not None:
                    count = int((~one.value().isfinite()).sum())
                    self._reporter.non_finite(step, "weight", one, index, count)

    def halt(self) -> None:
        """Measure nothing any more; may be called from within a hook."""
        for source in (*self._sources, *self._activations):
            source.halt()

    def release(self) -> None:
        """Take all hooks away."""
        for source in (*self._sources, *self._activations):
            source.disarm()

    def _share_out(self) -> None:
        """Give each optimizer its weights (one of several to the first), again whenever it has got new ones."""
        counts = [hooks.count() for hooks in self._hooks]
        if counts == self._counts:
            return
        self._counts = counts
        owner = {id(parameter): hooks for hooks in reversed(self._hooks) for parameter in hooks.parameters()}
        shares: dict[int, list[Watched]] = {id(hooks): [] for hooks in self._hooks}
        for one in self._watched:
            owners = [owner[id(original)] for original in one.originals() if id(original) in owner]
            if owners:
                shares[id(owners[0])].append(one)
        for hooks in self._hooks:
            hooks.watch(shares[id(hooks)])

    def _set_ready(self) -> None:
        self.ready = True
        self._call()

    def _collect_activations(self, step: int) -> None:
        with self._stopwatch.charging("activations"):
            for activations in self._activations:
                activations.disarm()
                for name, weight, value in activations.series():
                    self._reporter.value(name, step, value, weight)
        self._activations_armed = False
        self._observe_cost("activations")

    def _collect_sketches(self, step: int, taken: Sequence[Taken]) -> None:
        self.sketch_weights(step, everything=False)
        with self._stopwatch.charging("sketches"):
            for found in taken:
                for name, parts in found.gradients.items():
                    self._reporter.sketch(step, self._by_name[name], "gradient", parts)
        self._sketching = False
        self._observe_cost("sketches")

    def _observe_cost(self, activity: str) -> None:
        self._budget.observe(activity, self._stopwatch.seconds[activity] - self._spent_before[activity])
