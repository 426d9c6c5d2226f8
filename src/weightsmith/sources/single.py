"""One file, whatever its format: told by its content, read by the format's own reader."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.archive import Archive
from weightsmith.sources.file import File
from weightsmith.sources.formats import FOREIGN, FORMATS, Foreign, Format, of_suffix, openable
from weightsmith.sources.protobuf import LENGTH, VARINT, Reader
from weightsmith.sources.source import Source

_HEAD: Final = 512
"""Bytes that signatures look at."""

_HEADER_LIMIT: Final = 100_000_000
"""Longest header that safetensors allows; a file that claims a longer one is something else."""

_HDF5_REACH: Final = 1 << 19
"""How far a user block before an HDF5 file is looked past; the format knows no limit, writers use 512 bytes."""

_ONNX_FIELDS: Final = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
"""Numbers of the fields of ONNX's ModelProto (onnx.proto, IR version 13)."""

_GRAPH: Final = 7
_VERSION: Final = 1

_SPEAKS_FOR_ITSELF: Final = frozenset({"safetensors", "onnx"})
"""Formats without a magic number: where the content tells nothing and the suffix names one, its reader says why."""


def recognize(file: File) -> Format:
    """The format of a file that opens.

    Content decides; the suffix decides only where content cannot, and names what to do where nothing opens.

    Raises:
        SourceError: the file is empty, of a format that does not open, or of none that is known.
    """
    shown = printable(file.label)
    if not file.size:
        raise SourceError(f"{shown} is empty: download or save it again")
    head = bytes(file.view(0, min(_HEAD, file.size)))
    found = _by_content(file, head)
    if found is not None:
        return FORMATS[found]
    foreign = _foreign(file.label, head)
    if foreign is not None:
        raise SourceError(f"{shown} is {foreign.what}: {foreign.advice}")
    named = of_suffix(file.label)
    if isinstance(named, Format):
        if named.name in _SPEAKS_FOR_ITSELF:
            return named
        raise SourceError(
            f"{shown} is not {named.what}, though its name says so: {_start(head)}, as no format that opens does; "
            "it may be truncated: download or save it again"
        )
    raise SourceError(f"{shown} is of no known format ({_start(head)}); {openable()}")


def open_single(file: File, file_format: Format | None = None) -> Source:
    """Open one file.

    Args:
        file: what to open.
        file_format: its format, where that was already told.

    Raises:
        SourceError: as `recognize`, or the format's reader finds it malformed.
    """
    file_format = file_format or recognize(file)
    module, _, function = file_format.opener.partition(":")
    opener = getattr(import_module(f"weightsmith.sources.{module}"), function)
    found = cast("Callable[[File], Source]", opener)(file)
    if found.file_format != "safetensors":
        return found
    from weightsmith.sources.packed import is_packed, unpacked  # loads NumPy, as the reader of safetensors has

    return unpacked(found) if is_packed(found) else found


def _by_content(file: File, head: bytes) -> str | None:
    for each in FORMATS.values():
        if each.signature is not None and re.match(each.signature, head, re.DOTALL):
            return each.name
    if head[:2] == b"PK" and head[2:4] in (b"\x03\x04", b"\x05\x06"):
        return _archive(Archive(file).names)
    if _is_hdf5(file):
        return "hdf5"
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _HEADER_LIMIT:
        return "safetensors"
    if head.lstrip()[:1] == b"{":
        return "index"
    return "onnx" if _is_onnx(file) else None


def _archive(names: list[str]) -> str | None:
    """Which format the members of a zip file stand for; PyTorch puts all of its own into one folder."""
    pickles = [name for name in names if name == "data.pkl" or re.fullmatch(r"[^/]*/data\.pkl", name)]
    if pickles:
        root = pickles[0].removesuffix("data.pkl")
        return "torchscript" if f"{root}constants.pkl" in names else "torch"
    if "model.weights.h5" in names:
        return "keras"
    return "npz" if any(name.endswith(".npy") for name in names) or not names else None


def _is_hdf5(file: File) -> bool:
    """Whether the superblock's signature is at byte 0, 512, 1024, 2048 and so on (HDF5 format, II.A)."""
    places = [0, *(1 << power for power in range(9, _HDF5_REACH.bit_length()))]
    return any(bytes(file.view(at, 8)) == b"\x89HDF\r\n\x1a\n" for at in places if at + 8 <= file.size)


def _is_onnx(file: File) -> bool:
    """Whether the message's own fields are those of an ONNX model, up to its graph.

    TensorFlow's graphs begin with a field of another type, Core ML's have fields numbered from 200 on.
    """
    reader = Reader(file, fields=10_000)
    versioned = False
    try:
        for field in reader.fields(0, file.size):
            if field.number not in _ONNX_FIELDS:
                return False
            if field.number == _VERSION:
                versioned = field.wire == VARINT
            if field.number == _GRAPH:
                return versioned and field.wire == LENGTH
    except SourceError:
        return False
    return False


def _foreign(label: str, head: bytes) -> Foreign | None:
    """What else a file is, by its first bytes, then by its suffix; for a pickle, which may be anything, in reverse."""
    signed = [each for each in FOREIGN if each.signature and re.match(each.signature, head, re.DOTALL)]
    named = of_suffix(label)
    if signed and signed[0].suffixes[:1] != (".pkl",):
        return signed[0]
    if isinstance(named, Foreign):
        return named
    if head[:2] == b"PK":
        return next(each for each in FOREIGN if ".zip" in each.suffixes)
    return signed[0] if signed else None


def _start(head: bytes) -> str:
    return f"it begins with the bytes {head[:8].hex(' ')}"
