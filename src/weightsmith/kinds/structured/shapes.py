"""The shapes of a shrunk model as plain values, and a fresh model brought to them."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from weightsmith.errors import InputError
from weightsmith.names import suggestion
from weightsmith.sources.module import unwrap

Shapes = Mapping[str, Mapping[str, Sequence[int]]]
"""Path of a module -> name of its parameter or buffer -> shape; JSON holds it."""


def shapes_of(model: nn.Module) -> dict[str, dict[str, list[int]]]:
    """Shapes of every layer that `shrink` can cut: linear, convolution, batch norm and the like."""
    return {
        path: {name: list(tensor.shape) for name, tensor in _tensors(module).items()}
        for path, module in unwrap(model).named_modules()
        if isinstance(module, (nn.Linear, _ConvNd, _NormBase, nn.PReLU))
    }


def resize(model: nn.Module, shapes: Shapes) -> None:
    """Bring a model to the shapes of a shrunk one, so that its `state_dict` loads.

    The layers stay the same modules with smaller parameters, whose values are the first ones of the old. Build the
    optimizer afterwards.

    Args:
        model: as it was before `shrink`, weights aside; changed in place.
        shapes: `Shrunk.shapes`, or what JSON made of it.

    Raises:
        InputError: shapes of another model: a module that is not there or of another sort, or a larger size.
    """
    inside = unwrap(model)
    modules = dict(inside.named_modules())
    if not isinstance(shapes, Mapping):
        raise InputError(f"shapes are a mapping from module to shapes, not {type(shapes).__name__}")
    plan = [(path, *_checked(modules, path, wanted)) for path, wanted in shapes.items()]
    for _, module, wanted in plan:
        _bring(module, wanted)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
    return {name: tensor for name, tensor in own.items() if tensor.dim() > 0}


def _checked(modules: Mapping[str, nn.Module], path: str, wanted: Any) -> tuple[nn.Module, dict[str, tuple[int, ...]]]:
    if path not in modules:
        raise InputError(f"shapes name '{path}', and the model has no such module{suggestion(path, modules)}")
    module = modules[path]
    tensors = _tensors(module)
    if not isinstance(wanted, Mapping) or ("weight" in tensors and "weight" not in wanted):
        raise InputError(f"the shapes of '{path}' are a mapping from names to shapes, its weight's among them")
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in wanted.items():
        whole = isinstance(shape, (list, tuple)) and all(type(size) is int and size >= 0 for size in shape)
        new_bias = name == "bias" and name not in tensors and isinstance(module, (nn.Linear, _ConvNd)) and whole
        limit = (_outputs(module),) if new_bias else tuple(tensors[name].shape) if name in tensors else None
        fits = whole and limit is not None and len(shape) == len(limit)
        if not fits or any(size > most for size, most in zip(shape, limit or (), strict=True)):
            has = "has none" if limit is None else f"is of {list(limit)}"
            raise InputError(f"'{path}.{name}' cannot be brought to the shape {shape!r}: here it {has}")
        found[name] = tuple(shape)
    return module, found


def _outputs(module: nn.Module) -> int:
    return int(module.out_features if isinstance(module, nn.Linear) else module.out_channels)  # type: ignore[arg-type]


def _bring(module: nn.Module, wanted: Mapping[str, tuple[int, ...]]) -> None:
    tensors = _tensors(module)
    for name, shape in wanted.items():
        if name not in tensors:
            weight = tensors["weight"]
            setattr(module, name, nn.Parameter(weight.new_zeros(shape), weight.requires_grad))
            continue
        old = tensors[name]
        new = old.detach()[tuple(slice(size) for size in shape)].clone()
        setattr(module, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
    if "weight" in wanted or "running_mean" in wanted:
        _count(module, wanted)


def _count(module: nn.Module, wanted: Mapping[str, tuple[int, ...]]) -> None:
    first, *rest = wanted.get("weight", wanted.get("running_mean", ()))
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = first, rest[0]
    elif isinstance(module, _ConvTransposeNd):
        module.in_channels, module.out_channels = first, rest[0] * module.groups
    elif isinstance(module, _ConvNd):
        module.out_channels, module.in_channels = first, rest[0] * module.groups
    elif isinstance(module, _NormBase):
        module.num_features = first
    elif isinstance(module, nn.PReLU):
        module.num_parameters = first
