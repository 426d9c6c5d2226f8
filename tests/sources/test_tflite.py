import struct
import subprocess
import sys

import flatbuffers
import ml_dtypes
import numpy as np
import pytest
import tflite
from hypothesis import given, settings
from hypothesis import strategies as st

from weightsmith.errors import SourceError
from weightsmith.sources.onnx import open_onnx
from weightsmith.sources.tflite import open_tflite

RANDOM = np.random.default_rng(0)
KINDS = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "complex64": 8,
    "int8": 9,
    "float64": 10,
    "complex128": 11,
    "uint64": 12,
    "uint32": 15,
    "uint16": 16,
    "bfloat16": 18,
}
OPERATORS = {name: code for code, name in tflite.BUILTIN_OPCODE2NAME.items()}


def values(*shape, dtype=np.float32):
    return RANDOM.standard_normal(shape).astype(dtype)


def tensor(name, array=None, **changed):
    """What `build` needs to know of a tensor; without an array it is computed."""
    made = {"name": name, "shape": [], "kind": 0, "data": None, "scale": None, "zero": None, "axis": 0, "sparse": False}
    if array is not None:
        kind = KINDS.get(array.dtype.name, 0)
        made |= {"shape": list(array.shape), "kind": kind, "data": array.tobytes()}
    return made | changed


def operator(name, inputs, outputs, options=None, **settings):
    return {"code": OPERATORS[name], "inputs": inputs, "outputs": outputs, "options": options, "settings": settings}


class Builder:
    """A TensorFlow Lite file from plain lists, by the package's own writers."""

    def __init__(self, subgraphs, metadata=(), behind=()):
        self.b = flatbuffers.Builder(1024)
        self.behind = behind
        self.buffers = [self.buffer(None)]
        codes = sorted({op["code"] for _, _, operators in subgraphs for op in operators})
        graphs = [self.subgraph(name, tensors, operators, codes) for name, tensors, operators in subgraphs]
        notes = [self.note(name, data) for name, data in metadata]
        kinds = [self.code(code) for code in codes]
        vectors = [self.vector(items) for items in (kinds, graphs, self.buffers, notes)]
        description = self.b.CreateString("made by hand")
        tflite.ModelStart(self.b)
        tflite.ModelAddVersion(self.b, 3)
        tflite.ModelAddOperatorCodes(self.b, vectors[0])
        tflite.ModelAddSubgraphs(self.b, vectors[1])
        tflite.ModelAddDescription(self.b, description)
        tflite.ModelAddBuffers(self.b, vectors[2])
        tflite.ModelAddMetadata(self.b, vectors[3])
        self.b.Finish(tflite.ModelEnd(self.b), b"TFL3")

    def bytes(self):
        return bytes(self.b.Output())

    def vector(self, items):
        self.b.StartVector(4, len(items), 4)
        for item in reversed(items):
            self.b.PrependUOffsetTRelative(item)
        return self.b.EndVector()

    def numbers(self, items, dtype=np.int32):
        return self.b.CreateNumpyVector(np.asarray(items, dtype))

    def buffer(self, data, extent=None):
        content = self.b.CreateByteVector(data) if data is not None else None
        tflite.BufferStart(self.b)
        if content is not None:
            tflite.BufferAddData(self.b, content)
        if extent is not None:
            tflite.BufferAddOffset(self.b, extent[0])
            tflite.BufferAddSize(self.b, extent[1])
        return tflite.BufferEnd(self.b)

    def note(self, name, data):
        self.buffers.append(self.buffer(data))
        name = self.b.CreateString(name)
        tflite.MetadataStart(self.b)
        tflite.MetadataAddName(self.b, name)
        tflite.MetadataAddBuffer(self.b, len(self.buffers) - 1)
        return tflite.MetadataEnd(self.b)

    def code(self, number):
        tflite.OperatorCodeStart(self.b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(self.b, min(number, 127))
        tflite.OperatorCodeAddBuiltinCode(self.b, number)
        return tflite.OperatorCodeEnd(self.b)

    def quantization(self, made):
        scale, zero = self.numbers(made["scale"], np.float32), self.numbers(made["zero"], np.int64)
        tflite.QuantizationParametersStart(self.b)
        tflite.QuantizationParametersAddScale(self.b, scale)
        tflite.QuantizationParametersAddZeroPoint(self.b, zero)
        tflite.QuantizationParametersAddQuantizedDimension(self.b, made["axis"])
        return tflite.QuantizationParametersEnd(self.b)

    def tensor(self, made):
        index = made.get("buffer")
        if index is None:
            index = 0
            if made["data"] is not None or "extent" in made:
                self.buffers.append(self.buffer(made["data"], made.get("extent")))
                index = len(self.buffers) - 1
        name = made["name"] if isinstance(made["name"], bytes) else made["name"].encode()
        name, shape = self.b.CreateString(name), self.numbers(made["shape"])
        quantization = self.quantization(made) if made["scale"] is not None else None
        if made["sparse"]:
            tflite.SparsityParametersStart(self.b)
            sparsity = tflite.SparsityParametersEnd(self.b)
        tflite.TensorStart(self.b)
        tflite.TensorAddShape(self.b, shape)
        tflite.TensorAddType(self.b, made["kind"])
        tflite.TensorAddBuffer(self.b, index)
        tflite.TensorAddName(self.b, name)
        if quantization is not None:
            tflite.TensorAddQuantization(self.b, quantization)
        if made["sparse"]:
            tflite.TensorAddSparsity(self.b, sparsity)
        return tflite.TensorEnd(self.b)

    def operator(self, made, codes):
        inputs, outputs = self.numbers(made["inputs"]), self.numbers(made["outputs"])
        options = None
        if made["options"]:
            getattr(tflite, f"{made['options']}Start")(self.b)
            for key, value in made["settings"].items():
                getattr(tflite, f"{made['options']}Add{key}")(self.b, value)
            options = getattr(tflite, f"{made['options']}End")(self.b)
        tflite.OperatorStart(self.b)
        tflite.OperatorAddOpcodeIndex(self.b, made.get("index", codes.index(made["code"])))
        tflite.OperatorAddInputs(self.b, inputs)
        tflite.OperatorAddOutputs(self.b, outputs)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(self.b, getattr(tflite.BuiltinOptions, made["options"]))
            tflite.OperatorAddBuiltinOptions(self.b, options)
        return tflite.OperatorEnd(self.b)

    def subgraph(self, name, tensors, operators, codes):
        tensors = self.vector([self.tensor(made) for made in tensors])
        operators = self.vector([self.operator(made, codes) for made in operators])
        name = self.b.CreateString(name)
        tflite.SubGraphStart(self.b)
        tflite.SubGraphAddTensors(self.b, tensors)
        tflite.SubGraphAddOperators(self.b, operators)
        tflite.SubGraphAddName(self.b, name)
        return tflite.SubGraphEnd(self.b)


def build(tensors, operators=(), **more) -> bytes:
    return Builder([("main", tensors, list(operators))], **more).bytes()


@pytest.fixture
def opened(tmp_path):
    def make(data: bytes):
        path = tmp_path / "model.tflite"
        path.write_bytes(data)
        return open_tflite(path)

    return make


def same(weight, expected: np.ndarray) -> bool:
    array = weight.read()
    assert not array.flags.writeable
    assert b"".join(block.tobytes() for block in weight.blocks()) == array.tobytes()
    return array.dtype == expected.dtype and array.shape == expected.shape and array.tobytes() == expected.tobytes()


def test_the_real_model_holds_what_its_buffers_hold(shared):
    path = shared / "weights/basic_pitch/nmp.tflite"
    model = tflite.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    source = open_tflite(path)
    found = 0
    for index in range(graph.TensorsLength()):
        made = graph.Tensors(index)
        data = model.Buffers(made.Buffer()).DataAsNumpy()
        if isinstance(data, int):
            continue
        dtype = {0: "<f4", 2: "<i4"}[made.Type()]
        shape = made.ShapeAsNumpy() if made.ShapeLength() else ()
        assert same(source[made.Name().decode()], np.frombuffer(data.tobytes(), dtype).reshape(shape))
        found += 1
    assert found == len(source)
    assert source.metadata["min_runtime_version"] == "2.2.0"


def test_the_real_model_agrees_with_its_onnx_twin(shared):
    folder = shared / "weights/basic_pitch"
    lite, twin = open_tflite(folder / "nmp.tflite"), open_onnx(folder / "nmp.onnx")
    kernels = {
        (weight.info.output_axis, np.ascontiguousarray(weight.read()).tobytes()): weight
        for weight in twin.values()
        if weight.role == "conv"
    }
    matched = 0
    for weight in lite.values():
        if weight.role == "conv":
            moved = np.ascontiguousarray(weight.read().transpose(0, 3, 1, 2))  # OHWI to OIHW
            other = kernels.get((0, moved.tobytes()))
            assert other is not None
            assert other.info.activation == weight.info.activation
            matched += 1
        elif weight.role == "bias" and weight.name in twin:
            assert np.array_equal(twin[weight.name].read(), weight.read())
            matched += 1
    assert matched >= 14


@pytest.mark.parametrize("dtype", sorted(KINDS))
def test_every_type(opened, dtype):
    numpy_type = np.dtype(getattr(ml_dtypes, dtype, dtype))
    array = RANDOM.integers(0, 2, (3, 4 * numpy_type.itemsize), dtype=np.uint8).view(numpy_type)
    source = opened(build([tensor("w", array, kind=KINDS[dtype])]))
    assert same(source["w"], array)
    assert source["w"].dtype == dtype


def test_packed_integers_and_scalars_and_what_has_no_values(opened):
    packed = tensor("w", shape=[3, 3], kind=17, data=bytes([0x21, 0xF3, 0x80, 0x7F, 0x05]))
    source = opened(build([packed, tensor("s", np.float32(2.5).reshape(())), tensor("computed", shape=[5])]))
    assert list(source) == ["w", "s"]
    assert source["w"].read().astype(int).tolist() == [[1, 2, 3], [-1, 0, -8], [-1, 7, 5]]
    assert source["w"].dtype == "int4"
    assert source["s"].read() == np.float32(2.5)


def test_strings_sparse_tensors_and_metadata_are_listed_aside(opened):
    tensors = [
        tensor("text", shape=[1], kind=5, data=b"abc"),
        tensor("holes", shape=[100], data=bytes(8), sparse=True),
        tensor("future", shape=[1], kind=99, data=bytes(8)),
        tensor("w", values(2)),
    ]
    source = opened(build(tensors, metadata=[("min_runtime_version", b"2.9.0\0\0"), ("NOTES", bytes(30))]))
    assert list(source) == ["w"]
    assert {entry.name: entry.nbytes for entry in source.aside} == {"text": 3, "holes": 8, "future": 8, "NOTES": 30}
    assert source.metadata == {"version": "3", "description": "made by hand", "min_runtime_version": "2.9.0"}
    assert source.file_format == "tflite"


def test_quantized_values_come_as_stored_with_their_scale_in_words(opened):
    array = RANDOM.integers(-128, 128, (4, 3)).astype(np.int8)
    tensors = [
        tensor("one", array, scale=[0.5], zero=[3]),
        tensor("many", array, scale=[0.5, 0.25, 1, 2], zero=[0] * 4, axis=0),
        tensor("plain", array),
    ]
    source = opened(build(tensors))
    assert same(source["one"], array)
    assert source["one"].dtype == "int8"
    assert source.metadata["quantization of one"] == "(stored - 3) * 0.5"
    assert source.metadata["quantization of many"] == (
        "(stored - 0) * scale, one scale for each of 4 along axis 0, 0.25 to 2"
    )
    assert "quantization of plain" not in source.metadata


LAYERS = [
    ("CONV_2D", {1: (8, 3, 3, 4), 2: (8,)}, {1: ("conv", 0), 2: ("bias", 0)}),
    ("DEPTHWISE_CONV_2D", {1: (1, 3, 3, 8), 2: (8,)}, {1: ("conv", 3), 2: ("bias", 0)}),
    ("TRANSPOSE_CONV", {1: (8, 3, 3, 4), 3: (8,)}, {1: ("conv", 0), 3: ("bias", 0)}),
    ("CONV_3D", {1: (3, 3, 3, 4, 8)}, {1: ("conv", 4)}),
    ("FULLY_CONNECTED", {1: (8, 4), 2: (8,)}, {1: ("linear", 0), 2: ("bias", 0)}),
    ("BATCH_MATMUL", {1: (4, 8)}, {1: ("linear", 1)}),
    ("BATCH_MATMUL", {0: (8, 4)}, {0: ("linear", 0)}),
    ("EMBEDDING_LOOKUP", {1: (50, 4)}, {1: ("embedding", 0)}),
    ("GATHER", {0: (50, 4)}, {0: ("embedding", 0)}),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", {1: (4, 3), 5: (4, 4), 12: (4,)}, {1: ("recurrent", 0), 12: ("bias", 0)}),
    ("PRELU", {1: (1, 1, 4)}, {1: ("other", 0)}),
    ("NEG", {0: (4, 4)}, {0: ("other", 0)}),
]


@pytest.mark.parametrize(("op", "shapes", "expected"), LAYERS)
def test_roles_and_output_axes_come_from_the_operator(opened, op, shapes, expected):
    count = max(shapes) + 1
    tensors = [tensor(f"t{i}", values(*shapes[i]) if i in shapes else None) for i in range(count)] + [tensor("out")]
    source = opened(build(tensors, [operator(op, list(range(count)), [count])]))
    for position, (role, axis) in expected.items():
        info = source[f"t{position}"].info
        assert (info.role, info.output_axis, info.layer) == (role, axis, op)


def test_a_transposed_product_counts_its_outputs_first(opened):
    tensors = [tensor("x"), tensor("w", values(8, 4)), tensor("y")]
    product = operator("BATCH_MATMUL", [0, 1], [2], "BatchMatMulOptions", AdjY=True)
    assert opened(build(tensors, [product]))["w"].info.output_axis == 0


def test_uses_are_found_through_dequantization_and_additions(opened):
    tensors = [
        *(tensor("x"), tensor("half", values(8, 4, dtype=np.float16)), tensor("wide"), tensor("y")),
        *(tensor("shift", values(8)), tensor("z"), tensor("out")),
    ]
    operators = [
        operator("DEQUANTIZE", [1], [2]),
        operator("FULLY_CONNECTED", [0, 2, -1], [3]),
        operator("ADD", [3, 4], [5]),
        operator("LOGISTIC", [5], [6]),
    ]
    source = opened(build(tensors, operators))
    assert (source["half"].role, source["half"].info.layer) == ("linear", "FULLY_CONNECTED")
    assert (source["shift"].role, source["shift"].info.layer) == ("bias", "FULLY_CONNECTED")
    assert source["half"].info.activation == source["shift"].info.activation == "sigmoid"


@pytest.mark.parametrize(
    ("fused", "following", "expected"),
    [
        (1, [], "relu"),
        (3, [], "relu6"),
        (4, [("RELU", [2], [3])], "tanh"),
        (0, [("HARD_SWISH", [2], [3])], "hardswish"),
        (0, [("MAX_POOL_2D", [2], [3]), ("RELU", [3], [4])], "relu"),
        (0, [("LOGISTIC", [2], [3]), ("MUL", [2, 3], [4])], "silu"),
        (0, [("RELU", [2], [3]), ("NEG", [2], [4])], None),
        (0, [("NEG", [2], [3])], None),
        (0, [], "linear"),
    ],
)
def test_the_activation_after_a_layer(opened, fused, following, expected):
    tensors = [tensor("x"), tensor("w", values(8, 3, 3, 4)), *(tensor(name) for name in "abc")]
    conv = operator("CONV_2D", [0, 1], [2], "Conv2DOptions", FusedActivationFunction=fused)
    source = opened(build(tensors, [conv, *(operator(*given) for given in following)]))
    assert source["w"].info.activation == expected


def test_names_of_several_subgraphs_and_tied_tensors(opened):
    array, other = values(3, 3), values(2)
    first = [tensor("w", array), tensor("b", other), tensor("", other), tensor("b", values(2))]
    second = [tensor("w", shape=[3, 3], buffer=1), tensor("v", shape=[9], buffer=1)]
    source = opened(Builder([("main", first, []), ("init", second, [])]).bytes())
    assert list(source) == ["main/w", "main/b", "main/tensor_2", "main/b#2", "init/w", "init/v"]
    assert source["init/w"].info.tied_to == "main/w"
    assert source["init/v"].info.tied_to is None
    assert source["main/b#2"].info.tied_to is None
    assert same(source["init/w"], array)


def test_buffers_behind_the_flatbuffer(opened):
    array = values(5, 2)
    bare = build([tensor("w", shape=[5, 2], extent=(1 << 20, 40))])
    start = -(-len(bare) // 16) * 16
    data = build([tensor("w", shape=[5, 2], extent=(start, 40))])
    source = opened(data.ljust(start, b"\0") + array.tobytes())
    assert same(source["w"], array)
    with pytest.raises(SourceError, match=r"spans bytes .*: truncated"):
        opened(data.ljust(start, b"\0") + array.tobytes()[:-1])


BAD = {
    "empty": (lambda: b"", "not 'TFL3'"),
    "another format": (lambda: b"PK\x03\x04" + bytes(100), "not 'TFL3'"),
    "header alone": (lambda: struct.pack("<I", 8) + b"TFL3", "wrong"),
    "forged root": (lambda: b"\xff\xff\xff\x7fTFL3" + bytes(100), "wrong"),
    "negative": (lambda: build([tensor("w", values(6), shape=[-2, -3])]), "'w' has the negative dimension -3"),
    "huge": (lambda: build([tensor("w", values(6), shape=[2**31 - 1] * 9)]), "'w' of shape .* its buffer has 24"),
    "huge beside zero": (
        lambda: build([tensor("w", np.ones(1, np.uint8), shape=[0, *[2**31 - 1] * 3], kind=17)]),
        "needs 0 bytes, but its buffer has 1",
    ),
    "short": (lambda: build([tensor("w", values(6), shape=[7])]), "needs 28 bytes, but its buffer has 24"),
    "many dimensions": (lambda: build([tensor("w", values(1), shape=[1] * 40)]), "40 numbers, and 32 are allowed"),
    "buffer": (lambda: build([tensor("w", buffer=7)]), "buffer 7 of 1"),
    "operand": (lambda: build([tensor("w")], [operator("NEG", [5], [0])]), "NEG names a tensor outside the 1"),
    "code": (lambda: build([tensor("w")], [operator("NEG", [0], [0]) | {"index": 9}]), "number 9 of 1 kinds"),
    "name": (lambda: build([tensor(b"\xff\xfe", values(2))]), "wrong .*utf-8"),
    "long name": (lambda: build([tensor("n" * 70_000, values(2))]), "name has 70000 bytes"),
    "terminal": (lambda: build([tensor("\x1b[2Jw", values(2), shape=[3])]), r"'\\x1b\[2Jw'"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_models_are_refused_in_one_line(opened, tmp_path, case):
    make, problem = BAD[case]
    with pytest.raises(SourceError, match=problem) as caught:
        opened(make())
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(str(tmp_path / "model.tflite"))


def test_many_entries_that_point_at_one_table_are_refused(opened):
    data = bytearray(build([tensor("n" * 60_000, values(2))] + [tensor("x")] * 200))
    graph = tflite.Model.GetRootAs(data, 0).Subgraphs(0)
    start = graph._tab.Vector(graph._tab.Offset(4))
    first = start + struct.unpack_from("<I", data, start)[0]
    for index in range(201):  # each of them becomes the tensor with the long name
        struct.pack_into("<I", data, start + 4 * index, first - start - 4 * index)
    with pytest.raises(SourceError, match="more entries than the file has bytes"):
        opened(bytes(data))


def test_it_needs_no_torch(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(build([tensor("w", values(2, 2))]))
    code = (
        "import sys; from weightsmith.sources.tflite import open_tflite; print('tflite' in sys.modules); "
        f"open_tflite({str(path)!r})['w'].read(); print([m for m in ('torch', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False", "[]"]


SMALL = build(
    [
        *(tensor("x"), tensor("w", values(4, 3, 3, 2)), tensor("b", values(4)), tensor("y")),
        *(
            tensor("q", np.ones((2, 3), np.int8), scale=[0.5], zero=[1]),
            tensor("n", shape=[3], kind=17, data=b"\x21\x03"),
        ),
    ],
    [operator("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", FusedActivationFunction=1)],
    metadata=[("min_runtime_version", b"1.0")],
)

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "flip", "flip", "cut", "splice", "insert", "remove"]),
        st.integers(0, 1 << 20),
        st.integers(0, 1 << 20),
        st.one_of(
            st.binary(max_size=12), st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80"])
        ),
    ),
    min_size=1,
    max_size=6,
)


def mutated(data: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    out = bytearray(data)
    for kind, start, other, content in changes:
        start, other = start % (len(out) + 1), other % (len(out) + 1)
        if kind == "flip" and start < len(out):
            out[start] ^= 1 << (other % 8)
        elif kind == "cut" and start > 8:
            del out[start:]
        elif kind == "splice":
            out[start : start + len(content)] = content
        elif kind == "insert":
            out[start:start] = out[other : other + len(content)]
        elif kind == "remove":
            del out[start : start + len(content)]
    return bytes(out)


@settings(max_examples=300)
@given(changes=CHANGES)
def test_mutations_are_read_or_refused(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("mutated") / "m.tflite"
    path.write_bytes(mutated(SMALL, changes))
    refused = None
    try:
        elements = [weight.read().size for weight in open_tflite(path).values()]
    except SourceError as error:  # nothing else may come out
        refused = str(error)
    assert "\n" not in (refused or "")
    assert refused or max(elements, default=0) <= 8 * path.stat().st_size
