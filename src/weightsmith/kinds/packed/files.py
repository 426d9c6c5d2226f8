"""Packed models in files: `save_packed` and `load_packed`."""

import copy
import os
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError, SourceError
from weightsmith.kinds.bake import bake_own
from weightsmith.kinds.packed.choice import Choice, Choices
from weightsmith.kinds.packed.layer import Layer
from weightsmith.kinds.packed.skeleton import (
    METADATA,
    as_tensor,
    below,
    build_layer,
    build_passing,
    check_shape,
    describe_layers,
    parse_layers,
    stand_in,
)
from weightsmith.kinds.packed.substitute import substitute
from weightsmith.kinds.packed.weight import PackedWeight
from weightsmith.names import printable
from weightsmith.packing import Array, Encoded, smallest
from weightsmith.sources.module import as_numpy, unwrap
from weightsmith.sources.packed import read_packed, write_packed

Entries = Mapping[str, Encoded | Array]


def save_packed(packed: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a packed model to one file: whole, or not at all.

    Layers that stayed dense are written in the smallest format that loses nothing, too. Weights that are the same are
    written once.

    Args:
        packed: what `pack` returned.
        path: of the safetensors file; an existing one is replaced.

    Raises:
        InputError: no module, or one with values that are no tensors or on the meta device.
        SourceError: the disk is full, or the folder cannot be written.
    """
    if not isinstance(packed, nn.Module):
        raise InputError(f"only a torch.nn.Module can be saved, not a {type(packed).__name__}")
    model = unwrap(packed)
    entries: dict[str, Encoded | Array] = {}
    seen: set[object] = set()
    for name, layer in model.named_modules(remove_duplicate=False):
        if isinstance(layer, Layer) and id(layer.weight) not in seen:
            seen.add(id(layer.weight))
            entries[below(name, "weight")] = layer.stored()
    for name, value in _loose(model):
        if not isinstance(value, Tensor):
            raise InputError(
                f"'{printable(name)}' of the state_dict is a {type(value).__name__}: only tensors are saved"
            )
        identity = _identity(value)
        if identity not in seen:
            seen.add(identity)
            array = as_numpy(value)
            entries[name] = (
                smallest(array, name=name).encoded if value.is_floating_point() and value.dim() > 1 else array
            )
    write_packed(path, entries, {METADATA: describe_layers(model)})


def load_packed(path: str | os.PathLike[str], model: nn.Module) -> nn.Module:
    """A packed model from its file.

    Nothing in the file is executed: it names layers from a fixed list, and the model that is given has their geometry.

    Args:
        path: of a file that `save_packed` wrote.
        model: the model that was packed, with any values, or on the meta device; it is not changed. The kinds that it
            was trained with do not matter.

    Returns:
        A packed copy of the model, in evaluation mode.

    Raises:
        SourceError: no such file, or one that is malformed; the message names file and weight.
        InputError: tensors that the model lacks, or that the file does, or of other shapes than the model's.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"the values of a file go into a torch.nn.Module, not into a {type(model).__name__}")
    entries, metadata = read_packed(path)
    copied = copy.deepcopy(unwrap(model)).eval().requires_grad_(False)
    label = printable(os.fspath(path))
    try:
        with torch.no_grad():
            return _filled(copied, entries, metadata)
    except InputError as error:
        raise type(error)(f"{label}: {error}") from None


def _filled(model: nn.Module, entries: Entries, metadata: Mapping[str, str]) -> nn.Module:
    if METADATA not in metadata:
        raise SourceError("it holds packed weights and not a packed model: open it with weightsmith.open")
    for module in model.modules():
        bake_own(module)
    model.requires_grad_(False)
    replacements, used = _layers(model, entries, parse_layers(metadata[METADATA]))
    model = substitute(model, replacements)
    used |= _fill(model, entries)
    if left := sorted(entries.keys() - used):
        raise InputError(f"the model has no '{printable(left[0][:200])}', which the file holds")
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if value.is_meta:
            raise InputError(
                f"'{printable(name)}' is on the meta device, and no file holds it: build the model on the CPU"
            )
    choices = [
        Choice(below(name, "weight"), layer.weight.layout.format, "as in the file", nbytes=layer.weight.nbytes)
        for name, layer in model.named_modules()
        if isinstance(layer, Layer)
    ]
    model.report = Choices(tuple(choices))  # type: ignore[assignment]
    return model


def _layers(
    model: nn.Module, entries: Entries, layers: Mapping[str, Mapping[str, str]]
) -> tuple[dict[int, nn.Module], set[str]]:
    """The modules to put in place, by the `id` of the model's own, and the names of the entries that went into them."""
    modules = dict(model.named_modules(remove_duplicate=False))
    found: dict[int, nn.Module] = {}
    held: dict[int, PackedWeight] = {}  # by the identity of the model's own weight, which may be tied
    used: set[str] = set()
    for path, options in layers.items():
        layer = stand_in(path, modules.get(path), options)
        module = modules[path]
        if id(module) in found:
            continue
        if not issubclass(layer, Layer):
            flip = entries.get(below(path, "flip"))
            flags = None if flip is None else _flags(below(path, "flip"), flip)
            found[id(module)] = build_passing(module, flags).to(_place(model.parameters()))
            continue
        own = module.weight
        assert isinstance(own, Tensor)
        name, offset = below(path, "weight"), below(path, "bias")
        weight = held.get(id(own)) if name not in entries else entries[name]
        if not isinstance(weight, (Encoded, PackedWeight)):
            raise SourceError(f"'{printable(name[:200])}' is not packed, as {options['layer']} needs it")
        check_shape(name, weight.shape, tuple(own.shape))
        bias = None
        if offset in entries:
            bias = as_tensor(entries[offset])
            check_shape(offset, tuple(bias.shape), weight.shape[:1])
        built = build_layer(layer, module, options, weight, bias).to(_place([own]))
        held.setdefault(id(own), built.weight)
        found[id(module)] = built
        used |= {name, offset} & entries.keys()
    return found, used


def _place(tensors: Iterable[Tensor]) -> torch.device:
    """Where the first of a model's tensors with values is, and what a file brings goes; the CPU where none has any."""
    return next((tensor.device for tensor in tensors if not tensor.is_meta), torch.device("cpu"))


def _flags(name: str, entry: Encoded | Array) -> Tensor:
    """Flags of channels; their number is checked where they are used."""
    found = as_tensor(entry)
    if found.dtype != torch.bool or found.dim() != 1:
        raise SourceError(
            f"'{printable(name[:200])}' must be a list of flags, not {found.dtype} of shape {list(found.shape)}"
        )
    return found


def _fill(model: nn.Module, entries: Entries) -> set[str]:
    """Give a model the values of all that is not in a packed layer; the names of the entries that it took."""
    values: dict[str, Tensor] = {}
    first: dict[int, Tensor] = {}
    missing: list[str] = []
    for name, own in _loose(model):
        if name in entries:
            found = as_tensor(entries[name])
            check_shape(name, tuple(found.shape), tuple(own.shape))
            found = found.to("cpu" if own.is_meta else own.device, own.dtype)
            values[name] = nn.Parameter(found, own.requires_grad) if isinstance(own, nn.Parameter) else found
            first[id(own)] = values[name]
        elif id(own) in first:
            values[name] = first[id(own)]
        else:
            missing.append(name)
    if missing:
        raise InputError(f"the file has no '{printable(missing[0])}', which the model needs")
    used = set(values) & entries.keys()
    model.load_state_dict(values, strict=False, assign=True)
    return used


def _loose(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What a model's `state_dict` has outside of packed weights, as the very tensors of the model."""
    packed = [
        below(name, "weight.")
        for name, layer in model.named_modules(remove_duplicate=False)
        if isinstance(layer, Layer)
    ]
    for name, value in model.state_dict(keep_vars=True).items():
        if not name.startswith(tuple(packed)):
            yield name, value


def _identity(value: Tensor) -> object:
    return (value.data_ptr(), value.shape, value.dtype) if value.numel() else id(value)
