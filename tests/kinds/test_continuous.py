import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError

FLOAT16 = [torch.float16, torch.bfloat16]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


@pytest.mark.parametrize(
    ("bounds", "least"),
    [
        ({"minimum": -0.05, "maximum": 0.1}, 0.8),
        ({"non_negative": True}, 0.4),
        ({"unit_norm": True}, 0.9),
        ({"non_negative": True, "unit_norm": True}, 0.4),
        ({"non_negative": True, "maximum": 0.3}, 0.4),
    ],
)
def test_bounds_hold_after_each_step_while_it_learns(bounds, least):
    pixels, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
    pixels = pixels.float() / 8 - 1
    model = network()
    controller = kinds.continuous(model, **bounds)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(60):
        for weight in (model[0].weight, model[2].weight):
            check(weight.detach().numpy(), **bounds)
        optimizer.zero_grad()
        F.cross_entropy(model(pixels), labels).backward()
        optimizer.step()
        controller.step((step + 1) / 60)
    assert (model(pixels).argmax(1) == labels).float().mean() > least
    assert sorted(model.state_dict()) == ["0.bias", "0.weight", "2.bias", "2.weight"]


def check(weight, minimum=-math.inf, maximum=math.inf, non_negative=False, unit_norm=False):
    assert weight.min() >= np.float32(max(minimum, 0) if non_negative else minimum)
    assert weight.max() <= np.float32(maximum)
    if unit_norm:
        np.testing.assert_allclose(np.linalg.norm(weight, axis=1), 1, rtol=1e-5)


@given(low=st.floats(-2, 2), width=st.floats(0, 2), negative=st.booleans())
def test_the_projection_is_numpys_clip(low, width, negative):
    model = nn.Sequential(nn.Linear(5, 4))
    before = model[0].weight.detach().numpy().copy()
    least, most = (low, low + width) if negative else (max(low, 0.0), max(low, 0.0) + width)
    kinds.continuous(model, minimum=low, maximum=most, non_negative=not negative)
    expected = np.clip(before, np.float32(least), np.float32(most))
    np.testing.assert_array_equal(model[0].weight.detach().numpy(), expected)


def test_unit_rows_of_every_layer():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 6, 3, groups=2), nn.Linear(3, 2))
    with torch.no_grad():
        model[2].weight[1] = 0
    kinds.continuous(model, unit_norm=True)
    conv, transposed, linear = (layer.weight.detach().numpy() for layer in model)
    np.testing.assert_allclose(np.linalg.norm(conv.reshape(4, -1), axis=1), 1, rtol=1e-6)
    for group in range(2):
        rows = transposed[group * 2 : group * 2 + 2].transpose(1, 0, 2, 3).reshape(3, -1)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)
    assert linear[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", FLOAT16)
@pytest.mark.parametrize("size", [1e-6, 300.0])
def test_squares_neither_overflow_nor_vanish_in_16_bits(dtype, size):
    model = nn.Sequential(nn.Linear(256, 2)).to(dtype)
    with torch.no_grad():
        model[0].weight.fill_(size)
    kinds.continuous(model, unit_norm=True)
    assert model[0].weight.dtype == dtype
    torch.testing.assert_close(model[0].weight, torch.full((2, 256), 1 / 16, dtype=dtype))


def test_without_bounds_nothing_changes():
    model = network()
    before = copy.deepcopy(model.state_dict())
    kinds.apply(model, "continuous").step(1.0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_each_layer_can_have_bounds_of_its_own():
    model = network()
    kinds.continuous(model, include="0.weight", non_negative=True)
    kinds.continuous(model, include="2.weight", maximum=0.0)
    assert model[0].weight.min() >= 0
    assert model[2].weight.max() <= 0


def test_computed_weights_are_not_projected():
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    model = nn.Sequential(nn.Linear(4, 4), normed)
    stored = normed.parametrizations.weight.original.detach().clone()
    controller = kinds.continuous(model, unit_norm=True)
    assert [site.name for site in controller.sites] == ["0.weight"]
    assert torch.equal(normed.parametrizations.weight.original, stored)


def test_what_is_not_finite_stays_to_be_seen():
    model = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    kinds.continuous(model, minimum=0.0, unit_norm=False)
    assert model[0].weight[0, 0].isnan()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"minimum": math.nan}, "minimum"),
        ({"maximum": "a"}, "maximum"),
        ({"minimum": True}, "minimum"),
        ({"minimum": 1.0, "maximum": 0.0}, "between a minimum of 1.0 and a maximum of 0.0"),
        ({"non_negative": True, "maximum": -1.0}, "no value lies between"),
        ({"unit_norm": True, "maximum": 1.0}, "unit_norm"),
    ],
)
def test_mistakes_are_named(options, named):
    with pytest.raises(InputError, match=named):
        kinds.continuous(network(), **options)
