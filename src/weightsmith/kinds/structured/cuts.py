"""Taking channels out of layers, norms and the layers that follow, and putting constants into biases."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

Layer = nn.Linear | _ConvNd


def outputs_first(module: Layer) -> Tensor:
    """A layer's weight without gradient, its outputs along the first dimension and inputs along the second."""
    weight = module.weight.detach()
    return weight.transpose(0, 1) if isinstance(module, _ConvTransposeNd) else weight


def inputs_of_channels(module: Layer, channels: int) -> Tensor:
    """A view or copy `(outputs, channels, weights of each)` of a weight by the channels of its input."""
    weight = outputs_first(module)
    return weight.reshape(weight.shape[0], channels, -1)


def keep_outputs(module: Layer, keep: Tensor) -> None:
    """Cut a layer down to some of its outputs; `keep` holds their numbers."""
    axis = 1 if isinstance(module, _ConvTransposeNd) else 0
    _cut(module, "weight", keep, axis)
    if module.bias is not None:
        _cut(module, "bias", keep, 0)
    _count(module, "out_features" if isinstance(module, nn.Linear) else "out_channels", len(keep))


def keep_inputs(module: Layer, keep: Tensor, channels: int) -> None:
    """Cut a layer down to some channels of its input, each of which may stand for several flattened positions."""
    axis = 0 if isinstance(module, _ConvTransposeNd) else 1
    each = module.weight.shape[axis] // channels
    positions = (keep[:, None] * each + torch.arange(each, device=keep.device)).flatten()
    _cut(module, "weight", positions, axis)
    _count(module, "in_features" if isinstance(module, nn.Linear) else "in_channels", len(positions))


def keep_channels(module: nn.Module, keep: Tensor) -> None:
    """Cut a norm or PReLU down to some of its channels."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        if getattr(module, name, None) is not None:
            _cut(module, name, keep, 0)
    _count(module, "num_features" if isinstance(module, _NormBase) else "num_parameters", len(keep))


def takes_constants(module: Layer) -> bool:
    """Whether a constant in the input adds the same at every position of the output: zeros at its rim do not."""
    if isinstance(module, _ConvTransposeNd):
        return False
    return isinstance(module, nn.Linear) or module.padding_mode != "zeros" or not _pads(module)


def _pads(module: _ConvNd) -> bool:
    padding = module.padding
    if isinstance(padding, str):
        return padding == "same" and any(size > 1 for size in module.kernel_size)
    return any(padding)


def add_constants(module: Layer, constants: Tensor, channels: int) -> None:
    """Put what constant channels contribute into the bias, which is made where there is none."""
    added = torch.einsum("ocp,c->o", inputs_of_channels(module, channels).double(), constants.double())
    with torch.no_grad():
        if module.bias is None:
            module.bias = nn.Parameter(added.to(module.weight.dtype), requires_grad=module.weight.requires_grad)
        else:
            module.bias.copy_(module.bias.double() + added)


def _cut(module: nn.Module, name: str, keep: Tensor, axis: int) -> None:
    tensor = getattr(module, name)
    cut = tensor.detach().index_select(axis, keep.to(tensor.device))
    setattr(module, name, nn.Parameter(cut, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else cut)


def _count(module: nn.Module, name: str, count: int) -> None:
    setattr(module, name, count)
