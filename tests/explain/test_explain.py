import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.explain import grad_cam, integrated_gradients, maximize_activation, saliency

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
        (lambda: maximize_activation(linear(), (6,), [3]), "the model has units 0 to 2, not 3"),
        (lambda: maximize_activation(linear(), (6,), []), "at least one unit"),
        (lambda: maximize_activation(linear(), (6,), [0], layer="x"), "has no layer 'x'"),
    ],
    ids=range(15),
)
def test_mistakes_get_one_line(ask, message):
    with pytest.raises(InputError, match=message) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_captum_is_loaded_when_it_is_needed():
    code = "import sys, weightsmith.explain; assert 'captum' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
