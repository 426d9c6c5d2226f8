import bz2
import gzip
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import weightsmith.sources as sources
from weightsmith.errors import InputError, SourceError
from weightsmith.sources import write_safetensors
from weightsmith.sources.file import LocalFile
from weightsmith.sources.formats import FOREIGN, FORMATS, Format, is_weights, of_suffix
from weightsmith.sources.single import recognize

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
DOCS = Path(__file__).parents[2] / "docs" / "formats.md"


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def safetensors_bytes(tmp_path):
    path = tmp_path / "made.safetensors"
    write_safetensors(path, {"fc.weight": VALUES})
    return path.read_bytes()


def npy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, VALUES)
    return buffer.getvalue()


def onnx_bytes(*, graph_length=0):
    return b"\x08\x08\x12\x04test\x3a" + bytes([graph_length])


CONTENTS = {
    "npy": npy_bytes(),
    "gguf": b"GGUF\x03\0\0\0\x7b" + b"\0" * 20,  # 123 tensors: byte 8 is an opening brace, as in safetensors
    "tflite": b"\x1c\0\0\0TFL3" + b"\0" * 20,
    "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
    "hdf5 after a user block": b"\0" * 2048 + b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
    "torch": zipped("archive/data.pkl", "archive/version", "archive/data/0"),
    "torch legacy": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    "torch legacy 4": pickle.dumps(0x1950A86A20F9469CFC6C, protocol=4),
    "torchscript": zipped("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"),
    "keras": zipped("metadata.json", "config.json", "model.weights.h5"),
    "npz": zipped("fc.weight.npy", "fc.bias.npy"),
    "npz of nothing": zipped(),
    "onnx": onnx_bytes(),
    "index": b' {"weight_map": {}}',
    "safetensors": struct.pack("<Q", 2) + b"{}",
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("suffix", ["", ".bin", ".safetensors"])
def test_content_decides_whatever_the_name_says(tmp_path, name, suffix):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(CONTENTS[name])
    assert recognize(LocalFile(path)).name == name.split(" ", maxsplit=1)[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.sampled_from([b"", *CONTENTS.values()]), cut=st.integers(0, 80), tail=st.binary(max_size=600))
@pytest.mark.parametrize("suffix", ["", ".bin", ".onnx", ".safetensors"])
def test_any_bytes_are_of_a_format_or_refused_in_one_line(tmp_path, suffix, head, cut, tail):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(head[:cut] + tail)
    try:
        told = recognize(LocalFile(path)).name
    except SourceError as error:
        told = str(error)
    assert told in FORMATS or (told.isprintable() and str(path) in told)


def test_every_format_that_opens_is_recognized_by_a_case_here():
    told = {name.split(" ", maxsplit=1)[0] for name in CONTENTS}
    assert told | {"packed"} == set(FORMATS), "packed files are safetensors until their metadata is read"


@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".npz", ""])
def test_a_file_under_a_wrong_name_opens_by_its_content(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(safetensors_bytes(tmp_path))
    source = sources.open(path)
    assert source.file_format == "safetensors"
    np.testing.assert_array_equal(source["fc.weight"].read(), VALUES)


def test_arrays_open(tmp_path):
    np.savez(tmp_path / "a.npz", **{"Dense_0/kernel": VALUES, "Dense_0/bias": np.zeros(3, np.float32)})
    kernel = sources.open(tmp_path / "a.npz")["Dense_0/kernel"]
    np.testing.assert_array_equal(kernel.read(), VALUES)
    assert (kernel.role, kernel.info.output_axis) == ("linear", 1)
    np.save(tmp_path / "b.npy", VALUES)
    (weight,) = sources.open(tmp_path / "b.npy").values()
    np.testing.assert_array_equal(weight.read(), VALUES)


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_every_opener_exists(format_name):
    from importlib import import_module

    module, _, function = FORMATS[format_name].opener.partition(":")
    assert callable(getattr(import_module(f"weightsmith.sources.{module}"), function))


KNOWN_BUT_REFUSED = {
    "saved_model.pb": (b"\x08\x01\x12\x02\x0a\x00", "TensorFlow", "model.keras"),
    "frozen.pb": (b"\x0a\x04\x0a\x02ab", "TensorFlow", "model.keras"),
    "model.ckpt.index": (b"\0\1\2\3" * 20, "TensorFlow checkpoint", "model.keras"),
    "model.ckpt.data-00000-of-00001": (b"\1\2\3\4" * 20, "TensorFlow checkpoint", "model.keras"),
    "net.mlmodel": (b"\x08\x04\x12\x00\xa2\x1f\x00", "Core ML", "coremltools"),
    "model.pdparams": (pickle.dumps({"a": 1}), "PaddlePaddle", "paddle.load"),
    "model.joblib": (pickle.dumps([1, 2]), "pickle", "where you trust it"),
    "model.pth": (pickle.dumps({"a": 1}, protocol=2), "pickle", "where you trust it"),
    "flax_model.msgpack": (b"\x81\xa6params\x80", "Flax", "flax.serialization"),
    "flax without a suffix": (b"\x82\xa6params\x80\xa4step\x01", "Flax", "flax.serialization"),
    "model.tar": (b"", "tar archive", "unpack"),
    "weights.npz.gz": (gzip.compress(b"abc", mtime=0), "gzip", "unpack"),
    "weights.bz2": (bz2.compress(b"abc"), "bzip2", "unpack"),
    "weights.7z": (b"7z\xbc\xaf\x27\x1c\0\4", "7z", "unpack"),
    "agent.zip": (zipped("policy.pth", "data"), "zip archive of other files", "unpack"),
    "model.safetensors": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull"),
    "pytorch_model.bin": (b"<!DOCTYPE html><html></html>", "HTML", "download it again"),
    "ggml-model.bin": (b"lmgg\1\0\0\0", "GGML", "gguf"),
    "model.mat": (b"MATLAB 5.0 MAT-file, Platform", "MATLAB", "scipy.io.loadmat"),
}


@pytest.mark.parametrize("name", KNOWN_BUT_REFUSED)
def test_what_is_known_but_not_supported_is_named_with_its_conversion(tmp_path, name):
    content, *words = KNOWN_BUT_REFUSED[name]
    path = tmp_path / name
    path.write_bytes(content)
    if name == "model.tar":
        (tmp_path / "x").write_bytes(b"1")
        with tarfile.open(path, "w") as archive:
            archive.add(tmp_path / "x", "x")
    message = refusal(path)
    assert all(word in message for word in words), message


def refusal(what):
    with pytest.raises(SourceError) as caught:
        sources.open(what)
    message = str(caught.value)
    assert message.isprintable(), message
    return message


def test_unknown_content_lists_what_opens(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"hello, world")
    message = refusal(path)
    assert all(name in message for name in FORMATS)
    assert "68 65 6c 6c 6f" in message


@pytest.mark.parametrize("name", ["model.pth", "model.gguf", "model.npz", "model.tflite", "model.h5"])
def test_a_name_that_promises_what_is_not_there(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\xff\xfe nothing")
    assert "though its name says so" in refusal(path)


def test_readers_of_formats_without_a_magic_number_say_what_is_wrong(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 100)
    assert "header claims" in refusal(tmp_path / "a.safetensors")
    (tmp_path / "a.onnx").write_bytes(onnx_bytes(graph_length=100))
    assert "a.onnx" in refusal(tmp_path / "a.onnx")


def test_json_that_is_no_index(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert "without a weight_map" in refusal(tmp_path / "config.json")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a"])
def test_an_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    assert "is empty" in refusal(tmp_path / name)


def test_a_missing_file_suggests_a_name_beside_it(tmp_path):
    write_safetensors(tmp_path / "model.safetensors", {"a": VALUES})
    message = refusal(tmp_path / "modle.safetensors")
    assert message.endswith(f"did you mean '{tmp_path / 'model.safetensors'}'?")
    assert "no such file" in refusal(tmp_path / "deep" / "er.npz")
    assert "no such file" in refusal("")


def test_a_pipe_or_device_never_blocks(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "no regular file" in refusal(tmp_path / "pipe.safetensors")
    assert "no regular file" in refusal("/dev/zero")


def test_permission_denied(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"a": VALUES})

    def deny(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)  # the mode of the file would not do: root may read everything
    assert "Permission denied" in refusal(path)
    monkeypatch.setattr(os, "scandir", deny)
    assert "Permission denied" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["a\x1b[31m.safetensors", "a\nb.pt", "a\u202e.npz", "none\x1b.bin", "a\0b"])
@pytest.mark.parametrize("content", [None, b"", b"rubbish!!"])
def test_names_with_control_characters_are_spelled_out(tmp_path, name, content):
    path = tmp_path / name
    if content is not None and "\0" not in name:
        path.write_bytes(content)
    refusal(path)


@pytest.mark.parametrize("odd", [3, {"a": 1}, None, b"model.safetensors", nn.Linear])
def test_a_value_that_holds_no_weights(odd):
    with pytest.raises(InputError, match="cannot open a value of type"):
        sources.open(odd)


def test_a_file_url_is_a_path(tmp_path):
    path = tmp_path / "a b.safetensors"
    write_safetensors(path, {"a": VALUES})
    assert list(sources.open(f"file://{str(path).replace(' ', '%20')}")) == ["a"]
    assert list(sources.open(LocalFile(path))) == ["a"]


def test_roles_are_overridden_by_pattern(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"enc.weight": VALUES, "enc.bias": VALUES[0], "head.weight": VALUES})
    changed = sources.open(path, roles={"*.weight": "embedding", "head": "recurrent"})
    assert {name: weight.role for name, weight in changed.items()} == {
        "enc.weight": "embedding",
        "enc.bias": "bias",
        "head.weight": "recurrent",
    }
    np.testing.assert_array_equal(changed["head.weight"].read(), VALUES)
    assert changed.file_format == "safetensors"
    assert sources.open(changed, roles={"enc.bias": "norm"})["enc.bias"].role == "norm"
    assert sources.open(nn.Linear(2, 3), roles={"weight": "other"})["weight"].role == "other"


def test_mistaken_roles_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"enc.weight": VALUES})
    with pytest.raises(InputError, match=r"unknown role 'linaer': choose from .*; did you mean 'linear'"):
        sources.open(path, roles={"enc.weight": "linaer"})
    with pytest.raises(InputError, match=r"matches 'enc\.wieght'; did you mean 'enc\.weight'"):
        sources.open(path, roles={"enc.wieght": "linear"})


def test_the_longest_suffix_tells_a_name():
    assert of_suffix("MODEL.SAFETENSORS") is FORMATS["safetensors"]
    assert of_suffix("model.safetensors.index.json") is FORMATS["index"]
    assert of_suffix("x.weights.h5") is FORMATS["hdf5"]
    assert of_suffix("checkpoint.pth.tar") is FORMATS["torch"]
    assert of_suffix("x.tar").what == "a tar archive"
    assert of_suffix("README") is None
    assert is_weights("model-00001-of-00002.safetensors")
    assert not is_weights("optimizer.pt")
    assert not is_weights("tokenizer.json")


def test_suffixes_stand_for_one_format_each():
    suffixes = [suffix for each in (*FORMATS.values(), *FOREIGN) for suffix in each.suffixes]
    assert sorted(suffixes) == sorted(set(suffixes))
    assert all(isinstance(of_suffix(f"x{suffix}"), Format) for each in FORMATS.values() for suffix in each.suffixes)


def test_the_page_lists_every_format_as_the_table_does():
    lines = DOCS.read_text().splitlines()
    rows = {cells[0]: cells[1:] for line in lines if (cells := [c.strip() for c in line.strip("|").split(" | ")])}
    for each in FORMATS.values():
        suffixes = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
        assert rows[each.name] == [suffixes, each.told_by, each.reading]
    for each in FOREIGN:
        suffixes = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
        assert rows[each.what] == [suffixes, each.advice.replace("|", "\\|")]


def test_the_page_lists_nothing_else():
    tables = re.findall(r"^\| (?!---)(.+?) \|", DOCS.read_text(), re.MULTILINE)
    assert set(tables) == {"format", "what it is", *FORMATS, *(each.what for each in FOREIGN)}


@pytest.mark.parametrize("name", ["model.safetensors", "model.npz"])
def test_opening_does_not_load_torch_or_network_libraries(tmp_path, name):
    path = tmp_path / name
    write_safetensors(path, {"a": VALUES}) if name.endswith("s") else np.savez(path, a=VALUES)
    code = (
        "import sys, weightsmith as ws; ws.open(sys.argv[1]);"
        "print([name for name in ('torch', 'fsspec', 'numba', 'scipy', 'h5py') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_files_open(shared):
    found = [path for path in sorted((shared / "weights").rglob("*")) if path.is_file()]
    for path in found:
        source = sources.open(path)
        assert len(source) >= 5, path
        assert {"linear", "conv"} & {info.role for info in source.infos}, path
