"""HDF5 files of weights: Keras 1 to 3 (`.h5`, `.weights.h5`), and any other that holds arrays of numbers."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import FileLike, as_file
from weightsmith.sources.hdf5_bytes import Bytes
from weightsmith.sources.hdf5_chunks import chunked_blocks, fill_blocks
from weightsmith.sources.hdf5_data import Chunks, Dataset, describe, is_dataset
from weightsmith.sources.hdf5_objects import Link, attributes, links, messages, open_bytes
from weightsmith.sources.keras_layers import Layer, guess_layer, inner_layer, keras_info, read_layers, variable_name
from weightsmith.sources.roles import infer_role
from weightsmith.sources.source import Aside, Place, Source, Weight
from weightsmith.weight import WeightInfo

_DEPTH: Final = 64
_CHARACTERS: Final = 64 << 20
"""Characters of all paths together: deep groups with long names would take more memory than the file."""

_OPAQUE: Final = {"bfloat16": np.dtype(ml_dtypes.bfloat16)}
_OPTIMIZER: Final = re.compile(r"^(optimizer|optimizer_weights|_?optimizer/.*)$")
_CONTAINERS: Final = ("layers", "_layer_checkpoint_dependencies")


@dataclass(frozen=True)
class _Entry:
    """A dataset or whatever else a group lists."""

    path: str
    address: int
    data: Dataset | str


@dataclass
class _Walk:
    """Everything that the groups of a file lead to."""

    raw: Bytes
    groups: dict[str, dict[str, str | None]]
    entries: list[_Entry]
    characters: int = 0


def open_hdf5(what: FileLike, config: Any = None) -> Source:
    """Open an HDF5 file; its datasets of numbers are the weights, in the model's order or that of writing.

    Names of Keras models are those that Keras shows (`dense/kernel`), with the layers' classes, gates and activations
    where the file or `config` tells; other files keep their own paths. No link leads out of the file: external links
    and storage, virtual datasets and soft links are left aside, as are texts, compound types and optimizer state.

    Args:
        what: path or file.
        config: a Keras model's configuration as plain JSON values, for files that do not hold it themselves.

    Raises:
        SourceError: the file is missing or damaged; the message names it.
    """
    file = as_file(what)
    raw, root = open_bytes(file)
    walk = _Walk(raw, {}, [])
    _visit(walk, root)
    top = walk.groups[""]
    model = read_layers(config) or read_layers(_json(top.get("model_config")))
    weights: list[Weight] = []
    aside: list[Aside] = []
    ranks = {name: rank for rank, name in enumerate(_layer_names(model))}
    entries = _without_optimizer(sorted(walk.entries, key=lambda entry: _position(entry, ranks)), aside)
    infos = _infos(walk, entries, model)
    for entry in entries:
        if isinstance(entry.data, str):
            aside.append(Aside(entry.path, entry.data))
        elif re.search(r"(^|/)seed_generator/", entry.path):
            aside.append(Aside(entry.path, "state of a random number generator", entry.data.nbytes))
        else:
            weights.append(_weight(raw, infos[entry.path], entry.data))
    _check_overlaps(raw, weights)
    found = {**walk.groups.get("model_weights", {}), **top}
    metadata = {key: text for key, text in found.items() if text is not None and not key.endswith("_config")}
    return Source(file.label, weights, metadata, file_format="hdf5", aside=aside, files=[file])


def _layer_names(model: Layer | None) -> list[str]:
    listed = model.children.get("layers") if model is not None else None
    return [layer.name for layer in listed.children.values()] if listed is not None else []


def _position(entry: _Entry, ranks: dict[str, int]) -> tuple[int, int]:
    """Where an entry comes: legacy Keras writes layers by name, but the configuration lists them as they follow."""
    return ranks.get(entry.path.removeprefix("model_weights/").partition("/")[0], len(ranks)), entry.address


def _json(text: str | None) -> Any:
    """A configuration that an attribute holds; None where it is no JSON."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _visit(walk: _Walk, root: int) -> None:
    """Read every group and dataset once, breadth last, by an explicit stack: nesting is the file's word."""
    raw = walk.raw
    seen: dict[int, str] = {}
    paths: set[str] = set()
    stack = [("", Link("/", "hard", root), 0)]
    while stack:
        path, link, depth = stack.pop()
        if path in paths:
            raise raw.error(f"'{printable(path[:200])}' is there twice")
        paths.add(path)
        if link.kind != "hard":
            walk.entries.append(_Entry(path, raw.file.size, f"{link.kind} link, which is never followed"))
            continue
        if link.address in seen:
            walk.entries.append(_Entry(path, link.address, f"another name of '{printable(seen[link.address][:200])}'"))
            continue
        seen[link.address] = path
        header = messages(raw, link.address)
        found = attributes(raw, header)
        if is_dataset(header):
            if not path:
                raise raw.error("the root is a dataset, not a group")
            data = describe(raw, header, _OPAQUE.get(found.get("dtype") or ""))
            walk.entries.append(_Entry(path, link.address, data))
            continue
        if depth == _DEPTH:
            raise raw.error(f"groups are nested over {_DEPTH} deep")
        walk.groups[path] = found
        for child in links(raw, header):
            name = f"{path}/{child.name}" if path else child.name
            walk.characters += len(name)
            if walk.characters > _CHARACTERS:
                raise raw.error("the names are too long")
            stack.append((name, child, depth + 1))


def _without_optimizer(entries: Sequence[_Entry], aside: list[Aside]) -> list[_Entry]:
    """The entries that are no optimizer state; what is goes aside as one thing."""
    kept, nbytes, name = [], 0, ""
    for entry in entries:
        top = entry.path.partition("/")[0]
        if not _OPTIMIZER.match(top):
            kept.append(entry)
            continue
        name = top
        nbytes += entry.data.nbytes if isinstance(entry.data, Dataset) else 0
    if name:
        aside.append(Aside(name, "optimizer state", nbytes))
    return kept


def _infos(walk: _Walk, entries: Sequence[_Entry], model: Layer | None) -> dict[str, WeightInfo]:
    """The description of each dataset by its path. A name that Keras gave twice gives way to the path."""
    layers = {layer.name: layer for layer in model.below()} if model is not None else {}
    counts = Counter(entry.path.rpartition("/")[0] for entry in entries)
    found = {
        entry.path: _info(walk, entry.path, entry.data, (model, layers, counts))
        for entry in entries
        if isinstance(entry.data, Dataset)
    }
    taken = Counter(info.name for info in found.values())
    clear = {path: _renamed(info, path) if taken[info.name] > 1 else info for path, info in found.items()}
    if len({info.name for info in clear.values()}) == len(clear):
        return clear
    return {path: _renamed(info, path) for path, info in found.items()}


def _renamed(info: WeightInfo, name: str) -> WeightInfo:
    return WeightInfo.from_json({**info.to_json(), "name": name})


def _info(
    walk: _Walk, path: str, data: Dataset, known: tuple[Layer | None, dict[str, Layer], Counter[str]]
) -> WeightInfo:
    model, layers, counts = known
    dtype = data.dtype.name
    parent, _, last = path.rpartition("/")
    if last.isdecimal() and len(last) < 6 and (parent == "vars" or parent.endswith("/vars")):
        name, layer = _numbered(walk, parent, int(last), counts[parent], model)
        return keras_info(name or path, data.shape, dtype, layer)
    group = next((prefix for prefix in _prefixes(parent) if "weight_names" in walk.groups[prefix]), None)
    if group is None:
        return WeightInfo(path, data.shape, dtype, infer_role(path.replace("/", "."), data.shape))
    name = path[len(group) + 1 :]
    return keras_info(name, data.shape, dtype, _owner(layers, f"{group.rpartition('/')[2]}/{name}"))


def _prefixes(path: str) -> Iterator[str]:
    """The path and all that it lies in, the innermost first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _owner(layers: dict[str, Layer], name: str) -> Layer:
    """The layer that a legacy weight belongs to: the innermost part of its name that is one's name or shows a class."""
    parts = name.split("/")[:-1]
    for part in reversed(parts):
        if part in layers and layers[part].kind:
            return layers[part]
    guesses = [guess_layer(part) for part in reversed(parts)]
    return next((guess for guess in guesses if guess.kind), guesses[-1])


def _numbered(walk: _Walk, group: str, number: int, count: int, model: Layer | None) -> tuple[str | None, Layer | None]:
    """The name and layer of a numbered variable of Keras 3: `layers/dense/vars/0` is `dense/kernel`."""
    layer, path, names = model, "", []
    for key in group.split("/")[:-1]:
        path = f"{path}/{key}" if path else key
        if key in _CONTAINERS:
            inner = layer.children.get("layers") if layer is not None else None
            layer = inner or Layer("", "")
            continue
        layer = inner_layer(layer, key)
        given = walk.groups.get(f"{path}/vars", {}).get("name")
        shown = given or layer.name
        if f"{path}/vars" in walk.groups and "/" not in shown:
            names.append(shown)
            if not layer.kind:
                layer = Layer(shown, guess_layer(shown).kind, layer.config, layer.children, layer.activation)
    variable = variable_name(layer, number, count) if layer is not None else None
    return "/".join([*names, variable]) if variable else None, layer


def _weight(raw: Bytes, info: WeightInfo, data: Dataset) -> Weight:
    layout = data.layout
    shown = printable(info.name[:200])
    if not info.size:
        return Weight(info, 0, place=Place(raw.file, 0, data.dtype))
    if isinstance(layout, int):
        return Weight(info, data.nbytes, place=Place(raw.file, raw.base + layout, data.dtype))
    if isinstance(layout, Chunks):
        return Weight(info, data.nbytes, _blocks=lambda: chunked_blocks(raw, data, shown))
    if layout is None:
        return Weight(info, data.nbytes, _blocks=lambda: fill_blocks(data))
    values = np.frombuffer(layout, data.dtype).reshape(data.shape)
    return Weight(info, data.nbytes, lambda: values)


def _check_overlaps(raw: Bytes, weights: Sequence[Weight]) -> None:
    """No two datasets may share bytes: a file would seem to hold more than it does."""
    end = 0
    placed = [weight for weight in weights if weight.place is not None and weight.nbytes]
    for weight in sorted(placed, key=lambda weight: weight.place.offset if weight.place else 0):
        assert weight.place is not None
        if weight.place.offset < end:
            raise SourceError(f"{printable(raw.file.label)}: '{printable(weight.name[:200])}' overlaps another dataset")
        end = weight.place.offset + weight.nbytes
