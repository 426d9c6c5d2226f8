"""Training on a GPU: the same bits each time, in one go or resumed, on that device or on with another."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from weightsmith.store import Store
from weightsmith.train import checkpoint
from weightsmith.train.assembly import Assembly
from weightsmith.train.loop import READ_EVERY, Loop, Signals
from weightsmith.train.models import MODELS
from weightsmith.train.rebuild import rebuild
from weightsmith.train.training import TrainResult, train

QUIET: dict[str, Any] = {"progress": False}

pytestmark = pytest.mark.usefixtures("cuda")


def recipe_of(model: str | dict[str, Any] = "mlp", **more: Any) -> dict[str, Any]:
    """A training of some 60 steps, in epochs that end where no loss is read."""
    return {
        "data": "digits",
        "model": {"name": "mlp", "hidden": [24, 12], "dropout": 0.2} if model == "mlp" else model,
        "budget": {"epochs": 2},
        "batch_size": 48,
        "device": "cuda",
        "seed": 3,
        "threads": 1,
        **more,
    }


def assert_same(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_and_repeats_itself_to_the_bit(model: str) -> None:
    results = [train(recipe_of(model, record=False), **QUIET) for _ in range(2)]
    assert results[0].steps > 30
    assert math.isfinite(results[0].metrics["test_loss"])
    assert next(results[0].model.parameters()).device.type == "cpu"
    assert_same(results[0].model, results[1].model)
    assert results[0].metrics == results[1].metrics


@pytest.mark.parametrize("model", ["linear", "mlp", "lstm", "transformer"])
def test_the_losses_are_those_of_the_cpu(model: str, tmp_path: Path) -> None:
    losses = []
    for device in ("cpu", "cuda"):
        recipe = recipe_of(model, device=device, budget={"steps": 12}, optimizer={"name": "adam", "lr": 1e-3})
        if model == "mlp":
            recipe["model"] = {"name": "mlp", "hidden": [24, 12]}  # dropout draws differ between devices
        train(recipe, store=tmp_path / device, **QUIET)
        with Store.open(tmp_path / device) as store:
            losses.append(store.run().series("loss").values)
    assert len(losses[0]) == 12
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-3)


@pytest.mark.parametrize("precision", [16, "bf16"])
@pytest.mark.parametrize("model", ["mlp", "cnn", "lstm", "transformer"])
def test_half_precision_learns(model: str, precision: int | str) -> None:
    more = {"precision": precision, "budget": {"epochs": 4}, "record": False}
    result = train(recipe_of(model, optimizer={"name": "adam", "lr": 3e-3}, **more), **QUIET)
    assert result.ending == "budget"
    assert result.metrics["test_accuracy"] > 0.5
    assert all(weight.dtype is torch.float32 for weight in result.model.parameters())


@pytest.mark.parametrize("optimizer", ["adam", "momentum", "rmsprop", "muon"])
def test_clipping_under_a_loss_scaler_sees_the_true_gradients(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    plain = Assembly._clip

    def clip(self: Assembly) -> None:
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        seen.append(float(torch.nn.utils.get_total_norm(gradients)))
        plain(self)

    monkeypatch.setattr(Assembly, "_clip", clip)
    norms: dict[int, list[float]] = {}
    for precision in (32, 16):
        seen.clear()
        recipe = recipe_of("linear", precision=precision, record=False, budget={"steps": 5})
        train({**recipe, "optimizer": {"name": optimizer, "lr": 1e-3, "clip_norm": 1.0}}, **QUIET)
        norms[precision] = list(seen)
    # the scaler finds its scale by trying one that is too large
    finite = [(half, single) for half, single in zip(norms[16], norms[32], strict=True) if math.isfinite(half)]
    assert len(finite) >= 3
    for half, single in finite:
        assert half == pytest.approx(single, rel=0.1)


KINDS: dict[str, dict[str, Any]] = {
    "binary": {"kind": "binary"},
    "ternary": {"kind": "ternary"},
    "bounded": {"kind": {"name": "continuous", "minimum": -0.1, "maximum": 0.1}},
    "binary, Bop": {"kind": {"name": "binary", "latent": False}, "optimizer": {"name": "bop"}},
    **{
        f"sparse, {method}": {"kind": {"name": "sparse", "method": method, "sparsity": 0.6}}
        for method in ("magnitude", "rigl", "set", "snip", "movement")
    },
}


@pytest.mark.parametrize("precision", [32, 16])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_kinds(kind: dict[str, Any], precision: int, tmp_path: Path) -> None:
    recipe = recipe_of(precision=precision, **kind)
    recipe["model"] = {"name": "mlp", "hidden": [24, 12]}
    results = [train(recipe, store=tmp_path / str(turn), **QUIET) for turn in range(2)]
    assert math.isfinite(results[0].metrics["test_loss"])
    assert_same(results[0].model, results[1].model)
    with Store.open(tmp_path / "0") as store:
        run = store.run()
        weight = run.source()["hidden.1.weight"].read()
        assert "stopped early" not in str(run.error)
        rebuilt = rebuild(run)
    if "sparsity" in str(kind):
        assert np.mean(weight == 0) > 0.3
    elif "binary" in str(kind):
        assert len(np.unique(np.abs(weight))) <= len(weight)
    inputs = torch.randn(4, 1, 8, 8)
    assert rebuilt.model(inputs).shape == (4, 10)


PENALTIES: dict[str, dict[str, Any]] = {
    "l1": {"l1": 0.02},
    "elastic net": {"elastic_net": {"l1": 0.02, "l2": 0.01}},
    "group lasso": {"group_lasso": {"strength": 0.1}},
    "max norm": {"max_norm": 1.0},
    "orthogonality": {"orthogonality": 0.01},
    "l1 in the loss": {"l1": 0.01, "proximal": False},
}


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
def test_penalties(penalty: dict[str, Any], optimizer: str) -> None:
    theirs, ours = (
        train(
            recipe_of(
                "linear",
                device=device,
                penalties=penalty,
                optimizer={"name": optimizer, "lr": 0.01},
                record=False,
            ),
            **QUIET,
        )
        for device in ("cpu", "cuda")
    )
    assert ours.zeros["output.weight"] == pytest.approx(theirs.zeros["output.weight"], abs=0.02)
    assert ours.metrics["test_loss"] == pytest.approx(theirs.metrics["test_loss"], rel=0.02)
    if penalty in (PENALTIES["l1"], PENALTIES["elastic net"]):
        assert ours.zeros["output.weight"] > 0.1


def test_l1_of_a_recurrent_network_is_judged_in_evaluation_mode() -> None:
    result = train(recipe_of("lstm", penalties={"l1": 1e-3}, record=False, budget={"epochs": 1}), **QUIET)
    assert len(result.report.optimality) == 3
    assert all(math.isfinite(each.residual) for each in result.report.optimality)


RESUMED: dict[str, dict[str, Any]] = {
    "dropout, Adam": {"optimizer": {"name": "adam", "lr": 3e-3, "clip_norm": 1.0}},
    "batch norm, momentum, cosine": {
        "model": {"name": "cnn", "channels": [8, 16], "hidden": 16, "dropout": 0.2},
        "optimizer": {"name": "momentum", "lr": 0.02},
        "schedule": {"name": "cosine", "warm_up": 5},
    },
    "lstm, float16": {"model": {"name": "lstm", "hidden": 16, "dropout": 0.1}, "precision": 16},
    "transformer, bfloat16": {"model": {"name": "transformer", "dropout": 0.1}, "precision": "bf16"},
    "l1": {"penalties": {"l1": 1e-3}, "optimizer": {"name": "adam", "lr": 3e-3}},
    "adagrad": {"optimizer": "adagrad"},
    "rigl, float16": {
        "kind": {"name": "sparse", "method": "rigl", "sparsity": 0.6, "every": 7},
        "optimizer": {"name": "momentum", "lr": 0.05},
        "precision": 16,
    },
}


@contextmanager
def interrupted(at: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trainings that are asked to stop after a step, in the middle of an epoch; where losses are read."""
    assert at % READ_EVERY == 0
    plain = Loop._step

    def step(self: Loop, *given: Any) -> Signals:
        signals = plain(self, *given)
        return signals._replace(interrupted=self.position.step == at)

    with monkeypatch.context() as patched:
        patched.setattr(Loop, "_step", step)
        yield


@pytest.mark.parametrize("more", RESUMED.values(), ids=RESUMED)
def test_resumed_equals_in_one_go_to_the_bit(
    more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(**more)
    whole = train(recipe, store=tmp_path / "whole", **QUIET)
    for at in (READ_EVERY, 2 * READ_EVERY):
        place = tmp_path / str(at)
        with interrupted(at, monkeypatch):
            stopped = train(recipe, store=place, **QUIET)
        assert (stopped.ending, stopped.steps) == ("interrupted", at)
        torch.rand(5, device="cuda")  # whatever happens in between
        result = train(resume="latest", store=place, **QUIET)
        assert result.steps == whole.steps
        assert_same(whole.model, result.model)
        with Store.open(tmp_path / "whole") as first, Store.open(place) as second:
            one, other = first.run(), second.run()
            for name in ("loss", "train_loss", "val_loss"):
                np.testing.assert_array_equal(one.series(name).values, other.series(name).values, err_msg=name)


@pytest.mark.parametrize("precision", [32, 16])
@pytest.mark.parametrize("optimizer", ["adam", "momentum", "adagrad"])
@pytest.mark.parametrize("begins_on_gpu", [True, False])
def test_a_run_goes_on_on_another_device(
    begins_on_gpu: bool, optimizer: str, precision: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of("linear", device="auto", precision=precision, optimizer=optimizer)

    def sitting(on_gpu: bool, **given: Any) -> TrainResult:
        with monkeypatch.context() as patched:
            if not on_gpu:
                patched.setattr(torch.cuda, "is_available", lambda: False)
            return train(**given, **QUIET)

    whole = sitting(begins_on_gpu, recipe=recipe, store=tmp_path / "whole")
    with interrupted(READ_EVERY, monkeypatch):
        sitting(begins_on_gpu, recipe=recipe, store=tmp_path / "moved")
    moved = sitting(not begins_on_gpu, resume="latest", store=tmp_path / "moved")
    assert moved.steps == whole.steps
    for name, weight in moved.model.state_dict().items():
        torch.testing.assert_close(
            weight, whole.model.state_dict()[name], rtol=0.05, atol=1e-3 if precision == 32 else 0.05
        )


def test_early_stopping() -> None:
    budget = {"epochs": 50, "early_stopping": 1}
    recipe = recipe_of("mlp", budget=budget, optimizer={"name": "adam", "lr": 0.05}, record=False)
    result = train(recipe, **QUIET)
    assert result.ending == "early_stopping"
    assert result.epochs < 50
    assert result.best.step < result.last.step


@pytest.mark.parametrize("precision", [32, 16])
@pytest.mark.parametrize("at", [3, READ_EVERY])
def test_a_loss_that_is_not_finite_names_the_place(
    at: int, precision: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Assembly.update

    def broken(self: Assembly, *given: Any) -> None:
        plain(self, *given)
        if next(steps) == at:
            self.module.hidden[1].weight.data[0, 0] = math.nan

    steps = iter(range(10_000))
    monkeypatch.setattr(Assembly, "update", broken)
    result = train(recipe_of(precision=precision), store=tmp_path, **QUIET)
    assert result.ending == "non_finite"
    assert "hidden." in result.verdict.text or "norms." in result.verdict.text
    with Store.open(tmp_path) as store:
        run = store.run()
        assert run.status == "failed"


def test_a_loss_that_overflows_in_a_short_epoch_ends_the_training() -> None:
    # fewer steps an epoch than lie between two looks at the losses; the loss scaler leaves the weights finite
    more = {"init": {"name": "constant", "val": 300.0}, "batch_size": 512, "precision": 16, "record": False}
    recipe = recipe_of(**more)
    recipe["model"] = {"name": "mlp", "hidden": [64, 64, 64]}
    result = train(recipe, **QUIET)
    assert result.ending == "non_finite"


def test_what_the_run_says(tmp_path: Path, cuda: torch.device) -> None:
    result = train(recipe_of(device="auto"), store=tmp_path, **QUIET)
    with Store.open(tmp_path) as store:
        run = store.run()
        assert torch.cuda.get_device_name(cuda) in run.environment["devices"]
        assert run.status == "completed"
        assert run.series("loss").steps.tolist() == list(range(1, result.steps + 1))
        assert "failure" not in str(run.error)
        saved = checkpoint.load(run.files / checkpoint.FOLDER, torch.device("cpu"))
    assert saved is not None
    assert "cuda" in saved[0]["random"][0]


def test_a_model_that_is_on_the_gpu_already(cuda: torch.device) -> None:
    results = []
    for device in (torch.device("cpu"), cuda):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).to(device)
        results.append(train(recipe_of(record=False), model=model, **QUIET))
    assert_same(results[0].model, results[1].model)


@pytest.mark.parametrize("resident", [True, False])
def test_a_step_does_not_wait_for_the_device(
    resident: bool, monkeypatch: pytest.MonkeyPatch, nobody_waits: Callable[[], AbstractContextManager[None]]
) -> None:
    monkeypatch.setattr("weightsmith.train.feed.RESIDENT", 2 << 30 if resident else 0)
    plain: Callable[..., Signals] = Loop._step
    watched = []

    def step(self: Loop, *given: Any) -> Signals:
        if (self.position.step + 1) % READ_EVERY == 0 or self.position.step == 0:
            return plain(self, *given)
        watched.append(self.position.step)
        with nobody_waits():
            return plain(self, *given)

    monkeypatch.setattr(Loop, "_step", step)
    recipe = recipe_of(record={"budget": 0.02}, optimizer={"name": "adam", "lr": 1e-3}, penalties={"l1": 1e-4})
    result = train(recipe, **QUIET)
    assert result.ending == "budget"
    assert len(watched) > 30
