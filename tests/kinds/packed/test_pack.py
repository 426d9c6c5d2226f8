import copy
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError, SourceError
from weightsmith.kinds.packed import (
    BinaryConv2d,
    BinaryLinear,
    SparseLinear,
    TernaryLinear,
    load_packed,
    pack,
    save_packed,
    unpack,
)
from weightsmith.train.models.sparse_input import SparseInputLinear


def settled(model: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms as after a training."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 2)
            module.running_var.uniform_(0.5, 50)
            module.weight.data.normal_()
            module.bias.data.normal_()
    return model.eval()


def network() -> nn.Sequential:
    return nn.Sequential(
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


@pytest.fixture
def trained() -> nn.Sequential:
    torch.manual_seed(0)
    model = network()
    kinds.binary(model, scale="channel", exclude="11.*")
    kinds.sparse(model, 0.9, start=0, end=0, include="11.*").step(1.0)
    return settled(model)


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(5))


def agree(one: nn.Module, other: nn.Module, inputs: torch.Tensor, tolerance: float = 1e-4) -> None:
    with torch.no_grad():
        torch.testing.assert_close(one(inputs), other(inputs), rtol=tolerance, atol=tolerance)


def test_a_trained_network_packed_and_unpacked(trained):
    state = copy.deepcopy(trained.state_dict())
    packed = pack(trained, measure=False)
    assert [type(packed[index]) for index in (3, 8, 11)] == [BinaryConv2d, BinaryLinear, SparseLinear]
    assert not packed.training
    agree(packed, trained, images())
    agree(packed, trained, images(0))
    lines = packed.report.describe()
    assert [line.split(":")[0] for line in lines] == [
        *(f"{index}.weight" for index in (0, 3, 8, 11, 13)),
        *("4", "9"),
    ]
    assert lines[-1] == "9: batch norm, folded into 8"
    # the model itself is what it was
    assert all(torch.equal(value, state[name]) for name, value in trained.state_dict().items())
    continuous = unpack(packed)
    assert not any("packed" in type(module).__module__ for module in continuous.modules())
    agree(continuous, trained, images())
    assert continuous.state_dict().keys() - trained.state_dict().keys() == {
        "3.bias",
        "3.weight",
        "8.weight",
        "11.weight",
    }


def test_measured_layers_say_what_was_measured(trained):
    packed = pack(trained, sample=images())
    agree(packed, trained, images())
    for choice in packed.report.choices:
        if choice.seconds:
            assert {"dense float32", "dense bfloat16"} < set(choice.seconds)
            fastest = choice.speedup
            assert (
                "dense float32 at batch 4" in str(choice) if choice.form != "dense" else "float32 kept" in str(choice)
            )
            assert fastest is None or choice.form == "dense" or fastest > 1
    assert [choice.weight for choice in packed.report.choices if choice.seconds] == [
        "3.weight",
        "8.weight",
        "11.weight",
    ]


def test_values_alone_tell_what_can_be_packed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(1, 64))
    model[0].weight.data.sign_()
    model[1].weight.data = model[1].weight.data.sign() * (model[1].weight.data.abs() > 0.05)
    model[2].weight.data *= model[2].weight.data.abs() > 0.11
    packed = pack(model, measure=False)
    assert [type(layer) for layer in packed] == [BinaryLinear, TernaryLinear, SparseLinear, nn.Linear, nn.Linear]
    assert [choice.form for choice in packed.report.choices] == ["binary", "ternary", "sparse", "dense", "dense"]


def test_what_cannot_be_packed_is_said_by_name():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(10, 16)
            self.tied = nn.Linear(16, 10, bias=False)
            self.tied.weight = self.embedding.weight
            self.lstm = nn.LSTM(16, 16)
            self.attention = nn.MultiheadAttention(16, 2)
            self.up = nn.ConvTranspose2d(16, 16, 3)
            self.reflect = nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect")
            self.line = nn.Conv1d(16, 16, 3)
            self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(16, 16))
            self.watched = nn.Linear(16, 16)
            self.watched.register_forward_hook(lambda *_: None)
            self.read = nn.Linear(16, 16)
            self.kept = nn.Linear(16, 16)

        def forward(self, x):
            return self.kept(x) @ self.read.weight

    model = Model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.sign_()
    packed = pack(model, measure=False, keep="kept.*")
    reasons = {choice.weight: choice.reason for choice in packed.report.choices}
    assert {choice.form for choice in packed.report.choices} == {"dense"}
    for name, words in {
        "embedding.weight": "embeddings",
        "tied.weight": "tied to embedding.weight",
        "lstm.weight_ih_l0": "recurrent",
        "attention.out_proj.weight": "MultiheadAttention",
        "up.weight": "transposed",
        "reflect.weight": "zeros",
        "line.weight": "two dimensions",
        "normed.weight": "parametrization",
        "watched.weight": "hooks",
        "read.weight": "reads its weight itself",
        "kept.weight": "as asked",
    }.items():
        assert words in reasons[name], name
    assert torch.equal(packed(torch.ones(2, 16)), model(torch.ones(2, 16)))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(32, 32)
        self.second = nn.Linear(32, 32)
        self.second.weight = self.first.weight
        self.alias = self.first
        self.norm = nn.BatchNorm1d(32)

    def forward(self, x):
        return self.norm(self.second(torch.relu(self.first(x)) + self.alias(x)))


def test_tied_weights_are_packed_once_and_stay_tied(tmp_path):
    model = settled(Tied())
    model.first.weight.data.sign_()
    packed = pack(model, measure=False)
    assert packed.alias is packed.first
    assert packed.first.weight is packed.second.weight
    inputs = torch.randn(5, 32)
    agree(packed, model, inputs)
    again = unpack(packed)
    assert again.first.weight is again.second.weight
    assert again.alias is again.first
    save_packed(packed, tmp_path / "tied.safetensors")
    names = load_file(tmp_path / "tied.safetensors")
    assert [name for name in names if name.endswith("bits")] == ["first.weight.bits"]
    loaded = load_packed(tmp_path / "tied.safetensors", Tied())
    assert loaded.first.weight is loaded.second.weight
    assert torch.equal(loaded(inputs), packed(inputs))


def test_only_norms_of_the_layers_own_outputs_are_folded():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.twice = nn.Linear(16, 16), nn.Linear(16, 16)
            self.norm, self.other = nn.BatchNorm1d(16), nn.BatchNorm1d(16)

        def forward(self, x):
            seen = self.shared(x)
            return self.norm(seen) + seen + self.other(self.twice(self.twice(x)))

    model = settled(Model())
    for layer in (model.shared, model.twice):
        layer.weight.data.sign_()
    packed = pack(model, measure=False)
    assert isinstance(packed.norm, nn.BatchNorm1d)
    assert isinstance(packed.other, nn.BatchNorm1d)
    agree(packed, model, torch.randn(4, 16))


def test_a_norm_over_another_dimension_is_not_taken_for_one_over_features():
    model = settled(nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16)))
    model[0].weight.data.sign_()
    packed = pack(model, measure=False)
    agree(packed, model, torch.randn(4, 16))
    with pytest.raises(InputError, match="2 dimensions"):
        packed(torch.randn(4, 16, 16))


def test_a_model_that_cannot_be_traced_is_packed_without_folding():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.norm = nn.Linear(16, 16), nn.BatchNorm1d(16)

        def forward(self, x):
            return self.norm(self.layer(x)) if x.sum() > 0 else self.norm(-self.layer(x))

    model = settled(Model())
    model.layer.weight.data.sign_()
    packed = pack(model, measure=False)
    assert isinstance(packed.layer, BinaryLinear)
    assert "no batch norm is folded" in packed.report.notes[0]
    agree(packed, model, torch.ones(4, 16))


def test_int8_activations_are_asked_for_and_near():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 64)).requires_grad_(False)
    model[0].weight.data.sign_()
    packed = pack(model, measure=False, activations="int8")
    inputs = torch.randn(4, 256)
    assert not torch.equal(packed(inputs), pack(model, measure=False)(inputs))
    torch.testing.assert_close(packed(inputs), model(inputs), rtol=0, atol=1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": None}, "NoneType"),
        ({"values": "int3"}, "unknown type of values"),
        ({"activations": "int4"}, "unknown type of activations"),
    ],
)
def test_mistakes(given, message):
    model = given.pop("model", nn.Linear(2, 2))
    with pytest.raises(InputError, match=message):
        pack(model, **given)


def test_no_values_to_pack():
    with pytest.raises(InputError, match="meta device"):
        pack(nn.Linear(3, 3, device="meta"))
    with pytest.raises(InputError, match="is packed"):
        unpack(nn.Linear(3, 3))


# --- files


def test_files_come_back_exactly(trained, tmp_path):
    path = tmp_path / "packed.safetensors"
    packed = pack(trained, measure=False)
    save_packed(packed, path)
    for fresh in (network(), network().to("meta"), copy.deepcopy(trained)):
        loaded = load_packed(path, fresh)
        assert torch.equal(loaded(images()), packed(images()))
        assert loaded.state_dict().keys() == packed.state_dict().keys()
    assert path.stat().st_size < 0.2 * sum(value.numel() * 4 for value in trained.state_dict().values())


def test_files_of_other_models_are_refused_by_name(trained, tmp_path):
    path = tmp_path / "packed.safetensors"
    save_packed(pack(trained, measure=False), path)
    other = network()
    other[13] = nn.Linear(40, 6)
    with pytest.raises(InputError, match=r"'13.weight' is \[5, 40\] in the file and \[6, 40\] in the model"):
        load_packed(path, other)
    other = network()
    other[8] = nn.Linear(144, 34)
    with pytest.raises(InputError, match=r"'8.weight' is \[33, 144\]"):
        load_packed(path, other)
    other = network()
    other[3] = nn.Identity()
    with pytest.raises(InputError, match=r"'3' is a BinaryConv2d in the file, .* has a Identity"):
        load_packed(path, other)
    with pytest.raises(InputError, match=r"'14\.weight', which the model needs"):
        load_packed(path, nn.Sequential(*network(), nn.Linear(5, 5)))
    with pytest.raises(InputError, match="'13"):
        load_packed(path, network()[:13])


def test_damaged_and_lying_files(trained, tmp_path):
    path, bad = tmp_path / "packed.safetensors", tmp_path / "bad.safetensors"
    save_packed(pack(trained, measure=False), path)
    content = path.read_bytes()
    for length in (0, 7, 100, len(content) // 2, len(content) - 1):
        bad.write_bytes(content[:length])
        with pytest.raises(SourceError):
            load_packed(bad, network())
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    tensors = load_file(path)
    layers = json.loads(metadata["weightsmith.layers"])
    for change in (
        {"3": {"layer": "os.system"}},
        {"3": {"layer": "BinaryConv2d", "form": 3}},
        {"3": "BinaryConv2d"},
        {"8": {"layer": "XnorLinear", "gives": "all"}},
        {"99": {"layer": "BinaryLinear"}},
        {"0": {"layer": "BinaryConv2d"}},
    ):
        save_file(tensors, bad, {**metadata, "weightsmith.layers": json.dumps({**layers, **change})})
        with pytest.raises(InputError) as caught:
            load_packed(bad, network())
        assert "\n" not in str(caught.value)
    for text in ("", "[]", "{", "3"):
        save_file(tensors, bad, {**metadata, "weightsmith.layers": text})
        with pytest.raises(SourceError):
            load_packed(bad, network())
    save_file({**tensors, "3.weight.bits": tensors["3.weight.bits"][:-1]}, bad, metadata)
    with pytest.raises(SourceError, match=r"3\.weight"):
        load_packed(bad, network())
    save_file({**tensors, "more": np.zeros(3, np.float32)}, bad, metadata)
    with pytest.raises(InputError, match="'more'"):
        load_packed(bad, network())


class _Named(nn.Linear):
    """Torch's own forward."""


class _Doubled(nn.Linear):
    def forward(self, input):  # noqa: A002 - the name that torch gave it
        return 2 * super().forward(input)


class _Padded(nn.Conv2d):
    def _conv_forward(self, input, weight, bias):  # noqa: A002 - likewise
        return super()._conv_forward(input + 1, weight, bias)


def test_subclasses_are_packed_where_they_compute_the_same(tmp_path):
    layers = [_Named(16, 16), SparseInputLinear(16, 16), _Doubled(16, 16)]
    model = nn.Sequential(*layers).eval()
    padded = _Padded(4, 4, 3).eval()
    with torch.no_grad():
        for layer in (*layers, padded):
            layer.weight.copy_(torch.randn(layer.weight.shape).sign())
    packed = pack(model, measure=False)
    assert [type(layer) for layer in packed] == [BinaryLinear, BinaryLinear, _Doubled]
    assert type(pack(padded, measure=False)) is _Padded
    inputs = torch.randn(3, 16)
    torch.testing.assert_close(packed(inputs), model(inputs), rtol=1e-5, atol=1e-4)
    save_packed(packed, tmp_path / "packed.safetensors")
    torch.testing.assert_close(
        load_packed(tmp_path / "packed.safetensors", model)(inputs), model(inputs), rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_inputs_that_are_no_floats_are_refused(dtype):
    linear, image = nn.Linear(8, 8), nn.Conv2d(8, 8, 1)
    with torch.no_grad():
        for layer in (linear, image):
            layer.weight.copy_(torch.randn(layer.weight.shape).sign())
    for layer, inputs in ((linear, torch.ones(2, 8)), (image, torch.ones(2, 8, 3, 3))):
        packed = pack(layer, measure=False)
        with pytest.raises(InputError, match="inputs are floating-point numbers"):
            packed(inputs.to(dtype))


@pytest.mark.parametrize("sample", ["x", torch.randn(2, 3), {"nothing": 1}, 7])
def test_samples_that_the_model_cannot_take(sample):
    model = nn.Sequential(nn.Linear(8, 8))
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(8, 8).sign())
    with pytest.raises(InputError, match="the model cannot take the sample: ") as caught:
        pack(model, sample=sample)
    assert "\n" not in str(caught.value)
