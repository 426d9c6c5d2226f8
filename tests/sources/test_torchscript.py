import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import SourceError
from weightsmith.sources.torch_zip import open_torch
from weightsmith.sources.torchscript import open_torchscript

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit", "ignore:.*TorchScript")


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.register_buffer("kept", torch.arange(4.0))
        self.loose = torch.zeros(5)
        self.loose_list = [torch.zeros(2), torch.zeros(3)]

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.linear(value) + self.kept.sum() + self.loose.sum() + self.loose_list[0].sum()


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.stack = torch.nn.ModuleList([torch.nn.Linear(2, 2, bias=False), torch.nn.BatchNorm1d(2)])
        self.again = self.stack[0]
        self.lstm = torch.nn.LSTM(2, 3)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        value = self.inner(value)
        for layer in self.stack:
            value = layer(value)
        return self.lstm(self.again(value))[0]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("torchscript") / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Model().eval()), path, {"labels.txt": "a b"})
    return path


def state(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(path, map_location="cpu").state_dict()


def read_all(path: Path) -> dict[str, np.ndarray]:
    return {name: weight.read() for name, weight in open_torchscript(path).items()}


def rewritten(path: Path, target: Path, change) -> Path:
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as new:
        for name in archive.namelist():
            if (data := change(name, archive.read(name))) is not None:
                new.writestr(name, data)
    return target


def test_names_and_values_agree_with_torch(archive):
    expected = state(archive)
    source = open_torchscript(archive)
    assert source.file_format == "torchscript"
    assert set(source) == set(expected)
    for name, tensor in expected.items():
        assert np.array_equal(source[name].read(), tensor.numpy())
    assert {source["again.weight"].info.tied_to, source["stack.0.weight"].info.tied_to} == {
        None,
        "again.weight" if source["again.weight"].info.tied_to is None else "stack.0.weight",
    }
    assert source["lstm.weight_hh_l0"].role == "recurrent"


def test_other_tensors_are_left_aside(archive):
    asides = {aside.name: aside.reason for aside in open_torchscript(archive).aside}
    assert "neither a parameter nor a buffer" in asides["inner.loose"]
    assert "neither a parameter nor a buffer" in asides["inner.loose_list.1"]
    assert asides["extra/labels.txt"] == "an extra file"


def test_the_real_model_agrees_with_torch(shared):
    path = shared / "weights" / "silero_vad" / "silero_vad.jit"
    expected = state(path)
    source = open_torchscript(path)
    assert list(source) == list(expected)
    for name, tensor in expected.items():
        assert np.array_equal(source[name].read(), tensor.numpy())
    assert {aside.name for aside in source.aside} == {"_state", "_context", "constants.0"}


def test_open_torch_recognizes_the_archive(archive):
    assert open_torch(archive).file_format == "torchscript"


def test_a_frozen_model_has_its_constants(tmp_path):
    path = tmp_path / "frozen.pt"
    model = Inner().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.freeze(torch.jit.script(model)), path)
    assert state(path) == {}
    source = open_torchscript(path)
    assert all(name.startswith("constants.") for name in source)
    found = [weight.read() for weight in source.values()]
    for tensor in (model.linear.weight, model.linear.bias):
        assert any(np.array_equal(array, tensor.detach().numpy()) for array in found)


def test_quantized_layers_are_left_aside(tmp_path):
    path = tmp_path / "quantized.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(3, 2)), dtype=torch.qint8)
        torch.jit.save(torch.jit.script(model), path)
    source = open_torchscript(path)
    assert any("quantized" in aside.reason or "neither" in aside.reason for aside in source.aside)


def test_without_the_code_every_attribute_is_a_weight(archive, tmp_path):
    path = rewritten(archive, tmp_path / "a.pt", lambda name, data: None if "/code/" in name else data)
    assert "inner.loose" in open_torchscript(path)


def test_a_checkpoint_is_no_torchscript(tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(SourceError, match="no TorchScript archive"):
        open_torchscript(tmp_path / "a.pt")


def test_the_oldest_format_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/model.json", "{}")
    with pytest.raises(SourceError, match=r"before PyTorch 1\.4"):
        open_torchscript(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("constants.pkl", pickle.dumps(3)),
        ("constants.pkl", b"cos\nsystem\n(S'touch hit'\ntR."),
        ("data.pkl", b"cos\nsystem\n(S'touch hit'\ntR."),
        ("data.pkl", b"c__torch__.A\nB\n)\x81q\x00}U\x01aq\x01h\x00sb."),
        ("data/0", None),
    ],
)
def test_forgeries_are_refused(archive, tmp_path, member, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = rewritten(archive, tmp_path / "a.pt", lambda name, data: content if name.endswith(f"/{member}") else data)
    with pytest.raises(SourceError) as caught:
        read_all(path)
    assert str(caught.value).isprintable()
    assert not Path("hit").exists()


def test_modules_in_modules_without_end_are_refused(archive, tmp_path):
    inner = b"c__torch__.A\nB\nq\x00)\x81q\x01"
    for index in range(1, 60):  # each holds the one before twice
        inner += (
            b"0h\x00)\x81q" + bytes([index + 1]) + b"}(U\x01ah" + bytes([index]) + b"U\x01bh" + bytes([index]) + b"ub"
        )
    path = rewritten(
        archive, tmp_path / "a.pt", lambda name, data: inner + b"." if name.endswith("/data.pkl") else data
    )
    with pytest.raises(SourceError, match="nested too deeply"):
        open_torchscript(path)


@given(st.data())
def test_mutated_descriptions_are_read_or_refused(archive, tmp_path_factory, data):
    at, cut, new = data.draw(st.tuples(st.integers(0, 3000), st.integers(0, 3), st.binary(max_size=3)))
    member = data.draw(st.sampled_from(["/data.pkl", "/constants.pkl", ".py", "byteorder"]))

    def change(name: str, old: bytes) -> bytes:
        return old[:at] + new + old[at + cut :] if name.endswith(member) else old

    path = rewritten(archive, tmp_path_factory.getbasetemp() / "mutated.pt", change)
    try:
        read_all(path)
    except SourceError as error:
        message = str(error)
    else:
        return
    assert message.isprintable()
