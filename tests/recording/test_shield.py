"""Nothing that goes wrong in recording reaches the training, and the run says how the training ended."""

import errno
import math
import threading

import pytest
import torch
from torch import nn

from weightsmith.errors import StoreError
from weightsmith.recording import record
from weightsmith.recording.heartbeat import Heartbeat
from weightsmith.recording.measure import StepMeasurement
from weightsmith.sources import safetensors
from weightsmith.store import RunWriter, Store


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))


@pytest.fixture
def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def train(model, optimizer, recorder, steps):
    for _ in range(steps):
        loss = model(torch.ones(2, 4)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)


def train_and_raise(model, optimizer, recorder, error):
    with recorder:
        train(model, optimizer, recorder, 3)
        raise error


def warned_of(match, recorder, training):
    """Run a training under the recorder, which has to warn once and stop."""

    def run():
        with recorder:
            training()

    with pytest.warns(RuntimeWarning, match=match) as seen:
        run()
    assert len(seen) == 1


def fail_from(monkeypatch, owner, name, error, allowed=0):
    """Let a method work `allowed` times and then raise."""
    real, calls = getattr(owner, name), []

    def method(*args, **kwargs):
        calls.append(1)
        if len(calls) > allowed:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, method)


def test_an_exception_closes_the_run_as_failed_and_goes_on(store, model, optimizer):
    recorder = record(model, optimizer, budget=math.inf, store=store)
    with pytest.raises(ZeroDivisionError):
        train_and_raise(model, optimizer, recorder, ZeroDivisionError("division by zero"))
    run = recorder.run
    assert (run.status, run.error) == ("failed", "ZeroDivisionError: division by zero")
    assert run.series("loss").steps.tolist() == [1, 2, 3]
    assert [one.step for one in run.snapshots()][-1] == 3
    assert not optimizer._optimizer_step_pre_hooks


def test_an_interrupt_is_no_failure(store, model, optimizer):
    recorder = record(model, optimizer, store=store)
    with pytest.raises(KeyboardInterrupt):
        train_and_raise(model, optimizer, recorder, KeyboardInterrupt())
    assert (recorder.run.status, recorder.run.error) == ("interrupted", "stopped by Ctrl-C or a signal")
    assert len(recorder.run.series("loss")) == 3


def test_a_full_disk_stops_recording_alone(store, model, optimizer, monkeypatch):
    fail_from(monkeypatch, RunWriter, "write", StoreError("disk full: no room"), allowed=1)
    monkeypatch.setattr("weightsmith.recording.recorder._FLUSH_SECONDS", 0.0)
    before = model[0].weight.detach().clone()
    recorder = record(model, optimizer, budget=math.inf, store=store)
    match = r"stopped at step 1, training goes on: disk full.*not written: \d+ values"
    warned_of(match, recorder, lambda: train(model, optimizer, recorder, 5))
    assert recorder.failure == "disk full: no room"
    assert recorder.steps == 5
    assert not torch.equal(before, model[0].weight)
    assert recorder._buffer.values == 0
    assert not optimizer._optimizer_step_pre_hooks
    assert not any(module._forward_hooks for module in model.modules())
    run = recorder.run
    assert run.status == "completed"
    assert run.error == "recording stopped early: disk full: no room"
    assert [step for step, _ in run.sketches("0.weight")] == [0]


def test_a_full_disk_under_a_snapshot(store, model, optimizer, monkeypatch):
    def no_room(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    def training():
        train(model, optimizer, recorder, 2)
        with monkeypatch.context() as full:
            full.setattr(safetensors.os, "fsync", no_room)
            recorder.snapshot("best")
        train(model, optimizer, recorder, 2)

    recorder = record(model, optimizer, budget=0.0, store=store)
    warned_of("disk full", recorder, training)
    assert recorder.failure.startswith("disk full")
    assert recorder.steps == 4


def test_a_store_that_is_gone_altogether(store, model, optimizer, monkeypatch):
    def training():
        for name in ("write", "snapshot", "set_summary", "finish", "heartbeat"):
            fail_from(monkeypatch, RunWriter, name, StoreError("the server is gone"))
        train(model, optimizer, recorder, 5)

    recorder = record(model, optimizer, budget=math.inf, store=store)
    warned_of("the server is gone", recorder, training)
    assert recorder.failure == "the server is gone"


def test_a_deleted_run(store, model, optimizer):
    def training():
        train(model, optimizer, recorder, 2)
        store.delete_run(recorder.run_id)

    recorder = record(model, optimizer, budget=0.0, store=store)
    warned_of("deleted", recorder, training)
    assert "deleted" in recorder.failure


@pytest.mark.parametrize("hook", ["before", "gradients", "after"])
def test_an_error_in_a_hook(store, model, optimizer, monkeypatch, hook):
    def training():
        fail_from(monkeypatch, StepMeasurement, hook, RuntimeError("odd\ntensor"))
        train(model, optimizer, recorder, 4)

    recorder = record(model, optimizer, budget=math.inf, store=store)
    warned_of("RuntimeError: odd tensor", recorder, training)
    assert recorder.failure == "RuntimeError: odd tensor"
    assert recorder.steps == 4
    assert not optimizer._optimizer_step_pre_hooks


def test_an_error_while_activations_are_watched(store, model, optimizer, monkeypatch):
    def fail(*_args):
        raise RuntimeError("odd shape")

    monkeypatch.setattr("weightsmith.recording.activations._summary", fail)
    recorder = record(model, optimizer, budget=math.inf, store=store)
    warned_of("odd shape", recorder, lambda: train(model, optimizer, recorder, 4))
    assert recorder.steps == 4


def test_an_error_at_the_very_start(store, model, optimizer, monkeypatch):
    fail_from(monkeypatch, RunWriter, "snapshot", StoreError("disk full: no room"))
    recorder = record(model, optimizer, store=store)
    warned_of("stopped at step 0", recorder, lambda: train(model, optimizer, recorder, 3))
    assert recorder.cost.snapshots == 0


def test_a_store_that_cannot_be_opened_is_said_before_training(tmp_path, model):
    file = tmp_path / "notes.txt"
    file.write_text("not a store")
    recorder = record(model, store=file)
    with pytest.raises(StoreError):
        recorder.__enter__()


def test_buffers_are_bounded(store, model, monkeypatch):
    monkeypatch.setattr("weightsmith.recording.buffer.LIMIT_VALUES", 100)
    most = 0
    with record(model, budget=0.0, store=store) as recorder:
        for _ in range(1000):
            recorder.step(loss=1.0)
            most = max(most, recorder._buffer.values)
    assert most < 200
    assert len(recorder.run.series("loss")) == 1000


class Beating:
    """A writer that counts its heartbeats, and may fail at each."""

    def __init__(self, error=None):
        self.beats = threading.Semaphore(0)
        self.error = error

    def heartbeat(self):
        self.beats.release()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, StoreError("away")])
def test_heartbeat_goes_on_until_it_is_stopped(error):
    writer = Beating(error)
    heartbeat = Heartbeat(writer, interval=0.01)
    assert writer.beats.acquire(timeout=20)
    assert writer.beats.acquire(timeout=20)
    heartbeat.stop()
    assert not heartbeat._thread.is_alive()
