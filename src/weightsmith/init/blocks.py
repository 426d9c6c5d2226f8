"""How one parameter is made of independent matrices: gates, packed projections, groups, transposed kernels."""

import math

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
_CELL_GATES: dict[type[nn.Module], int] = {nn.LSTMCell: 4, nn.GRUCell: 3, nn.RNNCell: 1}
_PACKED = frozenset({"qkv", "to_qkv", "c_attn", "query_key_value"})
"""Names by which vision and language models call one Linear that computes queries, keys and values."""


def blocks(owner: nn.Module, name: str, tensor: Tensor) -> list[Tensor]:
    """Views into a parameter, each the matrix `(out, in, *kernel)` of one independent map; together all of it.

    Torch's fans, applied to the whole of a grouped convolution, a transposed convolution, a packed query-key-value
    matrix or a stack of gates, count neighbors that never meet; applied to these views they are right.

    Args:
        owner: the module that holds the parameter.
        name: the parameter's full dotted name.
        tensor: a tensor of the parameter's shape.
    """
    if tensor.dim() < 2:
        return [tensor]
    if isinstance(owner, _ConvTransposeNd):
        return [part.transpose(0, 1) for part in tensor.chunk(owner.groups)]
    if isinstance(owner, _ConvNd):
        return list(tensor.chunk(owner.groups))
    if _holds_inputs_first(owner):
        tensor = tensor.t()
    return list(tensor.chunk(_stacked(owner, name, tensor)))


def gates(owner: nn.Module) -> int:
    """Number of gates stacked in the matrices of a recurrent module; 1 elsewhere."""
    if isinstance(owner, nn.RNNBase):
        return _GATES[owner.mode]
    return next((count for cell, count in _CELL_GATES.items() if isinstance(owner, cell)), 1)


def overlap(owner: nn.Module) -> float:
    """Share of a transposed convolution's kernel that one output sees: with stride `s` of a kernel `k`, `k/s` taps."""
    if not isinstance(owner, _ConvTransposeNd):
        return 1.0
    return 1.0 / math.prod(min(size, stride) for size, stride in zip(owner.kernel_size, owner.stride, strict=True))


def _stacked(owner: nn.Module, name: str, tensor: Tensor) -> int:
    parts = name.split(".")
    if parts[-1].startswith("weight_hr"):
        return 1  # an LSTM's projection is one matrix
    if isinstance(owner, nn.MultiheadAttention):
        return 3 if parts[-1] == "in_proj_weight" else 1
    packed = len(parts) > 1 and parts[-2] in _PACKED and tensor.size(0) == 3 * tensor.size(1)
    return 3 if packed else gates(owner)


def _holds_inputs_first(owner: nn.Module) -> bool:
    # transformers' Conv1D is a linear layer whose weight is (in, out)
    return type(owner).__name__ == "Conv1D" and hasattr(owner, "nf") and not isinstance(owner, nn.Conv1d)
