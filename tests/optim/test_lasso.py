"""Proximal optimizers against scikit-learn's coordinate descent, on problems whose optimum is known."""

from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet as ScikitElasticNet
from sklearn.linear_model import Lasso

from weightsmith.optim import build, build_schedule
from weightsmith.penalties import L1, GroupLasso, MaxNorm, group_kkt_residual, kkt_residual, relative_kkt_residual

# One thread: the problems are tiny, and the tests run in parallel.
torch.set_num_threads(1)


@cache
def problem(name):
    """Inputs with unit columns' variance and centered targets, as float64 tensors, and a strength of L1."""
    if name == "diabetes":
        inputs, targets = load_diabetes(return_X_y=True)
        strength = 0.1
    else:
        draw = np.random.default_rng(0)
        inputs = draw.normal(size=(200, 50))
        truth = np.zeros(50)
        truth[[3, 11, 20, 34, 47]] = [2.0, -1.5, 1.0, -0.8, 0.6]
        targets = inputs @ truth + 0.3 * draw.normal(size=200)
        strength = 0.1
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    targets = (targets - targets.mean()) / targets.std()
    return torch.from_numpy(inputs), torch.from_numpy(targets), strength


def half_mean_square(inputs, targets, weight):
    return 0.5 * (inputs @ weight[0] - targets).square().mean()


def gradient_at(inputs, targets, weight):
    return inputs.T @ (inputs @ weight[0] - targets) / len(targets)


def minimize(name, inputs, targets, *, lr, steps, schedule="constant", extra=None, **options):
    """Full-batch training from a fixed random start; returns the weight and the optimizer."""
    torch.manual_seed(1)
    weight = torch.nn.Parameter(0.3 * torch.randn(1, inputs.shape[1], dtype=torch.float64))
    optimizer = build([("linear.weight", weight)], name, lr, **options)
    plan = build_schedule(optimizer, schedule, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = half_mean_square(inputs, targets, weight)
        if extra is not None:
            loss = loss + extra(weight)
        loss.backward()
        optimizer.step()
        plan.step()
    return weight.detach()


SETTINGS = {
    "gradient_descent": {"lr": 0.3, "steps": 150},
    "momentum": {"lr": 0.05, "steps": 400},
    "momentum, dampened": {"lr": 0.3, "steps": 400, "dampening": 0.5},
    "nesterov": {"lr": 0.05, "steps": 300},
    "rmsprop": {"lr": 0.04, "steps": 300, "schedule": "cosine"},
    "rmsprop, with momentum": {"lr": 0.004, "steps": 1200, "schedule": "cosine", "momentum": 0.8},
    "adam": {"lr": 0.05, "steps": 600, "schedule": "cosine"},
    "adam, amsgrad": {"lr": 0.08, "steps": 500, "schedule": "cosine", "amsgrad": True},
    "adamw": {"lr": 0.05, "steps": 600, "schedule": "cosine", "weight_decay": 0.0},
    "adagrad": {"lr": 0.5, "steps": 250},
    "adagrad, decaying": {"lr": 0.5, "steps": 250, "lr_decay": 1e-4},
}


@pytest.mark.parametrize("data", ["diabetes", "synthetic"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_reaches_the_lasso_optimum(setting, data):
    inputs, targets, strength = problem(data)
    weight = minimize(setting.split(",")[0], inputs, targets, l1=strength, **SETTINGS[setting])
    oracle = Lasso(alpha=strength, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(inputs, targets).coef_
    assert kkt_residual(weight[0], gradient_at(inputs, targets, weight), strength) < 1e-6
    assert np.array_equal(weight[0].numpy() != 0, oracle != 0)
    np.testing.assert_allclose(weight[0], oracle, atol=1e-4)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "momentum", "adagrad"])
def test_reaches_the_elastic_net_optimum(name):
    inputs, targets, _ = problem("diabetes")
    alpha, ratio = 0.2, 0.6
    l1, l2 = alpha * ratio, alpha * (1 - ratio)
    weight = minimize(name, inputs, targets, l1=l1, l2=l2, **SETTINGS[name])
    oracle = ScikitElasticNet(alpha=alpha, l1_ratio=ratio, fit_intercept=False, tol=1e-12, max_iter=100_000)
    coefficients = oracle.fit(inputs, targets).coef_
    assert kkt_residual(weight[0], gradient_at(inputs, targets, weight), l1, l2) < 1e-6
    assert np.array_equal(weight[0].numpy() != 0, coefficients != 0)
    np.testing.assert_allclose(weight[0], coefficients, atol=1e-4)


def test_coupled_weight_decay_is_the_l2_part():
    inputs, targets, strength = problem("diabetes")
    weight = minimize("adam", inputs, targets, l1=strength, weight_decay=0.1, **SETTINGS["adam"])
    assert kkt_residual(weight[0], gradient_at(inputs, targets, weight), strength, 0.1) < 1e-6


def test_l1_in_the_loss_gives_no_zeros():
    inputs, targets, strength = problem("synthetic")
    weight = minimize("adam", inputs, targets, extra=L1(strength).value, **SETTINGS["adam"])
    assert (weight == 0).sum() == 0
    proximal = minimize("adam", inputs, targets, l1=strength, **SETTINGS["adam"])
    assert (proximal == 0).sum() == 45


def test_adam_with_a_constant_rate_finds_the_support_in_single_precision():
    inputs, targets, strength = problem("synthetic")
    single = inputs.float(), targets.float()
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(1, 50))
    optimizer = build([("linear.weight", weight)], "adam", 0.01, l1=strength)
    for _ in range(1000):
        optimizer.zero_grad()
        half_mean_square(*single, weight).backward()
        optimizer.step()
    final = weight.detach()
    assert (final != 0).sum() == 5
    assert relative_kkt_residual(final[0], gradient_at(*single, final), strength) < 1e-3


def test_muon_gives_exact_zeros():
    inputs, targets, _ = problem("synthetic")
    weight = minimize("muon", inputs, targets, l1=0.2, lr=0.02, steps=400, schedule="cosine", weight_decay=0.0)
    assert (weight == 0).sum() > 20


GROUP_SETTINGS = {
    name: SETTINGS[name] for name in ("gradient_descent", "momentum", "nesterov", "rmsprop", "adam", "adagrad")
}


def multiple_regression():
    draw = np.random.default_rng(3)
    inputs = draw.normal(size=(120, 12))
    truth = np.zeros((4, 12))
    truth[:, [1, 5]] = draw.normal(size=(4, 2))
    truth[2] = 0
    return torch.from_numpy(inputs), torch.from_numpy(inputs @ truth.T + 0.1 * draw.normal(size=(120, 4)))


def fit_multiple(name, penalty, *, lr, steps, schedule="constant", **options):
    inputs, targets = multiple_regression()
    torch.manual_seed(1)
    weight = torch.nn.Parameter(0.3 * torch.randn(4, 12, dtype=torch.float64))
    optimizer = build([("linear.weight", weight)], name, lr, penalties=penalty, **options)
    plan = build_schedule(optimizer, schedule, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * (inputs @ weight.T - targets).square().sum(1).mean()).backward()
        optimizer.step()
        plan.step()
    final = weight.detach()
    return final, (inputs @ final.T - targets).T @ inputs / len(inputs)


@pytest.mark.parametrize("by", ["rows", "columns"])
@pytest.mark.parametrize("name", GROUP_SETTINGS)
def test_reaches_the_group_lasso_optimum(name, by):
    penalty = GroupLasso(0.08, by)
    weight, gradient = fit_multiple(name, penalty, **GROUP_SETTINGS[name])
    vanished = penalty.group_norms(weight) == 0
    assert group_kkt_residual(weight, gradient, penalty) < 1e-6
    assert vanished.any()
    assert not vanished.all()


@pytest.mark.parametrize("name", GROUP_SETTINGS)
def test_reaches_the_max_norm_optimum(name):
    limit = 0.5
    weight, gradient = fit_multiple(name, MaxNorm(limit), **GROUP_SETTINGS[name])
    norms = weight.norm(dim=1)
    tight = norms > limit * (1 - 1e-6)
    assert (norms <= limit * (1 + 1e-9)).all()
    assert tight.any()
    # At the optimum the gradient of a row at the limit points along the row, inward; elsewhere it vanishes.
    multiplier = -(gradient * weight).sum(1, keepdim=True) / limit**2
    assert (multiplier[tight] > 0).all()
    residual = torch.where(tight[:, None], gradient + multiplier * weight, gradient)
    assert residual.abs().max() < 1e-5
