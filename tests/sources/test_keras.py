import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from weightsmith.errors import SourceError
from weightsmith.sources.file import LocalFile
from weightsmith.sources.hdf5 import open_hdf5
from weightsmith.sources.keras import open_keras
from weightsmith.sources.slice import Slice

h5py = pytest.importorskip("h5py")

# Keras takes seconds to import and sets up PyTorch for itself: one process writes all files, and what it believes.
WRITER = """
import json, sys
import keras, numpy as np
from keras import layers as L

folder = sys.argv[1]
image, tokens = L.Input((12, 12, 3)), L.Input((7,), dtype="int32")
x = L.Conv2D(4, 3, activation="relu", name="stem")(image)
x = L.BatchNormalization()(x)
x = L.DepthwiseConv2D(3)(x)
x = L.SeparableConv2D(6, 3)(x)
x = L.Conv2DTranspose(5, 3, use_bias=False)(x)
x = L.Activation("relu")(x)
x = L.Flatten()(x)
x = L.Dropout(0.5)(x)
x = L.Dense(8, activation="gelu", name="my_dense")(x)
x = L.LayerNormalization(center=False)(x)
e = L.Embedding(11, 8)(tokens)
e = L.MultiHeadAttention(2, 4)(e, e)
e = L.Bidirectional(L.LSTM(3, return_sequences=True))(e)
e = L.GRU(4, return_sequences=True)(e)
e = L.SimpleRNN(4)(e)
e = keras.Sequential([L.Input((4,)), L.Dense(8), L.ReLU(), L.Dense(8)], name="inner")(e)
y = L.PReLU()(L.Add()([x, e]))
y = L.TimeDistributed(L.Dense(3))(L.Reshape((8, 1))(y))
model = keras.Model([image, tokens], y)
rng = np.random.default_rng(0)
for weight in model.weights:
    weight.assign(rng.normal(size=weight.shape))
model.compile("adam", "mse")
model.optimizer.build(model.trainable_variables)
half = keras.Sequential([L.Input((4,)), L.Dense(5, dtype="bfloat16"), L.Dense(3, dtype="float16")], name="outer")
for name, made in (("big", model), ("half", half)):
    made.save(f"{folder}/{name}.keras")
    made.save_weights(f"{folder}/{name}.weights.h5")
    values = [keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32")) for weight in made.weights]
    names = [weight.path.removeprefix("outer/") for weight in made.weights]
    np.savez(f"{folder}/{name}.npz", **dict(zip(names, values)))
model.save(f"{folder}/big.h5")
"""

ALONE = {"layers/layer_normalization/vars/0": "layer_normalization/gamma"}
"""Only the configuration tells which of gamma and beta a layer normalization does without."""


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as Keras writes them, and the weights as it knows them in `.npz` files beside."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    folder = tmp_path_factory.mktemp("keras")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", WRITER, str(folder)], check=True, env=environment, capture_output=True)
    return folder


def opened(written: Path, name: str):
    return open_keras(written / name) if name.endswith(".keras") else open_hdf5(written / name)


@pytest.mark.parametrize("name", ["big.keras", "big.h5", "big.weights.h5", "half.keras", "half.weights.h5"])
def test_names_and_values_are_those_of_the_model(written, name):
    source = opened(written, name)
    with np.load(written / f"{name.partition('.')[0]}.npz") as expected:
        found = {ALONE.get(name, name): weight for name, weight in source.items()}
        assert sorted(found) == sorted(expected.files)
        for path in expected.files:
            assert found[path].shape == expected[path].shape
            assert found[path].place is not None
            np.testing.assert_array_equal(found[path].read().astype(np.float32), expected[path])
    if name.startswith("half"):
        assert {weight.dtype for weight in source.values()} == {"bfloat16", "float16"}


def test_no_optimizer_state_among_the_weights(written):
    for name in ("big.keras", "big.h5", "big.weights.h5"):
        source = opened(written, name)
        (state,) = [found for found in source.aside if found.reason == "optimizer state"]
        assert state.nbytes > sum(weight.nbytes for weight in source.values())


def test_roles_axes_gates_and_activations(written):
    source = open_keras(written / "big.keras")
    gates, resets = ("i", "f", "c", "o"), ("z", "r", "h")
    expected = {
        "stem/kernel": ("conv", 3, (), "Conv2D", "relu"),
        "stem/bias": ("bias", 0, (), "Conv2D", "relu"),
        "batch_normalization/gamma": ("norm", 0, (), "BatchNormalization", None),
        "batch_normalization/beta": ("bias", 0, (), "BatchNormalization", None),
        "batch_normalization/moving_variance": ("other", 0, (), "BatchNormalization", None),
        "depthwise_conv2d/kernel": ("conv", 2, (), "DepthwiseConv2D", "linear"),
        "separable_conv2d/depthwise_kernel": ("conv", 2, (), "SeparableConv2D", "linear"),
        "separable_conv2d/pointwise_kernel": ("conv", 3, (), "SeparableConv2D", "linear"),
        "conv2d_transpose/kernel": ("conv", 2, (), "Conv2DTranspose", "relu"),
        "my_dense/kernel": ("linear", 1, (), "Dense", "gelu"),
        "layer_normalization/gamma": ("norm", 0, (), "LayerNormalization", None),
        "embedding/embeddings": ("embedding", 0, (), "Embedding", None),
        "multi_head_attention/query/kernel": ("linear", 2, (), "EinsumDense", None),
        "bidirectional/forward_lstm/lstm_cell/kernel": ("recurrent", 1, gates, "LSTMCell", "tanh"),
        "bidirectional/backward_lstm/lstm_cell/bias": ("bias", 0, gates, "LSTMCell", "tanh"),
        "gru/gru_cell/recurrent_kernel": ("recurrent", 1, resets, "GRUCell", "tanh"),
        "gru/gru_cell/bias": ("bias", 1, resets, "GRUCell", "tanh"),
        "simple_rnn/simple_rnn_cell/kernel": ("recurrent", 1, (), "SimpleRNNCell", "tanh"),
        "inner/dense/kernel": ("linear", 1, (), "Dense", "relu"),
        "inner/dense_1/kernel": ("linear", 1, (), "Dense", "linear"),
        "p_re_lu/alpha": ("other", 0, (), "PReLU", None),
    }
    infos = {name: source[name].info for name in expected}
    found = {name: (it.role, it.output_axis, it.parts, it.layer, it.activation) for name, it in infos.items()}
    assert found == expected
    assert source.file_format == "keras"
    assert re.fullmatch(r"3\.[\d.]+", source.metadata["keras_version"])


def test_weights_alone_tell_roles_too(written):
    full, alone = open_keras(written / "big.keras"), open_hdf5(written / "big.weights.h5")
    for name, weight in alone.items():
        if name in ALONE:
            continue
        known = full[name].info
        assert (weight.role, weight.info.output_axis, weight.info.parts, weight.info.layer) == (
            *(known.role, known.output_axis, known.parts),
            known.layer,
        )
        assert weight.info.activation is None


def test_the_order_is_that_of_the_model(written):
    tops = list(dict.fromkeys(name.partition("/")[0] for name in open_hdf5(written / "big.h5")))
    assert tops.index("stem") < tops.index("batch_normalization") < tops.index("my_dense") < tops.index("p_re_lu")


def weights_file() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for number in range(3):
            key = f"dense_{number}" if number else "dense"
            file[f"layers/{key}/vars/0"] = np.full((2, 3), number, np.float32)
            file[f"layers/{key}/vars/1"] = np.full(3, number, np.float32)
    return stream.getvalue()


CONFIG = {
    "class_name": "Sequential",
    "config": {
        "name": "m",
        "layers": [
            {"class_name": "Dense", "config": {"name": name, "activation": "relu"}}
            for name in ("first", "second", "third")
        ],
    },
}


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_names_come_from_the_configuration_where_the_weights_have_none(tmp_path, method):
    members = {"config.json": json.dumps(CONFIG).encode(), "model.weights.h5": weights_file(), "assets/x": b"abc"}
    source = open_keras(archive(tmp_path / "a.keras", members, method))
    assert list(source) == [f"{name}/{part}" for name in ("first", "second", "third") for part in ("kernel", "bias")]
    assert source["third/kernel"].read().tolist() == [[2, 2, 2], [2, 2, 2]]
    assert source["third/kernel"].info.activation == "relu"
    assert [(found.name, found.nbytes) for found in source.aside] == [("assets/x", 3)]
    assert source.label == str(tmp_path / "a.keras")


def test_without_a_configuration_classes_come_from_the_groups(tmp_path):
    source = open_keras(archive(tmp_path / "a.keras", {"model.weights.h5": weights_file()}))
    assert list(source)[:2] == ["dense/kernel", "dense/bias"]
    (tmp_path / "a.h5").write_bytes(weights_file().replace(b"dense_1", b"thing_1"))
    assert "layers/thing_1/vars/0" in open_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"config.json": b"{}"}, "no 'model.weights.h5'"),
        ({"config.json": b"{", "model.weights.h5": weights_file()}, "'config.json' in it is not JSON"),
        ({"config.json": b"[" * 100_000, "model.weights.h5": weights_file()}, "'config.json' in it is not JSON"),
        ({"config.json": b"\xff", "model.weights.h5": weights_file()}, "'config.json' in it is not JSON"),
        ({"metadata.json": b" " * (2 << 20), "model.weights.h5": weights_file()}, "allowed"),
        ({"model.weights.h5": b"hello"}, "a.keras:model.weights.h5: not an HDF5 file"),
        ({"model.weights.h5": weights_file()[:3000]}, "a.keras:model.weights.h5"),
        ({"../model.weights.h5": weights_file()}, "not inside"),
    ],
    ids=["none", "json", "deep", "bytes", "long", "hdf5", "cut", "path"],
)
def test_bad_archives_are_refused(tmp_path, members, match):
    path = archive(tmp_path / "a.keras", members)
    with pytest.raises(SourceError, match=match) as caught:
        open_keras(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_bomb_does_not_fill_the_disk(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("model.weights.h5", weights_file() + bytes(128 << 20))
    with pytest.raises(SourceError, match=r"inflates to \d+ bytes, far more than it holds: unpack it"):
        open_keras(tmp_path / "a.keras")


def test_no_torch_and_no_hdf5_library_is_loaded(tmp_path):
    path = archive(tmp_path / "a.keras", {"model.weights.h5": weights_file()})
    code = (
        "import sys; from weightsmith.sources.keras import open_keras\n"
        f"[weight.read() for weight in open_keras({str(path)!r}).values()]\n"
        "assert not {'torch', 'h5py', 'keras', 'gguf', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_slice_is_a_file_of_its_own(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(20)))
    whole = LocalFile(tmp_path / "a")
    part = Slice(whole, 5, 10, "member")
    assert bytes(part.view(2, 3)) == bytes([7, 8, 9])
    buffer = bytearray(10)
    part.read_into(0, memoryview(buffer))
    assert bytes(buffer) == bytes(range(5, 15))
    for start, length in ((-1, 2), (8, 3), (0, 11), (0, -1)):
        with pytest.raises(SourceError, match=r"a:member.* outside"):
            part.view(start, length)
    with pytest.raises(SourceError, match="outside"):
        part.read_into(5, memoryview(bytearray(6)))
    with pytest.raises(SourceError, match="refers to 'b'"):
        part.sibling("b")
    with pytest.raises(SourceError, match="outside"):
        Slice(whole, 15, 10, "member")
    assert part.identity() == f"{whole.identity()}:5:10"
