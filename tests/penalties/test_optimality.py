import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet

from weightsmith.errors import InputError
from weightsmith.penalties import GroupLasso, group_kkt_residual, kkt_residual, relative_kkt_residual


def test_hand_computed():
    weight = np.array([1.0, -2.0, 0.0, 0.0])
    gradient = np.array([-0.5, 0.7, 0.4, -0.9])
    assert kkt_residual(weight, gradient, 0.5) == pytest.approx(0.4)
    assert kkt_residual(weight, gradient, 1.0) == pytest.approx(0.5)
    assert kkt_residual(weight[:1], gradient[:1], 0.2, l2=0.3) == pytest.approx(0.0)
    assert relative_kkt_residual(weight, gradient, 0.5) == pytest.approx(0.8)


def test_zero_at_the_optimum_of_scikit_learn_and_nowhere_near_it():
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(80, 20))
    targets = inputs[:, 0] - inputs[:, 3] + 0.1 * draw.normal(size=80)
    alpha, ratio = 0.1, 0.7
    weight = ElasticNet(alpha=alpha, l1_ratio=ratio, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(
        inputs, targets
    )
    gradient = inputs.T @ (inputs @ weight.coef_ - targets) / 80
    l1, l2 = alpha * ratio, alpha * (1 - ratio)
    assert kkt_residual(weight.coef_, gradient, l1, l2) < 1e-7
    assert kkt_residual(weight.coef_, gradient, 1.1 * l1, l2) > 1e-3
    assert kkt_residual(weight.coef_ + 0.01, gradient, l1, l2) > 1e-3


def test_groups():
    penalty = GroupLasso(0.5)
    weight = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    direction = -0.5 * 2**0.5 * torch.tensor([0.6, 0.8])
    optimal = torch.stack([direction, torch.tensor([0.7, 0.0])])
    assert group_kkt_residual(weight, optimal, penalty) < 1e-6
    assert group_kkt_residual(weight, optimal + torch.tensor([[0.0, 0.0], [0.1, 0.0]]), penalty) == pytest.approx(
        0.8 - 0.5 * 2**0.5, abs=1e-6
    )
    assert group_kkt_residual(weight, torch.zeros(2, 2), penalty) == pytest.approx(0.5 * 2**0.5)


def test_edges():
    assert kkt_residual(np.zeros(0), np.zeros(0), 0.1) == 0
    assert np.isnan(kkt_residual(np.array([np.nan]), np.zeros(1), 0.1))
    assert kkt_residual(torch.ones((), dtype=torch.bfloat16), torch.tensor(-1.0), 1.0) == 0
    with pytest.raises(InputError, match=r"must have one shape, got \(2,\) and \(3,\)"):
        kkt_residual(np.zeros(2), np.zeros(3), 0.1)
    with pytest.raises(InputError, match="l1 must be a finite number above 0"):
        relative_kkt_residual(np.zeros(2), np.zeros(2), 0.0)
    with pytest.raises(InputError, match="l2 must be"):
        kkt_residual(np.zeros(2), np.zeros(2), 0.1, -1)
