import copy
import pickle
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from weightsmith.init.following import following_activations
from weightsmith.recording.activations import RECENT, Activations


def activations_of(model, following=None):
    return Activations(model, following or following_activations(model), "", nullcontext)


def run(activations, model, batches):
    activations.arm()
    for batch in batches:
        model(batch)
    activations.disarm()
    return {(name, weight): float(value) for name, weight, value in activations.series()}


def biased(layer, bias):
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0] = 1.0
        layer.bias.copy_(torch.tensor(bias))
    return layer


def batches(count=RECENT, *shape):
    torch.manual_seed(0)
    return [torch.randn(8, *shape).clamp(-3, 3) for _ in range(count)]


class Functional(nn.Module):
    """Its activation is a function, with a norm between it and the layer."""

    def __init__(self):
        super().__init__()
        self.layer = biased(nn.Linear(3, 4), [0.0, 0.0, 0.0, 0.0])
        self.norm = nn.BatchNorm1d(4)
        self.out = nn.Linear(4, 2)
        with torch.no_grad():
            self.norm.bias.copy_(torch.tensor([-100.0, -100.0, -100.0, 0.0]))

    def forward(self, inputs):
        return self.out(torch.relu(self.norm(self.layer(inputs))))


@pytest.mark.parametrize("inplace", [False, True])
def test_dead_units_before_a_module(inplace):
    model = nn.Sequential(biased(nn.Linear(3, 4), [-9.0, 0.0, 9.0, -9.0]), nn.ReLU(inplace), nn.Linear(4, 2))
    found = run(activations_of(model), model, batches(RECENT, 3))
    assert found == {("dead_units", "0.weight"): 0.5}


def test_dead_units_before_a_function_and_behind_a_norm():
    model = Functional()
    assert run(activations_of(model), model, batches(RECENT, 3)) == {("dead_units", "layer.weight"): 0.75}


def test_the_input_of_a_module_counts_and_not_the_layer_alone():
    """A sum before the activation brings units to life that the layer alone would leave dead."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = biased(nn.Linear(3, 3), [-9.0, -9.0, -9.0])
            self.relu = nn.ReLU()

        def forward(self, inputs):
            return self.relu(self.layer(inputs) + torch.tensor([20.0, 0.0, 0.0]))

    model = Residual()
    found = run(activations_of(model, {"layer": "relu"}), model, batches(RECENT, 3))
    assert found == {("dead_units", "layer.weight"): pytest.approx(2 / 3)}


def test_channels_are_the_units_of_a_convolution():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([-100.0, 0.0, 0.0, 0.0]))
    assert run(activations_of(model), model, batches(RECENT, 1, 6, 6)) == {("dead_units", "0.weight"): 0.25}


@pytest.mark.parametrize(("kind", "bound"), [(nn.Tanh, 2.7), (nn.Sigmoid, 4.7)])
def test_saturated_units(kind, bound):
    layer = nn.Linear(3, 4)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([bound, -bound, 0.9 * bound, 0.0]))
    model = nn.Sequential(layer, kind())
    assert run(activations_of(model), model, batches(RECENT, 3)) == {("saturated_units", "0.weight"): 0.5}


def test_saturation_needs_nearly_all_inputs():
    """A unit at its bounds for 90 % of the inputs is not saturated, one at 97 % is."""
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2) * 10)
    model = nn.Sequential(layer, nn.Tanh())
    inputs = torch.ones(100, 2)
    inputs[:10, 0] = 0.0
    inputs[:3, 1] = 0.0
    assert run(activations_of(model), model, [inputs] * RECENT) == {("saturated_units", "0.weight"): 0.5}


def test_nothing_is_said_before_there_are_enough_batches_and_old_ones_are_forgotten():
    layer = biased(nn.Linear(3, 2), [0.0, -9.0])
    model = nn.Sequential(layer, nn.ReLU())
    activations = activations_of(model)
    assert run(activations, model, batches(RECENT - 1, 3)) == {}
    assert run(activations, model, batches(1, 3)) == {("dead_units", "0.weight"): 0.5}
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([9.0, 9.0]))
    assert run(activations, model, batches(1, 3)) == {("dead_units", "0.weight"): 0.0}
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([-9.0, -9.0]))
    assert run(activations, model, batches(RECENT, 3)) == {("dead_units", "0.weight"): 1.0}


def test_evaluation_does_not_count():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()
    assert run(activations_of(model), model, batches(RECENT, 3)) == {}


def test_hooks_are_there_only_while_armed():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.ReLU())
    activations = activations_of(model)
    hooks = lambda: sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())  # noqa: E731
    activations.arm()
    activations.arm()
    assert hooks() == 4
    activations.disarm()
    assert hooks() == 0


def test_gradients_are_not_touched():
    model = Functional()
    batch = batches(1, 3)[0]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model(batch).sum().backward()
    plain = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model.load_state_dict(state)
    activations = activations_of(model)
    activations.arm()
    model(batch).sum().backward()
    assert all(torch.equal(one, parameter.grad) for one, parameter in zip(plain, model.parameters(), strict=True))


def test_a_model_without_such_activations_is_not_watched():
    assert not activations_of(nn.Sequential(nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 2)))


def test_a_model_is_copied_and_pickled_without_its_hooks():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
    watching = activations_of(model)
    watching.arm()
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for _ in range(RECENT):
        for each in copies:
            each(torch.randn(5, 4))
    assert not list(watching.series())
