"""Small valid files of every format, made by the formats' own libraries, for mutations to start from."""

import gzip
import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from fuzz_judge import read_all

from weightsmith.sources.formats import FORMATS
from weightsmith.sources.source import Source


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        name: of the format, as `benchmarks/fuzz.py` takes it.
        file: name under which a case is written.
        seeds: makes the valid files.
        opener: reads a case.
        beside: makes the files that lie beside a case, by their names.
    """

    name: str
    file: str
    seeds: Callable[[], Sequence[bytes]]
    opener: Callable[[str], Source]
    beside: Callable[[], dict[str, bytes]] = dict


def _reader(name: str) -> Callable[[str], Source]:
    """The reader of one format itself, so that damaged magic bytes do not keep cases from it."""
    module, _, function = FORMATS[name].opener.partition(":")
    found: Callable[[str], Source] = getattr(import_module(f"weightsmith.sources.{module}"), function)
    return found


def _by_content(path: str) -> Source:
    from weightsmith.sources import open as open_source

    return open_source(path)


def _folder_of(path: str) -> Source:
    return _by_content(str(Path(path).parent))


def _arrays() -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    return {
        "encoder.0.weight": random.standard_normal((6, 4), np.float32),
        "encoder.0.bias": np.zeros(6, np.float32),
        "half": random.standard_normal((3, 2)).astype(np.float16),
        "whole": np.arange(5, dtype=np.int64),
        "scalar": np.float64(2.5),
        "none": np.empty((0, 3), np.float32),
    }


def safetensors() -> list[bytes]:
    """Of our own writer, which the reference reads."""
    from weightsmith.sources import write_safetensors

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        write_safetensors(path, _arrays(), {"format": "pt"})
        plain = path.read_bytes()
        write_safetensors(path, {"w": np.ones((2, 8), ml_dtypes.bfloat16), "é\n": np.ones(3, np.uint8)})
        extended = path.read_bytes()
        write_safetensors(path, {"none": _arrays()["none"]})
        return [plain, extended, path.read_bytes()]


def packed() -> list[bytes]:
    """A weight in each format, with and without scales."""
    from weightsmith.packing import encode
    from weightsmith.sources.packed import write_packed

    random = np.random.default_rng(0)
    signs = random.choice([-0.5, 0.5], (5, 11)).astype(np.float32)
    sparse = np.where(random.random((6, 20)) < 0.2, random.standard_normal((6, 20)), 0).astype(np.float32)
    own = np.arange(1, 6, dtype=np.float32)[:, None]
    first = {"s.weight": encode(signs, "binary"), "b.weight": encode(np.where(signs > 0, own, 0), "binary")}
    first |= {"t.weight": encode(signs * (signs > 0) * own, "ternary"), "s.bias": own[0]}
    second = {f"{form}.weight": encode(sparse, form) for form in ("bitmask", "csr", "gaps", "fan_in")}
    second |= {f"{form}.signs": encode(np.sign(sparse), form) for form in ("bitmask", "csr", "gaps")}
    second |= {"fan_in.signs": encode(np.eye(4, 9, dtype=np.float32) * 2, "fan_in", values="signs")}
    third = {f"{name}.weight": encode(sparse, "csr", values=name) for name in ("float32", "float16", "bfloat16")}
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        for entries in (first, second, third):
            write_packed(path, entries, {"format": "pt"})
            files.append(path.read_bytes())
    return files


def _state() -> dict[str, Any]:
    import torch

    weights = {name: torch.tensor(array) for name, array in _arrays().items()}
    weights["tied"] = weights["encoder.0.weight"]
    weights["turned"] = weights["encoder.0.weight"].T
    weights["brain"] = torch.ones(4, 2, dtype=torch.bfloat16)
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(6, 4)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    return {"state_dict": weights, "optimizer": optimizer, "epoch": 3, "hyper_parameters": {"name": "x", "rate": [0.1]}}


def torch_zip() -> list[bytes]:
    """Checkpoints as `torch.save` writes them."""
    import torch

    files = []
    for content in (_state(), {"weight": torch.ones(3, 2)}):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        files.append(buffer.getvalue())
    return files


def torch_legacy() -> list[bytes]:
    """The same as before torch 1.6."""
    import torch

    files = []
    for content in (_state(), {"weight": torch.ones(3, 2)}):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=False)
        files.append(buffer.getvalue())
    return files


def torchscript() -> list[bytes]:
    """A scripted network."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(model), buffer)
    return [buffer.getvalue()]


def onnx() -> list[bytes]:
    """A network with a branch, whose tensors are kept in every way but outside the file."""
    import onnx as library
    from onnx import TensorProto, helper, numpy_helper

    arrays = _arrays()
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    weights.append(helper.make_tensor("typed", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0]))
    weights.append(helper.make_tensor("halves", TensorProto.FLOAT16, [3], [1.0, 2.0, 3.0]))
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones((3, 3), np.float32), "k"))],
        "branch",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [3, 3])],
    )
    nodes = [
        helper.make_node("Gemm", ["x", "encoder.0.weight", "encoder.0.bias"], ["y"], transB=1),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("If", ["condition"], ["out"], then_branch=inner, else_branch=inner),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "z")]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    model: bytes = helper.make_model(graph).SerializeToString()
    assert library.load_from_string(model).graph.name == "net"
    outside = TensorProto(name="outside", data_type=TensorProto.FLOAT, dims=[2, 2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "weights.bin", "offset": "16", "length": "16"}.items():
        outside.external_data.add(key=key, value=value)
    nodes = [helper.make_node("LSTM", ["x", "outside", "outside"], ["y"]), helper.make_node("Sigmoid", ["y"], ["z"])]
    small = helper.make_graph(nodes, "small", [], [], [outside])
    empty = helper.make_graph([], "empty", [], [], [TensorProto(name="none", data_type=TensorProto.FLOAT, dims=[0, 3])])
    return [model, *(helper.make_model(each).SerializeToString() for each in (small, empty))]


def onnx_data() -> dict[str, bytes]:
    """What the second of these keeps outside."""
    return {"weights.bin": bytes(range(64))}


def tflite() -> list[bytes]:
    """A dense layer, quantized, and a tensor of 4 bits."""
    import flatbuffers
    import tflite as library

    builder = flatbuffers.Builder(256)
    arrays = [np.arange(12, dtype=np.float32).reshape(3, 4), np.ones(3, np.int8), np.ones(4, np.uint8)]
    shapes, kinds = ((3, 4), (3,), (8,)), (0, 9, 17)
    contents = [builder.CreateByteVector(array.tobytes()) for array in arrays]
    buffers = []
    for content in (None, *contents):
        library.BufferStart(builder)
        if content is not None:
            library.BufferAddData(builder, content)
        buffers.append(library.BufferEnd(builder))
    tensors = []
    for index, (lengths, kind) in enumerate(zip(shapes, kinds, strict=True)):
        name, shape = builder.CreateString(f"layer/{index}"), builder.CreateNumpyVector(np.array(lengths, np.int32))
        scale, zero = builder.CreateNumpyVector(np.ones(3, np.float32)), builder.CreateNumpyVector(np.ones(3, np.int64))
        library.QuantizationParametersStart(builder)
        library.QuantizationParametersAddScale(builder, scale)
        library.QuantizationParametersAddZeroPoint(builder, zero)
        quantization = library.QuantizationParametersEnd(builder)
        library.TensorStart(builder)
        library.TensorAddName(builder, name)
        library.TensorAddShape(builder, shape)
        library.TensorAddType(builder, kind)
        library.TensorAddBuffer(builder, index + 1)
        library.TensorAddQuantization(builder, quantization)
        tensors.append(library.TensorEnd(builder))
    listed = _vector(builder, library.SubGraphStartTensorsVector, tensors)
    operators = _vector(builder, library.SubGraphStartOperatorsVector, [_dense(builder)])
    library.SubGraphStart(builder)
    library.SubGraphAddTensors(builder, listed)
    library.SubGraphAddOperators(builder, operators)
    graphs = _vector(builder, library.ModelStartSubgraphsVector, [library.SubGraphEnd(builder)])
    kept = _vector(builder, library.ModelStartBuffersVector, buffers)
    library.OperatorCodeStart(builder)
    library.OperatorCodeAddBuiltinCode(builder, library.BuiltinOperator.FULLY_CONNECTED)
    codes = _vector(builder, library.ModelStartOperatorCodesVector, [library.OperatorCodeEnd(builder)])
    library.ModelStart(builder)
    library.ModelAddVersion(builder, 3)
    library.ModelAddOperatorCodes(builder, codes)
    library.ModelAddSubgraphs(builder, graphs)
    library.ModelAddBuffers(builder, kept)
    builder.Finish(library.ModelEnd(builder), b"TFL3")
    return [bytes(builder.Output())]


def _dense(builder: Any) -> Any:
    """An operator that takes the tensors."""
    import tflite as library

    inputs, outputs = (builder.CreateNumpyVector(np.array(each, np.int32)) for each in ((2, 0, 1), (2,)))
    library.FullyConnectedOptionsStart(builder)
    library.FullyConnectedOptionsAddFusedActivationFunction(builder, 1)
    options = library.FullyConnectedOptionsEnd(builder)
    library.OperatorStart(builder)
    library.OperatorAddInputs(builder, inputs)
    library.OperatorAddOutputs(builder, outputs)
    library.OperatorAddBuiltinOptionsType(builder, library.BuiltinOptions.FullyConnectedOptions)
    library.OperatorAddBuiltinOptions(builder, options)
    return library.OperatorEnd(builder)


def _vector(builder: Any, start: Callable[[Any, int], Any], offsets: Sequence[int]) -> Any:
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def npy() -> list[bytes]:
    """Rows and columns first, little and big endian."""
    files = []
    turned = np.asfortranarray(np.ones((2, 5)))
    for array in (np.ones((3, 4), np.float32), turned, np.arange(4, dtype=">i4"), np.empty((0, 3))):
        buffer = io.BytesIO()
        np.save(buffer, array)
        files.append(buffer.getvalue())
    return files


def npz() -> list[bytes]:
    """Stored and deflated."""
    files = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **_arrays())  # type: ignore[arg-type]
        files.append(buffer.getvalue())
    return files


def _hdf5(**options: Any) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset(
            "0", data=np.arange(48, dtype=np.float32).reshape(12, 4), chunks=(5, 3), compression="gzip"
        )
        group.create_dataset("1", data=np.ones(4, np.float32))
        group.create_dataset("2", data=np.ones((8, 8)), chunks=(4, 4), shuffle=True, fletcher32=True)
        group.attrs["name"] = "dense"
        file["text"] = ["a", "b"]
        file["none"] = np.empty((0, 3))
        file["again"] = h5py.SoftLink("/layers/dense/vars/1")
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    return buffer.getvalue()


def _wide_hdf5(**options: Any) -> bytes:
    """Groups and attributes beyond what fits into an object header, and names as Keras 2 keeps them."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=False, **options) as file:
        group = file.create_group("model_weights/dense")
        group.attrs["weight_names"] = [b"dense/kernel:0"]
        group["dense/kernel:0"] = np.ones((2, 3), np.float32)
        for index in range(12):
            file.attrs[f"note {index}"] = "x" * index
            file[f"wide/{index}"] = np.full(2, index, np.int16)
    return buffer.getvalue()


def hdf5() -> list[bytes]:
    """Of the oldest and the newest layout."""
    return [make(libver=age) for make in (_hdf5, _wide_hdf5) for age in ("earliest", "latest")]


def keras() -> list[bytes]:
    """A dense layer as Keras 3 stores it."""
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "activation": "relu"}}
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "net", "layers": [layer]}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.6.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", _hdf5())
    return [buffer.getvalue()]


def gguf() -> list[bytes]:
    """Plain and packed tensors behind metadata of several types."""
    import gguf as library

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gguf"
        writer = library.GGUFWriter(path, "llama")
        writer.add_block_count(1)
        writer.add_array("tokenizer.ggml.tokens", ["a", "b", "c"])
        writer.add_tensor("blk.0.attn_q.weight", np.ones((4, 32), np.float32))
        packed = library.quants.quantize(np.ones((2, 64), np.float32), library.GGMLQuantizationType.Q8_0)
        writer.add_tensor("blk.0.ffn_up.weight", packed, raw_dtype=library.GGMLQuantizationType.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return [path.read_bytes()]


def sharded() -> list[bytes]:
    """An index of two shards, of itself, and of what is elsewhere."""
    first, second = shards()
    names = {"a.weight": first, "b.weight": "model.safetensors.index.json"}
    return [
        json.dumps({"metadata": {"total_size": 16}, "weight_map": {"encoder.0.weight": first, "w": second}}).encode(),
        json.dumps({"weight_map": names}).encode(),
        json.dumps({"weight_map": {"a": "../x", "b": "/etc/passwd", "c": "x\0y"}}).encode(),
    ]


def shards() -> dict[str, bytes]:
    """The files that the first index names."""
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    return dict(zip(names, safetensors()[:2], strict=True))


def pipeline() -> list[bytes]:
    """Lists of the components of a pipeline; other files of a folder are read by readers of their own."""
    diffusers = {"_class_name": "Pipeline", "unet": ["diffusers", "UNet2DModel"], "vae": ["diffusers", "VAE"]}
    return [
        json.dumps(diffusers).encode(),
        json.dumps({"../up": ["x", "y"], ".": ["x", "y"], "unet/..": ["x", "y"], "": ["x", "y"]}).encode(),
    ]


def components() -> dict[str, bytes]:
    """The folders of components."""
    config = {"model_type": "gpt2", "num_attention_heads": 2, "tie_word_embeddings": True}
    weights = safetensors()[0]
    return {
        "unet/model.safetensors": weights,
        "vae/model.safetensors": weights,
        "config.json": json.dumps(config).encode(),
    }


def configs() -> list[bytes]:
    """What a model says of itself."""
    return [components()["config.json"], b'{"text_config": {"head_dim": 4}, "architectures": ["A"], "hidden_size": 8}']


def anything() -> list[bytes]:
    """One of each, and what is no checkpoint at all."""
    own = (safetensors, packed, torch_zip, torch_legacy, onnx, tflite, npy, npz, hdf5, keras, gguf, sharded)
    return [seed for make in own for seed in make()] + [b"", gzip.compress(b"weights", mtime=0), b"\x80\x04]q\0."]


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("safetensors", "case.safetensors", safetensors, _reader("safetensors")),
        Target("packed", "case.packed.safetensors", packed, _reader("packed")),
        Target("torch", "case.pt", torch_zip, _reader("torch")),
        Target("torch-legacy", "case.pth", torch_legacy, _reader("torch")),
        Target("torchscript", "case.jit", torchscript, _reader("torchscript")),
        Target("onnx", "case.onnx", onnx, _reader("onnx"), onnx_data),
        Target("tflite", "case.tflite", tflite, _reader("tflite")),
        Target("npy", "case.npy", npy, _reader("npy")),
        Target("npz", "case.npz", npz, _reader("npz")),
        Target("hdf5", "case.h5", hdf5, _reader("hdf5")),
        Target("keras", "case.keras", keras, _reader("keras")),
        Target("gguf", "case.gguf", gguf, _reader("gguf")),
        Target("sharded", "model.safetensors.index.json", sharded, _by_content, shards),
        Target("folder", "model_index.json", pipeline, _folder_of, components),
        Target("config", "config.json", configs, _folder_of, lambda: {"model.safetensors": safetensors()[0]}),
        Target("any", "case.bin", anything, _by_content),
    )
}


@cache
def seeds(name: str) -> tuple[bytes, ...]:
    """The valid files of a target, made once, and read once so that every case finds the libraries loaded."""
    target = TARGETS[name]
    made = tuple(target.seeds())
    with tempfile.TemporaryDirectory() as folder:
        path = lay(name, Path(folder))
        for seed in made:
            path.write_bytes(seed)
            read_all(target.opener, path)
    return made


def lay(name: str, folder: Path) -> Path:
    """Put the files that lie beside the cases of a target into a folder, and say where a case is to be written."""
    home = folder / name
    if not home.exists():
        home.mkdir()
        for inner, content in TARGETS[name].beside().items():
            (home / inner).parent.mkdir(exist_ok=True)
            (home / inner).write_bytes(content)
    return home / TARGETS[name].file
