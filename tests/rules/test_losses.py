import numpy as np
import pytest

import weightsmith as ws


def found(run, *codes):
    return [finding.code for finding in ws.check(run, select=codes)]


def noisy(curve, seed=0, share=0.01):
    curve = np.asarray(curve, dtype=float)
    return curve * (1 + share * np.random.default_rng(seed).standard_normal(len(curve)))


STEPS = np.arange(400)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (2.3 * np.exp(-STEPS / 60), []),
        (0.05 + 2.3 * np.exp(-STEPS / 20), []),
        (0.5 + 1.8 * np.exp(-STEPS / 4), []),
        (2.0 + 0.3 * np.exp(-STEPS / 20), ["WS110"]),
        (np.full(400, 2.3), ["WS110"]),
        (2.3 + STEPS / 40, ["WS111"]),
        (np.where(STEPS < 200, 2.3 * np.exp(-STEPS / 60), 1.5), ["WS111"]),
    ],
    ids=["falls", "converges", "converges within the first stretch", "stalls", "flat", "grows", "breaks down"],
)
def test_the_course_of_the_loss_is_judged(write, curve, expected):
    assert found(write({("loss", None): noisy(curve)}), "WS110", "WS111") == expected


def test_a_loss_that_is_not_finite_is_an_error_with_its_step(write):
    values = [2.0] * 50 + [float("nan")] * 3
    (finding,) = ws.check(write({("loss", None): values}), select=["WS111"])
    assert (finding.severity, finding.since) == ("error", 51)


def test_too_high_a_rate_is_seen_in_a_real_training(train, mlp):
    assert found(train(mlp(), lr=30.0), "WS111") == ["WS111"]
    assert found(train(mlp(), lr=0.1), "WS111") == []


def test_a_short_run_is_not_judged(write):
    report = ws.check(write({("loss", None): [1.0] * 10}), select=["WS110"])
    assert [item.code for item in report.skipped] == ["WS110"]


EPOCHS = np.arange(30)


@pytest.mark.parametrize(
    ("train_loss", "val_loss", "expected"),
    [
        (np.exp(-EPOCHS / 5), np.exp(-EPOCHS / 5) + 0.05, []),
        (np.exp(-EPOCHS / 3), np.exp(-EPOCHS / 3) + EPOCHS * 0.03, ["WS108"]),
        (np.full(30, 0.99), np.full(30, 1.0), ["WS109"]),
    ],
    ids=["healthy", "overfits", "underfits"],
)
def test_epoch_losses_of_any_loop_are_told_apart(write, train_loss, val_loss, expected):
    run = write({("train_loss", None): noisy(train_loss, 1, 0.01), ("val_loss", None): noisy(val_loss, 2, 0.01)})
    assert found(run, "WS108", "WS109") == expected
