import numpy as np
import pytest
import torch
from onnx import load
from onnx.reference import ReferenceEvaluator
from torch import nn

from weightsmith.errors import InputError
from weightsmith.kinds.binary import BinaryActivation
from weightsmith.kinds.packed import export_onnx, pack


def model() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1, bias=False),
        nn.BatchNorm2d(20),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(20 * 36, 45),
        nn.ReLU(),
        nn.Linear(45, 40),
        nn.ReLU(),
        nn.Linear(40, 41),
        nn.Linear(41, 7),
    )
    network[0].weight.data.sign_().mul_(torch.rand(20, 1, 1, 1))
    network[1].running_mean.normal_()
    network[4].weight.data = (network[4].weight.data > 0).float() * 0.3
    network[6].weight.data = network[6].weight.data.sign() * (network[6].weight.data.abs() > 0.05)
    network[8].weight.data *= network[8].weight.data.abs() > 0.14
    return network.eval().requires_grad_(False)


def test_onnx_computes_the_same_from_bits(tmp_path):
    packed = pack(model(), measure=False)
    inputs = torch.randn(3, 3, 6, 6)
    lines = export_onnx(packed, tmp_path / "model.onnx", inputs[:1])
    assert [line.partition(": ")[2] for line in lines] == [
        "binary, 1 bit a weight",
        "binary, 1 bit a weight",
        "ternary, 2 bits a weight",
        f"sparse, {int((packed[8].weight.dense() != 0).sum())} values with their positions",
    ]
    found = ReferenceEvaluator(load(tmp_path / "model.onnx")).run(None, {"input": inputs.numpy()})[0]
    np.testing.assert_allclose(found, packed(inputs).numpy(), rtol=1e-4, atol=1e-4)
    held = {each.name: np.prod(each.dims) for each in load(tmp_path / "model.onnx").graph.initializer}
    assert held["4.weight.bits"] == 45 * 90


def test_bits_times_bits_are_refused_by_name(tmp_path):
    network = nn.Sequential(BinaryActivation(), nn.Linear(64, 64))
    network[1].weight.data.sign_()
    packed = pack(network, measure=False)
    with pytest.raises(InputError, match="'1' multiplies bits with bits"):
        export_onnx(packed, tmp_path / "model.onnx", torch.randn(1, 64))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="sample"):
        export_onnx(pack(model(), measure=False), tmp_path / "model.onnx", None)
    with pytest.raises(InputError, match="cannot export"):
        export_onnx(pack(model(), measure=False), tmp_path / "model.onnx", torch.randn(1, 4))
