import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from weightsmith.errors import InputError, MissingExtraError
from weightsmith.explain import count_units, grad_cam, integrated_gradients, maximize_activation, saliency

pytest.importorskip("captum")


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(6, 3)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3))


@pytest.fixture
def rows():
    return torch.randn(9, 6, generator=torch.Generator().manual_seed(1))


def test_saliency_of_a_linear_model_is_its_weights(rows):
    model = linear()
    found = saliency(model, rows, 2)
    assert found.values == pytest.approx(np.tile(model.weight[2].abs().detach().numpy(), (9, 1)))
    assert found.outputs == pytest.approx(model(rows)[:, 2].detach().numpy(), abs=1e-6)
    assert found.strongest(1)[0][0] == int(model.weight[2].abs().argmax())


def test_integrated_gradients_of_a_linear_model_are_weight_times_input(rows):
    model = linear()
    base = torch.full((6,), 0.5)
    found = integrated_gradients(model, rows, 1, baseline=base)
    assert found.values == pytest.approx(((rows - base) * model.weight[1]).detach().numpy(), abs=1e-5)


def test_integrated_gradients_add_up_to_the_change_of_the_output(network, rows):
    found = integrated_gradients(network, rows)
    network.eval()
    with torch.no_grad():
        change = network(rows) - network(torch.zeros(1, 6))
    wanted = change.numpy()[np.arange(9), found.targets]
    assert found.values.sum(axis=1) == pytest.approx(wanted, abs=2e-3)
    assert found.gap == pytest.approx(found.values.sum(axis=1) - wanted, abs=1e-4)


def test_long_rows_pass_in_small_parts_with_the_same_values(network, rows, monkeypatch):
    whole = [method(network, rows) for method in (saliency, integrated_gradients)]
    monkeypatch.setattr("weightsmith.explain.gradients.NUMBERS", 6)
    for method, expected in zip((saliency, integrated_gradients), whole, strict=True):
        assert method(network, rows).values == pytest.approx(expected.values, abs=1e-5)


def test_saliency_is_the_derivative(network, rows):
    found = saliency(network.double(), rows.double())
    network.eval()
    step = 1e-6
    for row in range(3):
        for column in range(6):
            moved = rows[row : row + 1].double().repeat(2, 1)
            moved[0, column] += step
            moved[1, column] -= step
            outputs = network(moved)[:, found.targets[row]].detach()
            assert found.values[row, column] == pytest.approx(abs(float(outputs[0] - outputs[1])) / 2 / step, rel=1e-3)


def test_the_largest_output_of_each_row_is_explained_unless_told(network, rows):
    network.eval()
    assert saliency(network, rows).targets.tolist() == network(rows).argmax(dim=1).tolist()
    given = [0, 1, 2] * 3
    assert saliency(network, rows, given).targets.tolist() == given


def test_the_model_is_left_as_it_was(network, rows):
    network[0].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    saliency(network, rows)
    integrated_gradients(network, rows)
    maximize_activation(network, (6,), [0], steps=3)
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network._forward_hooks


class BrightCorner(nn.Module):
    """Output 0 is what lies in the upper left corner, output 1 what lies in the lower right one."""

    def __init__(self):
        super().__init__()
        self.early = nn.Conv2d(1, 2, 3, padding=1)
        self.late = nn.Conv2d(2, 1, 1, bias=False)
        with torch.no_grad():
            self.early.weight.zero_()
            self.early.weight[:, 0, 1, 1] = 1
            self.early.bias.zero_()
            self.late.weight.fill_(0.5)

    def forward(self, images):
        seen = self.late(self.early(images))
        return torch.stack([seen[:, 0, :4, :4].sum((1, 2)), -seen[:, 0].sum((1, 2))], dim=1)


def test_grad_cam_shows_the_region_that_speaks_for_an_output():
    images = torch.zeros(2, 1, 8, 8)
    images[:, 0, :3, :3] = 1
    found = grad_cam(BrightCorner(), images, 0)
    assert found.layer == "late"
    assert found.values.shape == (2, 8, 8)
    assert found.values[:, :3, :3].min() > 0
    assert found.values[:, 4:, :].max() == 0
    assert grad_cam(BrightCorner(), images, 1).values.max() == 0
    assert grad_cam(BrightCorner(), images, 0, layer="early").layer == "early"


def test_maximization_of_a_linear_unit_finds_its_weights():
    model = linear()
    found = maximize_activation(model, (6,), [0, 2], seed=3)
    assert (found.after > found.before).all()
    for row, unit in enumerate((0, 2)):
        weight = model.weight[unit].detach().numpy()
        cosine = found.inputs[row] @ weight / np.linalg.norm(found.inputs[row]) / np.linalg.norm(weight)
        assert cosine > 0.99
    assert np.abs(found.inputs).max() <= 3
    again = maximize_activation(model, (6,), [0, 2], seed=3)
    assert np.array_equal(found.inputs, again.inputs)


def test_maximization_of_a_channel_within():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    found = maximize_activation(model, (1, 8, 8), [1, 3], layer="0", steps=40)
    assert found.inputs.shape == (2, 1, 8, 8)
    assert (found.after > found.before).all()


def test_a_dead_unit_is_left_in_peace():
    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    with torch.no_grad():
        model[0].bias.fill_(-100)
    found = maximize_activation(model, (4,), [0], steps=5)
    assert np.isfinite(found.inputs).all()
    assert found.after.tolist() == [0.0]


def test_a_unit_of_a_layer_over_a_sequence_is_a_feature():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.LSTM(3, 6, batch_first=True))
    model = Outputs(layers, lambda found: found[0][:, -1])
    found = maximize_activation(model, (7, 4), [2], layer="layers.0", steps=200)
    weight = model.layers[0].weight[2].detach().numpy()
    for moment in found.inputs[0]:
        assert moment @ weight / np.linalg.norm(moment) / np.linalg.norm(weight) > 0.99
    units = [count_units(model, (7, 4), layer) for layer in ("", "layers.0", "layers.1", "layers.2")]
    assert units == [6, 3, 3, 6]


def test_units_of_a_convolution_are_its_channels():
    model = nn.Sequential(nn.Conv1d(2, 5, 3), nn.ReLU())
    assert [count_units(model, (2, 9), layer) for layer in ("", "0", "1")] == [5, 5, 5]


def test_a_layer_is_seen_as_it_is_though_one_that_works_in_place_follows():
    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU(inplace=True))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    found = maximize_activation(model, (4,), [1], layer="0", steps=50)
    assert found.before[0] < found.after[0] < 0


def test_small_images_are_not_shifted_about():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.eye(8).flatten()[None])
    found = maximize_activation(model, (1, 8, 8), [0], smoothness=0)
    assert found.inputs[0, 0] * np.eye(8) == pytest.approx(found.inputs[0, 0], abs=1e-3)
    assert found.after[0] > 15


class Outputs(nn.Module):
    """Layers, and what is made of their result."""

    def __init__(self, layers, make):
        super().__init__()
        self.layers = layers
        self.make = make

    def forward(self, rows):
        return self.make(self.layers(rows))


METHODS = [saliency, integrated_gradients, grad_cam]


@pytest.mark.parametrize("explain", METHODS)
def test_a_model_that_changes_its_input_in_place_is_explained_on_what_it_was_given(explain):
    torch.manual_seed(0)
    layers = [nn.ReLU(inplace=True), nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(48, 2)]
    plain = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    model = nn.Sequential(*layers)
    plain.load_state_dict(model.state_dict())
    images = torch.randn(3, 1, 6, 6)
    given = images.clone()
    found, wanted = explain(model, images), explain(plain, images)
    assert torch.equal(images, given)
    assert np.array_equal(found.inputs, given.numpy())
    assert found.values == pytest.approx(wanted.values, abs=1e-6)


@pytest.mark.parametrize("explain", METHODS[:2])
def test_one_number_for_each_row_is_one_output(explain, rows):
    model = linear()
    alone = Outputs(model, lambda outputs: outputs[:, 1])
    assert explain(alone, rows).values == pytest.approx(explain(model, rows, 1).values)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_inputs_get_the_precision_of_the_model(rows, dtype):
    model = linear().to(dtype)
    for given in (rows, rows.numpy().astype(np.float64)):
        assert saliency(model, given, 1).values[0] == pytest.approx(model.weight[1].abs().detach().float().numpy())
    assert maximize_activation(model, (6,), [1], steps=2).inputs.dtype == np.float32


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_on_whatever_the_caller_has_set(rows, mode):
    model = linear()
    with mode():
        found = saliency(model, rows * 1.0, 1)
        integrated_gradients(model, rows * 1.0)
    assert found.values[0] == pytest.approx(model.weight[1].abs().detach().numpy())


def test_grad_cam_takes_the_last_convolution_that_is_called():
    model = BrightCorner()
    model.unused = nn.Conv2d(1, 1, 1)
    images = torch.rand(1, 1, 8, 8)
    assert grad_cam(model, images).layer == "late"
    with pytest.raises(InputError, match="does not call its layer 'unused'"):
        grad_cam(model, images, layer="unused")
    assert not any(module._forward_hooks for module in model.modules())


def test_without_captum_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtraError, match=r"needs captum: pip install 'weightsmith\[explain\]'"):
        saliency(linear(), torch.ones(1, 6))
    assert maximize_activation(linear(), (6,), [0], steps=2).units.tolist() == [0]


def without_values():
    model = linear()
    with torch.no_grad():
        model.weight.fill_(torch.nan)
    return model


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: saliency(linear(), torch.ones(2, 6), 3), "target 3 is not one of the model's 3 outputs"),
        (lambda: saliency(linear(), torch.ones(2, 6), -1), "is not one of the model's 3 outputs"),
        (lambda: saliency(linear(), torch.ones(2, 6), [0, 1, 2]), "3 targets for 2 rows"),
        (lambda: saliency(linear(), torch.full((2, 6), torch.nan)), "hold NaN or Inf"),
        (lambda: saliency(linear(), torch.ones(2, 6, dtype=torch.int64)), "give a batch of floats"),
        (lambda: saliency(nn.Flatten(0), torch.ones(2, 6)), r"the model gives \[12\] for 2 rows"),
        (
            lambda: integrated_gradients(linear(), torch.ones(2, 6), baseline=torch.ones(5)),
            r"a baseline of shape \[5\]",
        ),
        (lambda: integrated_gradients(linear(), torch.ones(2, 6), steps=1), "1 steps make no path"),
        (lambda: grad_cam(linear(), torch.ones(2, 6)), r"explains images"),
        (lambda: grad_cam(nn.Flatten(), torch.ones(2, 1, 6, 6)), "has no Conv2d layer"),
        (lambda: grad_cam(BrightCorner(), torch.ones(2, 1, 8, 8), layer="lat"), "no layer 'lat'; did you mean 'late'"),
        (lambda: grad_cam(BrightCorner(), torch.ones(2, 1, 8, 8), layer=""), "needs a Conv2d"),
        (lambda: maximize_activation(linear(), (6,), [3]), "there is no unit 3: there are 3, 0 to 2"),
        (lambda: maximize_activation(linear(), (6,), []), "at least one unit"),
        (lambda: maximize_activation(linear(), (6,), [0], layer="x"), "has no layer 'x'"),
        (lambda: maximize_activation(linear(), (6,), [-1]), "there is no unit -1: there are 3"),
        (lambda: maximize_activation(without_values(), (6,), [0]), "are NaN or Inf"),
        (lambda: saliency(without_values(), torch.ones(2, 6)), "the model's outputs are NaN or Inf"),
        (lambda: saliency(linear(), torch.ones(2, 5)), "cannot be explained on these inputs: mat1 and mat2 shapes"),
        (lambda: saliency(linear(), torch.ones(0, 6)), "are empty"),
        (lambda: saliency(linear().to("meta"), torch.ones(2, 6)), "meta device"),
        (lambda: saliency(torch.sin, torch.ones(2, 6)), "give a torch.nn.Module"),
        (lambda: saliency(linear(), torch.ones(2, 6), 1.5), "targets are numbers of outputs, not torch.float32"),
        (lambda: saliency(linear(), torch.ones(2, 6), "a"), "targets are numbers of outputs: give one"),
        (lambda: saliency(Outputs(linear(), lambda found: (found, None)), torch.ones(2, 6)), "the model gives a tuple"),
        (lambda: saliency(Outputs(linear(), torch.Tensor.detach), torch.ones(2, 6)), "does not require grad"),
    ],
    ids=range(26),
)
def test_mistakes_get_one_line(ask, message):
    with pytest.raises(InputError, match=message) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_captum_is_loaded_when_it_is_needed():
    code = "import sys, weightsmith.explain; assert 'captum' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
