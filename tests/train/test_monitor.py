"""Verdicts over synthetic curves of each kind, noisy ones, and real small trainings."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.analysis.monitor import WINDOW, Curve, diagnose, noise_of, non_finite, smooth
from weightsmith.train.data import Data, load_data
from weightsmith.train.monitor import Monitor
from weightsmith.train.recipe import Recipe
from weightsmith.train.training import train

EPOCHS = np.arange(60)
BASELINE = 2.3


def falling(floor: float, pace: float = 6.0) -> np.ndarray:
    return floor + (BASELINE - floor) * np.exp(-EPOCHS / pace)


def watch(train_losses: np.ndarray, validation_losses: np.ndarray) -> tuple[Monitor, dict[str, int]]:
    """The monitor at the end, and the epoch at which each verdict was first given."""
    monitor, told = Monitor(BASELINE), {}
    for epoch, (fit, held_out) in enumerate(zip(train_losses, validation_losses, strict=True)):
        changed = monitor.update((epoch + 1) * 10, float(fit), float(held_out))
        if changed:
            told.setdefault(changed.verdict, epoch)
    return monitor, told


def test_healthy() -> None:
    _, told = watch(falling(0.02), falling(0.15))
    assert told == {"healthy": 0}


def test_overfitting_by_a_rising_validation_loss() -> None:
    rising = falling(0.5, 4.0) + 0.02 * np.maximum(EPOCHS - 12, 0)
    monitor, told = watch(falling(0.001), rising)
    assert 13 < told["overfitting"] < 25, "while it runs, not at its end"
    assert set(told) == {"healthy", "overfitting"}
    found = monitor.current
    assert found.verdict == "overfitting"
    best = int(np.argmin(smooth(rising)))
    assert found.since == (best + 1) * 10
    assert found.evidence["generalization_loss"] == pytest.approx(smooth(rising)[-1] / smooth(rising).min() - 1)
    assert str(found.since) in found.text


def test_overfitting_by_a_gap_that_only_the_training_loss_widens() -> None:
    monitor, told = watch(falling(0.001), falling(0.9, 2.0))
    assert monitor.current.verdict == "overfitting"
    assert told["overfitting"] < 30


def test_a_rise_without_progress_in_training_is_no_overfitting() -> None:
    jump = np.where(EPOCHS > 30, 0.2, 0.0)
    monitor, told = watch(falling(0.1) + jump, falling(0.15) + jump)
    assert "overfitting" not in told
    assert monitor.current.verdict != "overfitting"


@pytest.mark.parametrize("losses", [BASELINE - 0.001 * EPOCHS, falling(1.6, 3.0)], ids=["too slow", "too small"])
def test_underfitting(losses: np.ndarray) -> None:
    monitor, told = watch(losses, losses + 0.02)
    assert monitor.current.verdict == "underfitting"
    assert told["underfitting"] < 30
    assert monitor.current.evidence["baseline"] == BASELINE


def test_stopped_while_still_learning_is_underfitting_at_the_end_only() -> None:
    losses = np.linspace(2.3, 1.7, 8)
    monitor, told = watch(losses, losses)
    assert told == {"healthy": 0}
    assert monitor.finish().verdict == "underfitting"
    assert "train longer" in monitor.current.text


def test_plateau() -> None:
    monitor, _ = watch(falling(0.8, 2.0), falling(0.85, 2.0))
    assert monitor.current.verdict == "plateau"


def test_a_converged_training_is_healthy() -> None:
    monitor, told = watch(falling(0.01, 2.0), falling(0.05, 2.0))
    assert told == {"healthy": 0}
    assert monitor.finish() is None


@pytest.mark.parametrize("losses", [0.5 * 1.1**EPOCHS, np.full(60, 80.0), np.geomspace(3, 1e9, 60)])
def test_diverging(losses: np.ndarray) -> None:
    monitor, told = watch(losses, losses)
    assert monitor.current.verdict == "diverging"
    assert told["diverging"] < 20


def test_one_bad_epoch_is_no_divergence() -> None:
    losses = falling(0.05)
    losses[20] = 3.0
    _, told = watch(losses, falling(0.1))
    assert set(told) == {"healthy"}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", ["train", "validation"])
def test_non_finite(bad: float, which: str) -> None:
    losses = falling(0.05)
    spoiled = np.where(EPOCHS == 7, bad, losses)
    monitor, _ = watch(spoiled if which == "train" else losses, spoiled if which == "validation" else losses)
    assert monitor.current.verdict == "non_finite"
    assert monitor.current.since == 80
    assert "fc.weight" in non_finite(80, "fc.weight", "weight").text


@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.02))
def test_noise_alone_changes_no_verdict(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    fit = falling(0.05) + rng.normal(0, noise / 2, 60)
    held_out = falling(0.2) + rng.normal(0, noise, 60)  # up to a tenth of the loss itself
    _, told = watch(np.abs(fit), np.abs(held_out))
    assert set(told) == {"healthy"}


def test_noise_seldom_hides_overfitting() -> None:
    found = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rising = falling(0.5, 4.0) + 0.02 * np.maximum(EPOCHS - 12, 0)
        _, told = watch(falling(0.001), rising + rng.normal(0, 0.05, 60))
        found += "overfitting" in told
    assert found == 50


def test_noise_estimate() -> None:
    rng = np.random.default_rng(0)
    found = [noise_of((falling(0.1) + rng.normal(0, 0.1, 60)).tolist()) for _ in range(200)]
    assert np.mean(found) == pytest.approx(0.1, rel=0.15)
    assert noise_of([1.0, 2.0]) == 0
    assert noise_of(list(range(20))) == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_smooth_is_a_trailing_mean(losses: list[float]) -> None:
    expected = [np.mean(losses[max(i - WINDOW + 1, 0) : i + 1]) for i in range(len(losses))]
    np.testing.assert_allclose(smooth(losses), expected, atol=1e-9)


def test_state_survives_json() -> None:
    whole, _ = watch(falling(0.001), falling(0.9, 2.0))
    half, _ = watch(falling(0.001)[:20], falling(0.9, 2.0)[:20])
    again = Monitor.from_state(json.loads(json.dumps(half.state_dict())))
    for epoch in range(20, 60):
        again.update((epoch + 1) * 10, falling(0.001)[epoch], falling(0.9, 2.0)[epoch])
    assert again.state_dict() == whole.state_dict()


def test_one_epoch_is_enough_for_a_diagnosis() -> None:
    curve = Curve(1.0)
    curve.add(5, 0.5, 0.6)
    assert diagnose(curve).verdict == "healthy"
    assert json.dumps(diagnose(curve).to_json())


def few_digits(rows: int) -> Data:
    data = load_data(Recipe())
    chosen, whole = torch.arange(rows), data.train
    return replace(data, train=replace(whole, inputs=whole.inputs[chosen], targets=whole.targets[chosen]))


REAL = {
    "default": ({}, None, "healthy"),
    "large on few": ({"model": {"name": "mlp", "hidden": [512, 512]}, "budget": {"epochs": 60}}, 100, "overfitting"),
    "tiny rate": ({"model": "linear", "optimizer": {"name": "sgd", "lr": 1e-6}}, None, "underfitting"),
    "one unit": ({"model": {"name": "mlp", "hidden": [1]}}, None, "underfitting"),
    "huge rate": ({"optimizer": {"name": "sgd", "lr": 30.0}, "budget": {"epochs": 8}}, None, "non_finite"),
}


@pytest.mark.parametrize(("recipe", "rows", "verdict"), REAL.values(), ids=REAL)
def test_real_trainings(recipe: dict, rows: int | None, verdict: str) -> None:
    data = few_digits(rows) if rows else None
    result = train({**recipe, "record": False, "threads": 1}, data=data, progress=False)
    assert result.verdict.verdict == verdict, result.verdict.text
