"""Rules on how binary, ternary and sparse weights move: on written series, and on short trainings."""

import numpy as np
import pytest
import torch

import weightsmith as ws
from weightsmith.weight import WeightInfo

STEPS = 100
FC = WeightInfo("fc.weight", (64, 64), "float32", "linear")


def codes(run, *select):
    return [finding.code for finding in ws.check(run, select=list(select) or ["WS30"])]


@pytest.fixture
def series(write):
    """A run of one weight with the given series."""

    def build(recipe=None, **values):
        filled = {(name, "fc.weight"): np.broadcast_to(value, STEPS) for name, value in values.items()}
        return write(filled, weights=[FC], recipe=recipe)

    return build


FALLING = 0.01 * np.exp(-np.arange(STEPS) / 10)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"flip_rate": FALLING}, []),
        ({"flip_rate": 0.01}, ["WS301"]),
        ({"flip_rate": np.where(np.arange(STEPS) < 92, 0.01, 1e-5)}, []),
        ({"flip_rate": np.where(np.arange(STEPS) < 20, 0.01, 0.0)}, ["WS302"]),
        ({"flip_rate": 0.0}, ["WS302"]),
        ({"flip_rate": np.where(np.arange(STEPS) < 70, 0.01, 0.0)}, []),
        ({"oscillating": 0.05}, ["WS303"]),
        ({"oscillating": np.linspace(0.2, 0, STEPS)}, []),
        ({"stuck": np.linspace(0, 1, STEPS)}, ["WS304"]),
        ({"stuck": 0.6}, []),
        ({"mask_overlap": 1.0}, []),
        ({"mask_overlap": 0.97}, ["WS306"]),
        ({"mask_overlap": np.where(np.arange(STEPS) < 75, 0.5, 1.0)}, []),
    ],
)
def test_series_with_a_fault_and_without(series, values, expected):
    assert codes(series(**values)) == expected


def test_findings_tell_numbers_and_the_step(series):
    (finding,) = ws.check(series(flip_rate=np.where(np.arange(STEPS) < 20, 0.01, 0.0)), select=["WS302"])
    assert finding.since == finding.evidence["last_flip"] == 20
    assert finding.evidence["idle_share"] == pytest.approx(0.8)
    (finding,) = ws.check(series(flip_rate=0.004), select=["WS301"])
    assert "0.40%" in finding.message
    assert "every 250 steps" in finding.message


def test_small_weights_may_rest(write):
    tiny = WeightInfo("fc.weight", (5, 5), "float32", "linear")
    assert codes(write({("flip_rate", "fc.weight"): [0.0] * STEPS}, weights=[tiny]), "WS302") == []


def test_thresholds_can_be_changed(series):
    settings = ws.rules.Configuration(thresholds={"WS301": {"rate": 0.1}})
    assert not ws.check(series(flip_rate=0.01), select=["WS301"], configuration=settings)


RIGL = {"kind": {"name": "sparse", "method": "rigl", "sparsity": 0.9}}


@pytest.mark.parametrize(
    ("recipe", "churn", "zeros", "expected"),
    [
        (RIGL, 0.0, 0.9, ["WS305"]),
        (RIGL, np.arange(STEPS) == 50, 0.9, []),
        (RIGL, 0.0, 0.0, []),
    ],
)
def test_a_mask_that_a_dynamic_method_never_moves(series, recipe, churn, zeros, expected):
    assert codes(series(recipe, mask_churn=churn, zeros=zeros), "WS305") == expected


@pytest.mark.parametrize("recipe", [None, {"kind": "binary"}, {"kind": {"name": "sparse", "method": "magnitude"}}])
def test_masks_of_other_methods_may_stay(series, recipe):
    report = ws.check(series(recipe, mask_churn=0.0, zeros=0.9), select=["WS305"])
    assert not report.findings
    assert "set, rigl" in report.skipped[0].reason


def test_runs_of_continuous_weights_and_short_ones_are_not_judged(series, write):
    for run in (
        series(sign_flips=0.1),
        write({("flip_rate", "fc.weight"): [0.1] * 5, ("mask_overlap", "fc.weight"): [0.5] * 5}, weights=[FC]),
    ):
        report = ws.check(run, select=["WS30"])
        assert not report.findings
        assert {item.code for item in report.skipped} == {f"WS30{number}" for number in range(1, 7)}


@pytest.fixture
def binary_run(train, mlp):
    """A training of binary weights by a rate that may fall."""

    def build(lr, falling=False, spread=None, noise=0.0, steps=150):
        torch.manual_seed(0)
        model = mlp(width=64)
        controller = ws.kinds.binary(model, first_and_last="binary", scale="channel")
        if spread is not None:
            with torch.no_grad():
                for site in controller.sites:
                    site.stored.copy_(torch.where(torch.rand_like(site.stored) < 0.5, -spread, spread))
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)

        def before(step):
            controller.step(step / steps)
            for site in controller.sites:
                site.stored.grad.add_(noise * torch.randn_like(site.stored))
            if falling:
                optimizer.param_groups[0]["lr"] = lr * (1 - (step + 1) / steps)

        return train(model, optimizer=optimizer, steps=steps, before_step=before)

    return build


def test_a_rate_that_falls_to_zero_lets_signs_settle_and_a_constant_large_one_does_not(binary_run):
    assert codes(binary_run(0.005, falling=True, noise=1.0)) == []
    assert {"WS301", "WS303"} <= set(codes(binary_run(0.7, noise=1.0)))


def test_a_rate_too_small_for_its_latent_weights_freezes_signs(binary_run):
    findings = ws.check(binary_run(1e-6, spread=0.5), select=["WS30"])
    assert {(finding.code, finding.severity) for finding in findings} == {("WS302", "warning")}


def test_signs_that_rest_when_there_is_nothing_left_to_learn_are_for_information(series, write):
    values = {("flip_rate", "fc.weight"): np.zeros(STEPS), ("loss", None): np.exp(-np.arange(STEPS) / 10)}
    (finding,) = ws.check(write(values, weights=[FC]), select=["WS302"])
    assert finding.severity == "info"


def test_latent_weights_that_start_at_their_bound_are_stuck(binary_run):
    assert {"WS302", "WS304"} == set(codes(binary_run(0.0, spread=1.0)))
