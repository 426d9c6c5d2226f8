"""Options that do not fit, and models with nearly nothing in them."""

import numpy as np
import pytest
import torch
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError

AT_ONCE = {"start": 0, "end": 0}


def two_layers(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 7))


def masks(controller) -> list[np.ndarray]:
    return [kinds.mask_of(site).mask.numpy() for site in controller.sites]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 0.5, "n": 2, "m": 4, "block": (2, 2)}, "one pattern"),
        ({"n": 2}, "1 <= n < m"),
        ({"n": 4, "m": 4}, "1 <= n < m"),
        ({"n": 2, "m": 4, "sparsity": 0.7}, "sparsity of 0.5, not 0.7"),
        ({"n": 2, "m": 4, "scope": "erk"}, "scope is layer"),
        ({"sparsity": 0.5, "block": (0, 2)}, "pair of whole numbers"),
        ({"sparsity": 0.5, "block": 4}, "pair of whole numbers"),
        ({"sparsity": 0.5, "fan_in": 3}, "fan_in is True or False"),
        ({"sparsity": True}, "sparsity is a share"),
        ({"method": "rigel", "sparsity": 0.5}, "did you mean 'rigl'"),
        ({"method": "rigl"}, "needs the option 'sparsity'"),
        ({"method": "rigl", "sparsity": 0.5, "every": 0}, "every is a share"),
        ({"method": "rigl", "sparsity": 0.5, "every": 1.5}, "every is a share"),
        ({"method": "rigl", "sparsity": 0.5, "drop": 1.5}, "drop is a share"),
        ({"method": "set", "sparsity": 0.5, "seed": 0.5}, "whole number"),
        ({"method": "set", "sparsity": 0.5, "distribution": "er"}, "unknown distribution"),
        ({"method": "l0"}, "needs the option 'strength'"),
        ({"method": "l0", "sparsity": 0.5, "strength": 1.0}, "unknown option of"),
        ({"method": "l0", "strength": -1.0}, "at least 0"),
        ({"method": "l0", "strength": 1.0, "dropped": 1.0}, "below 1"),
        ({"method": "l1", "strength": "a lot"}, "finite number"),
        ({"method": "group_lasso", "strength": 1.0, "by": "filters"}, "no weight can be sparse"),
        ({"method": "spred", "strength": 1.0, "threshold": -1.0}, "at least 0"),
    ],
)
def test_mistakes_get_one_line(options, message):
    model = two_layers()
    with pytest.raises(InputError, match=message) as caught:
        kinds.sparse(model, **options)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        kinds.apply(model, "sparse", **options)
    assert not hasattr(model[0], "parametrizations")


@pytest.mark.parametrize("method", ["magnitude", "set", "rigl", "movement", "structured"])
def test_nothing_and_one_element(method):
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    controller = kinds.sparse(model, 0.5, method)
    model(torch.ones(1, 1)).sum().backward()
    controller.step(1.0)
    empty = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    empty[0].weight = nn.Parameter(torch.empty(0, 2))
    empty[0].bias = nn.Parameter(torch.empty(0))
    kinds.sparse(empty, 0.5, method, include="0.weight").step(1.0)
