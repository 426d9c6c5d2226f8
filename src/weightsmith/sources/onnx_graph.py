"""The graphs of an ONNX file as plain records: nodes, tensors, and which graph lies in which. No tensor is read.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from weightsmith.names import printable
from weightsmith.sources.file import File
from weightsmith.sources.onnx_tensor import Tensor, parse_entry, parse_tensor
from weightsmith.sources.protobuf import Field, Reader
from weightsmith.sources.source import Aside

_DEPTH: Final = 32
"""Deepest nesting of graphs: branches within loops within branches; real models have some five levels."""

_ENTRIES: Final = 200_000
"""Most tensors, graphs and entries of metadata: each costs a hundred times the memory that it takes in the file."""

_VALUES: Final = 1_000_000
"""Most nodes and inputs and outputs of nodes, for the same reason; the largest graphs have some hundred thousand."""

_ATTRIBUTES: Final = 10_000
"""Most attributes of one node; real ones have up to thirty."""

_SHOWN: Final = 256
"""Characters of a node's name that stand in the way to a graph within it."""

_WANTED: Final = frozenset({"axis", "perm", "transA", "transB"})
"""Attributes that say which axis of a weight counts its neurons."""

_FEW: Final = 64
"""Bytes: attributes with lists of numbers below that are settings, above it learned values."""


class Node(NamedTuple):
    """One operation.

    Attributes:
        op: type of the operation (`Conv`).
        name: its own name, often empty.
        domain: who defined the operation; empty for ONNX itself.
        inputs: names of the values that it takes; an empty name stands for an input that is left out.
        outputs: names of the values that it makes.
        settings: those attributes of integers that tell an axis.
    """

    op: str
    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[str, list[int]]


@dataclass(slots=True)
class Graph:
    """A graph: the model's own, a branch or body within a node of another, or a function's body.

    Attributes:
        path: what leads to it, as `loop_1.body/If_3.then_branch`; empty for the model's own.
        parent: the graph that it lies in and whose values it sees, or None.
        nodes: its operations, in order.
        initializers: its tensors by name, in the order of the file.
        constants: the tensors of its Constant nodes, by the name of the node's output.
    """

    path: str
    parent: "Graph | None"
    nodes: list[Node] = field(default_factory=list)
    initializers: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Tensor] = field(default_factory=dict)


@dataclass(slots=True)
class Model:
    """All that a file holds.

    Attributes:
        graphs: every graph; one that lies in another comes after it.
        metadata: free text and who made it.
        aside: what cannot be a weight.
    """

    graphs: list[Graph] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    aside: list[Aside] = field(default_factory=list)


def parse_model(file: File) -> Model:
    """All graphs of an ONNX file.

    Raises:
        SourceError: it is no ONNX file, or damaged.
    """
    return _Parser(file).parse()


class _Parser:
    def __init__(self, file: File) -> None:
        self._reader = Reader(file)
        self._size = file.size
        self._model = Model()
        self._entries = _ENTRIES
        self._values = _VALUES

    def parse(self) -> Model:
        if not self._size:
            raise self._reader.fault("an empty file is no ONNX model")
        graphs = functions = 0
        for found in self._reader.fields(0, self._size):
            if found.number == 7:
                graphs += 1
                self._graph(found, "", None)
            elif found.number == 25:
                functions += 1
                self._function(found, functions)
            else:
                self._about(found)
        if graphs != 1:
            raise self._reader.fault(
                f"{graphs or 'no'} graphs where there should be one: not an ONNX model, or damaged"
            )
        return self._model

    def _about(self, found: Field) -> None:
        texts = {2: "producer_name", 3: "producer_version", 4: "domain"}
        if found.number in texts:
            text = self._reader.text(found)
            if text:
                self._model.metadata[texts[found.number]] = text
        elif found.number == 1:
            self._model.metadata["ir_version"] = str(self._reader.integer(found))
        elif found.number == 14:
            self._count()
            key, value = parse_entry(self._reader, found)
            self._model.metadata[key] = value
        elif found.number == 20:
            self._aside("training_info", "graphs for training", found.end - found.start)

    def _function(self, function: Field, number: int) -> None:
        self._count()
        texts = {1: "", 13: ""}
        for found in self._reader.message(function):  # a walk of its own, as the domain comes after the nodes
            if found.number in texts:
                texts[found.number] = self._reader.text(found)
        graph = Graph(f"{texts[13]}.{texts[1] or number}".strip("."), None)
        self._model.graphs.append(graph)
        index = 0
        for found in self._reader.message(function):
            if found.number == 7:
                self._node(found, index, graph, 1)
                index += 1

    def _graph(self, message: Field, path: str, parent: Graph | None, depth: int = 0) -> None:
        if depth > _DEPTH:
            raise self._reader.fault(f"graphs lie in one another more than {_DEPTH} levels deep: damaged")
        self._count()
        graph = Graph(path, parent)
        self._model.graphs.append(graph)
        index = 0
        for found in self._reader.message(message):
            if found.number == 1:
                self._node(found, index, graph, depth)
                index += 1
            elif found.number == 5:
                tensor = self._tensor(found)
                self._add(graph, graph.initializers, tensor.name, tensor)
            elif found.number == 15:
                self._sparse(found, "an initializer")

    def _tensor(self, message: Field) -> Tensor:
        self._count()
        content = self._reader.content(message)
        return parse_tensor(self._reader, content.start, content.end)

    def _count(self) -> None:
        self._entries -= 1
        if self._entries < 0:
            raise self._reader.fault(f"more than {_ENTRIES} tensors, graphs and entries: not a model, or damaged")

    def _add(self, graph: Graph, where: dict[str, Tensor], name: str, tensor: Tensor) -> None:
        if not name:
            raise self._reader.fault(f"the tensor at byte {tensor.start} has no name: damaged")
        if name in graph.initializers or name in graph.constants:
            raise self._reader.fault(f"'{printable(name[:200])}' is defined twice: damaged")
        where[name] = tensor

    def _node(self, message: Field, index: int, graph: Graph, depth: int) -> None:
        texts: dict[int, list[str]] = {1: [], 2: [], 3: [], 4: [], 7: []}
        attributes: list[Field] = []
        for found in self._reader.message(message):
            if found.number in texts:
                texts[found.number].append(self._reader.text(found))
            elif found.number == 5:
                if len(attributes) == _ATTRIBUTES:
                    raise self._reader.fault(f"a node with more than {_ATTRIBUTES} attributes: damaged")
                attributes.append(found)
        op, name, domain = ("".join(texts[number][-1:]) for number in (4, 3, 7))
        self._values -= 1 + len(texts[1]) + len(texts[2])
        if self._values < 0:
            raise self._reader.fault(f"more than {_VALUES} nodes, inputs and outputs: not a model, or damaged")
        node = Node(op, name, domain, tuple(texts[1]), tuple(texts[2]), {})
        if node.inputs or node.outputs:
            graph.nodes.append(node)
        for attribute in attributes:
            self._attribute(attribute, node, (name or f"{op}_{index}")[:_SHOWN], graph, depth)

    def _attribute(self, message: Field, node: Node, owner: str, graph: Graph, depth: int) -> None:
        name = ""
        taken = 0
        integers: list[int] = []
        parts: list[Field] = []
        for found in self._reader.message(message):
            if found.number == 1:
                name = self._reader.text(found)
            elif found.number in _LISTS:  # as a rule each entry comes on its own, so they are counted and not kept
                taken += found.end - found.start
                if found.number in _INTEGERS and len(integers) < _FEW and found.end - found.start <= _FEW:
                    integers += self._reader.integers(found, limit=_FEW)
            elif found.number in _PARTS:
                self._count()
                parts.append(found)
        where = f"{owner}.{name}"
        if taken > _FEW:
            self._aside(where, f"numbers or texts in an attribute of a {node.op} node", taken)
        if name in _WANTED:
            node.settings[name] = integers
        for part in parts:
            self._part(part, name, node, owner, graph, depth)

    def _part(self, part: Field, name: str, node: Node, owner: str, graph: Graph, depth: int) -> None:
        where = f"{owner}.{name}"
        if _PARTS[part.number] == "graph":
            self._graph(part, f"{graph.path}/{where}".strip("/"), graph, depth + 1)
        elif _PARTS[part.number] == "sparse":
            self._sparse(part, f"'{where}'")
        else:
            self._attribute_tensor(part, name, node, where, graph)

    def _attribute_tensor(self, part: Field, name: str, node: Node, where: str, graph: Graph) -> None:
        tensor = self._tensor(part)
        if node.op == "Constant" and name == "value" and len(node.outputs) == 1:
            self._add(graph, graph.constants, node.outputs[0], tensor)
        elif part.end - part.start > _FEW:
            self._aside(where, f"a tensor in an attribute of a {node.op} node", part.end - part.start)

    def _sparse(self, message: Field, what: str) -> None:
        # the values of a sparse tensor carry its name
        name = what
        self._count()
        for found in self._reader.message(message):
            if found.number == 1:
                name = self._tensor(found).name or what
        self._aside(name, "a sparse tensor, which cannot be read yet: make it dense", message.end - message.start)

    def _aside(self, name: str, reason: str, nbytes: int) -> None:
        self._model.aside.append(Aside(name, reason, nbytes))


_INTEGERS: Final = (3, 8)
_LISTS: Final = (7, 9, *_INTEGERS)
_PARTS: Final = {5: "tensor", 10: "tensor", 6: "graph", 11: "graph", 22: "sparse", 23: "sparse"}
"""Fields of an AttributeProto: integers, those and other lists of numbers and texts, and all else that matters."""


def scope(graph: Graph) -> Iterator[Graph]:
    """The graphs whose values a graph sees: itself first, then outward."""
    inner: Graph | None = graph
    while inner is not None:
        yield inner
        inner = inner.parent
