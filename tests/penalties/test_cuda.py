"""Penalties on a GPU are what they are on the CPU."""

import pytest
import torch

from weightsmith.penalties import (
    L1,
    L2,
    PENALTIES,
    ElasticNet,
    GroupLasso,
    MaxNorm,
    Orthogonality,
    count_zeros,
    group_kkt_residual,
    kkt_residual,
    loss_term,
    rank_features,
)

EACH = [
    L1(0.1),
    L2(0.2),
    ElasticNet(0.1, 0.2),
    GroupLasso(0.05, "rows"),
    GroupLasso(0.05, "columns"),
    GroupLasso(0.05, "filters"),
    MaxNorm(1.5),
    Orthogonality(0.1),
]
LOSS_TERMS = [penalty for penalty in EACH if not isinstance(penalty, MaxNorm)]
PROXIMAL = [penalty for penalty in EACH if not isinstance(penalty, Orthogonality)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def weight(dtype=torch.float32):
    drawn = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(2)) * 0.3
    drawn[1] *= 5
    drawn[2] = 0
    return drawn.to(dtype)


def assert_close(there, here):
    share = {torch.bfloat16: 0.03, torch.float16: 0.005}.get(here.dtype, 1e-5)
    torch.testing.assert_close(there, here, rtol=share, atol=share * float(here.abs().max()))


def test_the_whole_table_is_tried():
    assert {type(penalty) for penalty in EACH} == {info.penalty for info in PENALTIES.values()}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("penalty", LOSS_TERMS, ids=str)
def test_loss_terms_and_their_gradients(cuda, penalty, dtype):
    found = []
    for place in ("cpu", cuda):
        leaf = weight(dtype).to(place).requires_grad_()
        term = loss_term([("weight", leaf)], penalty)
        term.backward()
        assert term.device == leaf.device
        found.append((term.detach().cpu(), leaf.grad.cpu()))
    for there, here in zip(*reversed(found), strict=True):
        assert_close(there, here)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("metric", ["one step", "a step for each"])
@pytest.mark.parametrize("penalty", PROXIMAL, ids=str)
def test_proximal_steps(cuda, penalty, metric, dtype):
    here = weight(dtype)
    there = here.to(cuda)
    step = 0.5
    if metric == "a step for each":
        step = torch.rand(here.shape, generator=torch.Generator().manual_seed(3)) + 0.1
    penalty.proximal_(here, step)
    penalty.proximal_(there, step.to(cuda) if isinstance(step, torch.Tensor) else step)
    assert_close(there.cpu(), here)
    assert not torch.equal(here, weight(dtype))


def test_what_no_penalty_acts_on_costs_nothing_on_the_same_device(cuda):
    term = loss_term([("weight", weight().to(cuda))], ())
    assert term.device.type == "cuda"
    assert float(term) == 0


def test_reports_take_tensors_of_a_gpu(cuda):
    here, gradient = weight(), weight().flip(0) * 0.1
    there, slope = here.to(cuda), gradient.to(cuda)
    lasso = GroupLasso(0.05)
    assert kkt_residual(there, slope, 0.1, 0.2) == pytest.approx(kkt_residual(here, gradient, 0.1, 0.2))
    assert group_kkt_residual(there, slope, lasso) == pytest.approx(group_kkt_residual(here, gradient, lasso))
    assert count_zeros([("weight", there)]) == count_zeros([("weight", here)])
    found, expected = rank_features(there), rank_features(here)
    assert [each.index for each in found] == [each.index for each in expected]
    assert [each.importance for each in found] == pytest.approx([each.importance for each in expected])
