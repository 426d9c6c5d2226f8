import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.errors import InputError
from weightsmith.penalties import GroupLasso


def objective(penalty, weight, start, step):
    return float(penalty.value(weight) + ((weight - start) ** 2 / (2 * step)).sum())


def test_value_weighs_groups_by_the_root_of_their_size():
    weight = torch.arange(6.0).view(2, 3)
    rows = np.sqrt(3) * np.linalg.norm(weight.numpy(), axis=1).sum()
    columns = np.sqrt(2) * np.linalg.norm(weight.numpy(), axis=0).sum()
    assert GroupLasso(0.5).value(weight).item() == pytest.approx(0.5 * rows)
    assert GroupLasso(0.5, "columns").value(weight).item() == pytest.approx(0.5 * columns)


def test_filters_and_channels_of_a_convolution():
    weight = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    filters = weight.flatten(1).norm(dim=1).sum() * 75**0.5
    channels = weight.transpose(0, 1).flatten(1).norm(dim=1).sum() * 100**0.5
    torch.testing.assert_close(GroupLasso(1.0, "filters").value(weight), filters)
    torch.testing.assert_close(GroupLasso(1.0, "columns").value(weight), channels)
    kept = weight.clone()
    weight[1] *= 1e-3
    GroupLasso(0.01, "filters").proximal_(weight, 1.0)
    assert weight[1].eq(0).all()
    assert weight[0].ne(0).all()
    torch.testing.assert_close(weight[0] / weight[0].norm(), kept[0] / kept[0].norm())


def test_gradient_of_a_vanished_group_is_zero():
    weight = torch.zeros(2, 3, requires_grad=True)
    GroupLasso(1.0).value(weight).backward()
    assert weight.grad.eq(0).all()


def test_one_step_for_all_equals_the_same_step_for_each():
    weight = torch.randn(30, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight[::3] *= 0.02
    single, each = weight.clone(), weight.clone()
    GroupLasso(0.1).proximal_(single, 0.5)
    GroupLasso(0.1).proximal_(each, torch.full_like(each, 0.5))
    torch.testing.assert_close(single, each, rtol=1e-12, atol=1e-14)
    assert torch.equal(single == 0, each == 0)
    assert single[0].eq(0).all()


@pytest.mark.parametrize("by", ["rows", "columns"])
@given(st.data())
def test_a_step_per_element_gives_the_minimum(by, data):
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    finite = st.floats(-10, 10, width=32)
    start = torch.from_numpy(data.draw(hnp.arrays(np.float64, shape, elements=finite)))
    exponents = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-6, 4)))
    step = torch.from_numpy(10.0**exponents)
    penalty = GroupLasso(0.5, by)
    weight = start.clone()
    penalty.proximal_(weight, step)
    # Optimality: (start - u) / step is s u / |u| for a group that is left, and no longer than s for one that is not.
    dim = 0 if by == "columns" else 1
    strength = penalty.group_strength(weight)
    norms = weight.norm(dim=dim, keepdim=True)
    pull = (start - weight) / step
    gone = norms.squeeze(dim) == 0
    assert (pull.norm(dim=dim)[gone] <= strength * (1 + 1e-9)).all()
    excess = pull - strength * torch.where(norms == 0, 0.0, weight / norms)
    # A difference of nearly equal numbers over a tiny step is exact only to that quotient.
    slack = 1e-6 * strength + 1e-13 * start.abs() / step
    assert (excess.abs() <= slack).masked_fill((norms == 0).expand_as(excess), True).all()


def test_small_steps_of_wide_range_keep_their_minimum():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 40, generator=generator, dtype=torch.float64)
    step = 10 ** (8 * torch.rand(6, 40, generator=generator, dtype=torch.float64) - 6)
    penalty, weight = GroupLasso(0.2), start.clone()
    penalty.proximal_(weight, step)
    best = objective(penalty, weight, start, step)
    for _ in range(200):
        nearby = weight + 1e-4 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        assert objective(penalty, nearby, start, step) >= best


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1)])
@pytest.mark.parametrize("by", ["rows", "columns"])
def test_empty_and_tiny(shape, by):
    weight = torch.full(shape, 0.5)
    GroupLasso(1.0, by).proximal_(weight, 1.0)
    assert weight.eq(0).all()
    assert GroupLasso(1.0, by).value(weight).item() == 0


def test_bfloat16_views_in_place():
    whole = torch.ones(4, 6, dtype=torch.bfloat16)
    GroupLasso(0.1).proximal_(whole.T, 1.0)
    expected = 1 - 0.1 * 2 / 2
    assert whole.eq(torch.tensor(expected, dtype=torch.bfloat16)).all()


def test_nan_stays_in_its_group():
    weight = torch.ones(2, 3)
    weight[0, 1] = torch.nan
    for step in (0.1, torch.full((2, 3), 0.1)):
        GroupLasso(0.1).proximal_(weight, step)
        assert weight[0].isnan().all()
        assert weight[1].isfinite().all()


def test_mistakes():
    with pytest.raises(InputError, match=r"grouping of GroupLasso 'row': choose from rows.*did you mean 'rows'"):
        GroupLasso(1.0, "row")
    with pytest.raises(InputError, match=r"at least 3 dimensions, got shape \(2, 2\)"):
        GroupLasso(1.0, "filters").value(torch.ones(2, 2))
    with pytest.raises(InputError, match="GroupLasso strength"):
        GroupLasso(-1.0)
