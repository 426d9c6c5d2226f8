"""safetensors files: a strict reader by mmap, and an atomic writer that keeps the order of the model.

The format: 8 bytes of header length (little endian), a JSON header, then the tensors' bytes back to back. Nothing in
the header is believed before it is checked against the file's true length.
Reference: https://github.com/huggingface/safetensors#format
"""

import json
import math
import os
import secrets
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ml_dtypes
import numpy as np

from weightsmith.errors import InputError, SourceError
from weightsmith.names import printable, suggestion
from weightsmith.sources.file import File, FileLike, as_file
from weightsmith.sources.roles import infer_role
from weightsmith.sources.shape import is_possible
from weightsmith.sources.source import Place, Source, Weight
from weightsmith.weight import WeightInfo

Array = np.ndarray[Any, np.dtype[Any]]

_HEADER_LIMIT = 100_000_000
"""Longest header in bytes that the format allows; also keeps a forged length from filling the memory."""


@dataclass(frozen=True)
class _Type:
    """One type of the format: `dtype` is None where several elements share a byte and no array can view them."""

    name: str
    bits: int
    dtype: np.dtype[Any] | None


def _plain(name: str) -> _Type:
    dtype = np.dtype(name).newbyteorder("<")
    return _Type(name, dtype.itemsize * 8, dtype)


def _extended(name: str) -> _Type:
    dtype = np.dtype(getattr(ml_dtypes, name))
    return _Type(name, dtype.itemsize * 8, dtype)


_TYPES: Final[dict[str, _Type]] = {
    "BOOL": _plain("bool"),
    "F4": _Type("float4_e2m1fn", 4, None),
    "F6_E2M3": _Type("float6_e2m3fn", 6, None),
    "F6_E3M2": _Type("float6_e3m2fn", 6, None),
    "U8": _plain("uint8"),
    "I8": _plain("int8"),
    "F8_E5M2": _extended("float8_e5m2"),
    "F8_E4M3": _extended("float8_e4m3fn"),
    "F8_E8M0": _extended("float8_e8m0fnu"),
    "F8_E4M3FNUZ": _extended("float8_e4m3fnuz"),
    "F8_E5M2FNUZ": _extended("float8_e5m2fnuz"),
    "I16": _plain("int16"),
    "U16": _plain("uint16"),
    "F16": _plain("float16"),
    "BF16": _extended("bfloat16"),
    "I32": _plain("int32"),
    "U32": _plain("uint32"),
    "F32": _plain("float32"),
    "C64": _plain("complex64"),
    "F64": _plain("float64"),
    "I64": _plain("int64"),
    "U64": _plain("uint64"),
}

_CODES: Final[dict[str, str]] = {known.name: code for code, known in _TYPES.items() if known.dtype is not None}


@dataclass(frozen=True)
class _Entry:
    """One checked line of the header: the bytes [begin, end) after it hold `shape` elements of `kind`."""

    name: str
    kind: _Type
    shape: tuple[int, ...]
    begin: int
    end: int


def open_safetensors(what: FileLike) -> Source:
    """Open a safetensors file; its tensors are read by range, in the order of their bytes.

    Raises:
        SourceError: the file is missing or breaks the format in any way; the message names the file and the tensor.
    """
    file = as_file(what)
    try:
        entries, metadata, start = _parse(file)
    except SourceError as error:
        raise SourceError(f"{printable(file.label)}: {error}") from None
    weights = [_weight(file, start, entry) for entry in entries]
    return Source(file.label, weights, metadata, file_format="safetensors", files=[file])


def _weight(file: File, start: int, entry: _Entry) -> Weight:
    info = WeightInfo(entry.name, entry.shape, entry.kind.name, infer_role(entry.name, entry.shape))
    size = entry.end - entry.begin
    if entry.kind.dtype is not None:
        return Weight(info, size, place=Place(file, start + entry.begin, entry.kind.dtype))

    def refuse() -> Array:
        raise InputError(
            f"{printable(file.label)}: '{printable(entry.name[:200])}' is packed {entry.kind.name}, "
            "which cannot be read yet: unpack it first"
        )

    return Weight(info, size, refuse)


def _parse(file: File) -> tuple[list[_Entry], dict[str, str], int]:
    """Checked entries in the order of their bytes, the metadata, and where the tensors' bytes start."""
    total = file.size
    if total < 8:
        raise SourceError(f"{total} bytes are too few for a safetensors file")
    (length,) = struct.unpack("<Q", file.view(0, 8))
    if length > min(_HEADER_LIMIT, total - 8):
        raise SourceError(
            f"the header claims {length} bytes, but the file has {total - 8} left (and {_HEADER_LIMIT} are allowed): "
            "not a safetensors file, or truncated"
        )
    start = 8 + length
    header = _decode(bytes(file.view(8, length)))
    metadata = _metadata(header.pop("__metadata__", {}))
    entries = [_entry(name, value) for name, value in header.items()]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    _check_layout(entries, total - start)
    return entries, metadata, start


def _decode(raw: bytes) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        raise SourceError("the header does not start with '{': not a safetensors file")
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise SourceError("the header is not UTF-8") from None
    except SourceError:  # of the hooks; it is a ValueError too
        raise
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are a plain ValueError
        raise SourceError(f"the header is not JSON: {error}") from None
    assert isinstance(header, dict)
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise SourceError(f"the header names '{printable(twice[:200])}' twice")
    return found


def _no_constant(text: str) -> None:
    raise SourceError(f"the header holds {text}, which is not JSON")


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise SourceError("__metadata__ must map text to text")
    return value


def _entry(name: str, value: Any) -> _Entry:
    shown = printable(name[:200])
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise SourceError(f"'{shown}' must have exactly dtype, shape and data_offsets")
    kind = _TYPES.get(value["dtype"]) if isinstance(value["dtype"], str) else None
    if kind is None:
        raise SourceError(f"'{shown}' has the unknown dtype {printable(str(value['dtype'])[:40])}")
    shape, offsets = value["shape"], value["data_offsets"]
    if not _naturals(shape):
        raise SourceError(f"'{shown}' has a shape that is not a list of natural numbers")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise SourceError(f"'{shown}' has data_offsets that are not [begin, end]")
    if not is_possible(shape):
        raise SourceError(f"'{shown}' has a shape that no array can have: {str(shape)[:60]}")
    bits = math.prod(shape) * kind.bits
    if bits % 8 or bits // 8 != offsets[1] - offsets[0]:
        raise SourceError(
            f"'{shown}' of shape {list(shape)} and dtype {kind.name} needs {bits / 8:g} bytes, "
            f"but its data_offsets span {offsets[1] - offsets[0]}"
        )
    return _Entry(name, kind, tuple(shape), offsets[0], offsets[1])


def _naturals(value: Any) -> bool:
    # bool is an int to Python; the bound is the format's 64 bits, and keeps the products below cheap
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 2**63 for number in value)


def _check_layout(entries: Sequence[_Entry], available: int) -> None:
    expected = 0
    for entry in entries:
        if entry.begin != expected:
            wrong = "overlaps the tensor before it" if entry.begin < expected else "leaves a gap before it"
            raise SourceError(f"'{printable(entry.name[:200])}' starts at byte {entry.begin} and {wrong} ({expected})")
        expected = entry.end
    if expected != available:
        found = "truncated" if expected > available else "with bytes that belong to no tensor"
        raise SourceError(f"the tensors need {expected} bytes, but the file has {available}: {found}")


def write_safetensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file so that, whatever happens, the path holds the old file or the whole new one.

    The bytes go to a temporary name in the same folder (`.<name>.<random>.tmp`), are forced to the disk, and only then
    renamed. Tensors keep their order, except that wider types come first so that each starts aligned.

    Args:
        path: where to write; an existing file is replaced.
        tensors: arrays of any shape, of a type that the format knows. Non-contiguous ones are copied one at a time.
        metadata: free text kept in the header.

    Raises:
        InputError: a name or type that the format cannot hold; nothing is written.
        SourceError: the disk is full or the folder cannot be written; nothing remains of the new file.
    """
    target = Path(path)
    header, ordered = _layout(tensors, dict(metadata or {}))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(header)
                for array in ordered:
                    file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise SourceError(f"cannot write {printable(str(target))}: {error.strerror or error}") from error


def _layout(tensors: Mapping[str, Array], metadata: dict[str, str]) -> tuple[bytes, list[Array]]:
    if "__metadata__" in tensors:
        raise InputError("a tensor cannot be called '__metadata__': the format keeps that name for itself")
    arrays = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)  # stable: keeps the model's order
    position = 0
    for name, array in ordered:
        code = _CODES.get(array.dtype.name)
        if code is None:
            close = suggestion(array.dtype.name, _CODES)
            raise InputError(f"'{printable(name)}' has dtype {array.dtype.name}, which safetensors cannot hold{close}")
        offsets = [position, position + array.nbytes]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": offsets}
        position = offsets[1]
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError("a tensor name or metadata text is not valid Unicode") from None
    text += b" " * (-len(text) % 8)
    little = [array.astype(array.dtype.newbyteorder("<"), copy=False) for _, array in ordered]
    return struct.pack("<Q", len(text)) + text, little


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows cannot open a folder; its rename is journaled by NTFS
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
