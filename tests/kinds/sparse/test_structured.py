"""Whole outputs are masked, with all that belongs to them, so that layers really shrink."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from weightsmith import kinds

AT_ONCE = {"start": 0, "end": 0}


def masks(controller) -> list[np.ndarray]:
    return [kinds.mask_of(site).mask.flatten(1).numpy() for site in controller.sites]


def test_it_takes_whole_outputs_but_not_those_of_the_model():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10), nn.Linear(10, 3))
    norms = [layer.weight.detach().flatten(1).norm(dim=1).numpy() for layer in (model[0], model[3])]
    controller = kinds.sparse(model, 0.5, "structured", **AT_ONCE)
    assert [site.name for site in controller.sites] == ["0.weight", "3.weight"]
    assert controller.assignments[-1].reason == "its outputs stay: the model returns them"
    for norm, mask in zip(norms, masks(controller), strict=True):
        assert (mask.all(1) | ~mask.any(1)).all()
        np.testing.assert_array_equal(mask.all(1), norm >= np.sort(norm)[len(norm) // 2])


def test_of_all_layers_together():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 2))
    means = [layer.weight.detach().square().mean(1).numpy() for layer in (model[0], model[2])]
    means = [mean / mean.mean() for mean in means]
    threshold = np.sort(np.concatenate(means))[15]
    controller = kinds.sparse(model, 0.5, "structured", scope="global", **AT_ONCE)
    for mean, mask in zip(means, masks(controller), strict=True):
        np.testing.assert_array_equal(mask.any(1), mean >= threshold)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first = nn.Conv2d(8, 10, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(10)
        self.second = nn.Conv2d(10, 8, 3, padding=1)
        self.after = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, images):
        images = F.relu(self.stem(images))
        hidden = F.relu(self.norm(self.first(images)))
        return self.head(F.relu(self.after(self.second(hidden)) + images).mean((2, 3)))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_a_trained_residual_block_shrinks_to_its_share(optimizer):
    torch.manual_seed(0)
    model = Residual()
    controller = kinds.sparse(model, 0.5, "structured", start=0, end=0.5)
    moved = optimizer(model.parameters(), lr=0.05)
    controller.attach(moved)
    for step in range(10):
        moved.zero_grad()
        model(torch.randn(6, 3, 8, 8)).square().mean().backward()
        moved.step()
        controller.step((step + 1) / 10)
    stem, first, second = masks(controller)
    np.testing.assert_array_equal(stem.any(1), second.any(1))
    gone = torch.from_numpy(~first.any(1))
    assert not model.norm.weight[gone].any()
    assert not model.norm.bias[gone].any()
    assert model.norm.weight[~gone].all()
    images = torch.randn(2, 3, 8, 8)
    expected = model.eval()(images)
    kinds.shrink(model)
    sizes = [layer.out_channels for layer in (model.stem, model.first, model.second)]
    assert sizes == [4, 5, 4]
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)


def test_a_copy_has_norms_of_its_own():
    model = Residual()
    controller = kinds.sparse(model, 0.5, "structured", start=0, end=1)
    copied, its_controller = copy.deepcopy((model, controller))
    its_controller.step(1.0)
    assert (copied.norm.weight == 0).sum() == 5
    assert model.norm.weight.all()
    assert copied.state_dict().keys() == model.state_dict().keys()


def test_a_model_that_cannot_be_traced_keeps_its_last_matrix():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 4)
            self.last = nn.Linear(4, 2)

        def forward(self, inputs):
            return self.last(self.inner(inputs)) if inputs.sum() > 0 else inputs

    controller = kinds.sparse(Branching(), 0.5, "structured", **AT_ONCE)
    assert [site.name for site in controller.sites] == ["inner.weight"]
    assert controller.assignments[1].reason == "the outputs of the model's last matrix stay"
