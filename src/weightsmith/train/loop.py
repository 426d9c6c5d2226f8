"""The one loop: steps, epochs, validation, checkpoints. What it turns is put together in `assembly.py`."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from weightsmith.analysis.monitor import Diagnosis, non_finite
from weightsmith.errors import StoreError
from weightsmith.store import Run
from weightsmith.train import checkpoint
from weightsmith.train.assembly import Assembly
from weightsmith.train.batches import bounds, order, part
from weightsmith.train.budget import Best, Position, progress_share, spent
from weightsmith.train.evaluate import Measured, Scores
from weightsmith.train.faults import all_finite, first_fault
from weightsmith.train.interrupt import Interrupt
from weightsmith.train.journal import Journal
from weightsmith.train.meter import Meter
from weightsmith.train.monitor import Monitor
from weightsmith.train.objective import baseline_loss, spread
from weightsmith.train.progress import REFRESH, Display

Ending = Literal["budget", "early_stopping", "interrupted", "non_finite"]

READ_EVERY = 20
"""Steps between two looks at the losses on a GPU, where each look waits for it; on a CPU every step is looked at."""


class Signals(NamedTuple):
    """What all processes have agreed to do after the step at hand."""

    interrupted: bool = False
    time_is_up: bool = False
    save: bool = False


@dataclass(frozen=True, eq=False)
class Epoch:
    """What `on_epoch` is told after each epoch.

    Attributes:
        epoch: complete epochs.
        step: updates of the weights.
        values: by the names of their series: `train_loss`, `val_loss`, `val_accuracy`, ...
        diagnosis: what the monitor says.
        read: returns the run as it stands in the store; None where nothing is recorded.
    """

    epoch: int
    step: int
    values: dict[str, float]
    diagnosis: Diagnosis | None
    read: Callable[[], Run | None]


class NonFiniteLossError(Exception):
    """The loss of a step is NaN or infinite; its update has not been made."""


class Loop:
    """One training at one position, and everything that decides how it goes on.

    Args:
        parts: the model, optimizer, data and so on.
        journal: where records go.
        display: what a person sees.
        interrupt: whether somebody asked to stop.
        on_epoch: called after each epoch, on process 0.
    """

    def __init__(
        self,
        parts: Assembly,
        journal: Journal,
        display: Display,
        interrupt: Interrupt,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> None:
        recipe, data, task = parts.recipe, parts.data, parts.objective.task
        self.parts = parts
        self.position = Position()
        self.best = Best()
        self.best_weights: dict[str, Any] | None = None
        self.validation: Scores | None = None
        self.best_scores: Scores | None = None
        self.monitor = Monitor(baseline_loss(task, data.train.targets))
        self.clock = checkpoint.CheckpointClock()
        self._journal, self._display, self._interrupt = journal, display, interrupt
        self._folder = None if journal.files is None else journal.files / checkpoint.FOLDER
        self._feed = parts.feed(data.train)
        self._batches = bounds(len(data.train), recipe.batch_size, parts.processes.count)
        self._meter = Meter(parts.objective.metric, len(data.train), spread(task, data.train.targets))
        held_out = parts.feed(data.validation)
        self._validation = Measured(held_out, parts.objective, parts.processes, recipe.batch_size)
        self._validates = len(held_out) > 0
        self._read_every = READ_EVERY if parts.fabric.device.type == "cuda" else 1
        self._loss = float("nan")
        self._inputs = torch.empty(0)
        self._on_epoch = on_epoch
        self._started = self._shown = self._epoch_began = time.perf_counter()
        self._steps_before = 0
        self._saved: int | None = None

    def run(self) -> Ending:
        """Train until the budget is spent, early stopping, an interrupt, or a loss that is not finite."""
        budget = self.parts.recipe.budget
        self._started = time.perf_counter() - self.position.seconds
        try:
            while not spent(budget, self._now()):
                if self.best.exhausted(budget.early_stopping):
                    return "early_stopping"
                if self._epoch():
                    self._save()
                    return "interrupted"
        except NonFiniteLossError:
            return "non_finite"
        return "budget"

    def _now(self) -> Position:
        """The position with its seconds; those of process 0, so that all processes agree."""
        (seconds,) = self.parts.processes.lead([time.perf_counter() - self._started])
        self.position.seconds = seconds
        return self.position

    def _epoch(self) -> bool:
        """What is left of the epoch at hand, and its measurements; whether it was interrupted."""
        position, steps = self.position, self.parts.recipe.budget.steps
        rows = torch.from_numpy(order(len(self._feed), self.parts.recipe.seed, position.epoch)).to(self._feed.home)
        processes = self.parts.processes
        self._epoch_began, self._steps_before = time.perf_counter(), position.step
        self.parts.module.train()
        for start, end in self._batches[position.batch :]:
            first, last = part(start, end, processes.rank, processes.count)
            signals = self._step(rows[first:last], end - start)
            ended = position.batch == len(self._batches)
            if signals.interrupted and not ended:
                return True
            if signals.time_is_up or position.step == steps:
                break
            if signals.save and not ended:
                self._save()
        if position.batch == len(self._batches):
            position.epoch, position.batch = position.epoch + 1, 0
        self._end_epoch()
        return self._agreed_to_stop()

    def _step(self, rows: Tensor, size: int) -> Signals:
        """One update on this process's rows of a batch of `size` rows; what to do after it."""
        parts = self.parts
        inputs, targets = self._feed.batch(rows)
        self._inputs = inputs
        outputs = parts.model(inputs)
        loss = parts.objective.loss(outputs, targets) / size
        self._meter.add(loss.detach(), parts.objective.score(outputs.detach(), targets), size)
        reads = (self.position.step + 1) % self._read_every == 0
        signals = self._agree() if reads else Signals()
        parts.update(loss, self._share(self.position.step + 1))
        self.position.step += 1
        self.position.batch += 1
        self._journal.step(self._loss if self._read_every == 1 else loss.detach() * parts.processes.count)
        now = time.perf_counter()
        if now - self._shown >= REFRESH:
            self._shown = now
            self._display.step(self._share(self.position.step), self._loss, self.position.step)
        return signals

    def _share(self, step: int) -> float:
        """Share of the budget used up at a step."""
        return progress_share(self.parts.recipe.budget, step, self.position.seconds, len(self._batches))

    def _agree(self) -> Signals:
        """Read the losses since the last time, and agree with the other processes on how to go on.

        Raises:
            NonFiniteLossError: on every process, where a loss is not finite on any.
        """
        processes, seconds = self.parts.processes, self.parts.recipe.budget.seconds
        late = processes.leads and seconds is not None and time.perf_counter() - self._started >= seconds
        save = processes.leads and self._folder is not None and self.clock.due(epoch_ended=False)
        spent_seconds = (time.perf_counter() - self._started) * processes.leads
        wanted = [spent_seconds, float(self._interrupt.requested is not None), float(late), float(save)]
        losses, (self.position.seconds, *agreed) = self._meter.read(processes, wanted)
        self._loss = losses[-1] if losses else self._loss
        if not all(map(isfinite, losses)):
            quantity, place = first_fault(self.parts.module, self._inputs) or ("", "")
            self._tell(non_finite(self.position.step, place, quantity))
            raise NonFiniteLossError
        return Signals(*(value > 0 for value in agreed))

    def _agreed_to_stop(self) -> bool:
        """Whether any process was asked to stop by the end of an epoch that is not the last."""
        (asked,) = self.parts.processes.sum([float(self._interrupt.requested is not None)])
        return asked > 0 and not spent(self.parts.recipe.budget, self._now())

    def _end_epoch(self) -> None:
        """Validate, log, judge, keep the best weights, and write a checkpoint where one is due."""
        parts, processes, metric = self.parts, self.parts.processes, self.parts.objective.metric
        self._agree()
        seconds = time.perf_counter() - self._epoch_began
        processes.share_buffers(parts.module)
        train = self._meter.scores(processes)
        self._meter.reset()
        scores = self._validation.scores(parts.module, parts.fabric.autocast()) if self._validates else train
        self.validation = scores
        values = {"epoch": float(self.position.epoch), "train_loss": train.loss, "val_loss": scores.loss}
        values |= {f"train_{metric}": train.metric, f"val_{metric}": scores.metric}
        values["steps_per_second"] = (self.position.step - self._steps_before) / max(seconds, 1e-9)
        values["recorder_share"] = self._journal.share
        self._journal.log(values)
        values["learning_rate"] = parts.learning_rate()  # the recorder has its own series of it
        self._display.epoch(self.position.epoch, values)
        self._display.step(self._share(self.position.step), self._loss, self.position.step)
        parts.observe(scores.loss, scores.metric)
        self._judge(train.loss, scores.loss)
        settled = parts.kinds is None or parts.kinds.settled
        if self.best.update(scores.loss, self.position.step, settled):
            self.best_scores = scores
            self.best_weights = checkpoint.copy_weights(parts.module.state_dict())
        if self._on_epoch is not None and processes.leads:
            self._on_epoch(
                Epoch(self.position.epoch, self.position.step, values, self.monitor.current, self._journal.read)
            )
        (due,) = processes.sum([float(self._folder is not None and self.clock.due(epoch_ended=True))])
        if due:
            self._save()

    def _judge(self, train: float, validation: float) -> None:
        """Let the monitor see the epoch.

        Raises:
            NonFiniteLossError: the validation loss is not finite.
        """
        changed = self.monitor.update(self.position.step, train, validation)
        if changed:
            self._tell(changed)
        if not (isfinite(train) and isfinite(validation)):
            raise NonFiniteLossError

    def finish(self) -> Diagnosis | None:
        """Let the monitor judge the training as a whole, after its end.

        A model with running statistics is saved where the last checkpoint is of an earlier step: snapshots hold weights
        alone, and whoever builds the model again needs both.
        """
        running = any(isinstance(module, _NormBase) for module in self.parts.module.modules())
        if running and self._saved != self.position.step:
            self._save()
        changed = self.monitor.finish()
        if changed:
            self._tell(changed)
        return self.monitor.current

    def _tell(self, diagnosis: Diagnosis) -> None:
        self.monitor.current = diagnosis
        self._journal.event("verdict", diagnosis.to_json())
        if diagnosis.verdict != "healthy":
            self._display.say(f"{diagnosis.verdict}: {diagnosis.text}")

    def _save(self) -> None:
        """Write a checkpoint on process 0; every process takes part. Weights that are not finite are never saved."""
        processes = self.parts.processes
        self._saved = self.position.step
        random = processes.gather(checkpoint.random_state())
        meter = self._meter.state_dict(processes)
        if self._folder is None or not processes.leads or not all_finite(self.parts.module):
            return
        started = time.perf_counter()
        self.position.seconds = started - self._started
        self._journal.read()
        state = {
            **self.parts.state_dict(),
            "position": self.position.state_dict(),
            "best": self.best.state_dict(),
            "scores": [scores and [scores.loss, scores.metric] for scores in (self.validation, self.best_scores)],
            "monitor": self.monitor.state_dict(),
            "meter": meter,
            "random": random,
        }
        try:
            checkpoint.save(self._folder, state, self.best_weights, self.best.step)
        except StoreError as error:
            warnings.warn(f"{error}; training goes on", RuntimeWarning, stacklevel=2)
        self.clock.wrote(started)

    def restore(self, state: dict[str, Any], best_weights: dict[str, Any] | None) -> None:
        """Go on from what `checkpoint.load` returned."""
        processes = self.parts.processes
        self.parts.load_state_dict(state)
        self.position = Position(**state["position"])
        self.best = Best(**state["best"])
        self.best_weights = best_weights
        self.validation, self.best_scores = (scores and Scores(*scores) for scores in state["scores"])
        self.monitor = Monitor.from_state(state["monitor"])
        self._meter.load_state_dict(state["meter"], processes)
        if processes.rank < len(state["random"]):
            checkpoint.restore_random_state(state["random"][processes.rank])
