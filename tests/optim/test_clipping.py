import math

import numpy as np
import pytest
import torch

from weightsmith.errors import InputError
from weightsmith.optim import clip_by_norm, clip_by_value


def tensors(*gradients):
    found = [torch.zeros(np.shape(gradient)) for gradient in gradients]
    for tensor, gradient in zip(found, gradients, strict=True):
        tensor.grad = torch.tensor(gradient)
    return [*found, torch.zeros(3)]


def test_by_norm_scales_all_together():
    parameters = tensors([3.0, 0.0], [[4.0]])
    assert clip_by_norm(iter(parameters), 1.0).item() == pytest.approx(5)
    torch.testing.assert_close(parameters[0].grad, torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(parameters[1].grad, torch.tensor([[0.8]]))
    assert clip_by_norm(parameters, 2.0).item() == pytest.approx(1)
    torch.testing.assert_close(parameters[1].grad, torch.tensor([[0.8]]))


def test_by_value_clamps_each():
    parameters = tensors([3.0, -0.5], [[-4.0]])
    norm = clip_by_value(iter(parameters), 1.0).item()
    assert norm == pytest.approx(np.linalg.norm([3, -0.5, -4]))
    assert parameters[0].grad.tolist() == [1, -0.5]
    assert parameters[1].grad.tolist() == [[-1]]
    assert parameters[2].grad is None


def test_gradients_that_are_no_numbers_show_in_the_norm():
    assert clip_by_norm(tensors([math.nan, 1.0]), 1.0).isnan()
    assert clip_by_value(tensors([math.inf]), 1.0).isinf()
    assert clip_by_norm([torch.zeros(2)], 1.0).item() == 0
    assert clip_by_value([torch.zeros(2)], 1.0).item() == 0


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value])
@pytest.mark.parametrize("limit", [0.0, -1.0, math.inf, "1"])
def test_limits_are_checked(clip, limit):
    with pytest.raises(InputError, match="limit must be a finite number above 0"):
        clip(tensors([1.0]), limit)
