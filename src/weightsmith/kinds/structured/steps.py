"""What is known about steps between layers: which work on each element alone, and what they make of a constant."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import activation, dropout, pooling
from torch.nn.modules.batchnorm import _NormBase

from weightsmith.kinds.binary.activation import BinaryActivation
from weightsmith.kinds.graph import Node

READS = frozenset({"size", "shape", "dim", "getattr", "getitem", "ndim"})
"""Functions that only ask for a shape (an item of it)."""

_MIXING = ("Softmax", "Softmin", "LogSoftmax", "Softmax2d", "GLU", "MultiheadAttention", "PReLU")
_EACH = frozenset(
    {"add", "sub", "mul", "truediv", "div", "neg", "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu"}
    | {"mish", "softplus", "softsign", "tanh", "sigmoid", "logsigmoid", "hardtanh", "hardsigmoid", "hardswish", "clamp"}
    | {"abs", "exp", "square", "pow", "sign", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"}
    | {"feature_alpha_dropout", "contiguous", "clone", "float", "to"}
)
_POOLS = ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool", "lp_pool", "interpolate")


def is_elementwise(module: nn.Module) -> bool:
    """Whether a module treats each element by itself, by the same rule."""
    if isinstance(module, (nn.Identity, BinaryActivation, nn.PReLU)):
        return True
    known = type(module).__module__ in (activation.__name__, dropout.__name__)
    return known and type(module).__name__ not in _MIXING


def is_pool(module: nn.Module) -> bool:
    """Whether a module pools or repeats positions within each channel."""
    pool = type(module).__module__ == pooling.__name__ and "Unpool" not in type(module).__name__
    return (pool and not getattr(module, "return_indices", False)) or isinstance(module, nn.Upsample)


def works_on_each(name: str) -> bool:
    """Whether a function works on each element by itself (or each pair of two tensors)."""
    return name in _EACH


def pools(name: str) -> bool:
    """Whether a function pools positions within each channel."""
    return name.startswith(_POOLS) and "indices" not in name


def reduces_positions(dimensions: tuple[Any, ...], positions: int) -> bool:
    """Whether these are all the dimensions behind the channels."""
    if not all(isinstance(each, int) for each in dimensions):
        return False
    return {each % (positions + 2) for each in dimensions} == set(range(2, positions + 2))


def constant_after(node: Node, inputs: list[Tensor], channels: int) -> Tensor:
    """What a step makes of channels that are one constant at every position: NaN where that is none, or not known.

    Args:
        node: a step other than a layer.
        inputs: constants of its inputs, each `(channels,)`, NaN where a channel is no constant.
        channels: how many.
    """
    module = node.module
    if module is None:
        return _function(node, inputs, channels)
    (value,) = inputs
    if isinstance(module, _NormBase):
        return _normalized(module, value)
    if isinstance(module, (nn.Flatten, nn.Identity)) or type(module).__module__ == dropout.__name__:
        return value
    if is_pool(module):
        return _pooled(module, value)
    if not is_elementwise(module):
        return torch.full_like(value, torch.nan)
    training = module.training
    try:
        result: Tensor = module.eval()(value.view(1, -1)).view(-1)
    finally:
        module.train(training)
    return torch.where(value.isnan(), torch.nan, result)  # a comparison would make a number of NaN


def _normalized(module: _NormBase, value: Tensor) -> Tensor:
    """In evaluation; without running statistics a constant has no variance and becomes 0."""
    mean = value if module.running_mean is None else module.running_mean
    variance = torch.zeros_like(value) if module.running_var is None else module.running_var
    result = (value - mean) * torch.rsqrt(variance + module.eps)
    if module.weight is not None:
        result = result * module.weight
    result = result if module.bias is None else result + module.bias
    if module.weight is not None and module.bias is not None:
        # a channel that the norm itself closes is constant whatever comes in
        closed = module.weight == 0
        result = torch.where(closed, module.bias, result)
    return result.detach()


def _pooled(module: nn.Module, value: Tensor) -> Tensor:
    """Averages over zeros that pad, and norms, change all constants but 0."""
    padded = isinstance(module, (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)) and module.count_include_pad
    pads = padded and any(torch.as_tensor(module.padding).flatten().tolist())
    if pads or getattr(module, "divisor_override", None) or "LPPool" in type(module).__name__:
        return torch.where(value == 0, value, torch.nan)
    return value


def _function(node: Node, inputs: list[Tensor], channels: int) -> Tensor:
    name = node.function
    unknown = inputs[0].new_full((channels,), torch.nan)
    if name in ("flatten", "view", "reshape", "contiguous", "clone", "mean", "to", "float") or "dropout" in name:
        return inputs[0]
    if name.startswith(("max_pool", "adaptive", "interpolate")):
        return inputs[0]
    if name.startswith(_POOLS):
        return torch.where(inputs[0] == 0, inputs[0], torch.nan)
    if not works_on_each(name):
        return unknown
    known = iter(inputs)
    arguments = [next(known) if isinstance(each, Node) else each for each in node.arguments]
    options = {key: next(known) if isinstance(each, Node) else each for key, each in node.options.items()}
    options.pop("inplace", None)
    arguments = [each.clone() if isinstance(each, Tensor) else each for each in arguments]
    target = node.target
    result = getattr(arguments[0], target)(*arguments[1:], **options) if isinstance(target, str) else None
    if callable(target):
        result = target(*arguments, **options)
    assert isinstance(result, Tensor)
    missing = torch.stack([each.isnan() for each in inputs]).any(0)
    return torch.where(missing, torch.nan, result)
