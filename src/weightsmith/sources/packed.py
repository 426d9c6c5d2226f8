"""Packed weights in a safetensors file: decoded when they are read, a few rows at a time. docs/packing.md has it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping

from weightsmith.errors import InputError, SourceError
from weightsmith.names import printable
from weightsmith.packing import METADATA, Array, Encoded, Layout, blocks, from_tensors, to_tensors
from weightsmith.packing.names import ADVICE, assign, naming, parse
from weightsmith.sources.file import FileLike
from weightsmith.sources.roles import infer_role
from weightsmith.sources.safetensors import open_safetensors, write_safetensors
from weightsmith.sources.source import Source, Weight
from weightsmith.weight import WeightInfo


def open_packed(what: FileLike) -> Source:
    """Open a packed file as the weights that are packed in it, float32 under their own names.

    Shapes and types are checked now, bits and columns when a weight is read.

    Raises:
        SourceError: no safetensors file, not packed, or malformed in any way; the message names the file and weight.
    """
    return unpacked(open_safetensors(what))


def is_packed(source: Source) -> bool:
    """Whether a safetensors file says that its tensors are parts of packed weights."""
    return METADATA in source.metadata


def unpacked(source: Source) -> Source:
    """The weights that are packed in a safetensors file that was opened as it is.

    Raises:
        SourceError: as `open_packed`.
    """
    label = printable(source.label)
    if not is_packed(source):
        raise SourceError(f"{label} is not packed: open it as it is, or pack it with `weightsmith pack`")
    try:
        layouts = parse(source.metadata[METADATA])
    except SourceError as error:
        raise SourceError(f"{label}: {error}") from None
    try:
        assigned = assign(layouts, source)
    except SourceError as error:
        raise SourceError(f"{label}: {error}: {ADVICE}") from None
    weights = [
        parts[""] if layout is None else _weight(label, name, layout, parts)
        for name in _in_order(assigned, layouts)
        for layout, parts in [assigned[name]]
    ]
    metadata = {key: text for key, text in source.metadata.items() if key != METADATA}
    return Source(source.label, weights, metadata, file_format="packed", files=source.files)


def _in_order(assigned: Mapping[str, tuple[Layout | None, object]], packed: Iterable[str]) -> list[str]:
    """The names as the model has them, as nearly as the file tells.

    Packed weights keep the model's order in the metadata, plain ones theirs among tensors of one type. A bias follows
    the weight of its layer, and takes along what comes before it.
    """
    order: list[str] = []
    waiting = list(packed)
    for name, (layout, _) in assigned.items():
        if layout is None:
            layer = name.rpartition(".")[0]
            beside = [other for other in waiting if other.rpartition(".")[0] == layer]
            upto = waiting.index(beside[-1]) + 1 if beside else 0
            order += [*waiting[:upto], name]
            del waiting[:upto]
    return order + waiting


def _weight(label: str, name: str, layout: Layout, parts: Mapping[str, Weight]) -> Weight:
    info = WeightInfo(name, layout.shape, "float32", infer_role(name, layout.shape))
    return Weight(info, sum(part.nbytes for part in parts.values()), _blocks=_reader(label, name, layout, parts))


def _reader(label: str, name: str, layout: Layout, parts: Mapping[str, Weight]) -> Callable[[], Iterator[Array]]:
    def read() -> Iterator[Array]:
        arrays = {part: weight.read() for part, weight in parts.items()}
        try:
            with naming(name):
                yield from blocks(Encoded(layout.format, layout.shape, arrays, layout.alphabet))
        except SourceError as error:
            raise SourceError(f"{label}: {error}: {ADVICE}") from None

    return read


def write_packed(
    path: str | os.PathLike[str], entries: Mapping[str, Encoded | Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write packed and plain weights so that, whatever happens, the path holds the old file or the whole new one.

    Args:
        path: where to write; an existing file is replaced.
        entries: packed weights and plain arrays by name.
        metadata: free text for the header, beside what tells how to unpack.

    Raises:
        InputError: names that clash, a type that no file can hold; nothing is written.
        SourceError: parts that do not fit; the disk is full or the folder cannot be written; nothing remains.
    """
    if METADATA in (metadata or {}):
        raise InputError(f"the metadata '{METADATA}' is what packing itself writes: leave it out")
    tensors, text = to_tensors(entries)
    write_safetensors(path, tensors, {METADATA: text, **(metadata or {})})


def read_packed(what: FileLike) -> tuple[dict[str, Encoded | Array], dict[str, str]]:
    """Read a packed file into memory, still packed; everything in it is checked.

    Returns:
        Packed weights and plain arrays by name, and the metadata that was given with them.

    Raises:
        SourceError: as `open_packed`, and for bits and columns that cannot be.
    """
    source = open_safetensors(what)
    label = printable(source.label)
    if not is_packed(source):
        raise SourceError(f"{label} is not packed: pack it with `weightsmith pack`")
    try:
        entries = from_tensors({name: weight.read() for name, weight in source.items()}, source.metadata[METADATA])
    except SourceError as error:
        raise SourceError(f"{label}: {error}") from None
    return entries, {key: text for key, text in source.metadata.items() if key != METADATA}
