import pytest
import torch
from torch import nn

import weightsmith as ws


def faults(run):
    return list(ws.check(run, select=["WS107"]))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU])
def test_auto_suits_every_activation(train, mlp, activation):
    assert faults(train(mlp(activation, depth=6), steps=12)) == []


def test_the_default_of_torch_fades_in_a_deep_rectified_network(train):
    torch.manual_seed(0)
    layers = [module for _ in range(5) for module in (nn.Linear(20, 20), nn.ReLU())]
    (finding,) = faults(train(nn.Sequential(*layers, nn.Linear(20, 3)), steps=12))
    # PyTorch draws from U(-1/sqrt(n), 1/sqrt(n)): a variance of 1/(3n) where a rectifier needs 2/n.
    assert finding.evidence["factor"] == pytest.approx((1 / 6) ** 5, rel=0.5)


def test_a_norm_after_the_layer_makes_its_scale_irrelevant(train):
    torch.manual_seed(0)
    layers = [module for _ in range(5) for module in (nn.Linear(20, 20), nn.BatchNorm1d(20), nn.ReLU())]
    assert faults(train(nn.Sequential(*layers, nn.Linear(20, 3)), steps=12)) == []


def test_equal_weights_are_an_error(train, mlp):
    model = mlp()
    nn.init.constant_(model[2].weight, 0.05)
    findings = faults(train(model, steps=12))
    assert [(finding.weight, finding.severity) for finding in findings] == [("2.weight", "error")]
