"""ONNX models, read without the `onnx` package: it would load the whole file, where only names and shapes are needed.

A walk over the protobuf messages steps over every tensor's bytes and notes where they lie, so that a model of two
gigabytes (the most that one file can be) opens in a few megabytes, and one with external data likewise.

What counts as a weight:
- every initializer of the model's graph, of graphs within it (branches of If, bodies of Loop and Scan) and of
  functions;
- the tensor of a `Constant` node, as several exporters (Paddle, spox) keep all their weights there, when a layer takes
  it as a weight or bias, or when it has more than four elements of a floating type. It is named after the node's
  output. All other constants are axes, shapes and scalars; how many there are is said once, aside.

Names stay those of the file, `onnx::MatMul_123` included; only where two graphs use the same name do the inner ones
get the way to their graph in front (`If_3.then_branch/w`). `layer` is the type of the operator that takes the tensor.

The axis that counts outputs is the operator's: 0 for Conv and for Gemm with transB, the last for MatMul. The weights
of LSTM, GRU and RNN have the shape (directions, gates * hidden, inputs): their output axis is 1, along which `parts`
are stacked in ONNX's order, (i, o, f, c) or (z, r, h); both directions share that axis. Their bias of shape
(directions, 2 * gates * hidden) has the gates' biases for the input first, then those for the recurrence (`ri`,
`ro`, ...).
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Final

from weightsmith.sources.file import File, FileLike, as_file
from weightsmith.sources.onnx_graph import Graph, parse_model
from weightsmith.sources.onnx_tensor import Builder, Tensor
from weightsmith.sources.onnx_uses import Use, Uses
from weightsmith.sources.roles import infer_role
from weightsmith.sources.source import Aside, Source, Weight
from weightsmith.weight import Role, WeightInfo

_FEW: Final = 4
"""Elements that a floating constant may have without being taken for a weight."""

_NAMED: Final[tuple[Role, ...]] = ("bias", "norm", "embedding", "recurrent")
"""Roles that a name tells; the others are mostly guessed from the shape, which a known use outdoes."""

_SETTLED: Final = frozenset({"BatchNormalization", "PRelu", "LSTM", "DequantizeLinear", "QuantizeLinear"})
"""Operators with inputs that are rightly of no role, whatever their names: statistics, slopes, peepholes, scales."""


def open_onnx(what: FileLike) -> Source:
    """Open an ONNX file; its tensors are read by range, lazily, from it or from the files beside it that it names.

    Raises:
        SourceError: a file is missing or outside the model's folder, or the model is truncated or malformed; the
            message names the file and, where there is one, the tensor.
    """
    return _Opening(as_file(what)).source()


class _Opening:
    def __init__(self, file: File) -> None:
        self._file = file
        self._model = parse_model(file)
        self._uses = Uses(self._model.graphs)
        self._builder = Builder(file)
        self._names = Counter(name for graph in self._model.graphs for name, _, _ in _tensors(graph))
        self._given: Counter[str] = Counter()
        self._aside = self._model.aside
        self._small = [0, 0]

    def source(self) -> Source:
        weights = [weight for graph in self._model.graphs for weight in self._weights(graph)]
        if self._small[0]:
            reason = f"{self._small[0]} of small or integer values: axes, shapes, scalars"
            self._aside.append(Aside("Constant nodes", reason, self._small[1]))
        return Source(
            self._file.label,
            weights,
            self._model.metadata,
            file_format="onnx",
            aside=self._aside,
            files=self._builder.files,
        )

    def _weights(self, graph: Graph) -> Iterator[Weight]:
        for name, tensor, constant in _tensors(graph):
            kind, shape = tensor.kind, tuple(tensor.dims)
            if kind is None:
                self._aside.append(Aside(name, tensor.unreadable, tensor.stored))
                continue
            use = self._uses.of(graph, name, shape)
            if constant and not _learned(kind, shape, use):
                self._small[0] += 1
                self._small[1] += tensor.stored
                continue
            yield self._builder.weight(tensor, _info(self._unique(graph, name), kind, shape, use))

    def _unique(self, graph: Graph, name: str) -> str:
        full = f"{graph.path}/{name}" if self._names[name] > 1 and graph.path else name
        self._given[full] += 1
        while self._given[full] > 1:  # two ways of the same name
            full = f"{full}#{self._given[full]}"
            self._given[full] += 1
        return full


def _tensors(graph: Graph) -> Iterator[tuple[str, Tensor, bool]]:
    """Name, tensor and whether it is a constant."""
    for name, tensor in graph.initializers.items():
        yield name, tensor, False
    for name, tensor in graph.constants.items():
        yield name, tensor, True


def _learned(kind: str, shape: tuple[int, ...], use: Use | None) -> bool:
    if use is not None and (use.role != "other" or use.layer in _SETTLED) and kind != "int64":
        return True
    return math.prod(shape) > _FEW and "float" in kind


def _info(name: str, kind: str, shape: tuple[int, ...], use: Use | None) -> WeightInfo:
    guess = infer_role(name, shape)
    if kind in ("int64", "bool"):  # indices, shapes and masks, whoever takes them
        return WeightInfo(name, shape, kind, "other", use.layer if use is not None else None)
    if use is None:
        return WeightInfo(name, shape, kind, guess)
    role = guess if use.role == "other" and guess in _NAMED and use.layer not in _SETTLED else use.role
    return WeightInfo(name, shape, kind, role, use.layer, use.activation, None, use.output_axis, use.parts)
