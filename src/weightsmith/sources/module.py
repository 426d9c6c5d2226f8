"""A live PyTorch module as a source. The only file of the reading side that knows torch, and only inside functions."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.sources.roles import infer_role
from weightsmith.sources.source import Source, Weight
from weightsmith.weight import Role, WeightInfo

if TYPE_CHECKING:
    from torch import Tensor, nn

_WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Attributes by which compile, FSDP and activation checkpointing slip a module between a parent and its child."""


def open_module(module: "nn.Module") -> Source:
    """A live module as a source: always the values of the moment, as read-only views where the device is the CPU.

    A parametrized weight reads as the model uses it when it is not training (binarized, masked, normalized).

    Raises:
        InputError: a lazy module that has seen no input yet.
    """
    model = unwrap(module)
    weights = [
        Weight(info, info.size * tensor.element_size(), _reader(owner, attribute, info.name))
        for info, tensor, owner, attribute in _listed(model)
    ]
    return Source(type(model).__name__, weights)


def describe(module: "nn.Module") -> list[WeightInfo]:
    """What is known about every parameter of a module, in the order of `named_parameters`.

    Roles come from the modules' types. A parameter that shares its storage with an earlier one names it in `tied_to`.
    Wrappers (DataParallel, DDP, FSDP, torch.compile, Fabric) leave no trace in names, and a parametrized weight has its
    plain name (`layer.weight`).

    Raises:
        InputError: a lazy module that has seen no input yet.
    """
    return [info for info, _, _, _ in _listed(unwrap(module))]


def unwrap(module: "nn.Module") -> "nn.Module":
    """The user's own module beneath DataParallel, DDP, FSDP, `torch.compile` and Fabric wrappers, however nested."""
    from torch import nn

    while True:
        inner = _inner(module)
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def _inner(module: "nn.Module") -> Any:
    from torch import nn

    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return module.module
    if type(module).__name__ == "_FabricModule":  # by name, so that Fabric need not be loaded
        return module._original_module or module._forward_module
    return next((child for name, child in module.named_children() if name in _WRAPPERS), None)


def as_numpy(tensor: "Tensor") -> np.ndarray[Any, np.dtype[Any]]:
    """The values of a tensor as an array that shares its memory where the tensor is a plain one on the CPU.

    bfloat16 and 8-bit floats come as `ml_dtypes` arrays of the same bits. Gradients are not tracked.

    Raises:
        InputError: the tensor is on the meta device, quantized, or of a type that NumPy and `ml_dtypes` lack.
    """
    import torch

    values = tensor.detach()
    if values.is_meta:
        raise InputError(
            f"a tensor of shape {list(values.shape)} is on the meta device and has no values: load the model first"
        )
    if values.layout is not torch.strided:
        values = values.to_dense()
    values = values.cpu().resolve_conj().resolve_neg()
    name = _dtype_name(values)
    extended = getattr(ml_dtypes, name, None) if name.startswith(("bfloat16", "float8")) else None
    try:
        if extended is None:
            return values.numpy()
        bits = values.view(torch.int16 if values.element_size() == 2 else torch.uint8)
        return bits.numpy().view(np.dtype(extended))
    except (RuntimeError, TypeError) as error:
        raise InputError(f"a tensor of type {type(tensor).__name__} and dtype {name} has no NumPy array") from error


def _dtype_name(tensor: "Tensor") -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _listed(model: "nn.Module") -> Iterator[tuple[WeightInfo, "Tensor", "nn.Module", str]]:
    """Each parameter with its description, its owner, and the owner's attribute that holds it."""
    from torch.nn.parameter import is_lazy

    first: dict[Hashable, str] = {}
    for path, owner in model.named_modules(remove_duplicate=False):
        prefix = ".".join(part for part in path.split(".") if part not in _WRAPPERS)
        for attribute, tensor, identity in _own_parameters(owner):
            name = f"{prefix}.{attribute}" if prefix else attribute
            if is_lazy(tensor):
                raise InputError(f"'{printable(name)}' has no shape yet: run one batch through the lazy module first")
            earlier = first.setdefault(identity, name)
            info = WeightInfo(
                name=name,
                shape=tuple(tensor.shape),
                dtype=_dtype_name(tensor),
                role=_role(owner, name, attribute, tuple(tensor.shape)),
                layer=_layer_type(owner).__name__,
                tied_to=None if earlier == name else earlier,
            )
            yield info, tensor, owner, attribute


def _own_parameters(owner: "nn.Module") -> Iterator[tuple[str, "Tensor", Hashable]]:
    """Attribute, tensor and identity of what a module itself holds; two names of equal identity are tied."""
    from torch.nn.utils import parametrize

    if isinstance(owner, parametrize.ParametrizationList):
        return  # its originals are what the weight is computed from; the weight itself is listed at its owner
    for attribute, chain in _parametrized(owner).items():
        if any(True for _ in chain.parameters(recurse=False)):  # else it computes a buffer
            yield attribute, _value(owner, attribute), (id(owner), attribute)
    for attribute, parameter in owner._parameters.items():
        if parameter is not None:
            yield attribute, parameter, _identity(parameter)


def _parametrized(owner: "nn.Module") -> "dict[str, nn.Module]":
    from torch import nn
    from torch.nn.utils import parametrize

    if not parametrize.is_parametrized(owner):
        return {}
    chains = owner.parametrizations
    assert isinstance(chains, nn.ModuleDict)
    return dict(chains.items())


def _identity(parameter: "Tensor") -> Hashable:
    """Equal for parameters that share the very same elements; equal storage would not do, as RNNs pack all in one."""
    from torch import Tensor, nn

    plain = type(parameter) in (Tensor, nn.Parameter)
    if not plain or parameter.is_meta or parameter.numel() == 0:
        return id(parameter)
    return parameter.device, parameter.data_ptr(), parameter.numel(), parameter.dtype


def _layer_type(owner: "nn.Module") -> type:
    from torch.nn.utils import parametrize

    return parametrize.type_before_parametrizations(owner)


def _role(owner: "nn.Module", name: str, attribute: str, shape: tuple[int, ...]) -> Role:
    if "bias" in attribute:
        return "bias"
    by_type = _role_by_type(owner)
    if by_type in ("norm", "other"):
        return by_type
    if by_type is not None and len(shape) > 1 and attribute != "weight_g":
        return by_type
    guess = infer_role(name, shape)
    # three dimensions and more in a layer that nobody knows are as likely stacked experts as a convolution
    return "other" if guess == "conv" and "conv" not in _layer_type(owner).__name__.lower() else guess


def _role_by_type(owner: "nn.Module") -> Role | None:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.conv import _ConvNd

    types: tuple[tuple[tuple[type, ...], Role], ...] = (
        ((nn.Embedding, nn.EmbeddingBag), "embedding"),
        ((nn.Linear, nn.Bilinear, nn.MultiheadAttention), "linear"),
        ((_ConvNd,), "conv"),
        ((nn.RNNBase, nn.RNNCellBase), "recurrent"),
        ((_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm), "norm"),
        ((nn.PReLU,), "other"),
    )
    for classes, role in types:
        if isinstance(owner, classes):
            return role
    return "norm" if "norm" in _layer_type(owner).__name__.lower() else None


def _value(owner: "nn.Module", attribute: str) -> "Tensor":
    """The attribute's tensor of the moment; a parametrized one is computed without a trace."""
    import torch

    chain = _parametrized(owner).get(attribute)
    with torch.no_grad(), _evaluating(chain):
        value = getattr(owner, attribute)
    assert isinstance(value, torch.Tensor)
    return value


@contextmanager
def _evaluating(chain: "nn.Module | None") -> Iterator[None]:
    """Keep a parametrization from changing its own state (spectral norm iterates when it is training)."""
    training = [module for module in chain.modules() if module.training] if chain is not None else []
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _reader(owner: "nn.Module", attribute: str, name: str) -> Callable[[], np.ndarray[Any, np.dtype[Any]]]:
    def read() -> np.ndarray[Any, np.dtype[Any]]:
        try:
            array = as_numpy(_value(owner, attribute)).view()
        except InputError as error:
            raise InputError(f"'{printable(name)}': {error}") from None
        array.flags.writeable = False
        return array

    return read
