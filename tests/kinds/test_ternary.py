import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError

LAYERS = [nn.Linear(9, 5), nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(4, 6, 3, groups=2)]


def rows(layer, weight):
    """The weights of each output channel as a row."""
    if isinstance(layer, nn.ConvTranspose2d):
        grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])
        return np.moveaxis(grouped, 2, 1).reshape(layer.out_channels, -1)
    return weight.reshape(len(weight), -1)


def ternarized(layer, **options):
    model = nn.Sequential(copy.deepcopy(layer))
    controller = kinds.ternary(model, first_and_last="ternary", **options)
    return model[0], controller


@pytest.mark.parametrize("scale", ["none", "tensor", "channel"])
@pytest.mark.parametrize("threshold", [0.7, 1.3])
@pytest.mark.parametrize("layer", LAYERS, ids=["linear", "conv", "transposed"])
def test_values_are_those_of_twn(scale, threshold, layer):
    found, _ = ternarized(layer, scale=scale, threshold=threshold)
    latent = rows(layer, layer.weight.detach().numpy().astype(np.float64))
    # Li & Liu 2016: delta = 0.7 mean |w|, alpha = the mean |w| of those above it
    delta = threshold * (np.abs(latent).mean(1, keepdims=True) if scale == "channel" else np.abs(latent).mean())
    large = np.abs(latent) > delta
    values = np.sign(latent) * large
    if scale == "channel":
        values *= (np.abs(latent) * large).sum(1, keepdims=True) / np.maximum(large.sum(1, keepdims=True), 1)
    elif scale == "tensor":
        values *= np.abs(latent)[large].mean()
    np.testing.assert_allclose(rows(layer, found.weight.detach().numpy()), values, rtol=1e-5)
    assert 0.2 < (values == 0).mean() < 0.95


@pytest.mark.parametrize(
    ("estimator", "passed"), [("clipped", [0.0, 2.0, 3.0, 4.0]), ("identity", [1.0, 2.0, 3.0, 4.0])]
)
def test_the_gradient_passes_straight_through(estimator, passed):
    layer, _ = ternarized(nn.Linear(4, 1, bias=False), scale="none", estimator=estimator)
    latent = layer.parametrizations.weight.original
    with torch.no_grad():
        latent.copy_(torch.tensor([[-1.5, -1.0, 0.01, 0.9]]))
    layer(torch.tensor([[1.0, 2.0, 3.0, 4.0]])).sum().backward()
    assert latent.grad.tolist() == [passed]
    assert layer.weight.tolist() == [[-1.0, -1.0, 0.0, 1.0]]


@pytest.mark.parametrize("options", [{}, {"scale": "channel", "estimator": "identity"}, {"scale": "none"}])
def test_learns_the_digits(options):
    pixels, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
    pixels, held_out = pixels.float() / 8 - 1, torch.arange(len(labels)) % 4 == 0
    torch.manual_seed(0)
    layers = [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    controller = kinds.apply(model, "ternary", **options)
    before = model[3].weight.sign()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(pixels[~held_out]), labels[~held_out]).backward()
        optimizer.step()
        controller.step((step + 1) / 60)
    model.eval()
    assert (model(pixels).argmax(1) == labels)[held_out].float().mean() > 0.93
    assert (model[3].weight.sign() != before).any()
    counts = [len(row.unique()) for row in model[3].weight]
    assert max(counts) <= 3
    assert len(model[0].weight.unique()) > 1000
    assert model[3].parametrizations.weight.original.abs().max() <= 1


def test_ends_stay_continuous_and_say_so():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    assert kinds.ternary(model).describe() == [
        "0.weight: continuous, the model's first matrix stays continuous",
        "1.weight: ternary, -1, 0 and +1 times a scale per tensor",
        "2.weight: continuous, the model's last matrix stays continuous",
    ]
    with pytest.raises(InputError, match=r"'1.weight' is ternary already"):
        kinds.binary(model, first_and_last="binary")


def test_what_is_not_a_number_stays_to_be_seen():
    layer = nn.Linear(4, 4)
    with torch.no_grad():
        layer.weight[0, 0] = float("nan")
    found, _ = ternarized(layer, scale="none")
    assert found.weight[0, 0].isnan()


@pytest.mark.parametrize("shape", [(1, 1), (3, 0), (0, 3)])
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_odd_shapes(shape):
    found, controller = ternarized(nn.Linear(*shape), scale="channel")
    controller.step(0.5)
    assert found(torch.zeros(2, shape[0])).shape == (2, shape[1])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"scale": "learned"}, "scale"),
        ({"threshold": 0}, "threshold"),
        ({"estimator": "reste"}, "estimator"),
        ({"first_and_last": "binary"}, "first_and_last"),
        ({"alphabet": "signs"}, "alphabet"),
    ],
)
def test_mistakes_are_named(options, named):
    with pytest.raises(InputError, match=named):
        kinds.apply(nn.Sequential(*(nn.Linear(4, 4) for _ in range(3))), "ternary", **options)
