import pytest
import torch
from torch import nn

import weightsmith as ws


def test_units_pushed_below_zero_are_dead(train, mlp):
    model = mlp()
    with torch.no_grad():
        model[0].bias[:20] = -100.0
    (finding,) = ws.check(train(model, lr=0.01), select=["WS105"])
    assert finding.weight == "0.weight"
    assert finding.evidence["dead_share"] == pytest.approx(20 / 32)


def test_live_units_are_not_dead(train, mlp):
    assert not list(ws.check(train(mlp()), select=["WS105"]))


def test_tanh_units_with_huge_weights_are_saturated(train, mlp):
    model = mlp(nn.Tanh)
    with torch.no_grad():
        model[0].weight.mul_(200)
    (finding,) = ws.check(train(model, lr=1e-4), select=["WS106"])
    assert finding.weight == "0.weight"
    assert finding.evidence["saturated_share"] > 0.5


def test_tanh_units_with_xavier_weights_are_not(train, mlp):
    assert not list(ws.check(train(mlp(nn.Tanh), lr=0.01), select=["WS106"]))


def test_where_no_rectifier_was_measured_the_rule_says_so(train, mlp):
    report = ws.check(train(mlp(nn.Tanh), steps=12), select=["WS105"])
    assert [item.reason for item in report.skipped] == ["no layer before a rectifier was measured"]
