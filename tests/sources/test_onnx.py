import subprocess
import sys
import tracemalloc

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from weightsmith.errors import SourceError
from weightsmith.sources.onnx import open_onnx
from weightsmith.sources.onnx_tensor import Builder as TensorBuilder
from weightsmith.sources.protobuf import Reader

RANDOM = np.random.default_rng(0)
REAL = ["basic_pitch/nmp.onnx", "ppocr/ch_PP-OCRv4_rec_infer.onnx", "silero_vad/silero_vad.onnx"]
READABLE = [
    code
    for name, code in sorted(TensorProto.DataType.items())
    if name not in ("UNDEFINED", "STRING") and not name.startswith("FLOAT6")
]
BELOW_A_BYTE = {TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1, TensorProto.INT2, TensorProto.UINT2}


def values(*shape, dtype=np.float32):
    return RANDOM.standard_normal(shape).astype(dtype)


def model(nodes=(), tensors=(), functions=(), sparse=(), **about) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", [], [], initializer=list(tensors), sparse_initializer=list(sparse))
    return helper.make_model(graph, functions=list(functions), **about)


def named(**arrays) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]


@pytest.fixture
def opened(tmp_path):
    def make(proto: onnx.ModelProto | bytes):
        path = tmp_path / "model.onnx"
        path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
        return open_onnx(path)

    return make


def same(weight, expected: np.ndarray) -> bool:
    array = weight.read()
    blocks = np.concatenate([block.copy() for block in weight.blocks()] or [array[:0].reshape(-1)])
    assert not array.flags.writeable
    assert weight.dtype == expected.dtype.name
    assert blocks.tobytes() == array.tobytes()
    return array.dtype == expected.dtype and array.shape == expected.shape and array.tobytes() == expected.tobytes()


def defined(graph: onnx.GraphProto):
    """Every tensor of a graph and those within it, by the name that values know it by."""
    for tensor in graph.initializer:
        yield tensor.name, tensor, False
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                yield node.output[0], attribute.t, True
            if attribute.HasField("g"):
                yield from defined(attribute.g)


@pytest.mark.parametrize("path", REAL)
def test_real_models_hold_what_onnx_reads(shared, path):
    source = open_onnx(shared / "weights" / path)
    left = set(source)
    aside = 0
    for name, tensor, constant in defined(onnx.load(shared / "weights" / path).graph):
        expected = numpy_helper.to_array(tensor)
        if name in source:
            assert same(source[name], expected)
            left.remove(name)
        else:
            assert constant
            assert expected.size <= 4 or expected.dtype == np.int64
            aside += 1
    assert not left
    assert aside == sum(int(entry.reason.split()[0]) for entry in source.aside)


def test_real_models_tell_what_their_weights_are_for(shared):
    source = open_onnx(shared / "weights" / REAL[1])
    info = source["linear_81.w_0"].info
    assert (info.role, info.layer, info.output_axis) == ("linear", "MatMul", 1)
    assert source["linear_81.b_0"].role == "bias"
    assert source["linear_85.w_0"].info.activation == "softmax"
    assert source["conv2d_106.w_0"].info.activation == "relu"
    assert source["conv2d_166.w_0"].info.activation == "hardswish"
    assert source["layer_norm_43.w_0"].role == "norm"
    assert source["batch_norm2d_2.w_1"].role == "other"
    recurrent = open_onnx(shared / "weights" / REAL[2])["If_0_then_branch__Inline_0__decoder.rnn.weight_ih"].info
    assert (recurrent.role, recurrent.layer, recurrent.output_axis) == ("recurrent", "LSTM", 0)
    assert recurrent.parts == ()  # its gates are put into another order before the node takes them


def random_bits(code: int, shape: tuple[int, ...]) -> np.ndarray:
    dtype = helper.tensor_dtype_to_np_dtype(code)
    if code == TensorProto.BOOL:
        return RANDOM.integers(0, 2, shape).astype(bool)
    bits = {True: 8 * dtype.itemsize, False: 4}[code not in BELOW_A_BYTE]
    if code in (TensorProto.INT2, TensorProto.UINT2):
        bits = 2
    if bits >= 8:
        return RANDOM.integers(0, 256, (*shape, dtype.itemsize), dtype=np.uint8).view(dtype)[..., 0]
    return RANDOM.integers(0, 1 << bits, shape, dtype=np.uint8).view(dtype)


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (7,), (), (0, 4), (2, 3, 1, 2)])
@pytest.mark.parametrize("code", READABLE)
def test_every_type_reads_as_onnx_reads_it(opened, code, shape, typed):
    array = random_bits(code, shape)
    tensor = numpy_helper.from_array(array, "w")
    if typed:
        kept = tensor.raw_data if code in BELOW_A_BYTE else array.tobytes()
        tensor = TensorProto(name="w", dims=shape, data_type=code)
        field = helper.tensor_dtype_to_field(code)
        storage = {"int32_data": np.uint8 if code in BELOW_A_BYTE or array.itemsize == 1 else f"i{array.itemsize}"}
        default = "f4" if field == "float_data" else "f8" if field == "double_data" else array.dtype
        numbers = np.frombuffer(kept, storage.get(field, default))
        getattr(tensor, field).extend(numbers.tolist())
    expected = numpy_helper.to_array(tensor).reshape(shape)
    assert same(opened(model(tensors=[tensor]))["w"], expected)


def test_wide_values_of_varints_are_cut_to_their_type(opened):
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.INT16)
    tensor.int32_data.extend([-1, 70_000, -70_000, 5])
    assert same(opened(model(tensors=[tensor]))["w"], np.array([-1, 4464, -4464, 5], np.int16))


def wire(number: int, content: bytes, kind: int = 2) -> bytes:
    size = bytes([len(content)]) if kind == 2 else b""
    return bytes([number << 3 | kind]) + size + content


def in_model(tensor: bytes) -> bytes:
    return wire(7, wire(5, tensor))


@pytest.mark.parametrize("pieces", [[6], [1, 5], [2, 0, 4], [1] * 6])
def test_typed_values_in_several_pieces_or_unpacked(opened, pieces):
    array = values(2, 3)
    head = wire(8, b"w") + wire(1, b"\x02", 0) + wire(1, b"\x03", 0)
    content, start = b"", 0
    for count in pieces:
        content += wire(4, array.reshape(-1)[start : start + count].tobytes())
        start += count
    alone = b"".join(wire(4, value.tobytes(), 5) for value in array.reshape(-1))
    for data in (content, alone):
        source = opened(in_model(head + data + wire(2, b"\x01", 0)))
        assert same(source["w"], array)
    integers = b"".join(wire(7, bytes([value]), 0) for value in range(6))
    assert same(opened(in_model(head + integers + wire(2, b"\x07", 0)))["w"], np.arange(6).reshape(2, 3))


def test_strings_sparse_and_unknown_types_are_listed_aside(opened):
    text = helper.make_tensor("names", TensorProto.STRING, [2], [b"a", b"b"])
    six = TensorProto(name="six", dims=[4], data_type=TensorProto.FLOAT6E2M3, raw_data=bytes(3))
    future = TensorProto(name="future", dims=[4], data_type=99, raw_data=bytes(4))
    sparse = helper.make_sparse_tensor(named(rare=values(2))[0], named(i=np.array([0, 7]))[0], [10])
    trees = helper.make_node("Trees", ["x"], ["y"], name="forest", leaves=values(40).tolist(), domain="ai.onnx.ml")
    about = model([trees], [text, six, future, *named(w=values(3, 4))], sparse=[sparse], producer_name="us")
    about.training_info.add()
    source = opened(about)
    assert list(source) == ["w"]
    assert {entry.name for entry in source.aside} == {
        *("names", "six", "future", "rare", "forest.leaves", "training_info")
    }
    assert source.metadata["producer_name"] == "us"
    assert source.file_format == "onnx"


LAYERS = [
    ("Conv", {1: (8, 3, 3, 3), 2: (8,)}, {}, {1: ("conv", 0), 2: ("bias", 0)}),
    ("ConvTranspose", {1: (3, 8, 3, 3), 2: (8,)}, {}, {1: ("conv", 1), 2: ("bias", 0)}),
    ("Gemm", {1: (4, 8), 2: (8,)}, {}, {1: ("linear", 1), 2: ("bias", 0)}),
    ("Gemm", {1: (8, 4), 2: (8,)}, {"transB": 1}, {1: ("linear", 0)}),
    ("Gemm", {0: (8, 4)}, {}, {0: ("linear", 0)}),
    ("Gemm", {0: (4, 8)}, {"transA": 1}, {0: ("linear", 1)}),
    ("MatMul", {1: (4, 8)}, {}, {1: ("linear", 1)}),
    ("MatMul", {1: (6, 4, 8)}, {}, {1: ("linear", 2)}),
    ("MatMul", {0: (8, 4)}, {}, {0: ("linear", 0)}),
    (
        "LSTM",
        {1: (2, 16, 3), 2: (2, 16, 4), 3: (2, 32)},
        {},
        {1: ("recurrent", 1), 2: ("recurrent", 1), 3: ("bias", 1)},
    ),
    ("GRU", {1: (1, 12, 3), 2: (1, 12, 4), 3: (1, 24)}, {}, {1: ("recurrent", 1), 3: ("bias", 1)}),
    ("RNN", {1: (1, 4, 3), 2: (1, 4, 4)}, {}, {1: ("recurrent", 1)}),
    (
        "BatchNormalization",
        {1: (4,), 2: (4,), 3: (4,), 4: (4,)},
        {},
        {1: ("norm", 0), 2: ("bias", 0), 3: ("other", 0), 4: ("other", 0)},
    ),
    ("LayerNormalization", {1: (4,), 2: (4,)}, {}, {1: ("norm", 0), 2: ("bias", 0)}),
    ("Gather", {0: (50, 4)}, {}, {0: ("embedding", 0)}),
    ("Gather", {0: (50, 4)}, {"axis": 1}, {0: ("other", 0)}),
    ("PRelu", {1: (4, 1, 1)}, {}, {1: ("other", 0)}),
    ("Mystery", {1: (4, 4)}, {}, {1: ("other", 0)}),
]


@pytest.mark.parametrize(("op", "shapes", "settings", "expected"), LAYERS)
@pytest.mark.parametrize("constant", [False, True])
def test_roles_and_output_axes_come_from_the_node(opened, op, shapes, settings, expected, constant):
    inputs = [f"w{i}" if i in shapes else f"x{i}" for i in range(max(shapes) + 1)]
    arrays = {f"w{position}": values(*shape) for position, shape in shapes.items()}
    nodes = [helper.make_node(op, inputs, ["y"], name="/net/layer", **settings)]
    if constant:
        nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in named(**arrays)] + nodes
    source = opened(model(nodes, [] if constant else named(**arrays)))
    for position, (role, axis) in expected.items():
        info = source[f"w{position}"].info
        assert (info.role, info.output_axis, info.layer) == (role, axis, op)


def test_gates_are_named_in_the_order_of_the_operator(opened):
    nodes = [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"]), helper.make_node("GRU", ["x", "wg", "rg"], ["z"])]
    arrays = named(w=values(1, 16, 3), r=values(1, 16, 4), b=values(1, 32), wg=values(1, 12, 3), rg=values(1, 12, 4))
    source = opened(model(nodes, arrays))
    assert source["w"].info.parts == source["r"].info.parts == ("i", "o", "f", "c")
    assert source["rg"].info.parts == ("z", "r", "h")
    assert source["b"].info.parts == ("i", "o", "f", "c", "ri", "ro", "rf", "rc")


def test_uses_are_found_through_nodes_that_only_rearrange(opened):
    nodes = [
        helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "wt"], ["y"]),
        helper.make_node("Add", ["bias", "y"], ["z"]),
        helper.make_node("Gelu", ["z"], ["a"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["qf"]),
        helper.make_node("Cast", ["qf"], ["qc"], to=1),
        helper.make_node("Conv", ["a", "qc"], ["out"]),
    ]
    tensors = named(
        w=values(8, 4), bias=values(8), q=np.ones((2, 8, 1), np.int8), scale=np.float32(0.1), zero=np.int8(0)
    )
    source = opened(model(nodes, tensors))
    assert (source["w"].role, source["w"].info.output_axis, source["w"].info.layer) == ("linear", 0, "MatMul")
    assert (source["bias"].role, source["bias"].info.layer) == ("bias", "MatMul")
    assert source["w"].info.activation == source["bias"].info.activation == "gelu"
    assert (source["q"].role, source["q"].info.layer, source["q"].dtype) == ("conv", "Conv", "int8")
    assert source["q"].info.activation == "linear"
    assert (source["scale"].role, source["scale"].info.layer) == ("other", "DequantizeLinear")


def chain(*nodes: tuple[str, list[str], list[str]]) -> list[onnx.NodeProto]:
    first = helper.make_node("Conv", ["x", "w"], ["y"])
    return [first, *(helper.make_node(op, inputs, outputs) for op, inputs, outputs in nodes)]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([("Relu", ["y"], ["z"])], "relu"),
        ([("BatchNormalization", ["y", "s", "b", "m", "v"], ["n"]), ("LeakyRelu", ["n"], ["z"])], "leaky_relu"),
        ([("Add", ["y", "residual"], ["n"]), ("Tanh", ["n"], ["z"])], "tanh"),
        ([("Mul", ["y", "c"], ["n"]), ("Relu", ["n"], ["z"])], "relu"),
        ([("MaxPool", ["y"], ["n"]), ("Conv", ["n", "w2"], ["z"])], "linear"),
        ([], "linear"),
        ([("Sigmoid", ["y"], ["g"]), ("Mul", ["y", "g"], ["z"])], "silu"),
        ([("HardSigmoid", ["y"], ["g"]), ("Mul", ["g", "y"], ["z"])], "hardswish"),
        ([("Div", ["y", "c"], ["d"]), ("Erf", ["d"], ["e"]), ("Mul", ["y", "e"], ["z"])], "gelu"),
        ([("Relu", ["y"], ["a"]), ("Tanh", ["y"], ["b"])], None),
        ([("Unheard", ["y"], ["a"])], None),
        ([("Mul", ["y", "y"], ["a"])], None),
    ],
)
def test_the_activation_after_a_layer(opened, nodes, expected):
    tensors = named(w=values(8, 3, 3, 3), c=np.float32(2))
    assert opened(model(chain(*nodes), tensors))["w"].info.activation == expected


def test_a_layer_norm_that_was_spelled_out(opened):
    nodes = [
        helper.make_node("Sqrt", ["v"], ["s"]),
        helper.make_node("Div", ["d", "s"], ["n"]),
        helper.make_node("Mul", ["n", "g"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    source = opened(model(nodes, named(g=values(8), b=values(8))))
    assert (source["g"].role, source["g"].info.layer) == ("norm", "LayerNormalization")
    assert (source["b"].role, source["b"].info.layer) == ("bias", "LayerNormalization")


def test_names_tell_what_the_graph_does_not(opened):
    nodes = [helper.make_node("Add", ["x", "model.position_embeddings.weight"], ["y"])]
    source = opened(
        model(nodes, named(**{"model.position_embeddings.weight": values(9, 4), "fc.weight": values(4, 4)}))
    )
    assert source["model.position_embeddings.weight"].role == "embedding"
    assert (source["fc.weight"].role, source["fc.weight"].info.layer) == ("linear", None)


def branch(name: str, array: np.ndarray) -> onnx.GraphProto:
    nodes = [helper.make_node("MatMul", ["x", name], ["out"]), helper.make_node("Add", ["out", "outer"], ["sum"])]
    return helper.make_graph(nodes, "branch", [], [], initializer=named(**{name: array}))


def test_graphs_within_graphs_and_functions(opened):
    inner = [values(2, 3), values(2, 3), values(4, 5)]
    nodes = [
        helper.make_node("Conv", ["x", "only"], ["x1"]),
        helper.make_node(
            "If", ["c"], ["y"], name="choice", then_branch=branch("w", inner[0]), else_branch=branch("w", inner[1])
        ),
    ]
    constant = helper.make_node("Constant", [], ["inner_only"], value=named(t=inner[2])[0])
    use = helper.make_node("MatMul", ["x", "inner_only"], ["y"])
    body = helper.make_function("ours", "Layer", ["x"], ["y"], [constant, use], [helper.make_opsetid("", 18)])
    tensors = named(only=values(1, 1, 1, 1), outer=values(3))
    source = opened(model(nodes, tensors, functions=[body]))
    assert set(source) == {"only", "outer", "choice.then_branch/w", "choice.else_branch/w", "inner_only"}
    assert same(source["choice.then_branch/w"], inner[0])
    assert same(source["choice.else_branch/w"], inner[1])
    assert source["choice.else_branch/w"].info.layer == "MatMul"
    assert (source["outer"].role, source["outer"].info.layer) == ("bias", "MatMul")
    assert same(source["inner_only"], inner[2])
    assert source["inner_only"].role == "linear"


def test_two_nodes_of_one_name_still_give_two_names(opened):
    nodes = [
        helper.make_node("If", ["c"], ["y"], name="n", then_branch=branch("w", values(2, 2))),
        helper.make_node("If", ["c"], ["z"], name="n", then_branch=branch("w", values(2, 2))),
    ]
    assert set(opened(model(nodes))) == {"n.then_branch/w", "n.then_branch/w#2"}


def external(path, proto, **options):
    onnx.save(proto, path, save_as_external_data=True, size_threshold=0, **options)


@pytest.mark.parametrize("one", [True, False])
def test_external_data(tmp_path, one):
    arrays = {"a": values(5, 7), "b": values(3).astype(ml_dtypes.bfloat16), "c": random_bits(TensorProto.INT4, (5,))}
    options = {"location": "weights.bin"} if one else {}
    external(tmp_path / "m.onnx", model(tensors=named(**arrays)), all_tensors_to_one_file=one, **options)
    source = open_onnx(tmp_path / "m.onnx")
    for name, array in arrays.items():
        assert same(source[name], array)
    assert len(source.files) == (2 if one else 4)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"location": "gone.bin"}, "'w' is kept in 'gone.bin': cannot open .*gone.bin: No such file"),
        ({"location": "../out.bin"}, "'w' is kept in '../out.bin'.*not inside its folder"),
        ({"location": "/etc/passwd"}, "'w' is kept in .*not inside its folder"),
        ({}, "'w' is kept in ''.*not inside its folder"),
        ({"location": "."}, "'w' is kept in '.'"),
        ({"location": "data.bin", "offset": "60"}, "'w' .*needs 24 bytes, but has 4"),
        ({"location": "data.bin", "offset": "60", "length": "24"}, "bytes 60 to 84 of 'data.bin', which has 64"),
        ({"location": "data.bin", "offset": "99999999999999999"}, "which has 64"),
        ({"location": "data.bin", "offset": "-8", "length": "24"}, "the offset '-8', which is no number"),
        ({"location": "data.bin", "length": "0x18"}, "the length '0x18', which is no number"),
        ({"location": "data.bin", "length": "23"}, "needs 24 bytes, but has 23"),
        ({"location": "data.bin\x1b[31m"}, r"data.bin\\x1b\[31m"),
    ],
)
def test_external_data_that_lies_is_refused(tmp_path, opened, entries, problem):
    (tmp_path / "data.bin").write_bytes(bytes(64))
    (tmp_path.parent / "out.bin").write_bytes(bytes(24))
    tensor = TensorProto(name="w", dims=[2, 3], data_type=1, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    with pytest.raises(SourceError, match=problem) as caught:
        opened(model(tensors=[tensor]))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'model.onnx'}: 'w'")


def test_external_data_behind_a_link_is_refused(tmp_path, opened):
    folder = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    folder.mkdir()
    (folder / "secret").write_bytes(bytes(24))
    (tmp_path / "data.bin").symlink_to(folder / "secret")
    (tmp_path / "there").symlink_to(folder)
    for location in ("data.bin", "there/secret"):
        tensor = TensorProto(name="w", dims=[2, 3], data_type=1, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=location)
        with pytest.raises(SourceError, match="is a link that leads out of its folder") as caught:
            opened(model(tensors=[tensor]))
        assert str(caught.value).isprintable()


def test_more_external_files_than_can_be_open_are_refused(tmp_path, monkeypatch):
    external(tmp_path / "m.onnx", model(tensors=named(a=values(3), b=values(3))), all_tensors_to_one_file=False)
    monkeypatch.setattr(TensorBuilder, "_MOST_FILES", 1)
    with pytest.raises(SourceError, match=r"one file too many after 1: .*all_tensors_to_one_file"):
        open_onnx(tmp_path / "m.onnx")


def test_a_file_that_shrinks_after_opening_is_refused_on_reading(tmp_path, opened):
    typed = TensorProto(name="typed", dims=[50], data_type=7, int64_data=range(50))
    source = opened(model(tensors=[*named(plain=values(50)), typed]))
    (tmp_path / "model.onnx").write_bytes(b"")
    for name in source:
        with pytest.raises(SourceError, match="became shorter"):
            source[name].read()


def tensor_of(dims, nbytes=24, kind=1) -> TensorProto:
    return TensorProto(name="w", dims=dims, data_type=kind, raw_data=bytes(nbytes))


def long(number: int, content: bytes) -> bytes:
    size = len(content)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + content  # below 2 MiB


def deep(levels: int) -> bytes:
    graph = b""
    for _ in range(levels):  # graph in attribute in node in graph; onnx itself refuses to write so many
        graph = long(1, long(5, long(6, graph)))
    return long(7, graph)


BAD = {
    "negative": (lambda: model(tensors=[tensor_of([-2, -3])]), "'w' has the negative dimension -3"),
    "huge": (lambda: model(tensors=[tensor_of([2**62] * 30)]), "'w' of shape .* needs \\d+ bytes, but has 24"),
    "huge beside zero": (
        lambda: model(tensors=[tensor_of([0, 2**62], 0)]),
        "'w' has a shape that no array can have, .0, 4611",
    ),
    "huge beside zero, typed": (
        lambda: model(tensors=[TensorProto(name="w", dims=[0, 2**62], data_type=7)]),
        "'w' has a shape that no array can have",
    ),
    "long name": (
        lambda: model(tensors=[TensorProto(name="n" * 60_000, dims=[-1], data_type=1)]),
        "'n{200}' has the negative",
    ),
    "overflowing": (lambda: model(tensors=[tensor_of([2**32, 2**32])]), "needs 73786976294838206464 bytes"),
    "short": (lambda: model(tensors=[tensor_of([2, 3], 23)]), "needs 24 bytes, but has 23"),
    "no values": (lambda: model(tensors=[TensorProto(name="w", dims=[6], data_type=1)]), "cannot have its values in 0"),
    "too few varints": (
        lambda: model(tensors=[TensorProto(name="w", dims=[9], data_type=7, int64_data=[1] * 5)]),
        "cannot have its values in 5 bytes",
    ),
    "many dimensions": (lambda: model(tensors=[tensor_of([1] * 33, 4)]), "dimensions|more than 32 integers"),
    "twice": (lambda: model(tensors=named(w=values(2)) * 2), "'w' is defined twice"),
    "nameless": (lambda: model(tensors=named(**{"": values(2)})), "has no name"),
    "segment": (
        lambda: model(tensors=[TensorProto(name="w", segment=TensorProto.Segment(begin=0, end=2))]),
        "segments",
    ),
    "deep": (lambda: deep(40), "more than 32 levels"),
    "many attributes": (lambda: long(7, long(1, wire(5, b"") * 10_001)), "more than 10000 attributes"),
    "many tensors": (lambda: long(7, wire(15, b"") * 200_001), "more than 200000 tensors"),
    "empty": (lambda: b"", "empty file"),
    "no graph": (lambda: onnx.ModelProto(ir_version=8), "no graphs"),
    "two graphs": (lambda: model().SerializeToString() + model().SerializeToString(), "2 graphs"),
    "text": (lambda: b"# not a model at all\n" * 9, "damaged|another format"),
    "zip": (lambda: b"PK\x03\x04" + bytes(100), "damaged|another format"),
    "raw is a number": (lambda: in_model(wire(8, b"w") + wire(9, b"\x05", 0)), "should be bytes"),
    "floats are varints": (lambda: in_model(wire(8, b"w") + wire(4, b"\x05", 0)), "another type than their tensor"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_models_are_refused_in_one_line(opened, case, tmp_path):
    build, problem = BAD[case]
    with pytest.raises(SourceError, match=problem) as caught:
        opened(build())
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "model.onnx"))


def test_varints_that_do_not_match_the_shape_are_found_on_reading(opened):
    few = TensorProto(name="few", dims=[9], data_type=7, int64_data=[1 << 40] * 5)
    many = TensorProto(name="many", dims=[3], data_type=7, int64_data=[1] * 5)
    nibbles = TensorProto(name="nibbles", dims=[3], data_type=TensorProto.INT4, int32_data=[1, 2, 3, 4])
    source = opened(model(tensors=[few, many, nibbles]))
    for name in source:
        with pytest.raises(SourceError, match=f"'{name}' has more or fewer values"):
            source[name].read()


def test_names_that_could_paint_a_terminal_are_spelled_out(opened):
    with pytest.raises(SourceError, match=r"'\\x1b\[31mw\\n' has the negative") as caught:
        opened(model(tensors=[TensorProto(name="\x1b[31mw\n", dims=[-1], data_type=1)]))
    assert "\x1b" not in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        open_onnx(tmp_path / "gone.onnx")
    with pytest.raises(SourceError, match="a folder"):
        open_onnx(tmp_path)


def test_opening_touches_no_tensor_and_takes_little_memory(tmp_path, monkeypatch):
    path = tmp_path / "large.onnx"
    path.write_bytes(model(tensors=named(a=np.zeros(8 << 20, np.float32), b=values(3))).SerializeToString())
    read = []
    fill = Reader._fill
    monkeypatch.setattr(Reader, "_fill", lambda self, start: (fill(self, start), read.append(len(self._data)))[0])
    tracemalloc.start()
    source = open_onnx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(read) < 1 << 18
    assert peak < 1 << 20
    assert source["a"].place is not None


def test_it_needs_neither_onnx_nor_torch(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(model(tensors=named(w=values(2, 2))).SerializeToString())
    code = (
        "import sys; from weightsmith.sources.onnx import open_onnx; "
        f"open_onnx({str(path)!r})['w'].read(); "
        "print([m for m in ('onnx', 'torch', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def small_model() -> bytes:
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["y"])
    nodes = [lstm, helper.make_node("If", ["c"], ["z"], then_branch=branch("m", values(3, 3)))]
    nodes += [helper.make_node("Constant", [], ["k"], value=named(t=values(6))[0])]
    floats = TensorProto(name="f", dims=[3], data_type=1, float_data=[1, 2, 3])
    integers = TensorProto(name="i", dims=[3], data_type=TensorProto.INT8, int32_data=[1, -2, 3])
    packed = named(q=random_bits(TensorProto.INT4, (5,)))
    tensors = [*named(w=values(1, 8, 2), r=values(1, 8, 2), outer=values(3)), floats, integers, *packed]
    return model(nodes, tensors).SerializeToString()


SMALL = small_model()


def mutated(data: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    out = bytearray(data)
    for kind, start, other, content in changes:
        start, other = start % (len(out) + 1), other % (len(out) + 1)
        if kind == "flip" and start < len(out):
            out[start] ^= 1 << (other % 8)
        elif kind == "cut":
            del out[start:]
        elif kind == "splice":
            out[start : start + len(content)] = out[other : other + len(content)]
        elif kind == "insert":
            out[start:start] = content
        else:
            del out[start : start + len(content)]
    return bytes(out)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "flip", "cut", "splice", "insert", "remove"]),
        st.integers(0, 1 << 20),
        st.integers(0, 1 << 20),
        st.binary(max_size=12),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300)
@given(changes=CHANGES)
def test_mutations_are_read_or_refused(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("mutated") / "m.onnx"
    path.write_bytes(mutated(SMALL, changes))
    refused = None
    try:
        elements = [weight.read().size for weight in open_onnx(path).values()]
    except SourceError as error:  # nothing else may come out
        refused = str(error)
    assert "\n" not in (refused or "")
    assert refused or sum(elements) <= 8 * path.stat().st_size
