"""Baked weights are plain ones of the values in evaluation."""

import pytest
import torch
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError

KINDS = {
    "binary": {"kind": "binary", "scale": "channel", "first_and_last": "binary"},
    "stochastic": {"kind": "binary", "stochastic": True, "first_and_last": "binary"},
    "ternary": {"kind": "ternary", "first_and_last": "ternary"},
    **{
        name: {"kind": "sparse", "method": name, **options}
        for name, options in {
            "magnitude": {"sparsity": 0.5, "start": 0, "end": 0},
            "rigl": {"sparsity": 0.5},
            "l0": {"strength": 1.0, "dropped": 0.95},
            "spred": {"strength": 1.0},
        }.items()
    },
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_values_in_evaluation_stay(options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    keys = list(model.state_dict())
    kinds.apply(model, **options)
    model.eval()
    expected = [model[0].weight.detach().clone(), model[2].weight.detach().clone()]
    model.train()
    assert kinds.bake(nn.DataParallel(model)) == ["0.weight", "2.weight"]
    assert sorted(model.state_dict()) == sorted(keys)
    for layer, weight in zip((model[0], model[2]), expected, strict=True):
        assert torch.equal(layer.weight, weight)
        assert not torch.signbit(layer.weight[layer.weight == 0]).any()
        assert type(layer) is nn.Linear
    assert model.training
    assert kinds.bake(model) == []


def test_an_optimizer_still_moves_baked_weights():
    model = nn.Sequential(nn.Linear(5, 8))
    kinds.sparse(model, 0.5, start=0, end=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    kinds.bake(model)
    before = model[0].weight.detach().clone()
    model(torch.ones(1, 5)).sum().backward()
    optimizer.step()
    assert not torch.equal(model[0].weight, before)


def test_weights_computed_by_others_too_are_refused():
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 4))
    kinds.sparse(model, 0.5, start=0, end=0)
    with pytest.raises(InputError, match=r"'0.weight' is computed by another parametrization"):
        kinds.bake(model)
    assert hasattr(model[1], "parametrizations")
