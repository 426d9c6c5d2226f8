"""What a model on a GPU looks at is what it looks at on the CPU."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.explain import count_units, grad_cam, integrated_gradients, maximize_activation, saliency

pytest.importorskip("captum")


def network():
    """In float64, in which no convolution rounds to TF32."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8 * 16, 4),
    ).double()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent, self.last = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, inputs):
        return self.last(self.recurrent(inputs)[0][:, -1])


def images(rows=5):
    return torch.randn(rows, 2, 12, 12, generator=torch.Generator().manual_seed(1))


METHODS = {
    "saliency": saliency,
    "integrated gradients": integrated_gradients,
    "integrated gradients from a baseline": lambda *given: integrated_gradients(*given, baseline=np.ones((2, 12, 12))),
    "grad_cam": grad_cam,
    "grad_cam of the first layer": lambda *given: grad_cam(*given, layer="0"),
}


@pytest.mark.parametrize("place", ["cpu", "cuda"])
@pytest.mark.parametrize("targets", [None, 2, [0, 1, 2, 3, 0]], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_attributions_are_those_of_the_cpu(cuda, method, targets, place):
    here = network()
    there = copy.deepcopy(here).to(cuda)
    expected = METHODS[method](here, images(), targets)
    found = METHODS[method](there, images().to(place), targets)
    assert found.targets.tolist() == expected.targets.tolist()
    np.testing.assert_allclose(found.outputs, expected.outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in there.parameters())


@pytest.mark.parametrize("layer", ["", "0"])
def test_maximization_climbs_as_on_the_cpu(cuda, layer):
    here = network()
    there = copy.deepcopy(here).to(cuda)
    given = {"input_shape": (2, 12, 12), "units": [0, 3], "layer": layer, "steps": 12}
    expected, found = maximize_activation(here, **given), maximize_activation(there, **given)
    np.testing.assert_allclose(found.before, expected.before, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.inputs, expected.inputs, rtol=1e-3, atol=1e-4)
    assert (found.after > found.before).all()
    assert count_units(there, (2, 12, 12), layer) == count_units(here, (2, 12, 12), layer)
    with pytest.raises(InputError, match="there is no unit 99"):
        maximize_activation(there, **{**given, "units": [99]})


@pytest.mark.parametrize("method", [saliency, integrated_gradients])
def test_recurrent_models_are_explained_in_evaluation_mode(cuda, method):
    torch.manual_seed(0)
    here = Recurrent()
    there = copy.deepcopy(here).to(cuda)
    rows = torch.randn(3, 7, 4)
    before = torch.backends.cudnn.enabled
    found, expected = method(there, rows, 1), method(here, rows, 1)
    assert torch.backends.cudnn.enabled == before
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_sixteen_bits_are_explained(cuda, dtype):
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(600, 4)).to(cuda, dtype)
    for method in (saliency, integrated_gradients, grad_cam):
        assert np.isfinite(method(model, images()).values).all()
    found = maximize_activation(model, (2, 12, 12), [0, 1], steps=5)
    assert np.isfinite(found.inputs).all()
    assert (found.after > found.before).all()
