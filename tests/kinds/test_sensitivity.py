import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import weightsmith as ws
from weightsmith.errors import InputError
from weightsmith.kinds import sensitivity


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


INPUTS = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def mean_square(model):
    with torch.no_grad():
        return model(INPUTS).square().mean()


def replaced(model, name, values):
    changed = copy.deepcopy(model)
    changed.get_parameter(name).data.copy_(values)
    return float(mean_square(changed))


def test_each_matrix_alone_is_made_binary(model):
    found = sensitivity(model, mean_square)
    assert [one.weight for one in found] == ["0.weight", "3.weight", "5.weight"]
    for one in found:
        weight = model.get_parameter(one.weight).detach()
        rows = weight.flatten(1)
        expected = (torch.where(rows >= 0, 1.0, -1.0) * rows.abs().mean(1, keepdim=True)).reshape(weight.shape)
        assert one.after == pytest.approx(replaced(model, one.weight, expected))
        assert one.before == pytest.approx(float(mean_square(model)))
        assert one.error == pytest.approx(float((weight - expected).square().sum() / weight.square().sum()), rel=1e-4)
        assert one.to_json()["change"] == one.after - one.before
        assert one.size == weight.numel()


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.93])
def test_each_matrix_alone_is_pruned(model, sparsity):
    for one in sensitivity(model, mean_square, to="sparse", sparsity=sparsity, exclude="0.weight"):
        weight = model.get_parameter(one.weight).detach().numpy()
        smallest = np.argsort(np.abs(weight), axis=None)[: round(sparsity * weight.size)]
        expected = weight.copy()
        expected.ravel()[smallest] = 0
        assert one.after == pytest.approx(replaced(model, one.weight, torch.from_numpy(expected)))


def test_the_model_is_left_untouched_even_by_an_evaluation_that_fails(model):
    model.train()
    model[3].eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    seen = []

    def evaluate(module):
        seen.append(module.training)
        if len(seen) == 3:
            raise KeyError("stop")
        return 1.0

    with pytest.raises(KeyError, match="stop"):
        sensitivity(model, evaluate)
    assert seen == [False] * 3
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_transposed_convolution_has_a_scale_for_each_of_its_outputs():
    model = nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False)
    weight = model.weight.detach().clone()
    seen = []
    sensitivity(model, lambda module: seen.append(module.weight.detach().clone()) or 0.0)
    for group in range(2):
        for output in range(3):
            channel = weight[2 * group : 2 * group + 2, output]
            torch.testing.assert_close(
                seen[1][2 * group : 2 * group + 2, output], torch.where(channel >= 0, 1.0, -1.0) * channel.abs().mean()
            )


def test_progress_and_computed_weights(model):
    parametrizations.weight_norm(model[3])
    told = []
    found = sensitivity(model, mean_square, progress=lambda *what: told.append(what))
    assert [one.weight for one in found] == ["0.weight", "5.weight"]
    assert told == [(0, 3, "the model as it is"), (1, 3, "0.weight"), (2, 3, "5.weight")]


@pytest.mark.parametrize(
    ("options", "evaluate", "message"),
    [
        ({"to": "ternary"}, mean_square, "target"),
        ({"to": "sparse", "sparsity": 1.0}, mean_square, "below 1, not 1.0"),
        ({"include": "nothing"}, mean_square, "matches no weight"),
        ({}, lambda model: None, "evaluate has to return one number, not NoneType"),
        ({}, lambda model: torch.zeros(2), "evaluate has to return one number"),
    ],
)
def test_mistakes_are_named(model, options, evaluate, message):
    with pytest.raises(InputError, match=message):
        ws.kinds.sensitivity(model, evaluate, **options)
