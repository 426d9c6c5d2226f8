"""The subgraphs of a TensorFlow Lite file as plain records, with every offset and length of the flatbuffer checked.

The generated accessors of the `tflite` package believe whatever offsets they find; what they raise on a damaged file
becomes one error here, and the entries that are visited are counted, as a forged file may point at one table from a
million places.
Reference: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File
from weightsmith.sources.source import Aside

_DAMAGE: Final = (struct.error, IndexError, KeyError, TypeError, ValueError, OverflowError)
"""What flatbuffers raises where an offset leads out of the file, a number into the wrong type, or text is not UTF-8."""

_RANK: Final = 32
_NAME: Final = 1 << 16


class Tensor(NamedTuple):
    """One tensor of a subgraph.

    Attributes:
        name: as the file gives it, perhaps empty.
        shape: its dimensions, not checked.
        kind: its number in the enumeration TensorType.
        start: where its values begin in the file.
        nbytes: how many bytes they take; 0 where it has none, as it is computed.
        sparse: whether its values are packed sparsely.
        quantization: how integers stand for real numbers, in words; empty where they do not.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    start: int
    nbytes: int
    sparse: bool
    quantization: str


class Operator(NamedTuple):
    """One operation.

    Attributes:
        op: its name in the enumeration BuiltinOperator (`CONV_2D`), or `CUSTOM`.
        inputs: indices of the tensors that it takes; -1 for one that is left out.
        outputs: indices of the tensors that it makes.
        activation: number in the enumeration ActivationFunctionType of what is fused into it.
        transposed: whether a product takes its second factor transposed.
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: int
    transposed: bool


@dataclass(slots=True)
class Subgraph:
    """A subgraph: the model's main one, a signature, a branch or the body of a loop."""

    name: str
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)


@dataclass(slots=True)
class Model:
    """All that a file holds."""

    subgraphs: list[Subgraph] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    aside: list[Aside] = field(default_factory=list)


def parse_model(file: File) -> Model:
    """The subgraphs of a TensorFlow Lite file.

    Raises:
        SourceError: it is no such file, or truncated or damaged.
    """
    shown = printable(file.label)
    if file.size < 8 or bytes(file.view(4, 4)) != b"TFL3":
        raise SourceError(f"{shown}: bytes 4 to 8 are not 'TFL3': not a TensorFlow Lite model")
    content = file.view(0, file.size)
    try:
        return _Parser(content).parse()
    except SourceError as error:
        raise SourceError(f"{shown}: {error}") from None
    except _DAMAGE as error:
        raise SourceError(f"{shown}: an offset or length in it is wrong ({error}): truncated or damaged") from None


class _Parser:
    def __init__(self, content: memoryview) -> None:
        import tflite

        self._tflite = tflite
        self._content = content
        self._left = len(content)
        self._model = tflite.Model.GetRootAs(content, 0)
        self._extents: dict[int, tuple[int, int]] = {}
        self._found = Model()

    def parse(self) -> Model:
        model, found = self._model, self._found
        found.metadata["version"] = str(model.Version())
        description = self._text(model.Description(), "the description")
        if description:
            found.metadata["description"] = description
        codes = [self._code(code) for code in self._vector(model.OperatorCodesLength, model.OperatorCodes, 8)]
        for graph in self._vector(model.SubgraphsLength, model.Subgraphs, 16):
            subgraph = Subgraph(self._text(graph.Name(), "a subgraph's name"))
            subgraph.tensors = [self._tensor(tensor) for tensor in self._vector(graph.TensorsLength, graph.Tensors, 32)]
            subgraph.operators = [
                self._operator(operator, codes, len(subgraph.tensors))
                for operator in self._vector(graph.OperatorsLength, graph.Operators, 16)
            ]
            found.subgraphs.append(subgraph)
        for entry in self._vector(model.MetadataLength, model.Metadata, 16):
            self._metadata(entry)
        return found

    def _vector(self, length: Callable[[], int], get: Callable[[int], Any], cost: int) -> list[Any]:
        """The entries of a list; `cost` is less than the bytes that any of them takes in an honest file."""
        count = length()
        self._spend(count * cost)
        return [get(index) for index in range(count)]

    def _integers(self, length: Callable[[], int], get: Callable[[int], int], most: int = 1 << 20) -> tuple[int, ...]:
        if length() > most:
            raise SourceError(f"a list of {length()} numbers, and {most} are allowed: damaged")
        return tuple(self._vector(length, get, 1))

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise SourceError("its lists have more entries than the file has bytes: damaged")

    def _text(self, raw: bytes | None, what: str) -> str:
        if raw is None:
            return ""
        if len(raw) > _NAME:
            raise SourceError(f"{what} has {len(raw)} bytes, and {_NAME} are allowed: damaged")
        self._spend(len(raw))
        return raw.decode("utf-8")

    def _code(self, code: Any) -> str:
        # files from before 2020 have the old field alone; newer ones have the larger of the two in the new one
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return str(self._tflite.BUILTIN_OPCODE2NAME.get(number, f"operator {number}"))

    def _tensor(self, tensor: Any) -> Tensor:
        name = self._text(tensor.Name(), "a tensor's name")
        start, nbytes = self._extent(tensor.Buffer())
        shape = self._integers(tensor.ShapeLength, tensor.Shape, _RANK)
        sparse = nbytes > 0 and tensor.Sparsity() is not None
        quantization = self._quantization(tensor.Quantization()) if nbytes else ""
        return Tensor(name, shape, tensor.Type(), start, nbytes, sparse, quantization)

    def _extent(self, index: int) -> tuple[int, int]:
        """Where the bytes of a buffer lie in the file, and how many there are."""
        if index not in self._extents:
            if index >= self._model.BuffersLength():
                raise SourceError(f"a tensor names buffer {index} of {self._model.BuffersLength()}: damaged")
            buffer = self._model.Buffers(index)
            start, length = buffer.Offset(), buffer.Size()
            if start <= 1:  # otherwise the bytes lie behind the flatbuffer, which can address two gigabytes only
                table = buffer._tab
                slot = table.Offset(4)
                start, length = (table.Vector(slot), table.VectorLen(slot)) if slot else (0, 0)
            if start + length > len(self._content):
                raise SourceError(
                    f"buffer {index} spans bytes {start} to {start + length} of {len(self._content)}: truncated"
                )
            self._extents[index] = start, length
        return self._extents[index]

    def _quantization(self, found: Any) -> str:
        if found is None or not found.ScaleLength():
            return ""
        # views of the file, so that a forged length costs nothing
        scales, count = found.ScaleAsNumpy(), found.ZeroPointLength()
        zeros = found.ZeroPointAsNumpy() if count else scales[:0].astype(int)
        self._spend(len(scales) + count)
        low, high = (int(zeros.min()), int(zeros.max())) if count else (0, 0)
        offset = f"{low}" if low == high else f"{low} to {high}"
        if len(scales) == 1:
            return f"(stored - {offset}) * {scales[0]:.9g}"
        along = f"one scale for each of {len(scales)} along axis {found.QuantizedDimension()}"
        return f"(stored - {offset}) * scale, {along}, {scales.min():.9g} to {scales.max():.9g}"

    def _operator(self, operator: Any, codes: list[str], tensors: int) -> Operator:
        index = operator.OpcodeIndex()
        if index >= len(codes):
            raise SourceError(f"an operator is number {index} of {len(codes)} kinds: damaged")
        inputs = self._integers(operator.InputsLength, operator.Inputs)
        outputs = self._integers(operator.OutputsLength, operator.Outputs)
        if not all(-1 <= tensor < tensors for tensor in (*inputs, *outputs)):
            raise SourceError(f"a {codes[index]} names a tensor outside the {tensors} of its subgraph: damaged")
        activation, transposed = self._options(operator)
        return Operator(codes[index], inputs, outputs, activation, transposed)

    def _options(self, operator: Any) -> tuple[int, bool]:
        """The activation fused into an operator, and whether a product takes its second factor transposed."""
        name = self._option_names().get(operator.BuiltinOptionsType())
        table = operator.BuiltinOptions() if name is not None else None
        if name is None or table is None:
            return 0, False
        options = getattr(self._tflite, name)()
        options.Init(table.Bytes, table.Pos)
        if name == "BatchMatMulOptions":
            return 0, bool(options.AdjY())
        return int(options.FusedActivationFunction()), False

    def _option_names(self) -> dict[int, str]:
        return {getattr(self._tflite.BuiltinOptions, name): name for name in _OPTIONS}

    def _metadata(self, entry: Any) -> None:
        name = self._text(entry.Name(), "the name of metadata")
        start, length = self._extent(entry.Buffer())
        if name == "min_runtime_version" and length <= _RANK:
            self._found.metadata[name] = bytes(self._content[start : start + length]).rstrip(b"\0").decode("utf-8")
        else:
            self._found.aside.append(Aside(name, "metadata", length))


_OPTIONS: Final = (
    *("Conv2DOptions", "DepthwiseConv2DOptions", "FullyConnectedOptions", "Conv3DOptions", "TransposeConvOptions"),
    *("AddOptions", "BatchMatMulOptions"),
)
"""Options of operators that say something about weights."""
