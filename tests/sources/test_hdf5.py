import contextlib
import io
import json
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.errors import SourceError
from weightsmith.sources.hdf5 import open_hdf5

h5py = pytest.importorskip("h5py")
DTYPES = ["?", "i1", "u1", *(order + kind for order in "<>" for kind in ("i2", "u4", "i8", "f2", "f4", "f8"))]
VERSIONS = [("earliest", "v108"), ("v108", "v108"), ("latest", "latest")]


def assert_same(path, names):
    source = open_hdf5(path)
    with h5py.File(path) as file:
        for name in names:
            weight, expected = source[name], file[name][()]
            assert weight.shape == expected.shape
            assert weight.dtype == expected.dtype.name
            np.testing.assert_array_equal(weight.read(), expected)
            blocks = list(weight.blocks())
            flat = np.concatenate(blocks) if blocks else np.empty(0)
            np.testing.assert_array_equal(flat, expected.reshape(-1))
    return source


@st.composite
def layouts(draw):
    array = draw(
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: hnp.arrays(
                np.dtype(dtype),
                hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9),
                elements={"allow_nan": False} if "f" in dtype else None,
            )
        )
    )
    options = {}
    if array.ndim and draw(st.booleans()):
        options["chunks"] = tuple(draw(st.integers(1, max(1, length))) for length in array.shape)
        options["compression"] = draw(st.sampled_from([None, "gzip"]))
        options["shuffle"] = draw(st.booleans())
        options["fletcher32"] = draw(st.booleans())
        if not array.size or draw(st.booleans()):  # chunks may not exceed the largest shape
            options["maxshape"] = tuple(length + 9 for length in array.shape)
    return array, options


@given(layout=layouts(), version=st.sampled_from(VERSIONS[:2]), slab=st.sampled_from([5, 40, 1 << 22]))
@settings(max_examples=200)
def test_reads_what_the_library_writes(tmp_path_factory, layout, version, slab):
    array, options = layout
    path = tmp_path_factory.mktemp("hdf5") / "a.h5"
    with h5py.File(path, "w", libver=version) as file:
        file.create_dataset("group/w", data=array, **options)
        file["other"] = np.arange(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weightsmith.sources.hdf5_chunks.BLOCK", slab)
        source = assert_same(path, ["group/w", "other"])
    assert (source["group/w"].place is not None) == ("chunks" not in options or not array.size)


@pytest.mark.parametrize("version", VERSIONS, ids=["earliest", "v108", "latest"])
@pytest.mark.parametrize("count", [3, 60, 1500])
def test_groups_of_any_size(tmp_path, version, count):
    with h5py.File(tmp_path / "a.h5", "w", libver=version) as file:
        for number in range(count):
            file[f"a rather long name of a weight {number}"] = np.float32(number)
        for number in range(count // 20):
            file.attrs[f"attribute {number}"] = f"text {number}"
    source = open_hdf5(tmp_path / "a.h5")
    assert len(source) == count
    for number in range(0, count, 7):
        assert source[f"a rather long name of a weight {number}"].read() == number
    assert source.metadata == {f"attribute {number}": f"text {number}" for number in range(count // 20)}


def test_layouts_of_recent_versions(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver=("v110", "v110")) as file:
        file.create_dataset("one", data=np.arange(12.0).reshape(3, 4), chunks=(3, 4), compression="gzip")
        file.create_dataset("whole", data=np.arange(12.0).reshape(3, 4), chunks=(3, 4))
        file.create_dataset("plain", data=np.arange(5))
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((2, 3))
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple((5, 7))
        made = h5py.h5d.create(file.id, b"implicit", h5py.h5t.NATIVE_INT32, space, plist)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(35, dtype=np.int32).reshape(5, 7))
        file.create_dataset("indexed", data=np.arange(12.0).reshape(3, 4), chunks=(2, 2))
    source = assert_same(tmp_path / "a.h5", ["one", "whole", "plain", "implicit"])
    assert [found.name for found in source.aside] == ["indexed"]
    assert "h5repack" in source.aside[0].reason


def test_compact_values_user_block_and_holes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=1024) as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        made = h5py.h5d.create(file.id, b"compact", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((2, 2)), plist)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(4.0).reshape(2, 2))
        file["plain"] = np.arange(7)
        holes = file.create_dataset("holes", (50, 20), "f4", chunks=(10, 7), fillvalue=2.5)
        holes[11:14] = 1
        file.create_dataset("never", (3, 4), ">i2", fillvalue=7)
        file.create_dataset("never chunked", (30, 4), "f8", chunks=(3, 3))
    names = ["compact", "plain", "holes", "never", "never chunked"]
    source = assert_same(tmp_path / "a.h5", names)
    assert source["plain"].place.offset > 1024


def test_bfloat16_of_keras_and_of_nobody(tmp_path):
    values = np.array([1.5, -2.25], ml_dtypes.bfloat16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["known"] = values
        file["known"].attrs["dtype"] = "bfloat16"
        file["unknown"] = values
    source = open_hdf5(tmp_path / "a.h5")
    assert source["known"].dtype == "bfloat16"
    assert source["known"].read().tolist() == [1.5, -2.25]
    assert [(found.name, found.reason) for found in source.aside] == [
        ("unknown", "opaque bytes whose type nothing tells")
    ]


def test_nothing_leads_out_of_the_file(tmp_path):
    np.arange(4, dtype="f4").tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.ones(2)
        file["external"] = h5py.ExternalLink("other.h5", "/x")
        file["soft"] = h5py.SoftLink("/w")
        file["hard"] = file["w"]
        file["loop"] = file["/"]
        file.create_dataset("outside", (4,), "f4", external=[(str(tmp_path / "raw"), 0, 16)])
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
        file.create_virtual_dataset("virtual", layout)
    source = open_hdf5(tmp_path / "a.h5")
    (name,) = source
    assert name in ("w", "hard")
    reasons = {found.name: found.reason for found in source.aside}
    assert "external link" in reasons["external"]
    assert "soft link" in reasons["soft"]
    assert "external storage" in reasons["outside"]
    assert "virtual" in reasons["virtual"]
    assert reasons["loop"] == "another name of ''"
    assert "another name" in reasons["w" if name == "hard" else "hard"]


def test_what_is_no_weight_is_left_aside(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["text"] = "hello"
        file["bytes"] = np.array([b"a", b"bc"])
        file["records"] = np.zeros(2, [("a", "f4"), ("b", "i2")])
        file["references"] = np.array([file["text"].ref], dtype=h5py.ref_dtype)
        file["nothing"] = h5py.Empty("f4")
        file["complex"] = np.ones(2, np.complex64)
        file.create_dataset("packed", data=np.arange(100.0), compression="lzf")
        file["kind"] = np.dtype("f8")
        file.create_dataset("committed", data=np.ones(2), dtype=file["kind"])
        file["levels"] = np.array([0, 1], h5py.enum_dtype({"a": 0, "b": 1}, "i2"))
        file["optimizer/vars/0"] = np.ones(3, np.float32)
        file["optimizer/vars/1"] = np.ones(5, np.float32)
        file["layers/dropout/seed_generator/vars/0"] = np.ones(2, np.uint32)
    source = open_hdf5(tmp_path / "a.h5")
    assert list(source) == ["levels"]
    assert source["levels"].dtype == "int16"
    reasons = {found.name: found.reason for found in source.aside}
    assert set(reasons) == {
        *("text", "bytes", "records", "references", "nothing", "complex", "packed", "committed"),
        *("optimizer", "layers/dropout/seed_generator/vars/0"),
    }
    assert reasons["optimizer"] == "optimizer state"
    assert next(found.nbytes for found in source.aside if found.name == "optimizer") == 32
    assert "lzf" in reasons["packed"]


def written() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["w"] = np.arange(6, dtype="<f4").reshape(2, 3)
        file["v"] = np.arange(6, dtype="<f4")
    return stream.getvalue()


def test_sizes_are_checked_against_the_file(tmp_path):
    raw = written()
    path = tmp_path / "a.h5"
    shape = raw.index(struct.pack("<QQ", 2, 3))
    for claim in (2**40, 2**62):
        path.write_bytes(raw[:shape] + struct.pack("<Q", claim) + raw[shape + 8 :])
        with pytest.raises(SourceError, match="claims"):
            open_hdf5(path)
    path.write_bytes(raw[:shape] + struct.pack("<QQ", 2**60, 0) + raw[shape + 16 :])
    with pytest.raises(SourceError, match="claims the shape"):
        open_hdf5(path)
    path.write_bytes(raw[: raw.index(np.arange(6, dtype="<f4").tobytes()) + 20])
    with pytest.raises(SourceError):
        open_hdf5(path)


def test_datasets_that_share_bytes_are_refused(tmp_path):
    raw = bytearray(written())
    with h5py.File(io.BytesIO(bytes(raw))) as file:
        first, second = (file[name].id.get_offset() for name in "wv")
    place = raw.index(struct.pack("<QQ", second, 24))
    raw[place : place + 8] = struct.pack("<Q", first + 4)
    (tmp_path / "a.h5").write_bytes(raw)
    with pytest.raises(SourceError, match="overlaps another dataset"):
        open_hdf5(tmp_path / "a.h5")


def test_a_huge_dataset_without_values_is_refused_unread(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("holes", (1 << 20, 1 << 20), "f8", chunks=(1000, 1000))[0, 0] = 1
    with pytest.raises(SourceError, match="chunks"):
        open_hdf5(tmp_path / "a.h5")["holes"].read()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("never", (1 << 20, 1 << 20), "f8")
    with pytest.raises(SourceError, match="holds none"):
        open_hdf5(tmp_path / "a.h5")


def test_a_chunk_that_inflates_to_far_more_than_it_holds_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("zeros", data=np.zeros(20 << 20, np.uint32), chunks=(20 << 20,), compression="gzip")
    with pytest.raises(SourceError, match="a chunk of 'zeros' claims 83886080 bytes"):
        open_hdf5(tmp_path / "a.h5")["zeros"].read()


@pytest.mark.parametrize("checked", ["fletcher32", "gzip"])
def test_damaged_chunks_are_noticed(tmp_path, checked):
    options = {"fletcher32": True} if checked == "fletcher32" else {"compression": "gzip"}
    values = np.random.default_rng(0).normal(size=60_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("w", data=values, chunks=(50_001,), **options)
        start = made.id.get_chunk_info(0).byte_offset
    np.testing.assert_array_equal(open_hdf5(tmp_path / "a.h5")["w"].read(), values)
    raw = bytearray((tmp_path / "a.h5").read_bytes())
    raw[start + 500] ^= 1
    (tmp_path / "a.h5").write_bytes(raw)
    with pytest.raises(SourceError, match=r"'w' (is damaged|does not inflate|inflates)"):
        open_hdf5(tmp_path / "a.h5")["w"].read()


@pytest.mark.parametrize("raw", [b"", b"\x89HDF", b"\x89HDF\r\n\x1a\n", b"x" * 5000], ids=["no", "cut", "head", "x"])
def test_other_files_are_refused(tmp_path, raw):
    (tmp_path / "a.h5").write_bytes(raw)
    with pytest.raises(SourceError, match="not an HDF5 file, or truncated") as caught:
        open_hdf5(tmp_path / "a.h5")
    assert str(tmp_path / "a.h5") in str(caught.value)


def keras_2(path, config=None, top="model_weights"):
    """What Keras 2 writes: layers in alphabetical order, weights named with `:0`."""
    layers = {
        "conv": {"conv/kernel:0": (3, 3, 2, 4), "conv/bias:0": (4,)},
        "dense": {"dense/kernel:0": (6, 2)},
        "depthwise_conv2d_1": {"depthwise_conv2d_1/depthwise_kernel:0": (3, 3, 4, 1)},
        "lstm": {"lstm/lstm_cell_3/kernel:0": (5, 8), "lstm/lstm_cell_3/recurrent_kernel:0": (2, 8)},
        "nested": {"bn/gamma:0": (3,), "bn/moving_mean:0": (3,)},
    }
    with h5py.File(path, "w") as file:
        group = file.create_group(top) if top else file
        group.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["keras_version"] = b"2.11.0"
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
        for layer, weights in layers.items():
            made = group.create_group(layer)
            made.attrs["weight_names"] = [name.encode() for name in weights]
            for name, shape in weights.items():
                made[name] = np.ones(shape, np.float32)


@pytest.mark.parametrize("top", ["model_weights", ""], ids=["model", "weights"])
def test_legacy_keras_keeps_the_names_of_the_file(tmp_path, top):
    keras_2(tmp_path / "a.h5", top=top)
    source = open_hdf5(tmp_path / "a.h5")
    found = {name: (weight.role, weight.info.output_axis, weight.info.parts) for name, weight in source.items()}
    gates = ("i", "f", "c", "o")
    assert found == {
        "conv/bias:0": ("bias", 0, ()),
        "conv/kernel:0": ("conv", 3, ()),
        "dense/kernel:0": ("linear", 1, ()),
        "depthwise_conv2d_1/depthwise_kernel:0": ("conv", 2, ()),
        "lstm/lstm_cell_3/kernel:0": ("recurrent", 1, gates),
        "lstm/lstm_cell_3/recurrent_kernel:0": ("recurrent", 1, gates),
        "bn/gamma:0": ("norm", 0, ()),
        "bn/moving_mean:0": ("other", 0, ()),
    }
    assert source.metadata["keras_version"] == "2.11.0"


def test_legacy_keras_order_and_activations_come_from_the_configuration(tmp_path):
    def layer(kind, name, **options):
        return {"class_name": kind, "config": {"name": name, **options}}

    listed = [
        layer("LSTM", "lstm", activation="tanh"),
        layer("Conv2DTranspose", "conv", activation="linear"),
        layer("BatchNormalization", "bn2"),
        layer("LeakyReLU", "leaky"),
        layer("Dense", "dense", activation="softmax"),
    ]
    keras_2(tmp_path / "a.h5", {"class_name": "Sequential", "config": {"name": "m", "layers": listed}})
    source = open_hdf5(tmp_path / "a.h5")
    assert [name.partition("/")[0] for name in source][:5] == ["lstm", "lstm", "conv", "conv", "dense"]
    assert source["conv/kernel:0"].info.layer == "Conv2DTranspose"
    assert source["conv/kernel:0"].info.output_axis == 2
    assert source["conv/kernel:0"].info.activation == "leaky_relu"
    assert source["dense/kernel:0"].info.activation == "softmax"
    assert "model_config" not in source.metadata


@pytest.mark.parametrize("config", [[], 3, {"class_name": "Sequential", "config": {"layers": [1, {"class_name": {}}]}}])
def test_odd_configurations_do_no_harm(tmp_path, config):
    keras_2(tmp_path / "a.h5", config)
    assert len(open_hdf5(tmp_path / "a.h5")) == 8


def test_names_that_keras_gave_twice_give_way_to_paths(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key in ("one", "two"):
            group = file.create_group(f"layers/{key}/vars")
            group.attrs["name"] = "dense"
            group["0"] = np.ones((2, 3))
    assert sorted(open_hdf5(tmp_path / "a.h5")) == ["layers/one/vars/0", "layers/two/vars/0"]


@pytest.mark.parametrize("name", ["earliest", "latest"])
@given(data=st.data())
@settings(max_examples=150)
def test_damaged_files_read_or_are_refused(tmp_path_factory, name, data):
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=name) as file:
        file["layers/dense/vars/0"] = np.ones((2, 3), np.float32)
        file["layers/dense/vars"].attrs["name"] = "dense"
        file.create_dataset("c", data=np.arange(40.0).reshape(4, 10), chunks=(3, 4), compression="gzip", shuffle=True)
        for number in range(12):
            file[f"w{number}"] = np.arange(number)
    raw = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 9))
        change = data.draw(st.one_of(st.binary(min_size=1, max_size=1), st.integers(0, 2**64 - 1).map(pack)))
        raw[place : place + len(change)] = change
    path = tmp_path_factory.mktemp("damaged") / "a.h5"
    path.write_bytes(raw)
    with contextlib.suppress(SourceError):
        for weight in open_hdf5(path).values():
            assert weight.read().shape == weight.shape


def pack(number: int) -> bytes:
    return struct.pack("<Q", number)
