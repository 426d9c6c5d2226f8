import contextlib
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightsmith.errors import SourceError
from weightsmith.sources.gguf import QUANTIZED, open_gguf

gguf = pytest.importorskip("gguf")
TYPES = gguf.GGMLQuantizationType
UNPACKED = ["q1_0", "q8_1", "q8_k"]  # of which the library has no table


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    dims = struct.pack(f"<{len(shape)}Q", *shape[::-1])
    return text(name) + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", kind, offset)


def forged(tensors: list[bytes], pairs: Sequence[bytes] = (), data: bytes = b"", **claims: int) -> bytes:
    counts = claims.get("tensor_count", len(tensors)), claims.get("pair_count", len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", claims.get("version", 3), *counts) + b"".join(pairs) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("a model")
    writer.add_block_count(1)
    writer.add_head_count(4)
    writer.add_feed_forward_length(24)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", "ü"])
    writer.add_array("tokenizer.ggml.scores", [0.5] * 40)
    writer.add_array("small", [1, 2, 3])
    writer.add_bool("flag", True)
    writer.add_float64("double", 0.25)
    rng = np.random.default_rng(0)
    for name, shape, dtype in (
        ("token_embd.weight", (10, 64), np.float32),
        ("blk.0.attn_norm.weight", (64,), np.float32),
        ("blk.0.attn_k.weight", (32, 64), np.float16),
        ("blk.0.double", (3, 5), np.float64),
        ("blk.0.ints", (3, 5), np.int8),
        ("blk.0.attn_qkv.weight", (192, 64), np.float32),
        ("blk.0.attn_qkv.bias", (192,), np.float32),
        ("blk.0.ffn_up.weight", (48, 64), np.float32),
        ("blk.0.ffn_gate_exps.weight", (2, 4, 8), np.float32),
        ("blk.0.ssm_conv1d.weight", (4, 8), np.float32),
        ("rope_freqs.weight", (8,), np.float32),
        ("scalar", (1,), np.float32),
    ):
        writer.add_tensor(name, (rng.normal(size=shape) * 3).astype(dtype))
    for kind in (TYPES.BF16, TYPES.Q8_0, TYPES.Q4_0, TYPES.Q4_1, TYPES.Q5_0, TYPES.Q5_1, TYPES.TQ1_0, TYPES.MXFP4):
        values = rng.normal(size=(8, 512)).astype(np.float32)
        packed = gguf.quants.quantize(values, kind)
        writer.add_tensor(f"blk.0.{kind.name}.weight", packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_agrees_with_the_library(written):
    source = open_gguf(written)
    reader = gguf.GGUFReader(written)
    assert list(source) == [found.name for found in reader.tensors]
    for found in reader.tensors:
        weight = source[found.name]
        assert weight.shape == tuple(int(length) for length in found.shape[::-1])
        assert weight.nbytes == found.n_bytes
        if found.name in ("blk.0.double", "blk.0.ints"):
            expected = found.data
        else:
            expected = gguf.quants.dequantize(found.data, found.tensor_type).reshape(weight.shape)
        np.testing.assert_array_equal(weight.read().astype(expected.dtype), expected)
    assert source["blk.0.Q4_0.weight"].dtype == "q4_0"
    assert source["blk.0.BF16.weight"].dtype == "bfloat16"
    assert source["blk.0.BF16.weight"].read().dtype == ml_dtypes.bfloat16
    assert source["blk.0.attn_k.weight"].dtype == "float16"
    assert source["blk.0.Q4_0.weight"].read().dtype == np.float32
    assert source["token_embd.weight"].place is not None
    assert source.file_format == "gguf"
    assert source.metadata["general.architecture"] == "llama"
    assert source.metadata["general.name"] == "a model"
    assert source.metadata["tokenizer.ggml.tokens"] == "3 texts"
    assert source.metadata["tokenizer.ggml.scores"] == "40 numbers"
    assert source.metadata["small"] == "[1, 2, 3]"
    assert source.metadata["flag"] == "true"
    assert source.metadata["double"] == "0.25"


def test_roles_and_parts(written):
    source = open_gguf(written)
    roles = {name: source[name].role for name in list(source)[:12]}
    assert roles == {
        "token_embd.weight": "embedding",
        "blk.0.attn_norm.weight": "norm",
        "blk.0.attn_k.weight": "linear",
        "blk.0.double": "linear",
        "blk.0.ints": "linear",
        "blk.0.attn_qkv.weight": "linear",
        "blk.0.attn_qkv.bias": "bias",
        "blk.0.ffn_up.weight": "linear",
        "blk.0.ffn_gate_exps.weight": "linear",
        "blk.0.ssm_conv1d.weight": "conv",
        "rope_freqs.weight": "other",
        "scalar": "other",
    }
    assert source["blk.0.attn_qkv.weight"].info.parts == ("q", "k", "v")
    assert source["blk.0.attn_qkv.bias"].info.parts == ("q", "k", "v")
    assert source["blk.0.ffn_up.weight"].info.parts == ("gate", "up")
    assert source["blk.0.attn_k.weight"].info.parts == ()


def test_fewer_key_heads_are_no_equal_parts(tmp_path):
    path = tmp_path / "a.gguf"
    pairs = [
        pair("general.architecture", 8, text("x")),
        pair("x.attention.head_count", 4, struct.pack("<I", 8)),
        pair("x.attention.head_count_kv", 4, struct.pack("<I", 2)),
    ]
    path.write_bytes(forged([tensor("blk.0.attn_qkv.weight", (12, 2), 0, 0)], pairs, bytes(96)))
    assert open_gguf(path)["blk.0.attn_qkv.weight"].info.parts == ()


def test_sizes_of_types_are_those_of_the_library():
    plain = {"F32", "F16", "BF16", "F64", "I8", "I16", "I32", "I64"}
    theirs = {kind.value: (kind.name.lower(), *gguf.GGML_QUANT_SIZES[kind]) for kind in TYPES if kind.name not in plain}
    assert {code: QUANTIZED.get(code) for code in theirs} == theirs


@pytest.mark.parametrize("code", sorted(QUANTIZED))
def test_every_packed_type_reads_as_the_library_unpacks_it(tmp_path, code):
    name, block, nbytes = QUANTIZED[code]
    packed = np.random.default_rng(code).integers(0, 256, (6, 2 * nbytes), dtype=np.uint8)
    (tmp_path / "a.gguf").write_bytes(forged([tensor("w", (6, 2 * block), code, 0)], [], packed.tobytes()))
    weight = open_gguf(tmp_path / "a.gguf")["w"]
    assert weight.dtype == name
    if name in UNPACKED:
        with pytest.raises(SourceError, match=f"'w' is {name}, which the gguf library cannot unpack"):
            weight.read()
        return
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(packed, TYPES(code))
    np.testing.assert_array_equal(weight.read(), expected)


def test_packed_tensors_come_in_blocks(tmp_path, monkeypatch):
    values = np.random.default_rng(0).normal(size=(7, 320)).astype(np.float32)
    packed = gguf.quants.quantize(values, TYPES.Q8_0)
    (tmp_path / "a.gguf").write_bytes(forged([tensor("w", (7, 320), 8, 0)], [], packed.tobytes()))
    monkeypatch.setattr("weightsmith.sources.gguf._STEP", 1000)
    blocks = list(open_gguf(tmp_path / "a.gguf")["w"].blocks())
    assert [block.size for block in blocks] == [992, 992, 256]
    np.testing.assert_array_equal(np.concatenate(blocks), gguf.quants.dequantize(packed, TYPES.Q8_0).reshape(-1))


def test_big_endian_plain_values(tmp_path):
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama", endianess=gguf.GGUFEndian.BIG)
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    writer.add_tensor("w", values.copy())
    writer.add_tensor("q", gguf.quants.quantize(np.ones((1, 32), np.float32), TYPES.Q8_0), raw_dtype=TYPES.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    source = open_gguf(path)
    np.testing.assert_array_equal(source["w"].read(), values)
    with pytest.raises(SourceError, match="big-endian"):
        source["q"].read()


def test_nothing_heavy_is_imported_before_a_packed_tensor_is_read(written):
    code = (
        "import sys; from weightsmith.sources.gguf import open_gguf\n"
        f"source = open_gguf({str(written)!r}); source['token_embd.weight'].read()\n"
        "assert 'gguf' not in sys.modules and 'torch' not in sys.modules\n"
        "source['blk.0.Q8_0.weight'].read(); assert 'gguf' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_empty_and_scalar_tensors(tmp_path):
    tensors = [tensor("none", (0, 32), 8, 0), tensor("void", (0,), 0, 0), tensor("scalar", (), 0, 0)]
    (tmp_path / "a.gguf").write_bytes(forged(tensors, [], struct.pack("<f", 2.5)))
    source = open_gguf(tmp_path / "a.gguf")
    assert source["none"].read().shape == (0, 32)
    assert source["void"].read().shape == (0,)
    assert source["scalar"].read() == 2.5


def test_an_unknown_type_is_left_aside(tmp_path):
    (tmp_path / "a.gguf").write_bytes(forged([tensor("w", (2,), 99, 0), tensor("v", (1,), 0, 0)], [], bytes(4)))
    source = open_gguf(tmp_path / "a.gguf")
    assert list(source) == ["v"]
    assert source.aside[0].reason == "of type 99, which is not known"


def nested(depth: int) -> bytes:
    return b"".join(struct.pack("<IQ", 9, 1) for _ in range(depth)) + struct.pack("<IQ", 0, 0)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not a GGUF file"),
        (b"GGML" + bytes(40), "not a GGUF file"),
        (forged([], version=1), "version 1"),
        (forged([], version=77), "version 77"),
        (forged([], tensor_count=2**63), "claims 9223372036854775808 tensors"),
        (forged([], pair_count=2**40), "metadata values"),
        (forged([], tensor_count=1), "truncated|claims"),
        (forged([], [struct.pack("<Q", 2**60) + bytes(40)]), "a text of"),
        (forged([], [pair("a", 77, b"")]), "unknown type 77"),
        (forged([], [pair("a", 9, struct.pack("<IQ", 4, 2**62))]), "elements of a list"),
        (forged([], [pair("a", 9, struct.pack("<IQ", 8, 2**62))]), "elements of a list"),
        (forged([], [pair("a", 9, struct.pack("<IQQ", 8, 1, 2**62))]), "header claims"),
        (forged([], [pair("a", 9, nested(9))]), "unknown type 9"),
        (forged([], [pair("a", 4, bytes(4))] * 2), "'a' is there twice"),
        (forged([], [pair("general.alignment", 4, struct.pack("<I", 24))]), "no power of two"),
        (forged([], [pair("general.alignment", 4, bytes(4))]), "no power of two"),
        (forged([tensor("w", (1,) * 9, 0, 0)], [], bytes(4)), "9 dimensions"),
        (forged([tensor("w", (2**40, 2**40), 0, 0)], [], bytes(4)), "claims the shape"),
        (forged([tensor("w", (2**60, 0), 0, 0)], [], bytes(4)), "claims the shape"),
        (forged([tensor("w", (2,), 0, 0)], [], bytes(4)), "reaches out"),
        (forged([tensor("w", (1,), 0, 2**63)], [], bytes(4)), "reaches out"),
        (forged([tensor("w", (4, 33), 8, 0)], [], bytes(400)), "blocks of 32"),
        (forged([tensor("w", (1,), 0, 0)] * 2, [], bytes(8)), "'w' is there twice"),
        (forged([tensor("w", (2,), 0, 0), tensor("v", (2,), 0, 4)], [], bytes(12)), "'v' .* overlaps"),
        (forged([tensor("\x1b[31mw", (2,), 0, 0)], [], bytes(4)), r"x1b\[31mw"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:20],
)
def test_lying_headers_are_refused(tmp_path, data, match):
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=match) as caught:
        open_gguf(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@given(data=st.data())
@settings(max_examples=200)
def test_damaged_files_read_or_are_refused(tmp_path_factory, data):
    pairs = [pair("general.architecture", 8, text("x")), pair("l", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b"))]
    tensors = [tensor("a", (2, 3), 0, 0), tensor("b", (2, 32), 8, 32)]
    raw = bytearray(forged(tensors, pairs, bytes(100)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(1, len(raw))) :]
    path = tmp_path_factory.mktemp("damaged") / "a.gguf"
    path.write_bytes(raw)
    with contextlib.suppress(SourceError):
        for weight in open_gguf(path).values():
            assert weight.read().shape == weight.shape
