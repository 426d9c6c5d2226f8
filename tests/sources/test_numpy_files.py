import contextlib
import io
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.errors import SourceError
from weightsmith.sources.numpy_files import open_npy, open_npz
from weightsmith.sources.source import BLOCK

DTYPES = [
    "?",
    "i1",
    "u1",
    *(order + kind for order in "<>" for kind in ("i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16")),
]


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def forged(header: str | bytes, data: bytes = b"", version: int = 1, length: int | None = None) -> bytes:
    text = header.encode("latin-1") if isinstance(header, str) else header
    count = struct.pack("<H" if version == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + count + text + data


def arrays() -> st.SearchStrategy[np.ndarray]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    return st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(np.dtype(dtype), shapes))


@given(array=arrays(), fortran=st.booleans(), packed=st.booleans())
@settings(max_examples=150)
def test_reads_what_numpy_writes(tmp_path_factory, array, fortran, packed):
    folder = tmp_path_factory.mktemp("numpy")
    array = np.asfortranarray(array) if fortran and array.ndim else array
    np.save(folder / "one.npy", array)
    (np.savez_compressed if packed else np.savez)(folder / "all.npz", array, layer=array)
    for path, names in ((folder / "one.npy", ["one"]), (folder / "all.npz", ["layer", "arr_0"])):
        source = (open_npy if path.suffix == ".npy" else open_npz)(path)
        assert sorted(source) == sorted(names)
        for weight in source.values():
            read = weight.read()
            assert read.dtype.name == array.dtype.name
            assert read.shape == weight.shape == array.shape
            assert read.astype(array.dtype).tobytes() == np.ascontiguousarray(array).tobytes()
            assert not read.flags.writeable
            blocks = list(weight.blocks())
            flat = np.concatenate(blocks) if blocks else np.empty(0, array.dtype)
            assert flat.astype(array.dtype).tobytes() == np.ascontiguousarray(array).tobytes()
            assert weight.nbytes == array.nbytes
            assert weight.dtype == array.dtype.name


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions(tmp_path, version):
    path = tmp_path / "a.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array(stream, np.arange(6.0).reshape(2, 3), version=version)
    assert open_npy(path)["a"].read().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_compressed_arrays_come_in_bounded_blocks(tmp_path):
    array = np.random.default_rng(0).integers(0, 3, BLOCK + 1234).astype(np.int16)
    np.savez_compressed(tmp_path / "a.npz", a=array)
    blocks = list(open_npz(tmp_path / "a.npz")["a"].blocks())
    assert [block.size for block in blocks] == [BLOCK, 1234]
    np.testing.assert_array_equal(np.concatenate(blocks), array)


def test_plain_members_have_a_place_and_packed_ones_none(tmp_path):
    np.savez(tmp_path / "a.npz", **{"layer1/weight": np.ones((3, 2)), "bias": np.ones(2)})
    np.savez_compressed(tmp_path / "b.npz", a=np.ones((3, 2)))
    source = open_npz(tmp_path / "a.npz")
    assert all(weight.place is not None for weight in source.values())
    assert source["layer1/weight"].role == "linear"
    assert source["bias"].role == "bias"
    assert source.file_format == "npz"
    assert open_npz(tmp_path / "b.npz")["a"].place is None


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("code from a file was run",)


def test_objects_are_never_unpickled(tmp_path):
    array = np.empty(1, object)
    array[0] = Bomb()
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", bad=array, good=np.ones(2))
    (found,) = open_npy(tmp_path / "a.npy").aside
    assert found.name == "a"
    assert "Python objects" in found.reason
    source = open_npz(tmp_path / "a.npz")
    assert list(source) == ["good"]
    assert [(found.name, "Python objects" in found.reason) for found in source.aside] == [("bad", True)]
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(SourceError, match="not a NumPy array"):
        open_npy(tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array(["a", "bc"]), "text"),
        (np.array([b"a"]), "text"),
        (np.array(["2020"], "M8[Y]"), "dates"),
        (np.array([3], "m8[s]"), "time spans"),
        (np.zeros(2, [("a", "f4"), ("b", "i2")]), "records"),
        (np.ones(3, ml_dtypes.bfloat16), "bfloat16"),
        (np.ones(3, ml_dtypes.float8_e4m3fn), "8-bit floats"),
        (np.ones(3, np.longdouble), "bits"),
    ],
    ids=["text", "bytes", "dates", "spans", "records", "bfloat16", "float8", "longdouble"],
)
def test_what_is_no_weight_is_left_aside(tmp_path, array, reason):
    (tmp_path / "a.npy").write_bytes(saved(array) if array.dtype.kind != "V" else saved(array.view(array.dtype)))
    source = open_npy(tmp_path / "a.npy")
    assert len(source) == 0
    assert reason in source.aside[0].reason
    assert source.aside[0].nbytes == array.nbytes


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "truncated"),
        (b"\x93NUMPY\x01\x00", "truncated"),
        (forged(GOOD, b"\0" * 7), "needs 65|needs \\d+ bytes"),
        (forged(GOOD, b"\0" * 9), "needs \\d+ bytes"),
        (forged(GOOD, b"\0" * 8, version=4), "version 4"),
        (forged(GOOD, b"\0" * 8, length=65535), "claims a header of 65535"),
        (forged(GOOD, b"\0" * 8, version=2, length=2**32 - 1), "claims a header"),
        (forged(GOOD.replace("(2,)", "(-2,)")), "odd shape"),
        (forged(GOOD.replace("(2,)", "(True,)")), "odd shape"),
        (forged(GOOD.replace("(2,)", f"({2**61}, {2**61})"), b"\0" * 8), "odd shape"),
        (forged(GOOD.replace("(2,)", f"({2**60}, 0)")), "odd shape"),
        (forged(GOOD.replace("(2,)", f"({2**50},)"), b"\0" * 8), "needs"),
        (forged(GOOD.replace("(2,)", "(" + "9," * 70 + ")")), "odd shape"),
        (forged(GOOD.replace("False", "0"), b"\0" * 8), "odd shape or order"),
        (forged(GOOD.replace("'shape'", "'size'")), "without descr"),
        (forged("__import__('os').abort()"), "not a Python literal"),
        (forged("(" * 5000), "not a Python literal"),
        (forged("-" * 9000 + "1"), "not a Python literal"),
        (forged("{'a': " * 200 + "1" + "}" * 200), "not a Python literal|without descr"),
        (forged("{[]: 1}"), "not a Python literal"),
        (forged(b"\xff\xfe", version=3), "not a Python literal"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:20],
)
def test_lying_headers_are_refused(tmp_path, data, match):
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=match) as caught:
        open_npy(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", data)
    with pytest.raises(SourceError):
        open_npz(tmp_path / "a.npz")


def test_a_type_that_is_none_is_left_aside(tmp_path):
    for descr in ("'f99'", "'<q'", "[('a', 'f4')]", "3", "'|O'", "''"):
        (tmp_path / "a.npy").write_bytes(forged(GOOD.replace("'<f4'", descr)))
        assert len(open_npy(tmp_path / "a.npy").aside) == 1


def test_a_zip_bomb_is_refused_without_inflating_it(tmp_path):
    header = forged(GOOD.replace("(2,)", f"({1 << 28},)"))
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header + bytes(1 << 20))
    with pytest.raises(SourceError, match="needs"):
        open_npz(path)
    raw = bytearray(path.read_bytes())
    directory = raw.index(b"PK\x01\x02")
    raw[directory + 24 : directory + 28] = struct.pack("<I", len(header) + (1 << 30))
    path.write_bytes(raw)
    with pytest.raises(SourceError):
        open_npz(path)["a"].read()


def test_a_bomb_that_would_have_to_be_turned_is_left_aside(tmp_path):
    header = forged(GOOD.replace("(2,)", "(4, 8388608)").replace("False", "True"))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header + bytes(32 << 23))
        archive.writestr("b.npy", saved(np.asfortranarray(np.arange(6.0).reshape(2, 3))))
    source = open_npz(tmp_path / "a.npz")
    assert list(source) == ["b"]
    assert [(each.name, each.nbytes) for each in source.aside] == [("a", len(header) + (32 << 23))]
    assert "Fortran order" in source.aside[0].reason


def test_long_names_are_not_repeated_in_full(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("n" * 900 + ".npy", forged(GOOD))
    with pytest.raises(SourceError, match=r"'n{200}'"):
        open_npz(tmp_path / "a.npz")


def test_other_members_are_listed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
        archive.writestr("w.npy", saved(np.ones(2)))
    source = open_npz(tmp_path / "a.npz")
    assert list(source) == ["w"]
    assert [(found.name, found.reason, found.nbytes) for found in source.aside] == [("readme.txt", "not an array", 5)]


@given(data=st.data())
@settings(max_examples=200)
def test_damaged_files_read_or_are_refused(tmp_path_factory, data):
    stream = io.BytesIO()
    packed = data.draw(st.booleans())
    (np.savez_compressed if packed else np.savez)(stream, a=np.arange(8.0), b=np.ones((2, 3), np.float32))
    raw = bytearray(data.draw(st.sampled_from([stream.getvalue(), saved(np.ones((3, 2), ">f4"))])))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(1, len(raw))) :]
    path = tmp_path_factory.mktemp("damaged") / "a"
    path.write_bytes(raw)
    for opener in (open_npy, open_npz):
        with contextlib.suppress(SourceError):
            for weight in opener(path).values():
                assert weight.read().shape == weight.shape
