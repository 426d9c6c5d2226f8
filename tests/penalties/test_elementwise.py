import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize_scalar

from weightsmith.errors import InputError
from weightsmith.penalties import L1, L2, ElasticNet

PENALTIES = [L1(0.3), L2(0.7), ElasticNet(0.3, 0.7)]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("step", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("start", [-2.5, -0.01, 0.0, 0.02, 3.0])
def test_the_proximal_step_minimizes_what_it_should(penalty, step, start):
    def objective(u):
        point = torch.tensor([u], dtype=torch.float64)
        return float(penalty.value(point)) + (u - start) ** 2 / (2 * step)

    weight = torch.tensor([start], dtype=torch.float64)
    penalty.proximal_(weight, step)
    best = minimize_scalar(objective, bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}).x
    assert weight.item() == pytest.approx(best, abs=1e-6)
    assert objective(weight.item()) <= objective(best) + 1e-12


def test_values_and_gradients():
    weight = torch.tensor([[1.0, -2.0], [0.0, 3.0]], requires_grad=True)
    ElasticNet(0.5, 0.1).value(weight).backward()
    assert ElasticNet(0.5, 0.1).value(weight).item() == pytest.approx(0.5 * 6 + 0.05 * 14)
    torch.testing.assert_close(weight.grad, 0.5 * weight.detach().sign() + 0.1 * weight.detach())
    assert L1(2.0).value(weight).item() == 12
    assert L2(2.0).value(weight).item() == 14


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, min_side=0), elements=st.floats(-9, 9, width=32)))
def test_any_shape_and_a_step_per_element(values):
    step = torch.linspace(0.1, 2, values.size).view(values.shape)
    weight = torch.from_numpy(values.copy())
    ElasticNet(0.5, 0.25).proximal_(weight, step)
    size = np.maximum(np.abs(values) - 0.5 * step.numpy(), 0) / (1 + 0.25 * step.numpy())
    np.testing.assert_allclose(weight.numpy(), np.sign(values) * size, rtol=1e-5, atol=1e-6)
    assert not np.signbit(weight.numpy()[weight.numpy() == 0]).any()


def test_views_that_are_not_contiguous_change_in_place():
    whole = torch.ones(4, 6)
    L1(0.25).proximal_(whole.T[::2], 1.0)
    assert whole[:, ::2].eq(0.75).all()
    assert whole[:, 1::2].eq(1).all()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_sixteen_bits_are_rounded_once(kind):
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0)).to(kind)
    exact = weight.float()
    for tensor in (weight, exact):
        ElasticNet(0.1, 0.1).proximal_(tensor, 0.3)
    assert torch.equal(weight, exact.to(kind))


def test_nan_and_infinity_stay():
    weight = torch.tensor([math.nan, math.inf, -math.inf])
    L1(1.0).proximal_(weight, 0.1)
    assert torch.equal(weight.nan_to_num(7.0), torch.tensor([math.nan, math.inf, -math.inf]).nan_to_num(7.0))


@pytest.mark.parametrize("strength", [-1.0, math.nan, math.inf, "0.1", None, True])
@pytest.mark.parametrize("kind", [L1, L2, lambda value: ElasticNet(value, 0.0), lambda value: ElasticNet(0.0, value)])
def test_strengths_are_checked(kind, strength):
    with pytest.raises(InputError, match=r"must be a finite number of at least 0, got"):
        kind(strength)
