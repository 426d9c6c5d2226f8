"""How packed weights lie among the tensors of a file: as `<weight>.<part>`, with one line of JSON about them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from weightsmith.errors import InputError, SourceError
from weightsmith.names import printable
from weightsmith.packing.check import Shaped, check_encoded, check_layout, parts_of
from weightsmith.packing.encoded import ALPHABETS, FORMATS, Array, Encoded, Layout

METADATA: Final = "weightsmith.packed"
"""Key of the file's metadata under which the JSON lies."""

VERSION: Final = 1

ADVICE: Final = "the file is damaged or was written by something else; pack the model again"

_Part = TypeVar("_Part", bound=Shaped)
_MOST_AXES: Final = 32
_MOST_ELEMENTS: Final = 1 << 56


def to_tensors(entries: Mapping[str, Encoded | Array]) -> tuple[dict[str, Array], str]:
    """The tensors of a file that holds these weights, and the text for its metadata under `METADATA`.

    Args:
        entries: weights by name; plain arrays are kept as they are.

    Raises:
        InputError: two of them would share a name.
        SourceError: a part does not fit; the message names the weight.
    """
    tensors: dict[str, Array] = {}
    weights: dict[str, Any] = {}
    for name, entry in entries.items():
        parts = {"": entry} if not isinstance(entry, Encoded) else entry.tensors
        if isinstance(entry, Encoded):
            with naming(name):
                check_encoded(entry)
            if entry.format != "dense":
                weights[name] = describe(entry.layout)
        for part, array in parts.items():
            tensors[_join(name, part)] = array
    text = json.dumps({"version": VERSION, "weights": weights}, ensure_ascii=False, separators=(",", ":"))
    if len(tensors) != sum(len(entry.tensors) if isinstance(entry, Encoded) else 1 for entry in entries.values()):
        raise InputError("two weights would share the name of a tensor: give one of them another name")
    try:
        assign(parse(text), tensors)
    except SourceError as error:
        raise InputError(f"{error}: give it another name") from None
    return tensors, text


def describe(layout: Layout) -> dict[str, Any]:
    """What the JSON says of one weight, as short as it can be."""
    alphabet = {} if layout.alphabet == "signs" else {"alphabet": layout.alphabet}
    return {"format": layout.format, "shape": list(layout.shape), **alphabet}


def from_tensors(tensors: Mapping[str, Array], text: str) -> dict[str, Encoded | Array]:
    """Undo `to_tensors`; everything is checked.

    Raises:
        SourceError: the text is malformed, or of a version that is not known; tensors are missing, left over or do not
            fit; the message names the weight.
    """
    entries: dict[str, Encoded | Array] = {}
    layouts = parse(text)
    try:
        for name, (layout, parts) in assign(layouts, tensors).items():
            if layout is None:
                entries[name] = parts[""]
                continue
            entries[name] = encoded = Encoded(layout.format, layout.shape, parts, layout.alphabet)
            with naming(name):
                check_encoded(encoded)
    except SourceError as error:
        raise SourceError(f"{error}: {ADVICE}") from None
    return entries


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the name of a weight before what is wrong with it."""
    try:
        yield
    except SourceError as error:
        raise SourceError(f"'{printable(name[:200])}' {error}") from None


def parse(text: str) -> dict[str, Layout]:
    """The weights that the metadata lists.

    Raises:
        SourceError: it is no JSON, of another version, or says something that cannot be.
    """
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except SourceError:  # of the hook; it is a ValueError too
        raise
    except (ValueError, RecursionError) as error:
        raise SourceError(f"its metadata is no JSON ({error}): {ADVICE}") from None
    version = found.get("version") if isinstance(found, dict) else None
    if type(version) is not int:
        raise SourceError(f"its metadata states no version: {ADVICE}")
    if version != VERSION:
        shown = str(version)[:20]
        raise SourceError(f"it is packed in version {shown}, and this Weightsmith reads version {VERSION}: update it")
    if found.keys() != {"version", "weights"} or not isinstance(found["weights"], dict):
        raise SourceError(f"its metadata must have version and weights alone: {ADVICE}")
    try:
        return {name: _layout(name, value) for name, value in found["weights"].items()}
    except SourceError as error:
        raise SourceError(f"{error}: {ADVICE}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise SourceError(f"its metadata names '{printable(twice[:200])}' twice: {ADVICE}")
    return found


def _layout(name: str, value: Any) -> Layout:
    shown = printable(name[:200])
    if not isinstance(value, dict) or not {"format", "shape"} <= value.keys() <= {"format", "shape", "alphabet"}:
        raise SourceError(f"'{shown}' must have a format, a shape, and perhaps an alphabet")
    if value["format"] not in FORMATS or value["format"] == "dense":
        raise SourceError(f"'{shown}' has the unknown format {printable(str(value['format'])[:40])}")
    alphabet = value.get("alphabet", "signs")
    if alphabet not in ALPHABETS or (alphabet != "signs" and value["format"] != "binary"):
        raise SourceError(f"'{shown}' has the unknown alphabet {printable(str(alphabet)[:40])}")
    if not _is_shape(value["shape"]):
        raise SourceError(f"'{shown}' has a shape that no weight can have: {printable(str(value['shape'])[:60])}")
    return Layout(value["format"], tuple(value["shape"]), alphabet)


def _is_shape(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > _MOST_AXES:
        return False
    product = 1
    for length in value:
        if type(length) is not int or not 0 <= length < _MOST_ELEMENTS:  # bool is an int to Python
            return False
        product *= length or 1
    return product < _MOST_ELEMENTS


def assign(
    layouts: Mapping[str, Layout], tensors: Mapping[str, _Part]
) -> dict[str, tuple[Layout | None, dict[str, _Part]]]:
    """Which tensors belong to which weight, in the order of the file; plain ones are their own, under the empty name.

    Raises:
        SourceError: a weight lacks a part, or has one of a wrong shape or too many; two claim a tensor or name.
    """
    owners: dict[str, tuple[str, str]] = {}
    for name, layout in layouts.items():
        for part in parts_of(layout) | {"values", "signs", "scale"}:
            tensor = _join(name, part)
            if tensor not in tensors:
                continue
            if tensor in owners:
                raise SourceError(f"'{printable(tensor[:200])}' belongs to two weights")
            owners[tensor] = name, part
    found: dict[str, tuple[Layout | None, dict[str, _Part]]] = {}
    for tensor, array in tensors.items():
        name, part = owners.get(tensor, (tensor, ""))
        plain = tensor not in owners
        if plain and name in layouts:
            raise SourceError(f"'{printable(name[:200])}' is there twice, packed and plain")
        found.setdefault(name, (None if plain else layouts[name], {}))[1][part] = array
    for name, layout in layouts.items():
        with naming(name):
            check_layout(layout, found[name][1] if name in found else {})
    return found


def _join(name: str, part: str) -> str:
    return f"{name}.{part}" if part else name
