"""Packed models on a GPU: decoded there, they compute what they compute on the CPU, and their files stay the same."""

import copy

import pytest
import torch
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError
from weightsmith.kinds.packed import BinaryConv2d, BinaryLinear, SparseConv2d, SparseLinear, TernaryLinear
from weightsmith.kinds.packed.report import measure_packed


def drawn(values, shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.tensor(values)[torch.randint(len(values), shape, generator=generator)]


def layer(kind, scaled=True):
    torch.manual_seed(1)
    dense = nn.Conv2d(5, 6, 3, stride=2, padding=1) if "conv" in kind else nn.Linear(37, 6)
    values = {
        "binary": (-1.0, 1.0),
        "bits": (0.0, 1.0),
        "ternary": (-1.0, 0.0, 1.0),
        "signs": (0.0, 0.0, 0.0, 0.5, -0.5),
        "sparse": (0.0, 0.0, 0.0, 0.25, 1.5, -0.75),
    }[kind.split()[0]]
    with torch.no_grad():
        dense.weight.copy_(drawn(values, dense.weight.shape))
        if scaled and kind.startswith(("binary", "ternary")):
            dense.weight *= torch.rand(6).view(-1, *[1] * (dense.weight.dim() - 1)) + 0.5
    conv = "conv" in kind
    packed = {"ternary": TernaryLinear, "sparse": SparseConv2d if conv else SparseLinear}
    packed["signs"] = packed["sparse"]
    return packed.get(kind.split()[0], BinaryConv2d if conv else BinaryLinear).from_dense(dense)


KINDS = ["binary", "bits", "ternary", "signs", "sparse", "binary conv", "bits conv", "signs conv", "sparse conv"]


def inputs_of(packed):
    shape = (4, 5, 9, 9) if hasattr(packed, "geometry") else (4, 37)
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 9, 33),
        nn.BatchNorm1d(33),
        nn.ReLU(),
        nn.Linear(33, 40),
        nn.ReLU(),
        nn.Linear(40, 5),
    )
    return settled(model)


def of_signs():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        kinds.BinaryActivation(),
        nn.Conv2d(8, 16, 3),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(16),
        kinds.BinaryActivation(),
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.BatchNorm1d(32),
        kinds.BinaryActivation(),
        nn.Linear(32, 5),
    )
    kinds.binary(model, scale="channel")
    return settled(model)


def settled(model):
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 5)
            module.weight.data.normal_()
            module.bias.data.normal_()
    return model.eval()


def images(rows=6):
    return torch.randn(rows, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def trained():
    model = network()
    kinds.binary(model, scale="channel", exclude="11.*")
    kinds.sparse(model, 0.9, start=0, end=0, include="11.*")
    return model.eval()


def places(model):
    return {tensor.device.type for tensor in (*model.parameters(), *model.buffers())}


def assert_near(there, here, tolerance=1e-5):
    assert there.device.type == "cuda"
    assert there.dtype == here.dtype
    largest = float(here.detach().abs().max())
    torch.testing.assert_close(there.cpu().double(), here.double(), rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_moved_computes_what_it_did(cuda, kind):
    here = layer(kind)
    there = copy.deepcopy(here).to(cuda)
    assert places(there) == {"cuda"}
    inputs = inputs_of(here)
    with torch.no_grad():
        assert torch.equal(there.weight.dense().cpu(), here.weight.dense())
        assert_near(there(inputs.to(cuda).double()), here(inputs.double()))
        assert_near(there(inputs.to(cuda)), here(inputs), 1e-5 if inputs.dim() == 2 else 5e-3)  # TF32
        for dtype in (torch.bfloat16, torch.float16):
            assert_near(there(inputs.to(cuda, dtype)), here(inputs.to(dtype)), 0.02)
        with torch.autocast("cuda", torch.bfloat16):
            assert there(inputs.to(cuda)).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_came_back_is_what_it_was(cuda, kind):
    here = layer(kind)
    back = copy.deepcopy(here).to(cuda).cpu()
    assert back.weight.form == here.weight.form
    for one, other in zip(back.weight.parts, here.weight.parts, strict=True):
        assert torch.equal(one, other)
    inputs = inputs_of(here)
    assert torch.equal(back(inputs), here(inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_the_same_on_both_devices(cuda, kind):
    here = layer(kind)
    there = copy.deepcopy(here).to(cuda, torch.bfloat16)  # bits and scales keep their types
    for name, value in there.state_dict().items():
        assert value.device.type == "cuda"
        if name != "bias":
            assert torch.equal(value.cpu(), here.state_dict()[name]), name
    for start, end in ((here, there), (there, here)):
        other = copy.deepcopy(end)
        assert str(other.load_state_dict(start.state_dict())) == "<All keys matched successfully>"
        assert other.weight.device == end.weight.device
        assert torch.equal(other.weight.dense().cpu(), here.weight.dense())


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_inputs_and_bias(cuda, kind):
    found = []
    for place in ("cpu", cuda):
        packed = layer(kind).to(place)
        packed.bias.requires_grad_()
        inputs = inputs_of(packed).to(place, torch.float64).requires_grad_()
        packed(inputs).square().sum().backward()
        found.append((inputs.grad, packed.bias.grad))
    for here, there in zip(*found, strict=True):
        assert_near(there, here)


def test_a_model_is_packed_where_it_lies(cuda):
    here = trained()
    there = copy.deepcopy(here).to(cuda)
    expected, found = kinds.pack(here, measure=False), kinds.pack(there, sample=images().to(cuda))
    assert places(found) == {"cuda"}
    forms = {choice.weight: choice.form for choice in found.report.choices}
    assert forms == {choice.weight: choice.form for choice in expected.report.choices}
    assert set(forms.values()) == {"dense", "binary", "sparse"}
    inputs = images().double()
    with torch.no_grad():
        assert_near(found.double()(inputs.to(cuda)), expected.double()(inputs))
    unpacked = kinds.unpack(found)
    assert places(unpacked) == {"cuda"}
    with torch.no_grad():
        assert_near(unpacked.double()(inputs.to(cuda)), expected(inputs))


@pytest.mark.parametrize("build", [trained, of_signs])
def test_files_are_loaded_onto_the_device_of_the_model(cuda, tmp_path, build):
    packed = kinds.pack(build(), measure=False)
    kinds.save_packed(packed, tmp_path / "cpu.safetensors")
    loaded = kinds.load_packed(tmp_path / "cpu.safetensors", build().to(cuda))
    assert places(loaded) == {"cuda"}
    inputs = images().double()
    with torch.no_grad():
        assert_near(loaded.double()(inputs.to(cuda)), packed.double()(inputs))
    kinds.save_packed(kinds.load_packed(tmp_path / "cpu.safetensors", build().to(cuda)), tmp_path / "gpu.safetensors")
    assert (tmp_path / "gpu.safetensors").read_bytes() == (tmp_path / "cpu.safetensors").read_bytes()


def test_layers_of_signs_compute_with_floats_on_the_gpu(cuda):
    here = kinds.pack(of_signs(), measure=False)
    assert "xnor" in {choice.form for choice in here.report.choices}
    there = copy.deepcopy(here).to(cuda)
    inputs = images(64).double()  # float64 convolutions are not rounded to TF32, and signs are the same
    with torch.no_grad():
        assert_near(there.double()(inputs.to(cuda)), here.double()(inputs))
        back = there.float().cpu()
        assert torch.equal(back(images()), kinds.pack(of_signs(), measure=False)(images()))
    unpacked = kinds.unpack(copy.deepcopy(here).to(cuda))
    assert places(unpacked) == {"cuda"}


def test_packed_signs_on_the_gpu_get_one_clear_line(cuda):
    packed = kinds.pack(of_signs(), measure=False)
    of_bits = next(module for module in packed.modules() if type(module).__name__ == "XnorLinear")
    words = torch.zeros(2, 1, dtype=torch.int64)
    of_bits.to(cuda)
    for given in (words, words.to(cuda)):
        with pytest.raises(InputError, match="packed signs are multiplied on the CPU alone"):
            of_bits(given)


def test_latency_is_not_measured_on_the_gpu(cuda):
    model = trained()
    packed = kinds.pack(model, measure=False)
    with pytest.raises(InputError, match=r"measured there, not on cuda"):
        measure_packed(model.to(cuda), packed.to(cuda), images().to(cuda), file_bytes=1)


def test_the_default_device_may_be_the_gpu(cuda, tmp_path):
    """And the model on the CPU all the same."""
    for model in (trained(), of_signs()):
        expected = kinds.pack(model, measure=False)
        with torch.device(cuda):
            packed = kinds.pack(model, measure=False)
        assert places(packed) == {"cpu"}
        assert torch.equal(packed(images()), expected(images()))


def test_onnx_takes_a_model_and_a_sample_of_the_gpu(cuda, tmp_path):
    pytest.importorskip("onnx")
    packed = kinds.pack(trained().to(cuda), measure=False)
    assert kinds.export_onnx(packed, tmp_path / "model.onnx", images().to(cuda))
    kinds.export_onnx(packed.cpu(), tmp_path / "cpu.onnx", images())
    assert (tmp_path / "model.onnx").stat().st_size == (tmp_path / "cpu.onnx").stat().st_size
