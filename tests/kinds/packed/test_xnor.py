import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from weightsmith.kinds.binary import BinaryActivation
from weightsmith.kinds.packed import XnorConv2d, XnorLinear, load_packed, pack, save_packed, unpack
from weightsmith.kinds.packed.xnor_operators import call_unpack
from weightsmith.packing import encode


def binary(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights of -1 and +1, and norms as after a training: some slopes negative, some zero, ties at zero."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.weight.data = torch.where(torch.randn_like(module.weight) >= 0, 1.0, -1.0)
            if module.bias is not None:
                module.bias.data = torch.randint(-3, 4, module.bias.shape).float() / 4
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean = torch.randint(-4, 5, module.running_mean.shape).float()
            module.running_var.uniform_(0.5, 50)
            module.weight.data.normal_()
            module.weight.data[::5] = 0
            module.bias.data.normal_()
            module.bias.data[::2] = 0
    return model.eval().requires_grad_(False)


def outputs(model: nn.Sequential, inputs: torch.Tensor) -> list[torch.Tensor]:
    """What each step gives, packed signs as floats."""
    found = []
    for module in model:
        inputs = module(inputs)
        found.append(inputs)
    return found


def same_signs(model: nn.Sequential, packed: nn.Sequential, inputs: torch.Tensor) -> None:
    """Every sign that the model computes is the packed one."""
    theirs, ours = outputs(model, inputs), outputs(packed, inputs)
    seen = 0
    for index, module in enumerate(model):
        if isinstance(module, BinaryActivation):
            found = ours[index]
            if found.dtype == torch.int64:
                found = call_unpack(found, theirs[index].shape[1])
                seen += 1
            assert torch.equal(found, theirs[index]), index
    assert seen
    torch.testing.assert_close(ours[-1], theirs[-1], rtol=1e-5, atol=1e-5)


@settings(max_examples=25)
@given(
    widths=st.lists(st.integers(1, 140), min_size=4, max_size=4),
    bias=st.booleans(),
    batch=st.integers(0, 5),
    seed=st.integers(0, 999),
)
def test_linear_chains_are_bit_exact(widths, bias, batch, seed):
    steps = []
    for before, after in pairwise(widths):
        steps += [BinaryActivation(), nn.Linear(before, after, bias), nn.BatchNorm1d(after)]
    model = binary(nn.Sequential(*steps, BinaryActivation(), nn.Linear(widths[-1], 40, bias)), seed)
    packed = pack(model, measure=False)
    inputs = torch.randint(-2, 3, (batch, widths[0])).float()
    theirs, ours = outputs(model, inputs), outputs(packed, inputs)
    for index, module in enumerate(model):
        if isinstance(module, BinaryActivation):
            found = ours[index]
            found = call_unpack(found, theirs[index].shape[1]) if found.dtype == torch.int64 else found
            assert torch.equal(found, theirs[index])
    torch.testing.assert_close(ours[-1], theirs[-1], rtol=1e-5, atol=1e-5)


def image_network(channels: int = 40, early: bool = True, norm: bool = True) -> nn.Sequential:
    pool = [nn.MaxPool2d(2)]
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, bias=False),
        nn.BatchNorm2d(32),
        BinaryActivation(),
        nn.Conv2d(32, channels, 3, bias=False, padding=1),
        *(pool if early else []),
        *([nn.BatchNorm2d(channels)] if norm else []),
        BinaryActivation(),
        *([] if early else pool),
        nn.Dropout(),
        nn.Conv2d(channels, 70, (3, 2), bias=False, dilation=(1, 2)),
        nn.BatchNorm2d(70),
        BinaryActivation(),
        nn.Flatten(),
        nn.Linear(70 * 3 * 3, 33, bias=False),
        nn.BatchNorm1d(33),
        BinaryActivation(),
        nn.Linear(33, 10),
        nn.BatchNorm1d(10),
    )


@pytest.mark.parametrize("channels", [40, 64, 65])
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_images_through_pools_and_flattening_are_bit_exact(channels, early, norm):
    model = binary(image_network(channels, early, norm), channels)
    packed = pack(model, measure=False)
    kinds = [choice.form for choice in packed.report.choices]
    assert kinds == ["binary", "xnor", "xnor", "xnor", "xnor"]
    inputs = torch.randn(3, 1, 12, 12)
    same_signs(model, packed, inputs)
    same_signs(model, packed, inputs[:0])
    continuous = unpack(packed)
    torch.testing.assert_close(continuous(inputs), model(inputs), rtol=1e-5, atol=1e-5)
    signs = [
        (ours, theirs)
        for ours, theirs, module in zip(outputs(continuous, inputs), outputs(model, inputs), model, strict=True)
        if isinstance(module, BinaryActivation)
    ]
    assert all(torch.equal(ours, theirs) for ours, theirs in signs)


def test_files_copies_compilation_and_export(tmp_path):
    model = binary(image_network())
    packed = pack(model, measure=False)
    inputs = torch.randn(3, 1, 12, 12)
    wanted = packed(inputs)
    save_packed(packed, tmp_path / "bits.safetensors")
    loaded = load_packed(tmp_path / "bits.safetensors", image_network().to("meta"))
    exported = torch.export.export(packed, (inputs,)).module()
    compiled = torch.compile(packed, fullgraph=True, backend="eager")
    for other in (loaded, copy.deepcopy(packed), pickle.loads(pickle.dumps(packed)), exported, compiled):
        assert torch.equal(other(inputs), wanted)
    assert packed.to("meta")(inputs.to("meta")).shape == wanted.shape


def test_gradients_are_those_of_training():
    model = binary(image_network())
    packed = pack(model, measure=False)
    found = []
    for each in (model, packed):
        inputs = torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(3)).requires_grad_()
        each(inputs).square().sum().backward()
        found.append(inputs.grad)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)
    assert found[0].abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types(dtype):
    model = binary(image_network())
    packed = pack(model, measure=False)
    inputs = torch.randn(2, 1, 12, 12).bfloat16()
    assert packed(inputs.to(torch.float32)).dtype == torch.float32
    found = copy.deepcopy(packed).to(dtype)(inputs.to(dtype))
    assert found.dtype == dtype
    if dtype == torch.float64:
        torch.testing.assert_close(found.float(), model(inputs.float()), rtol=1e-4, atol=1e-4)


def test_shared_activations_and_pools():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(32, 32, 3, padding=1, bias=False)
            self.second = nn.Conv2d(32, 32, 3, padding=1, bias=False)
            self.one, self.two = nn.BatchNorm2d(32), nn.BatchNorm2d(32)
            self.sign, self.pool = BinaryActivation(), nn.MaxPool2d(2)
            self.last = nn.Linear(32 * 4, 20)

        def forward(self, x):
            x = self.pool(self.sign(self.one(self.first(self.sign(x)))))
            x = self.pool(self.sign(self.two(self.second(x))))
            return self.last(torch.flatten(x, 1))

    model = binary(Model())
    packed = pack(model, measure=False)
    assert isinstance(packed.first, XnorConv2d)
    assert isinstance(packed.last, XnorLinear)
    assert packed.first.gives == packed.second.gives == "bits"
    inputs = torch.randn(3, 32, 8, 8)
    torch.testing.assert_close(packed(inputs), model(inputs), rtol=1e-5, atol=1e-5)


def test_signs_that_others_see_stay_floats():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
            self.norm, self.sign = nn.BatchNorm1d(64), BinaryActivation()

        def forward(self, x):
            x = self.sign(self.norm(self.first(self.sign(x))))
            return self.second(x) + x

    model = binary(Model())
    packed = pack(model, measure=False)
    assert packed.first.gives == "signs"
    inputs = torch.randn(5, 64)
    inputs[0, 0] = torch.nan
    assert torch.equal(packed(inputs), model(inputs))


@pytest.mark.parametrize("alphabet", ["signs", "bits"])
def test_scales_and_both_alphabets(alphabet):
    model = nn.Sequential(
        BinaryActivation(), nn.Linear(70, 64, bias=False), nn.BatchNorm1d(64), BinaryActivation(), nn.Linear(64, 64)
    )
    binary(model)
    with torch.no_grad():
        for index in (1, 4):
            if alphabet == "bits":
                model[index].weight.relu_()
            model[index].weight *= 0.5  # a power of two: torch's own sums are exact as well
    packed = pack(model, measure=False)
    assert [choice.form for choice in packed.report.choices] == ["xnor", "xnor"]
    inputs = torch.randn(9, 70)
    same_signs(model, packed, inputs)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
@pytest.mark.parametrize("batch", [2, 0])
def test_no_outputs(batch):
    image = XnorConv2d(encode(np.zeros((0, 5, 3, 3), dtype=np.float32), "binary"))
    assert image(torch.randn(batch, 5, 8, 8)).shape == (batch, 0, 6, 6)
    assert {name: tuple(part.shape) for name, part in image.state_dict().items()} == {"weight.bits": (0, 6)}
    rows = XnorLinear(encode(np.zeros((0, 5), dtype=np.float32), "binary"))
    assert rows(torch.randn(batch, 5)).shape == (batch, 0)
