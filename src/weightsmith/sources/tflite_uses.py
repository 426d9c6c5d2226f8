"""What each tensor of a TensorFlow Lite subgraph is used for: its role, layer, output axis and the activation after it.

Which input of an operator is what: https://www.tensorflow.org/mlir/tfl_ops; the order of the dimensions of weights is
that of the operators' kernels (OHWI for CONV_2D, 1HWO for DEPTHWISE_CONV_2D).
"""

from collections import defaultdict
from typing import Final, NamedTuple

from weightsmith.sources.tflite_graph import Operator, Subgraph
from weightsmith.weight import Role


class Use(NamedTuple):
    """What a tensor is used for; the fields are those of `WeightInfo`."""

    role: Role
    layer: str
    output_axis: int = 0
    activation: str | None = None


_LSTM: Final[dict[int, Role]] = {
    **dict.fromkeys(range(1, 9), "recurrent"),
    **dict.fromkeys(range(9, 12), "other"),  # peepholes
    **dict.fromkeys(range(12, 16), "bias"),
    16: "recurrent",  # the projection, and its bias
    17: "bias",
    **dict.fromkeys(range(20, 24), "norm"),
}
"""Each gate has matrices of its own, so nothing is stacked."""

_RNN: Final[dict[int, Role]] = {1: "recurrent", 2: "recurrent", 3: "bias"}

_INPUTS: Final[dict[str, dict[int, Role]]] = {
    "CONV_2D": {1: "conv", 2: "bias"},
    "DEPTHWISE_CONV_2D": {1: "conv", 2: "bias"},
    "TRANSPOSE_CONV": {1: "conv", 3: "bias"},
    "CONV_3D": {1: "conv", 2: "bias"},
    "CONV_3D_TRANSPOSE": {1: "conv", 3: "bias"},
    "FULLY_CONNECTED": {1: "linear", 2: "bias"},
    "BATCH_MATMUL": {0: "linear", 1: "linear"},
    "EMBEDDING_LOOKUP": {1: "embedding"},
    "GATHER": {0: "embedding"},
    "LSTM": _LSTM,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,
    "RNN": _RNN,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _RNN,
    "SVDF": _RNN,
    "PRELU": {1: "other"},
}
"""Which inputs of an operator are weights, and of which role."""

_AXES: Final = {"DEPTHWISE_CONV_2D": 3, "CONV_3D": 4, "CONV_3D_TRANSPOSE": 3}
"""Axis of a convolution's weights that counts filters, where it is not the first."""

_LAYERS: Final = frozenset(
    {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV",
        "CONV_3D",
        "CONV_3D_TRANSPOSE",
        "FULLY_CONNECTED",
        "BATCH_MATMUL",
    }
)

_PASSING: Final = frozenset({"DEQUANTIZE", "QUANTIZE", "RESHAPE", "CAST", "EXPAND_DIMS", "SQUEEZE"})
_BETWEEN: Final = _PASSING | {"ADD", "TRANSPOSE", "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN"}
"""What may lie between a layer and its activation."""

_ACTIVATIONS: Final = {
    "RELU": "relu",
    "RELU6": "relu6",
    "RELU_N1_TO_1": "hardtanh",
    "LEAKY_RELU": "leaky_relu",
    "PRELU": "prelu",
    "ELU": "elu",
    "GELU": "gelu",
    "HARD_SWISH": "hardswish",
    "LOGISTIC": "sigmoid",
    "TANH": "tanh",
    "SOFTMAX": "softmax",
    "LOG_SOFTMAX": "log_softmax",
}

_FUSED: Final = {1: "relu", 2: "hardtanh", 3: "relu6", 4: "tanh"}
"""ActivationFunctionType; 0 is none, 5 the sign, which has no name among activations."""

_STEPS: Final = 16
"""Operators that are followed one after another, and users of one tensor that are looked at."""


class Uses:
    """Answers what the tensors of one subgraph are used for."""

    def __init__(self, subgraph: Subgraph) -> None:
        self._tensors = subgraph.tensors
        self._users: dict[int, list[tuple[Operator, int]]] = defaultdict(list)
        self._makers: dict[int, Operator] = {}
        for operator in subgraph.operators:
            self._makers.update(dict.fromkeys(operator.outputs, operator))
            for position, tensor in enumerate(operator.inputs):
                self._users[tensor].append((operator, position))

    def of(self, index: int) -> Use | None:
        """What a tensor is used for: role `other` where its users do not tell, None where nothing uses it."""
        rank = max(1, len(self._tensors[index].shape))
        current = index
        for _ in range(_STEPS):
            users = self._users.get(current, [])[:_STEPS]
            for operator, position in users:
                found = self._direct(operator, position, index)
                if found is not None:
                    axis = found.output_axis + rank if found.output_axis < 0 else found.output_axis
                    return found._replace(output_axis=min(max(axis, 0), rank - 1))
            passing = [user.outputs[0] for user, position in users if position == 0 and _passes(user)]
            if not passing:
                break
            current = passing[0]
        users = self._users.get(index, [])
        return Use("other", users[0][0].op) if users else None

    def _direct(self, operator: Operator, position: int, index: int) -> Use | None:
        shape = self._tensors[index].shape
        role = _INPUTS.get(operator.op, {}).get(position)
        if role is None:
            return self._added(operator, position, shape)
        if (role == "embedding" and len(shape) != 2) or (role == "linear" and len(shape) < 2):
            return None
        if role == "bias":
            return Use(role, operator.op, -1, self._activation(operator))
        if role in ("conv", "linear"):
            return Use(role, operator.op, _axis(operator, position), self._activation(operator))
        return Use(role, operator.op)

    def _added(self, operator: Operator, position: int, shape: tuple[int, ...]) -> Use | None:
        """A constant vector added to a layer's output is its bias."""
        if operator.op != "ADD" or len(operator.inputs) != 2 or len(shape) != 1:
            return None
        maker = self._makers.get(operator.inputs[1 - position])
        if maker is None or maker.op not in _LAYERS:
            return None
        return Use("bias", maker.op, 0, self._activation(operator))

    def _activation(self, operator: Operator) -> str | None:
        """Name of the activation that follows: `linear` where none does, None where that is not clear."""
        if operator.op not in _LAYERS | {"ADD"}:
            return None
        for _ in range(_STEPS):
            if operator.activation or len(operator.outputs) != 1:
                return _FUSED.get(operator.activation)
            users = [user for user, _ in self._users.get(operator.outputs[0], [])]
            if not users:
                return "linear"
            if len({id(user) for user in users}) > 1:
                return "silu" if sorted(user.op for user in users) == ["LOGISTIC", "MUL"] else None
            operator = users[0]
            if operator.op in _ACTIVATIONS:
                return _ACTIVATIONS[operator.op]
            if operator.op not in _BETWEEN:
                return "linear" if operator.op in _LAYERS else None
        return None


def _passes(operator: Operator) -> bool:
    return operator.op in _PASSING and len(operator.outputs) == 1 and operator.outputs[0] >= 0


def _axis(operator: Operator, position: int) -> int:
    if operator.op == "BATCH_MATMUL":
        return -1 if position == 1 and not operator.transposed else -2
    return _AXES.get(operator.op, 0)
