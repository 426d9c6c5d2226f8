"""GGUF files (llama.cpp): a header parsed by our own hand, values dequantized by the `gguf` library's own tables.

The library's reader maps the file and believes it; here every count, length and offset is checked before it is used.
Reference: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3).
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File, FileLike, as_file
from weightsmith.sources.gguf_names import gguf_info
from weightsmith.sources.shape import is_possible
from weightsmith.sources.source import Aside, Place, Source, Weight

Array = np.ndarray[Any, np.dtype[Any]]

_WINDOW: Final = 1 << 20
_TEXT: Final = 1 << 24
"""Longest text in bytes; names are far shorter."""

_SHOWN: Final = 1 << 16
"""Characters of a metadata text that are kept, and (divided by 4096) elements of an array."""

_DEPTH: Final = 4
_DIMENSIONS: Final = 8
_STEP: Final = 1 << 20
"""Elements that are dequantized at a time."""

_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9

_PLAIN: Final[dict[int, np.dtype[Any]]] = {
    0: np.dtype("<f4"),
    1: np.dtype("<f2"),
    24: np.dtype("<i1"),
    25: np.dtype("<i2"),
    26: np.dtype("<i4"),
    27: np.dtype("<i8"),
    28: np.dtype("<f8"),
    30: np.dtype(ml_dtypes.bfloat16),
}

QUANTIZED: Final[dict[int, tuple[str, int, int]]] = {
    2: ("q4_0", 32, 18),
    3: ("q4_1", 32, 20),
    6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24),
    8: ("q8_0", 32, 34),
    9: ("q8_1", 32, 40),
    10: ("q2_k", 256, 84),
    11: ("q3_k", 256, 110),
    12: ("q4_k", 256, 144),
    13: ("q5_k", 256, 176),
    14: ("q6_k", 256, 210),
    15: ("q8_k", 256, 292),
    16: ("iq2_xxs", 256, 66),
    17: ("iq2_xs", 256, 74),
    18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18),
    21: ("iq3_s", 256, 110),
    22: ("iq2_s", 256, 82),
    23: ("iq4_xs", 256, 136),
    29: ("iq1_m", 256, 56),
    34: ("tq1_0", 256, 54),
    35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17),
    40: ("nvfp4", 64, 36),
    41: ("q1_0", 128, 18),
}
"""Packed types by the format's number: name, elements of a block, and its bytes."""


@dataclass(frozen=True)
class _Entry:
    """One tensor of the header; `shape` as PyTorch would give it, `offset` from the start of the values."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


class _Header:
    """Numbers and texts from the start of a file, through a window that moves forward.

    Args:
        file: the file.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        self.order = "<"
        self.position = 0
        self._start = 0
        self._window = b""

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            SourceError: the file ends before.
        """
        begin = self.position - self._start
        if begin + count > len(self._window):
            if self.position + count > self.file.size:
                raise self.error(f"the header needs {count} bytes at {self.position}: truncated or damaged")
            length = min(max(_WINDOW, count), self.file.size - self.position)
            self._window = bytes(self.file.view(self.position, length))
            self._start, begin = self.position, 0
        self.position += count
        return self._window[begin : begin + count]

    def skip(self, count: int) -> None:
        """Pass over bytes without reading them.

        Raises:
            SourceError: the file ends before.
        """
        if self.position + count > self.file.size:
            raise self.error(f"the header claims {count} bytes at {self.position}: truncated or damaged")
        self.position += count
        if self.position > self._start + len(self._window):
            self._start, self._window = self.position, b""

    def number(self, code: str) -> Any:
        """The next number of a `struct` code."""
        return struct.unpack(self.order + code, self.take(struct.calcsize(code)))[0]

    def text(self) -> str:
        """The next text."""
        length = self.number("Q")
        if length > _TEXT:
            raise self.error(f"the header claims a text of {length} bytes")
        return self.take(length).decode("utf-8", "replace")

    def count(self, number: int, smallest: int, what: str) -> int:
        """A count of things of at least so many bytes each, when the file has room for them."""
        if number * smallest > self.file.size - self.position:
            raise self.error(f"the header claims {number} {what}: truncated or damaged")
        return number

    def error(self, text: str) -> SourceError:
        """An error that names the file."""
        return SourceError(f"{printable(self.file.label)}: {text}")


def open_gguf(what: FileLike) -> Source:
    """Open a GGUF file; packed tensors read as float32, a block of rows at a time.

    The type of a packed weight is the stored one (`q4_k`); its shape is that of PyTorch (outputs first).

    Raises:
        SourceError: the file is missing, damaged, or of an unknown version; the message names the file and tensor.
    """
    header = _Header(as_file(what))
    tensors, pairs = _counts(header)
    metadata: dict[str, str] = {}
    for _ in range(pairs):
        key = header.text()
        if key in metadata:
            raise header.error(f"the key '{printable(key[:200])}' is there twice")
        metadata[key] = _value(header, header.number("I"), _DEPTH)
    entries = [_entry(header) for _ in range(tensors)]
    start = _aligned(header, metadata.get("general.alignment", "32"))
    _check(header, entries, start)
    unknown = [entry for entry in entries if _size(entry) is None]
    aside = [Aside(entry.name, f"of type {entry.kind}, which is not known") for entry in unknown]
    weights = [_weight(header, entry, start, metadata) for entry in entries if _size(entry) is not None]
    file = header.file
    return Source(file.label, weights, metadata, file_format="gguf", aside=aside, files=[file])


def _counts(header: _Header) -> tuple[int, int]:
    """How many tensors and metadata values there are; finds out the order of bytes."""
    if header.file.size < 24 or header.take(4) != b"GGUF":
        raise header.error("not a GGUF file, or truncated: it does not start with 'GGUF'")
    version = header.number("I")
    if version & 0xFFFF == 0:
        header.order = ">"
        version = int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in (2, 3):
        raise header.error(f"version {version} of GGUF cannot be read, only 2 and 3: convert it with llama.cpp")
    tensors, pairs = header.number("Q"), header.number("Q")
    return header.count(tensors, 24, "tensors"), header.count(pairs, 13, "metadata values")


def _value(header: _Header, kind: int, depth: int) -> str:
    """The next metadata value as text; long arrays as a count of what they hold."""
    if kind in _SCALARS:
        found = header.number(_SCALARS[kind])
        return str(found).lower() if kind == 7 else str(found)
    if kind == _STRING:
        return header.text()[:_SHOWN]
    if kind != _ARRAY or not depth:
        raise header.error(f"the header holds a metadata value of the unknown type {kind}")
    inner, length = header.number("I"), header.number("Q")
    if inner in _SCALARS:
        width = struct.calcsize(_SCALARS[inner])
        header.count(length, width, "elements of a list")
        if length > _SHOWN >> 12:
            header.skip(length * width)
            return f"{length} numbers"
        return str([header.number(_SCALARS[inner]) for _ in range(length)])
    header.count(length, 8 if inner == _STRING else 12, "elements of a list")
    for _ in range(length):
        header.skip(header.number("Q")) if inner == _STRING else _value(header, inner, depth - 1)
    return f"{length} texts" if inner == _STRING else f"{length} lists"


def _entry(header: _Header) -> _Entry:
    name, rank = header.text(), header.number("I")
    if rank > _DIMENSIONS:
        raise header.error(f"'{printable(name[:200])}' claims {rank} dimensions")
    shape = tuple(header.number("Q") for _ in range(rank))[::-1]
    if not is_possible(shape):
        raise header.error(f"'{printable(name[:200])}' claims the shape {list(shape)}")
    return _Entry(name, shape, header.number("I"), header.number("Q"))


def _aligned(header: _Header, alignment: str) -> int:
    """Where the values start."""
    step = int(alignment) if alignment.isdecimal() and len(alignment) < 12 else 0
    if not step or step & (step - 1) or step > 1 << 31:
        raise header.error(f"general.alignment is '{printable(alignment[:40])}', which is no power of two")
    return -(-header.position // step) * step


def _size(entry: _Entry) -> int | None:
    """Bytes of a tensor; None where its type is not known."""
    plain = _PLAIN.get(entry.kind)
    if plain is not None:
        return math.prod(entry.shape) * plain.itemsize
    if entry.kind not in QUANTIZED:
        return None
    _, block, nbytes = QUANTIZED[entry.kind]
    return math.prod(entry.shape) // block * nbytes


def _check(header: _Header, entries: list[_Entry], start: int) -> None:
    """Names are unique; every tensor lies in the file, in whole blocks, and shares no byte with another."""
    names: set[str] = set()
    for entry in entries:
        shown = printable(entry.name[:200])
        if entry.name in names:
            raise header.error(f"the tensor '{shown}' is there twice")
        names.add(entry.name)
        block = QUANTIZED[entry.kind][1] if entry.kind in QUANTIZED else 1
        if block > 1 and (not entry.shape or entry.shape[-1] % block):
            raise header.error(f"'{shown}' of shape {list(entry.shape)} does not fill blocks of {block}")
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        size = _size(entry)
        if not size:
            continue
        if entry.offset < end or start + entry.offset + size > header.file.size:
            where = "overlaps the tensor before it" if entry.offset < end else "reaches out of the file: truncated?"
            raise header.error(f"'{printable(entry.name[:200])}' of {size} bytes at {start + entry.offset} {where}")
        end = entry.offset + size


def _weight(header: _Header, entry: _Entry, start: int, metadata: Mapping[str, str]) -> Weight:
    size, file, shown = _size(entry), header.file, printable(entry.name[:200])
    assert size is not None
    offset = start + entry.offset if size else 0
    plain = _PLAIN.get(entry.kind)
    dtype = plain.name if plain is not None else QUANTIZED[entry.kind][0]
    info = gguf_info(entry.name, entry.shape, dtype, metadata)
    if plain is not None and (header.order == "<" or plain.kind != "V"):
        return Weight(info, size, place=Place(file, offset, plain.newbyteorder(header.order)))  # type: ignore[arg-type]
    if header.order == ">":

        def refuse() -> Array:
            raise header.error(f"'{shown}' is {dtype} in big-endian order, which cannot be read: convert the file")

        return Weight(info, size, refuse)
    return Weight(info, size, _blocks=lambda: _dequantized(file, offset, entry, shown))


def _dequantized(file: File, offset: int, entry: _Entry, shown: str) -> Iterator[Array]:
    """The values of a packed tensor as float32, some rows of blocks at a time."""
    import gguf  # here: it takes a while to load, and only packed tensors need it

    name, block, nbytes = QUANTIZED[entry.kind]
    blocks = math.prod(entry.shape) // block
    step = _STEP // block
    for first in range(0, blocks, step):
        count = min(step, blocks - first)
        packed = np.empty(count * nbytes, np.uint8)
        file.read_into(offset + first * nbytes, packed.data)
        try:
            with np.errstate(all="ignore"):  # damaged scales are Inf or NaN, which the values then show
                kind = gguf.GGMLQuantizationType(entry.kind)
                values = gguf.quants.dequantize(packed.reshape(1, -1), kind)
        except (NotImplementedError, ValueError):  # ValueError: an older library that does not know the type
            raise SourceError(
                f"{printable(file.label)}: '{shown}' is {name}, which the gguf library cannot unpack: "
                "convert it to q8_0 or f16 with llama.cpp's llama-quantize"
            ) from None
        yield values.reshape(-1)
