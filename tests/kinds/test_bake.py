"""Baked weights are plain ones of the values in evaluation."""

import copy

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


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("bake_copy", [True, False])
def test_copies_of_what_is_baked_go_on(options, bake_copy):
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    kinds.apply(model, **options)
    copied = copy.deepcopy(model)
    baked, other = (copied, model) if bake_copy else (model, copied)
    kinds.bake(baked)
    assert hasattr(other[0], "parametrizations")
    inputs = torch.randn(4, 5)
    assert torch.equal(other.eval()(inputs), baked.eval()(inputs))
    other.train()(inputs).sum().backward()
    assert kinds.bake(other) == ["0.weight", "2.weight"]
    assert all(torch.equal(other[at].weight, baked[at].weight) for at in (0, 2))


def test_the_stored_parameter_stays_where_it_has_the_shape():
    model = nn.Sequential(nn.Linear(5, 8))
    kinds.sparse(model, 0.5, start=0, end=0)
    stored = model[0].parametrizations.weight.original
    kinds.bake(model)
    assert model[0].weight is stored


def test_the_parametrization_of_a_bias_stays():
    model = nn.Sequential(nn.Linear(5, 8))
    nn.utils.parametrize.register_parametrization(model[0], "bias", nn.ReLU())
    kinds.sparse(model, 0.5, start=0, end=0)
    copied = copy.deepcopy(model)
    assert kinds.bake(model) == ["0.weight"]
    assert nn.utils.parametrize.is_parametrized(model[0], "bias")
    assert (model[0].bias >= 0).all()
    inputs = torch.randn(3, 5)
    assert torch.equal(model(inputs), copied(inputs))
    assert torch.equal(copy.deepcopy(model)(inputs), model(inputs))


def test_what_is_no_module_is_refused():
    for function in (kinds.bake, kinds.shrink):
        with pytest.raises(InputError, match="not those of a NoneType"):
            function(None)
    with pytest.raises(InputError, match="evaluate is a function"):
        kinds.sensitivity(nn.Linear(4, 4), None)
