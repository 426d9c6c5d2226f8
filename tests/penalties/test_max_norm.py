import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.errors import InputError
from weightsmith.penalties import MaxNorm


def test_rows_that_are_too_long_are_scaled():
    weight = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    MaxNorm(2.0).proximal_(weight, 0.1)
    torch.testing.assert_close(weight, torch.tensor([[1.2, 1.6], [0.3, 0.4], [0.0, 0.0]]))


def test_filters_of_a_convolution():
    weight = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.renorm(weight, 2, 0, 1.5)
    MaxNorm(1.5).proximal_(weight, 1.0)
    torch.testing.assert_close(weight, expected)


@given(st.data())
def test_projection_in_a_metric_meets_its_optimality_condition(data):
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 6)))
    start = torch.from_numpy(data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-10, 10, width=32))))
    step = torch.from_numpy(10 ** data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-3, 3))))
    weight = start.clone()
    MaxNorm(1.0).proximal_(weight, step)
    inside = start.norm(dim=1) <= 1
    assert torch.equal(weight[inside], start[inside])
    np.testing.assert_allclose(weight[~inside].norm(dim=1), 1, rtol=1e-9)
    # (start - u) / step = nu u with one nu a row, not negative.
    pull = ((start - weight) / step)[~inside]
    outside = weight[~inside]
    multiplier = (pull * outside).sum(1, keepdim=True)
    assert (multiplier >= 0).all()
    np.testing.assert_allclose(pull, multiplier * outside, rtol=1e-6, atol=1e-6)


def test_an_equal_step_for_each_projects_as_one_for_all():
    weight = 3 * torch.randn(20, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    single, each = weight.clone(), weight.clone()
    MaxNorm(2.0).proximal_(single, 0.01)
    MaxNorm(2.0).proximal_(each, torch.full_like(each, 0.01))
    torch.testing.assert_close(single, each, rtol=1e-12, atol=1e-12)


def test_other_layouts_and_types():
    whole = torch.full((6, 4), 2.0, dtype=torch.bfloat16)
    MaxNorm(1.0).proximal_(whole.T, 1.0)
    torch.testing.assert_close(whole.float().norm(dim=0), torch.ones(4), rtol=1e-2, atol=0)
    empty = torch.ones(0, 4)
    MaxNorm(1.0).proximal_(empty, 1.0)


def test_mistakes():
    for limit in (0.0, -1.0, math.nan, "3"):
        with pytest.raises(InputError, match="MaxNorm limit must be a finite number above 0"):
            MaxNorm(limit)
    with pytest.raises(InputError, match="at least 2 dimensions"):
        MaxNorm(1.0).proximal_(torch.ones(3), 1.0)
