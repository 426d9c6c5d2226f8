"""The recorder itself: between a training loop, the observer of its steps, and the store."""

import json
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from torch.optim import Optimizer

from weightsmith.errors import InputError, WeightsmithError
from weightsmith.recording.budget import Budget, RecorderCost, Stopwatch
from weightsmith.recording.buffer import Buffer
from weightsmith.recording.device import Deferred
from weightsmith.recording.heartbeat import Heartbeat
from weightsmith.recording.observer import Observer
from weightsmith.recording.report import Reporter
from weightsmith.recording.snapshots import SnapshotKeeper
from weightsmith.recording.watched import Watched
from weightsmith.store import Event, Run, RunWriter, Store
from weightsmith.store.writer import Ending

_FLUSH_SECONDS = 1.0
"""Training time between writes, where the budget allows."""

_LONGEST_FLUSH_SECONDS = 60.0
"""Training time after which is written whatever it costs, so that a crash loses no more."""

_MOST_LIGHT_STEPS = 64
"""Steps in a row that do not look at the clock: the pace of a training may change."""

_LOOKING = 0.1
"""Part of the budget that may go into looking whether something can be afforded."""

_MOST_DEFERRED = 10_000
"""Values that wait on an accelerator before they are fetched, whatever the time."""


@dataclass(frozen=True)
class Subject:
    """What a recorder records.

    Attributes:
        models: modules by name prefix, whose activations are watched.
        optimizers: whose steps are measured.
        watched: the weights.
        begin: makes the run in a store.
    """

    models: dict[str, nn.Module]
    optimizers: list[Optimizer]
    watched: list[Watched]
    begin: Callable[[Store], RunWriter]


class Recorder:
    """Records one training; made by `record`, used as a context manager. Its methods may be called from any thread.

    Nothing that goes wrong in recording or writing reaches the training: the recorder stops, warns once, and says why.

    Attributes:
        failure: why recording stopped before the training did, or None.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        budget: float,
        store: Store | str | os.PathLike[str] | None,
        snapshots: bool,
        step: int,
    ) -> None:
        self.failure: str | None = None
        self._subject = subject
        self._location = store
        self._steps = step
        self._lock = threading.RLock()
        self._stopwatch = Stopwatch(perf_counter, "setup")
        self._budget = Budget(budget, self._stopwatch)
        self._buffer = Buffer()
        self._deferred = Deferred(self._stopwatch.add)
        self._device = subject.watched[0].originals()[0].device
        self._reporter = Reporter(self._buffer, self._deferred)
        self._snapshots = SnapshotKeeper(subject.watched, snapshots)
        self._first_step = step
        self._flushed = 0.0
        # Steps before this one bring nothing but their own numbers; 0 makes the next step look after all the rest.
        self._attend_at = 0
        self._attended = step
        self._attended_time = 0.0
        self._light_seconds = 5e-6
        self._look_seconds = 5e-5
        self._bookkept = 0.0
        self._entered = self._open = False

    # -- the user's side ---------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._entered:
            raise InputError("a recorder records one run: call record(...) again for another")
        self._stopwatch.switch("setup")
        self._store = self._location if isinstance(self._location, Store) else Store.open(self._location)
        try:
            self._observer = Observer(
                self._subject.models,
                self._subject.optimizers,
                self._subject.watched,
                self._stopwatch,
                self._budget,
                self._reporter,
                self._guard,
                self._call_attention,
            )
            self._observer.rehearse()
            self._writer = self._subject.begin(self._store)
        except BaseException:
            self._close_store()
            raise
        self._heartbeat = Heartbeat(self._writer)
        self._entered = self._open = True
        with self._guard("bookkeeping"):
            self._record_start()
        self._stopwatch.switch("training")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopwatch.switch("bookkeeping")
            self._observer.release()
            if self.failure is None:
                with self._guard("bookkeeping"):
                    self._record_end()
            self._heartbeat.stop()
            self._open = False
            self._attend_at = 0
            self._finish(kind, error)
            self._stopwatch.switch("training")

    def step(self, loss: object = None, **metrics: object) -> None:
        """Tell the recorder that a training step has ended.

        Args:
            loss: the step's training loss: a number, or a tensor with one element. One on an accelerator is read
                later, without waiting for it.
            metrics: more series of the run, one number each.

        Raises:
            InputError: a value that is not a single number, or a recorder that is not inside its `with` block.
        """
        with self._lock:
            step = self._steps + 1
            if step >= self._attend_at:
                self._attended_step(step, loss, metrics)
            elif isinstance(loss, Tensor) and loss.is_cpu and loss.numel() == 1 and not (metrics or loss.is_complex()):
                # What nearly every step is, spelled out: each further call costs a microsecond and more.
                number = loss.item()
                self._buffer.loss_steps.append(step)
                self._buffer.loss_values.append(number)
                self._steps = step
                if number - number != 0.0:
                    self._reporter.bad_loss(step)
                    self._attend_at = 0
            else:
                self._numbers(step, loss, metrics)
                self._steps = step

    def log(self, **values: object) -> None:
        """Add numbers to series of the run, at the current step.

        Raises:
            InputError: a value that is not a single number, or a recorder that is not inside its `with` block.
        """
        with self._lock, self._stopwatch.charging("bookkeeping"):
            if self._is_recording():
                self._numbers(self._steps, None, values)
                if self._buffer.full:
                    self._attend_at = 0

    def event(self, kind: str, **payload: Any) -> None:
        """Note that something happened at the current step.

        Args:
            kind: what: `verdict`, `checkpoint`, ...
            payload: plain JSON values.

        Raises:
            InputError: a payload that JSON cannot hold, or a recorder that is not inside its `with` block.
        """
        if not isinstance(kind, str):
            raise InputError(f"the kind of an event is a text, not {kind!r}")
        try:
            json.dumps(payload, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"the event '{kind}' cannot be kept as JSON: {error}") from error
        with self._lock, self._stopwatch.charging("bookkeeping"):
            if self._is_recording():
                self._buffer.events.append(Event(self._steps, kind, payload))

    def snapshot(self, label: str = "snapshot") -> None:
        """Keep all weights as they are now, whatever the budget says.

        Raises:
            InputError: a label that cannot be part of a file name, or a recorder that is not inside its `with` block.
        """
        if not isinstance(label, str):
            raise InputError(f"a snapshot cannot be labeled {label!r}: give a text")
        mistake: InputError | None = None
        with self._guard("snapshots"):
            try:
                if self._is_recording():
                    self._snapshot(label)
            except InputError as error:  # the caller's, and so not for the shield
                mistake = error
        if mistake is not None:
            raise mistake

    def set_summary(self, values: Mapping[str, Any]) -> None:
        """Merge keys into the run's summary."""
        if self._is_recording():
            with self._guard("writing"):
                self._writer.set_summary(values)

    @property
    def run_id(self) -> str:
        """The run's id in the store."""
        self._check_entered()
        return self._writer.id

    @property
    def files(self) -> Path:
        """The run's own folder, for checkpoints and the like; may not exist yet."""
        self._check_entered()
        return self._writer.files

    @property
    def steps(self) -> int:
        """The current step: how often `step` was called, on top of the step a resumed run continued from."""
        return self._steps

    @property
    def run(self) -> Run:
        """The run as it can be read now, with everything recorded so far.

        Raises:
            StoreError: the store cannot be read.
        """
        self._check_entered()
        if self._open and self.failure is None:
            with self._guard("bookkeeping"):
                self._await()
                self._flush()
        return self._store.run(self.run_id)

    @property
    def cost(self) -> RecorderCost:
        """What recording has cost so far."""
        self._check_entered()
        with self._lock:
            self._stopwatch.switch(self._stopwatch.switch("bookkeeping"))
            seconds = dict(self._stopwatch.seconds)
            training, setup = seconds.pop("training"), seconds.pop("setup")
            return RecorderCost(
                budget=self._budget.share,
                share=sum(seconds.values()) / training if training else 0.0,
                training=training,
                setup=setup,
                seconds=seconds,
                steps=self._steps - self._first_step,
                measured=self._observer.measured,
                sketched=self._observer.sketched,
                snapshots=self._snapshots.count,
                snapshot_bytes=self._snapshots.bytes,
            )

    # -- the recorder's side -----------------------------------------------------------------------------------------

    @contextmanager
    def _guard(self, activity: str) -> Iterator[None]:
        """The outer shield: work of the recorder's own, charged to an activity; its errors end recording alone."""
        with self._lock:
            previous = self._stopwatch.switch(activity)
            try:
                # Bookkeeping alone gives a device nothing to do that would take longer than to ask for the time.
                with nullcontext() if activity == "bookkeeping" else self._deferred.timing(activity, self._device):
                    yield
            except Exception as error:  # noqa: BLE001 -- whatever it is, it must not end the user's training
                self._stop(error)
            finally:
                self._stopwatch.switch(previous)

    def _check_entered(self) -> None:
        if not self._entered:
            raise InputError("the recorder has no run yet: use it inside `with record(...) as recorder:`")

    def _is_recording(self) -> bool:
        if not self._open:
            raise InputError("the recorder is not recording: use it inside `with record(...) as recorder:`")
        return self.failure is None

    def _stop(self, error: Exception) -> None:
        if self.failure is not None:
            return
        self._observer.halt()
        self._attend_at = 0
        detail = str(error) if isinstance(error, WeightsmithError) else f"{type(error).__name__}: {error}"
        lost, self.failure = str(self._buffer), " ".join(detail.split())
        self._buffer.clear()
        warnings.warn(
            f"recording of run {self._writer.id} stopped at step {self._steps}, training goes on: {self.failure} "
            f"(not written: {lost})",
            RuntimeWarning,
            stacklevel=3,
        )

    def _record_start(self) -> None:
        # A resumed run has its start, and its step's weights may be there already.
        if self._first_step == 0:
            if self._snapshots.enabled:
                cost = self._snapshot("initial")
                self._budget.expect("snapshots", cost)
                self._budget.reserve("snapshots", cost)  # for the last one
            self._observer.sketch_weights(0, everything=True)
        self._flush()
        self._observer.plan(self._steps)

    def _call_attention(self) -> None:
        self._attend_at = 0

    def _numbers(self, step: int, loss: object, metrics: Mapping[str, object]) -> None:
        if loss is not None:
            self._reporter.value("loss", step, loss)
        for name, value in metrics.items():
            self._reporter.value(name, step, value)

    def _attended_step(self, step: int, loss: object, metrics: Mapping[str, object]) -> None:
        """A step that looks after the budget, the measurements and the writing, beside its own numbers."""
        if not self._is_recording():
            self._steps = step
            self._observer.release()
            return
        previous = self._stopwatch.switch("bookkeeping")
        try:
            self._numbers(step, loss, metrics)
            self._steps = step
            self._charge_light_steps(step)
            with self._guard("bookkeeping"):
                self._attend_at = self._attend()
        finally:
            self._stopwatch.switch(previous)

    def _charge_light_steps(self, step: int) -> None:
        """Light steps do not look at the clock; each is taken to cost what steps like this one have cost up to here.

        Estimates go up or down by a tenth, and so to the median: one interrupted step among many is no guide.
        """
        clocked = self._stopwatch.seconds
        self._light_seconds *= _toward(self._stopwatch.elapsed(), self._light_seconds)
        self._look_seconds *= _toward(clocked["bookkeeping"] - self._bookkept, self._look_seconds)
        self._stopwatch.shift("training", "bookkeeping", (step - self._attended - 1) * self._light_seconds)
        self._bookkept = clocked["bookkeeping"]

    def _attend(self) -> int:
        """Everything that a step may bring besides its own numbers; returns the step to look again at."""
        step = self._steps
        if self._observer.ready:
            with self._deferred.timing("bookkeeping", self._device):
                self._observer.collect(step)
        if self._reporter.alarmed:
            self._observer.find_non_finite(step)
        self._budget.settle()
        time = self._stopwatch.seconds["training"]
        if self._snapshots.wants(step, time) and self._budget.affords("snapshots"):
            self._budget.observe("snapshots", self._snapshot("snapshot"))
        if self._buffer.full or len(self._deferred) > _MOST_DEFERRED or time - self._flushed >= self._patience():
            self._flush()
        wait, pace = self._observer.plan(step), (time - self._attended_time) / max(step - self._attended, 1)
        if self._budget.share > 0:
            wait = max(wait, self._look_seconds / (_LOOKING * self._budget.share))
        self._attended, self._attended_time = step, time
        if self._observer.ready or pace <= 0.0:
            return step + 1
        return step + 1 + min(int(wait / pace), _MOST_LIGHT_STEPS)

    def _patience(self) -> float:
        return _FLUSH_SECONDS if self._budget.affords("writing") else _LONGEST_FLUSH_SECONDS

    def _snapshot(self, label: str) -> float:
        """Take one; returns the seconds it took."""
        time = self._stopwatch.seconds["training"]
        return self._stopwatch.timed("snapshots", lambda: self._snapshots.take(self._writer, self._steps, label, time))

    def _flush(self) -> None:
        self._budget.observe("writing", self._stopwatch.timed("writing", self._write))
        self._flushed = self._stopwatch.seconds["training"]

    def _write(self) -> None:
        self._deferred.exchange()
        with self._stopwatch.charging("sketches"):
            self._reporter.sketch_arrived()
        buffer = self._buffer
        if buffer:
            self._writer.write(series=buffer.series, sketches=buffer.sketches, events=buffer.events)
            buffer.clear()
            self._heartbeat.wrote()

    def _record_end(self) -> None:
        self._observer.sketch_weights(self._steps, everything=True)
        if self._snapshots.enabled and self._snapshots.last_step != self._steps:
            self._snapshot("final")
        self._await()
        self._flush()

    def _await(self) -> None:
        """Have everything here that is still on an accelerator."""
        self._deferred.drain()
        with self._stopwatch.charging("sketches"):
            self._reporter.sketch_arrived(wait=True)

    def _finish(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        """End the run; with the store gone, its missing heartbeat has to tell."""
        status, reason = _ending(kind, error)
        if reason is None and self.failure is not None:
            reason = f"recording stopped early: {self.failure}"
        summary = {
            "steps": self._steps,
            "seconds": self._stopwatch.seconds["training"],
            "parameters": sum(one.info.size for one in self._subject.watched),
            "zeros": self._reporter.zeros,
            "recorder": self.cost.to_json(),
        }
        with self._guard("writing") if self.failure is None else suppress(WeightsmithError):
            self._writer.set_summary(summary)
            self._writer.finish(status, reason)
        self._close_store()

    def _close_store(self) -> None:
        if self._store is not self._location:
            with suppress(WeightsmithError):
                self._store.close()


def _toward(seen: float, known: float) -> float:
    return 1.1 if seen > known else 1 / 1.1


def _ending(kind: type[BaseException] | None, error: BaseException | None) -> tuple[Ending, str | None]:
    if kind is None:
        return "completed", None
    return ("failed" if issubclass(kind, Exception) else "interrupted"), _in_words(kind, error)[:1000]


def _in_words(kind: type[BaseException], error: BaseException | None) -> str:
    text = " ".join(str(error or "").split())
    if kind is KeyboardInterrupt and not text:
        return "stopped by Ctrl-C or a signal"
    is_ours = kind.__module__.partition(".")[0] == __name__.partition(".")[0]
    return text if is_ours and text else f"{kind.__name__}: {text}"  # what we raise ourselves is a sentence
