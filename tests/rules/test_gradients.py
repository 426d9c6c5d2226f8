import pytest
import torch
from torch import nn

import weightsmith as ws
from weightsmith.weight import WeightInfo

HEALTHY_CODES = ["WS101", "WS102"]


def codes(run, *select):
    return [finding.code for finding in ws.check(run, select=select)]


def test_a_healthy_network_has_neither_fault(train, mlp):
    assert codes(train(mlp()), *HEALTHY_CODES) == []


def test_a_gradient_that_jumps_is_reported_with_its_step(train, mlp):
    model = mlp()

    def explode(step: int) -> None:
        if step == 30:
            for parameter in model.parameters():
                parameter.grad.mul_(1e4)

    (finding,) = ws.check(train(model, before_step=explode, lr=1e-4), select=["WS101"])
    assert finding.since in (30, 31)
    assert finding.evidence["gradient_norm"] > 100 * finding.evidence["median"]


def test_a_gradient_that_is_not_finite_is_an_error_of_its_weight(train, mlp):
    model = mlp()

    def poison(step: int) -> None:
        if step == 20:
            model[0].weight.grad[3, 4] = float("nan")

    findings = list(ws.check(train(model, before_step=poison, steps=30), select=["exploding-gradients"]))
    first = next(finding for finding in findings if finding.weight == "0.weight")
    assert first.severity == "error"
    assert first.since in (20, 21)


def test_ten_sigmoid_layers_starve_the_first_one(train):
    torch.manual_seed(0)
    layers = [module for _ in range(10) for module in (nn.Linear(20, 20), nn.Sigmoid())]
    found = ws.check(train(nn.Sequential(*layers, nn.Linear(20, 3))), select=["WS102"])
    assert "0.weight" in [finding.weight for finding in found]
    assert "18.weight" not in [finding.weight for finding in found]


@pytest.mark.parametrize("factor", [50, 200])
def test_the_jump_is_judged_by_the_threshold(write, factor):
    values = [2.0] * 20 + [2.0 * factor]
    weights = [WeightInfo("w", (2, 2), "float32", "linear")]
    assert bool(codes(write({("gradient_norm", None): values}, weights=weights), "WS101")) is (factor > 100)


def test_without_gradients_the_rules_say_so(write):
    report = ws.check(write({("loss", None): [1.0] * 50}), select=["WS101", "WS102"])
    assert [(item.code, item.reason) for item in report.skipped] == [
        ("WS101", "no gradient norms were recorded"),
        ("WS102", "no gradient norms of weights were recorded"),
    ]
