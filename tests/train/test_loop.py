"""The loop does what a loop written by hand does, stops when it should, and says what happened."""

import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn

from weightsmith.errors import InputError, StoreError
from weightsmith.store import RunWriter, Snapshot, Store
from weightsmith.train import interrupt
from weightsmith.train.assembly import Assembly
from weightsmith.train.batches import bounds, order
from weightsmith.train.data import Data, Split, load_data
from weightsmith.train.loop import Epoch
from weightsmith.train.recipe import Recipe
from weightsmith.train.training import train

QUIET: dict[str, Any] = {"progress": False}
UNRECORDED: dict[str, Any] = {"record": False, "threads": 1}


def small(rows: int = 40, features: int = 3, classes: int = 3) -> Data:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(rows, features, generator=generator)
    targets = inputs[:, :classes].argmax(1)
    split = Split(inputs, targets, torch.arange(rows))
    return Data("small", "classification", split, split, split, (features,), classes)


def test_same_weights_as_a_loop_by_hand() -> None:
    data = small()
    recipe = {**UNRECORDED, "budget": {"epochs": 3}, "batch_size": 16, "optimizer": {"name": "momentum", "lr": 0.1}}
    result = train({**recipe, "seed": 5}, data=data, model=nn.Linear(3, 3), **QUIET)
    # the same start, which the scheme and the seed decide, whatever the model held before
    begun = train(
        {**recipe, "seed": 5, "optimizer": {"name": "sgd", "lr": 1e-30}}, data=data, model=nn.Linear(3, 3), **QUIET
    )
    model = begun.model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(3):
        rows = torch.from_numpy(order(40, 5, epoch))
        for start, end in bounds(40, 16):
            chosen = rows[start:end]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(data.train.inputs[chosen]), data.train.targets[chosen]).backward()
            optimizer.step()
    torch.testing.assert_close(result.model.weight, model.weight)
    outputs = model(data.train.inputs)
    assert result.metrics["last_val_loss"] == pytest.approx(
        nn.functional.cross_entropy(outputs, data.train.targets).item(), rel=1e-5
    )
    assert result.metrics["last_val_accuracy"] == (outputs.argmax(1) == data.train.targets).float().mean().item()


def test_regression_metric_is_r2_in_original_units() -> None:
    recipe = {**UNRECORDED, "data": "diabetes", "model": "linear", "optimizer": {"lr": 0.01}, "budget": {"epochs": 5}}
    result = train(recipe, **QUIET)
    data = load_data(Recipe.from_dict(recipe))
    inputs, targets = data.test.batch(torch.arange(len(data.test)))
    to_units = data.target_standardization.invert
    expected = r2_score(to_units(targets).numpy(), to_units(result.model(inputs).detach()).numpy())
    assert result.metrics["test_r2"] == pytest.approx(expected, abs=1e-5)


def test_binary_classification() -> None:
    result = train({**UNRECORDED, "data": "breast_cancer", "budget": {"epochs": 3}}, **QUIET)
    assert result.metrics["test_accuracy"] > 0.85
    data = load_data(Recipe(data="breast_cancer"))
    inputs, targets = data.test.batch(torch.arange(len(data.test)))
    outputs = result.model(inputs)
    expected = nn.functional.binary_cross_entropy_with_logits(outputs, targets).item()
    assert result.metrics["test_loss"] == pytest.approx(expected, rel=1e-4)


def test_best_and_last_weights_and_early_stopping(tmp_path: Path) -> None:
    data = load_data(Recipe())
    few = replace(data.train, inputs=data.train.inputs[:60], targets=data.train.targets[:60])
    recipe = {"threads": 1, "budget": {"epochs": 200, "early_stopping": 4}, "model": {"name": "mlp", "hidden": [64]}}
    seen: list[Epoch] = []
    result = train(recipe, data=replace(data, train=few), store=tmp_path, on_epoch=seen.append, **QUIET)
    assert result.ending == "early_stopping"
    losses = [epoch.values["val_loss"] for epoch in seen]
    assert result.best.validation.loss == min(losses)
    assert result.best.step == seen[int(np.argmin(losses))].step
    assert result.epochs == len(seen) == int(np.argmin(losses)) + 1 + 4
    assert result.last.step == result.steps
    assert result.metrics["val_loss"] < result.metrics["last_val_loss"] == losses[-1]
    inputs, targets = data.test.batch(torch.arange(len(data.test)))
    again = nn.functional.cross_entropy(result.model(inputs), targets).item()
    assert result.metrics["test_loss"] == pytest.approx(again, rel=1e-4)
    with Store.open(tmp_path) as store:
        run = store.run(result.run_id)
        assert run.status == "completed"
        labels = {taken.label: taken.step for taken in run.snapshots()}
        assert labels["best"] == result.best.step
        assert labels["final"] == result.steps
        best = run.source(result.best.step)["output.weight"].read()
        np.testing.assert_array_equal(best, result.model.output.weight.detach().numpy())
        np.testing.assert_array_equal(run.series("val_loss").values, losses)
        assert run.summary["best_val_loss"] == min(losses)
        assert run.summary["verdict"] == result.verdict.verdict == run.events("verdict")[-1].payload["verdict"]


def test_best_weights_that_the_store_cannot_take_are_still_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = RunWriter.snapshot

    def full(self: RunWriter, step: int, tensors: Any, label: str = "snapshot") -> Snapshot:
        if label == "best":
            raise StoreError("disk full")
        return snapshot(self, step, tensors, label)

    data = small()
    wrong = replace(data.validation, targets=(data.validation.targets + 1) % 3)  # the first epoch is the best
    recipe = {"threads": 1, "budget": {"epochs": 3}, "optimizer": {"lr": 0.1}, "model": "linear"}
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "snapshot", full)
        with pytest.warns(RuntimeWarning, match="in the result, but not in run .*: disk full"):
            result = train(recipe, data=replace(data, validation=wrong), store=tmp_path, **QUIET)
    assert result.best.step < result.last.step
    with Store.open(tmp_path) as store:
        assert store.run().status == "interrupted"
        train(store=store, resume="latest", data=replace(data, validation=wrong), **QUIET)
        assert store.run().status == "completed"
        assert {taken.label: taken.step for taken in store.run().snapshots()}["best"] == result.best.step


@pytest.mark.parametrize(("budget", "steps"), [({"steps": 7}, 7), ({"epochs": 2}, 6), ({"steps": 3}, 3)])
def test_budgets(budget: dict[str, Any], steps: int) -> None:
    result = train({**UNRECORDED, "budget": budget, "batch_size": 16}, data=small(), **QUIET)
    assert result.steps == steps
    assert result.ending == "budget"
    assert result.last is not None, "an epoch that the budget cut short is measured too"


def test_budget_in_seconds() -> None:
    result = train({**UNRECORDED, "budget": {"seconds": 0.2}}, data=small(), **QUIET)
    assert 0.2 <= result.seconds < 2


@pytest.mark.parametrize("name", ["cosine", "reduce_on_plateau", "one_cycle"])
def test_schedules_move_the_rate(name: str) -> None:
    options = {"patience": 0, "threshold": 0.9} if name == "reduce_on_plateau" else {}
    recipe = {**UNRECORDED, "budget": {"epochs": 6}, "schedule": {"name": name, **options}}
    seen: list[float] = []
    train(recipe, data=small(), on_epoch=lambda epoch: seen.append(epoch.values["learning_rate"]), **QUIET)
    assert seen[-1] < max(seen) <= 1e-3


def test_penalties_in_the_loss_and_as_steps() -> None:
    recipe = {**UNRECORDED, "model": "linear", "budget": {"epochs": 60}, "optimizer": {"name": "sgd", "lr": 0.1}}
    exact = train({**recipe, "penalties": {"l1": 0.15}}, data=small(), **QUIET)
    in_loss = train({**recipe, "penalties": {"l1": 0.15, "proximal": False}}, data=small(), **QUIET)
    assert exact.zeros["output.weight"] > 0
    assert in_loss.zeros["output.weight"] == 0
    assert exact.metrics["last_val_loss"] == pytest.approx(in_loss.metrics["last_val_loss"], rel=0.02)


def test_clipping_limits_the_step() -> None:
    recipe = {**UNRECORDED, "model": "linear", "budget": {"steps": 1}}
    still = {**recipe, "optimizer": {"name": "sgd", "lr": 1e-30}}
    clipped = {**recipe, "optimizer": {"name": "sgd", "lr": 1.0, "clip_norm": 0.01}}
    before, after = (train(each, data=small(), **QUIET).model for each in (still, clipped))
    moved = torch.cat([(a - b).flatten() for a, b in zip(after.parameters(), before.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-4)


def test_bf16_and_kinds_train() -> None:
    for extra in ({"precision": "bf16"}, {"kind": {"name": "sparse", "sparsity": 0.5}}, {"kind": "binary"}):
        recipe = {**UNRECORDED, "model": {"name": "mlp", "hidden": [16, 16]}, "budget": {"epochs": 4}, **extra}
        result = train(recipe, **QUIET)
        assert math.isfinite(result.metrics["test_loss"])
        if "kind" in extra and extra["kind"] != "binary":
            assert result.zeros["hidden.0.weight"] > 0.3


def test_a_loss_that_is_not_finite_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Assembly.update

    def broken(self: Assembly, loss: torch.Tensor, progress: float) -> None:
        plain(self, loss, progress)
        if progress > 0.5:
            self.module.hidden[1].weight.data[0, 0] = math.nan

    monkeypatch.setattr(Assembly, "update", broken)
    recipe = {"threads": 1, "budget": {"epochs": 4}, "batch_size": 16}
    result = train(recipe, data=small(), store=tmp_path, **QUIET)
    assert result.ending == "non_finite"
    assert result.verdict.verdict == "non_finite"
    assert "hidden.1.weight" in result.verdict.text
    assert result.verdict.since == 7
    assert result.last is None
    assert math.isfinite(result.best.test.loss)
    assert all(bool(torch.isfinite(weight).all()) for weight in result.model.parameters())
    with Store.open(tmp_path) as store:
        run = store.run()
        assert run.status == "failed"
        assert "hidden.1.weight" in run.error
        saved = torch.load(run.files / "checkpoints" / "last.pt", weights_only=True)["model"]
        assert all(bool(torch.isfinite(weight).all()) for weight in saved.values())


def test_a_layer_that_overflows_is_named() -> None:
    data = small()
    far = replace(data.train, inputs=data.train.inputs * 1e30)
    recipe = {**UNRECORDED, "model": {"name": "mlp", "hidden": [8]}, "init": {"name": "constant", "val": 1e15}}
    result = train(recipe, data=replace(data, train=far), **QUIET)
    assert result.ending == "non_finite"
    assert "hidden.0" in result.verdict.text
    assert result.steps == 0


def test_interrupt_in_this_process_restores_handlers(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def stop(epoch: Epoch) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    result = train({"threads": 1}, data=small(), store=tmp_path, tags="first", on_epoch=stop, **QUIET)
    assert result.ending == "interrupted"
    assert result.epochs == 1
    assert result.metrics == {}
    assert signal.getsignal(signal.SIGINT) is before
    with Store.open(tmp_path) as store:
        run = store.run()
        assert (run.status, run.error) == ("interrupted", f"stopped at step {result.steps}; resume it to go on")
        train(store=store, resume=run.id, tags="resumed", data=small(), on_epoch=stop, **QUIET)
        assert store.run().tags == ("first", "resumed")


def test_a_later_interrupt_raises_and_an_echo_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(interrupt, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def stop(pause: float) -> Callable[[Epoch], None]:
        def twice(epoch: Epoch) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            now[0] += pause
            os.kill(os.getpid(), signal.SIGINT)

        return twice

    echoed = train(UNRECORDED, data=small(), on_epoch=stop(0.9 * interrupt.ECHO), **QUIET)
    assert echoed.ending == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        train(UNRECORDED, data=small(), on_epoch=stop(interrupt.ECHO), **QUIET)


def test_no_training_rows() -> None:
    data = small()
    empty = Split(data.train.inputs[:0], data.train.targets[:0], data.train.ids[:0])
    with pytest.raises(InputError, match="small: there are no training rows"):
        train(UNRECORDED, data=replace(data, train=empty), **QUIET)


def test_no_held_out_rows() -> None:
    data = small()
    empty = Split(data.train.inputs[:0], data.train.targets[:0], data.train.ids[:0])
    seen: list[Epoch] = []
    recipe = {**UNRECORDED, "budget": {"epochs": 2}}
    result = train(recipe, data=replace(data, validation=empty, test=empty), on_epoch=seen.append, **QUIET)
    assert result.last.validation.loss == seen[-1].values["train_loss"]
    assert result.last.test is None


def test_random_state_and_threads_are_the_users_again() -> None:
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    train({**UNRECORDED, "budget": {"steps": 1}}, data=small(), **QUIET)
    assert torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == deterministic


def test_same_seed_same_weights_whatever_is_recorded(tmp_path: Path) -> None:
    recipe = {"threads": 1, "budget": {"epochs": 2}, "model": {"name": "mlp", "hidden": [16], "dropout": 0.3}}
    recorded = train(recipe, store=tmp_path, **QUIET)
    bare = train({**recipe, "record": False}, **QUIET)
    for a, b in zip(recorded.model.parameters(), bare.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_mistakes() -> None:
    with pytest.raises(InputError):
        train({"no_such_field": 1})
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU"):
            train({"device": "cuda"}, **QUIET)


def test_progress_lines(capsys: pytest.CaptureFixture[str]) -> None:
    train({**UNRECORDED, "budget": {"epochs": 3}}, data=small())
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0].startswith("epoch 1  train loss ")
    assert lines[-1].startswith("epoch 3  ")
    assert "val accuracy" in lines[0]
    train({**UNRECORDED, "budget": {"epochs": 1}}, data=small(), **QUIET)
    assert capsys.readouterr().err == ""
