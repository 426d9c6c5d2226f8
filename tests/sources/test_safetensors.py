import errno
import json
import os
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.errors import InputError, SourceError
from weightsmith.sources import open_safetensors, write_safetensors

DTYPES = ["bool", "uint8", "int8", "int16", "uint16", "float16", "int32", "uint32", "float32", "complex64"]
DTYPES += ["float64", "int64", "uint64"]
EXTENDED = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
SHARED = Path(__file__).parents[2].parent / "shared" / "weights"


def forged(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def refused_by_reference(path: Path) -> bool:
    try:
        safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError:
        return True
    return False


@pytest.mark.parametrize("dtype", DTYPES + EXTENDED)
def test_reads_what_the_reference_writes(tmp_path, dtype):
    numpy_type = np.dtype(getattr(ml_dtypes, dtype)) if dtype in EXTENDED else np.dtype(dtype)
    raw = np.random.default_rng(0).integers(0, 2, 6 * numpy_type.itemsize, dtype=np.uint8)
    torch_type = getattr(torch, dtype)
    tensor = torch.from_numpy(raw).view(torch_type).reshape(2, 3)
    path = tmp_path / "a.safetensors"
    try:
        safetensors.torch.save_file({"a": tensor, "none": tensor[:0], "scalar": tensor[0, 0].clone()}, path)
    except KeyError:
        pytest.skip(f"the reference's torch part does not write {dtype}")
    source = open_safetensors(path)
    assert set(source) == {"a", "none", "scalar"}
    assert source["a"].dtype == dtype
    array = source["a"].read()
    assert array.dtype == numpy_type
    assert array.shape == (2, 3)
    assert array.tobytes() == raw.tobytes()
    assert source["none"].read().shape == (0, 3)
    assert source["scalar"].shape == ()
    assert source["scalar"].read().tobytes() == raw.tobytes()[: numpy_type.itemsize]


@pytest.mark.parametrize("dtype", DTYPES + EXTENDED[:3])
def test_reference_reads_what_we_write(tmp_path, dtype):
    numpy_type = np.dtype(getattr(ml_dtypes, dtype)) if dtype in EXTENDED else np.dtype(dtype)
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(numpy_type)
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": values, "t": values.T, "0d": values[0, 1], "none": values[:, :0]}, {"by": "us"})
    loaded = safetensors.torch.load_file(path)
    assert str(loaded["a"].dtype) == f"torch.{dtype}"
    assert loaded["a"].to(torch.complex128).tolist() == values.astype(np.complex128).tolist()
    assert loaded["t"].to(torch.complex128).tolist() == values.T.astype(np.complex128).tolist()
    assert loaded["0d"].shape == ()
    assert loaded["none"].shape == (2, 0)
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == {"by": "us"}


arrays = hnp.arrays(
    dtype=st.sampled_from(DTYPES).map(np.dtype),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


@settings(deadline=None, max_examples=60)
@given(tensors=st.dictionaries(st.text(max_size=8).filter(lambda name: name != "__metadata__"), arrays, max_size=5))
def test_round_trip(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("round") / "a.safetensors"
    write_safetensors(path, tensors)
    source = open_safetensors(path)
    assert set(source) == set(tensors)
    for name, tensor in tensors.items():
        read = source[name].read()
        assert read.dtype == tensor.dtype
        assert read.shape == tensor.shape
        assert read.tobytes() == tensor.tobytes()
        assert source[name].nbytes == tensor.nbytes
    assert set(safetensors.numpy.load_file(path)) == set(tensors)


def test_order_of_the_model_is_kept_within_a_type(tmp_path):
    names = ["z.weight", "a.weight", "m.weight"]
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {name: np.ones(3, np.float32) for name in names})
    assert list(open_safetensors(path)) == names


def test_arrays_are_read_only_views_of_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": np.arange(4.0)})
    array = open_safetensors(path)["a"].read()
    assert not array.flags.writeable
    assert not array.flags.owndata
    with pytest.raises(ValueError):
        array[0] = 1


def test_unaligned_tensor_is_aligned_when_read(tmp_path):
    path = tmp_path / "a.safetensors"
    values = np.array([1.5, -2.5], np.float32)
    header = {"odd": entry("U8", [1], [0, 1]), "a": entry("F32", [2], [1, 9])}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(forged(text, b"\7" + values.tobytes()))
    array = open_safetensors(path)["a"].read()
    assert array.flags.aligned
    assert not array.flags.writeable
    assert array.tolist() == values.tolist()


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2"])
def test_packed_types_are_listed_but_refused_by_name(tmp_path, dtype):
    path = tmp_path / "a.safetensors"
    size = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}[dtype]
    path.write_bytes(forged({"packed": entry(dtype, [8], [0, size])}, b"\0" * size))
    weight = open_safetensors(path)["packed"]
    assert weight.dtype.startswith("float")
    assert (weight.size, weight.nbytes) == (8, size)
    with pytest.raises(InputError, match=r"'packed' is packed float[46]") as caught:
        weight.read()
    assert not isinstance(caught.value, SourceError), "the file is not damaged: its other weights can be drawn"


BROKEN = {
    "empty": b"",
    "short": b"\0\0\0",
    "length beyond the file": forged({}, length=10**6),
    "length beyond the limit": struct.pack("<Q", 2**63) + b"{}",
    "no header": struct.pack("<Q", 0),
    "not an object": forged(b"[]"),
    "leading space": forged(b" {}"),
    "not JSON": forged(b"{nope"),
    "not UTF-8": forged(b'{"\xff": 1}'),
    "deeply nested": forged(b'{"a":' + b"[" * 100_000),
    "endless number": forged(
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 4]}}', b"\0" * 4
    ),
    "NaN": forged(b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 4]}}', b"\0" * 4),
    "twice": forged(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
    ),
    "twice at the end of many": forged(b"{" + b"".join(b'"%d":0,' % n for n in range(200_000)) + b'"199999":0}'),
    "a long name": forged({"n" * 100_000: 3}),
    "bad metadata": forged({"__metadata__": {"a": 1}}),
    "bad entry": forged({"a": 3}),
    "missing key": forged({"a": {"dtype": "F32", "shape": [1]}}, b"\0" * 4),
    "unknown dtype": forged({"a": entry("F33")}, b"\0" * 4),
    "dtype not text": forged({"a": entry(3)}, b"\0" * 4),
    "dtype a list": forged({"a": entry(["F32"])}, b"\0" * 4),
    "negative shape": forged({"a": entry("F32", [-1])}, b"\0" * 4),
    "float shape": forged({"a": entry("F32", [1.0])}, b"\0" * 4),
    "bool shape": forged({"a": entry("F32", [True])}, b"\0" * 4),
    "huge shape": forged({"a": entry("F32", [2**62, 2**62])}, b"\0" * 4),
    "huge and empty": forged({"a": entry("F32", [2**62, 2**62, 0], [0, 0])}),
    "too many axes": forged({"a": entry("F32", [1] * 100)}, b"\0" * 4),
    "offsets of three": forged({"a": entry("F32", [1], [0, 4, 8])}, b"\0" * 4),
    "offsets backwards": forged({"a": entry("F32", [1], [4, 0])}, b"\0" * 4),
    "size wrong": forged({"a": entry("F32", [2])}, b"\0" * 4),
    "half a byte": forged({"a": entry("F4", [1], [0, 1])}, b"\0"),
    "gap": forged({"a": entry("F32", [1], [4, 8])}, b"\0" * 8),
    "overlap": forged({"a": entry("F32", [2], [0, 8]), "b": entry("F32", [1], [4, 8])}, b"\0" * 8),
    "truncated": forged({"a": entry()}, b"\0" * 3),
    "bytes left over": forged({"a": entry()}, b"\0" * 5),
}


STRICTER = {"leading space", "twice", "too many axes"}
"""What the format's text forbids, though the reference reads it."""


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused_in_one_line(tmp_path, case):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(BROKEN[case])
    with pytest.raises(SourceError) as caught:
        open_safetensors(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert str(path) in str(caught.value)
    assert refused_by_reference(path) != (case in STRICTER)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_mutated_files_are_read_as_the_reference_reads_them(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("mutated") / "a.safetensors"
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(3, dtype=np.int8)}
    write_safetensors(path, tensors, {"k": "v"})
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(raw) - 1))
        raw[position] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    path.write_bytes(raw)
    try:
        source = open_safetensors(path)
    except SourceError:
        return
    reference = dict(safetensors.deserialize(bytes(raw)))  # whatever we accept, the reference accepts
    assert set(source) == set(reference)
    for name, weight in source.items():
        if not weight.dtype.startswith(("float4", "float6")):
            assert weight.read().tobytes() == bytes(reference[name]["data"])


def test_escapes_in_names_do_not_reach_the_terminal(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(forged({"\x1b[2J\n": entry("F32", [2])}, b"\0" * 4))
    with pytest.raises(SourceError) as caught:
        open_safetensors(path)
    assert str(caught.value).isprintable()
    assert r"\x1b[2J\n" in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        open_safetensors(tmp_path / "none.safetensors")


def test_file_cut_while_open_does_not_kill_the_process(tmp_path):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": np.zeros(100_000)})
    weight = open_safetensors(path)["a"]
    os.truncate(path, 1000)
    with pytest.raises(SourceError, match="shorter"):
        weight.read()


def test_unknown_type_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(InputError, match="'a' has dtype complex128"):
        write_safetensors(tmp_path / "a.safetensors", {"a": np.zeros(2, np.complex128)})
    with pytest.raises(InputError, match="__metadata__"):
        write_safetensors(tmp_path / "a.safetensors", {"__metadata__": np.zeros(2)})
    with pytest.raises(InputError, match="Unicode"):
        write_safetensors(tmp_path / "a.safetensors", {"\ud800": np.zeros(2)})
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": np.ones(2)})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SourceError, match="No space left") as caught:
        write_safetensors(path, {"a": np.zeros(2)})
    assert isinstance(caught.value.__cause__, OSError)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    assert open_safetensors(path)["a"].read().tolist() == [1, 1]


def test_write_is_forced_to_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), real_fsync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda self, target: (calls.append("rename"), real_replace(self, target))[1])
    write_safetensors(tmp_path / "a.safetensors", {"a": np.ones(2)})
    assert calls == ["fsync", "rename", "fsync"]


def test_a_published_file():
    path = SHARED / "silero_vad" / "silero_vad_16k.safetensors"
    if not path.is_file():
        pytest.skip("the shared weights are not beside this repository")
    expected = safetensors.numpy.load_file(path)
    source = open_safetensors(path)
    assert set(source) == set(expected)
    for name, weight in source.items():
        np.testing.assert_array_equal(weight.read(), expected[name])
    assert source["lstm_cell.weight_ih"].role == "recurrent"
