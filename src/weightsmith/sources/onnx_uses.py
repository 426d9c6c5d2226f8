"""What each tensor of an ONNX model is used for: its role, layer, output axis and the activation after it.

Told by the node that takes the tensor, possibly through nodes that only rearrange or convert it. Operators and their
inputs: https://onnx.ai/onnx/operators/ and, in the domain com.microsoft,
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md.
"""

import math
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from weightsmith.sources.onnx_graph import Graph, Node, scope
from weightsmith.weight import MATRIX_ROLES, Role


class Use(NamedTuple):
    """What a tensor is used for; the fields are those of `WeightInfo`."""

    role: Role
    layer: str
    output_axis: int = 0
    activation: str | None = None
    parts: tuple[str, ...] = ()


_INPUTS: Final[dict[str, dict[int, Role]]] = {
    "Conv": {1: "conv", 2: "bias"},
    "FusedConv": {1: "conv", 2: "bias"},
    "ConvTranspose": {1: "conv", 2: "bias"},
    "ConvInteger": {1: "conv"},
    "QLinearConv": {3: "conv", 8: "bias"},
    "DeformConv": {1: "conv", 3: "bias"},
    "Gemm": {0: "linear", 1: "linear", 2: "bias"},
    "FusedGemm": {0: "linear", 1: "linear", 2: "bias"},
    "MatMul": {0: "linear", 1: "linear"},
    "FusedMatMul": {0: "linear", 1: "linear"},
    "MatMulInteger": {0: "linear", 1: "linear"},
    "QLinearMatMul": {3: "linear"},
    "LSTM": {1: "recurrent", 2: "recurrent", 3: "bias", 7: "other"},
    "GRU": {1: "recurrent", 2: "recurrent", 3: "bias"},
    "RNN": {1: "recurrent", 2: "recurrent", 3: "bias"},
    "BatchNormalization": {1: "norm", 2: "bias", 3: "other", 4: "other"},
    "InstanceNormalization": {1: "norm", 2: "bias"},
    "GroupNormalization": {1: "norm", 2: "bias"},
    "LayerNormalization": {1: "norm", 2: "bias"},
    "RMSNormalization": {1: "norm"},
    "SimplifiedLayerNormalization": {1: "norm"},
    "SkipLayerNormalization": {2: "norm", 3: "bias", 4: "bias"},
    "SkipSimplifiedLayerNormalization": {2: "norm", 3: "bias"},
    "Attention": {1: "linear", 2: "bias"},
    "Gather": {0: "embedding"},
    "PRelu": {1: "other"},
    "FastGelu": {1: "bias"},
    "BiasGelu": {1: "bias"},
}
"""Which inputs of an operator are weights, and of which role."""

_MICROSOFT: Final = frozenset({"Attention"})
"""Operators whose name means something else in ONNX itself."""

_AXES: Final = {"ConvTranspose": 1, "LSTM": -2, "GRU": -2, "RNN": -2, "Attention": -1}
"""Axis that counts outputs, where it is neither 0 nor a matter of the node's settings; negative: from the last."""

_GATES: Final = {"LSTM": ("i", "o", "f", "c"), "GRU": ("z", "r", "h"), "Attention": ("q", "k", "v")}
"""What is stacked along that axis, in the order of the operator's definition."""

_PRODUCTS: Final = frozenset({"MatMul", "FusedMatMul", "MatMulInteger"})
_REARRANGING: Final = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"})
_PASSING: Final = _REARRANGING | {"Identity", "Cast", "CastLike", "DequantizeLinear", "QuantizeLinear", "Dropout"}
_BIASED: Final = frozenset({"Conv", "ConvTranspose", "FusedConv", "ConvInteger", "Gemm", *_PRODUCTS})
"""Layers after which an addition of a constant is their bias."""

_ACTIVATIONS: Final = {
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "PRelu": "prelu",
    "Elu": "elu",
    "Celu": "celu",
    "Selu": "selu",
    "Gelu": "gelu",
    "FastGelu": "gelu",
    "BiasGelu": "gelu",
    "QuickGelu": "gelu",
    "Mish": "mish",
    "HardSwish": "hardswish",
    "Swish": "silu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hardsigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}

_BETWEEN: Final = _PASSING | {
    *("Add", "Sum", "BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Pad"),
}
"""What may lie between a layer and its activation: rearranging, normalization, pooling, residual sums."""

_STEPS: Final = 16
"""Nodes that are followed one after another, and users of one value that are looked at."""

_VISITED: Final = 64
"""Values that are looked at for one tensor: keeps odd graphs cheap."""


class _User(NamedTuple):
    graph: Graph
    node: Node
    position: int


class _Path(NamedTuple):
    """A value that a tensor became, and the nodes that it went through."""

    graph: Graph
    name: str
    passed: tuple[Node, ...]


class Uses:
    """Answers what the tensors of a model are used for.

    Args:
        graphs: all its graphs; those that lie in another come after it.
    """

    def __init__(self, graphs: Iterable[Graph]) -> None:
        self._users: dict[tuple[int, str], list[_User]] = defaultdict(list)
        self._makers: dict[tuple[int, str], Node] = {}
        graphs = list(graphs)
        self._tensors = {(id(graph), name) for graph in graphs for name in (*graph.initializers, *graph.constants)}
        for graph in graphs:
            self._makers.update({(id(graph), output): node for node in graph.nodes for output in node.outputs})
        for graph in graphs:
            for node in graph.nodes:
                for position, name in enumerate(node.inputs):
                    if name:
                        self._add(graph, node, position)

    def _add(self, graph: Graph, node: Node, position: int) -> None:
        name = node.inputs[position]
        users = self._users[self._owner(graph, name), name]
        if len(users) < _STEPS:
            users.append(_User(graph, node, position))

    def of(self, graph: Graph, name: str, shape: tuple[int, ...]) -> Use | None:
        """What a tensor is used for: role `other` where its users do not tell, None where nothing uses it.

        Args:
            graph: where the tensor is defined.
            name: its name there.
            shape: its dimensions.
        """
        found = self._follow(graph, name, shape)
        if found is None:
            users = self._users.get((id(graph), name))
            return Use("other", users[0].node.op) if users else None
        rank = max(1, len(shape))
        axis = found.output_axis + rank if found.output_axis < 0 else found.output_axis
        return found._replace(output_axis=min(max(axis, 0), rank - 1))

    def _owner(self, graph: Graph, name: str) -> int:
        """Identity of the graph that defines a value, seen from another; the outermost where it is an input."""
        last = graph
        for last in scope(graph):
            if (id(last), name) in self._makers or (id(last), name) in self._tensors:
                return id(last)
        return id(last)

    def _follow(self, graph: Graph, name: str, shape: tuple[int, ...]) -> Use | None:
        pending = deque([_Path(graph, name, ())])
        for _ in range(_VISITED):
            if not pending:
                break
            path = pending.popleft()
            for user in self._users.get((id(path.graph), path.name), []):
                found = self._direct(user, shape)
                if found is not None:
                    for node in reversed(path.passed):
                        found = _before(node, found, len(shape))
                    return found
                if _carries(user.node, user.position):
                    pending.append(_Path(user.graph, user.node.outputs[0], (*path.passed, user.node)))
        return None

    def _direct(self, user: _User, shape: tuple[int, ...]) -> Use | None:
        node = user.node
        if node.op in _MICROSOFT and node.domain != "com.microsoft":
            return None
        role = _INPUTS.get(node.op, {}).get(user.position)
        if role is None:
            return self._elementwise(user, shape)
        if role == "embedding" and (len(shape) != 2 or node.settings.get("axis", [0]) != [0]):
            return None
        if role == "linear" and len(shape) < 2:
            return None
        gates = _GATES.get(node.op, ()) if role in ("linear", "recurrent", "bias") else ()
        if role == "bias" and node.op in ("LSTM", "GRU"):
            gates = (*gates, *(f"r{gate}" for gate in gates))
        return Use(role, node.op, _axis(node, user.position, role), self._activation(user, role), gates)

    def _elementwise(self, user: _User, shape: tuple[int, ...]) -> Use | None:
        """A constant added to a layer's output is its bias; one that scales what was normalized belongs to the norm."""
        node = user.node
        if node.op not in ("Add", "Mul") or len(node.inputs) != 2 or math.prod(shape) != max(shape, default=0):
            return None
        maker = self._maker(user.graph, node.inputs[1 - user.position])
        axis = max(range(len(shape)), key=shape.__getitem__)
        if maker is None:
            return None
        if node.op == "Mul":
            return Use("norm", "LayerNormalization", axis) if self._normalizes(user.graph, maker) else None
        if maker.op in _BIASED:
            return Use("bias", maker.op, axis, self._after(user.graph, node.outputs))
        scaled = maker.op == "Mul" and any(
            scale is not None and self._normalizes(user.graph, scale)
            for scale in (self._maker(user.graph, name) for name in maker.inputs)
        )
        return Use("bias", "LayerNormalization", axis) if scaled else None

    def _maker(self, graph: Graph, name: str) -> Node | None:
        for _ in range(_STEPS):
            node = self._makers.get((self._owner(graph, name), name))
            if node is None or node.op not in _PASSING or not node.inputs:
                return node
            name = node.inputs[0]
        return None

    def _normalizes(self, graph: Graph, node: Node) -> bool:
        """Whether a node ends a normalization that was spelled out: a division by a square root."""
        if node.op != "Div" or len(node.inputs) != 2:
            return False
        divisor = self._maker(graph, node.inputs[1])
        return divisor is not None and divisor.op == "Sqrt"

    def _activation(self, user: _User, role: Role) -> str | None:
        if role not in MATRIX_ROLES - {"embedding", "recurrent"} and not (role == "bias" and user.node.op in _BIASED):
            return None
        return self._after(user.graph, user.node.outputs)

    def _after(self, graph: Graph, outputs: tuple[str, ...]) -> str | None:
        """Name of the activation that a value goes into: `linear` where none follows, None where that is not clear."""
        for _ in range(_STEPS):
            if len(outputs) != 1:
                return None
            users = self._users.get((id(graph), outputs[0]), [])
            if not users:
                return "linear" if graph.parent is None else None
            if len({id(user.node) for user in users}) > 1:
                return self._gated(users)
            node, graph = users[0].node, users[0].graph
            if node.op in _ACTIVATIONS:
                return _ACTIVATIONS[node.op]
            if node.op not in _BETWEEN and not self._affine(graph, node):
                return "linear" if node.op in _INPUTS else None
            outputs = node.outputs[:1]
        return None

    def _affine(self, graph: Graph, node: Node) -> bool:
        """Whether a node scales or shifts by a constant."""
        return node.op in ("Mul", "Div", "Sub") and any(
            (self._owner(graph, name), name) in self._tensors for name in node.inputs
        )

    def _gated(self, users: list[_User]) -> str | None:
        """A value times a function of itself: SiLU, hard swish and GELU, as exporters spell them out."""
        operations = {user.node.op: user for user in users}
        if len(users) != 2 or "Mul" not in operations:
            return None
        (gate,) = (user for op, user in operations.items() if op != "Mul") if len(operations) == 2 else (users[0],)
        outputs = set(gate.node.outputs)
        if gate.node.op in _GATES_OF and outputs & set(operations["Mul"].node.inputs):
            return _GATES_OF[gate.node.op]
        following = self._users.get((id(gate.graph), "".join(gate.node.outputs)), [])
        return _SPELLED.get((gate.node.op, *(user.node.op for user in following)))


_GATES_OF: Final = {"Sigmoid": "silu", "HardSigmoid": "hardswish"}
_SPELLED: Final[dict[tuple[str, ...], str]] = {("Div", "Erf"): "gelu", ("Add", "Clip"): "hardswish"}
"""How a function that is multiplied by its own input begins."""


def _axis(node: Node, position: int, role: Role) -> int:
    """Axis of an input that counts outputs; negative where it is counted from the last."""
    if node.op in _PRODUCTS or node.op == "QLinearMatMul":
        return -2 if position == 0 else -1
    if node.op in ("Gemm", "FusedGemm"):
        first, second = (node.settings.get(name, [0])[-1:] == [1] for name in ("transA", "transB"))
        return {0: int(first), 1: 0 if second else 1}.get(position, -1)
    if role in ("conv", "linear", "recurrent", "bias"):
        return _AXES.get(node.op, 0) if role != "bias" else -1
    return 0


def _carries(node: Node, position: int) -> bool:
    """Whether what goes into a node comes out as a tensor of the same use."""
    return bool(node.outputs) and (node.op == "Concat" or (position == 0 and node.op in _PASSING | {"Slice"}))


def _before(node: Node, use: Use, rank: int) -> Use:
    """The use of what goes into a node, from the use of what comes out."""
    if node.op in ("Slice", "Concat"):  # gates may be put into another order
        return use._replace(parts=())
    if node.op != "Transpose" or rank < 2:
        return use
    order = node.settings.get("perm") or list(reversed(range(rank)))
    axis = use.output_axis + rank if use.output_axis < 0 else use.output_axis
    if sorted(order) != list(range(rank)) or not 0 <= axis < rank:
        return use
    return use._replace(output_axis=order[axis])
