"""One TensorProto of an ONNX file: described without its values, checked, and made a `Weight` that reads lazily."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import ml_dtypes
import numpy as np

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File
from weightsmith.sources.protobuf import FIXED32, FIXED64, LENGTH, VARINT, Field, Reader
from weightsmith.sources.shape import is_possible
from weightsmith.sources.source import BLOCK, Place, Weight, read_range
from weightsmith.sources.subbyte import read_packed, unpack, width
from weightsmith.weight import WeightInfo

Array = np.ndarray[Any, np.dtype[Any]]

_SEGMENT: Final = 3

_EXTERNALS: Final = 64
"""Entries about external data that are looked at; there are three, and a checksum at most."""

_RANK: Final = 32
"""Most dimensions: what NumPy 1 allows, and far more than any layer has."""

_FLOATS, _INT32S, _INT64S, _DOUBLES, _UINT64S = 4, 5, 7, 10, 11
"""Fields of a TensorProto that hold typed values; `_INT32S` serves everything of up to 16 bits too."""

_PLAIN: Final = frozenset({_FLOATS, _DOUBLES})
"""Typed values that lie in the file as they lie in memory, where they are packed."""

_ALONE: Final = {_FLOATS: FIXED32, _DOUBLES: FIXED64}
"""How one value is encoded where they are not packed; as varints, unless listed."""

_VALUES: Final = _PLAIN | {_INT32S, _INT64S, _UINT64S}

_KINDS: Final[dict[int, tuple[str, int]]] = {
    1: ("float32", _FLOATS),
    2: ("uint8", _INT32S),
    3: ("int8", _INT32S),
    4: ("uint16", _INT32S),
    5: ("int16", _INT32S),
    6: ("int32", _INT32S),
    7: ("int64", _INT64S),
    9: ("bool", _INT32S),
    10: ("float16", _INT32S),
    11: ("float64", _DOUBLES),
    12: ("uint32", _UINT64S),
    13: ("uint64", _UINT64S),
    14: ("complex64", _FLOATS),
    15: ("complex128", _DOUBLES),
    16: ("bfloat16", _INT32S),
    17: ("float8_e4m3fn", _INT32S),
    18: ("float8_e4m3fnuz", _INT32S),
    19: ("float8_e5m2", _INT32S),
    20: ("float8_e5m2fnuz", _INT32S),
    21: ("uint4", _INT32S),
    22: ("int4", _INT32S),
    23: ("float4_e2m1fn", _INT32S),
    24: ("float8_e8m0fnu", _INT32S),
    25: ("uint2", _INT32S),
    26: ("int2", _INT32S),
}
"""TensorProto.DataType: NumPy-style name, and the field for typed values."""

_WAITING: Final = 1 << 14
"""Values that come one by one and are handed out together."""

_UNREADABLE: Final = {0: "undefined type", 8: "strings", 27: "packed float6_e2m3fn", 28: "packed float6_e3m2fn"}


@dataclass(slots=True)
class Tensor:
    """What the head of a TensorProto says; nothing here has been checked against anything.

    Attributes:
        name: as the file gives it, perhaps empty.
        dims: its dimensions.
        data_type: number of its type in TensorProto.DataType.
        raw: where its bytes lie, or None.
        typed: per field of typed values, the bytes that those take and the first piece.
        pieces: per field of typed values, how many pieces there are; one where they are packed as usual.
        external: where its bytes lie outside the file (`location`, `offset`, `length`), or None.
        start: where the message begins in the file.
        end: where it ends.
    """

    name: str = ""
    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    raw: Field | None = None
    typed: dict[int, tuple[int, Field]] = field(default_factory=dict)
    pieces: dict[int, int] = field(default_factory=dict)
    external: dict[str, str] | None = None
    start: int = 0
    end: int = 0

    @property
    def kind(self) -> str | None:
        """NumPy-style name of its type, or None where that cannot be read."""
        return _KINDS[self.data_type][0] if self.data_type in _KINDS else None

    @property
    def unreadable(self) -> str:
        """Why it cannot be read, where `kind` is None."""
        return _UNREADABLE.get(self.data_type, f"the unknown type {self.data_type}")

    @property
    def stored(self) -> int:
        """Bytes that its values take in this file."""
        raw = self.raw.end - self.raw.start if self.raw is not None else 0
        return raw + sum(taken for taken, _ in self.typed.values())


def parse_tensor(reader: Reader, start: int, end: int) -> Tensor:
    """The head of the TensorProto in the bytes [start, end); its values are stepped over.

    Raises:
        SourceError: the message is malformed, split into segments, or has too many dimensions.
    """
    tensor = Tensor(start=start, end=end)
    outside: list[Field] = []
    for found in reader.fields(start, end):
        number = found.number
        if number == 1:
            tensor.dims += reader.integers(found, _RANK)
        elif number == 2:
            tensor.data_type = reader.integer(found)
        elif number == 8:
            tensor.name = reader.text(found)
        elif number == 9:
            tensor.raw = reader.content(found)
        elif number in _VALUES:
            _add_typed(reader, tensor, found)
        elif number in (13, 14) and len(outside) < _EXTERNALS:
            outside.append(found)
        elif number == _SEGMENT:
            raise reader.fault("a tensor is split into segments, which no known exporter does: save it whole")
    tensor.external = _external(reader, outside)
    if len(tensor.dims) > _RANK:
        raise reader.fault(
            f"'{printable(tensor.name[:200])}' has {len(tensor.dims)} dimensions, and {_RANK} are allowed"
        )
    return tensor


def _external(reader: Reader, outside: list[Field]) -> dict[str, str] | None:
    """The entries of external_data, where data_location says that they hold."""
    locations = [reader.integer(found) for found in outside if found.number == 14]
    if locations[-1:] != [1]:
        return None
    return dict(parse_entry(reader, found) for found in outside if found.number == 13)


def parse_entry(reader: Reader, entry: Field) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto.

    Raises:
        SourceError: it is malformed, or longer than any honest one.
    """
    texts = {1: "", 2: ""}
    for found in reader.message(entry):
        if found.number in texts:
            texts[found.number] = reader.text(found, limit=1 << 24)
    return texts[1], texts[2]


def _add_typed(reader: Reader, tensor: Tensor, found: Field) -> None:
    if found.wire not in (LENGTH, _ALONE.get(found.number, VARINT)):
        raise reader.fault(f"the values at byte {found.start} are of another type than their tensor: damaged")
    taken = found.end - found.start
    before, first = tensor.typed.get(found.number, (0, found))
    tensor.typed[found.number] = before + taken, first
    tensor.pieces[found.number] = tensor.pieces.get(found.number, 0) + 1


class Builder:
    """Makes weights of tensors, and opens the files that hold their values outside the model.

    Args:
        file: the model.

    Attributes:
        files: the model, then each file that values were found in.
    """

    _MOST_FILES: Final = 800
    """Each is kept open, and 1024 open files are the usual limit of a process."""

    def __init__(self, file: File) -> None:
        self.files: list[File] = [file]
        self._file = file
        self._beside: dict[str, File] = {}

    def weight(self, tensor: Tensor, info: WeightInfo) -> Weight:
        """The weight that a tensor of known type holds.

        Raises:
            SourceError: its dimensions are negative, its bytes are missing, of another number than its shape needs,
                or kept in a file that is missing or outside the model's folder.
        """
        name, number = _KINDS[tensor.data_type]
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        if min(tensor.dims, default=0) < 0:
            raise self._fault(info, f"has the negative dimension {min(tensor.dims)}: damaged")
        needed = -(-math.prod(tensor.dims) * width(dtype) // 8)
        if not needed and not is_possible(tensor.dims):  # all others are held to the bytes that are there
            raise self._fault(info, f"has a shape that no array can have, {str(tensor.dims)[:60]}: damaged")
        if tensor.external is not None:
            file, offset, length = self._outside(tensor.external, info)
        elif tensor.raw is not None:
            file, offset, length = self._file, tensor.raw.start, tensor.raw.end - tensor.raw.start
        else:
            return self._typed(tensor, info, number, dtype.newbyteorder("<"))
        if length != needed:
            raise self._fault(
                info, f"of shape {tensor.dims} and type {name} needs {needed} bytes, but has {length}: damaged"
            )
        return _plain(info, file, offset, length, dtype)

    def _typed(self, tensor: Tensor, info: WeightInfo, number: int, dtype: np.dtype[Any]) -> Weight:
        taken, first = tensor.typed.get(number, (0, None))
        count = math.prod(tensor.dims)
        plain = number in _PLAIN
        stored = -(-count // _share(dtype))
        possible = count * dtype.itemsize == taken if plain else stored <= taken <= 10 * stored  # 1 to 10 bytes each
        if not possible:
            raise self._fault(
                info, f"of shape {tensor.dims} and type {dtype.name} cannot have its values in {taken} bytes: damaged"
            )
        if plain and first is not None and first.wire == LENGTH and tensor.pieces[number] == 1:
            return _plain(info, self._file, first.start, taken, dtype)
        if not count:
            return _plain(info, self._file, 0, 0, dtype)
        return Weight(info, taken, _blocks=_Typed(self._file, tensor, number, dtype, info.name).blocks)

    def _outside(self, external: dict[str, str], info: WeightInfo) -> tuple[File, int, int]:
        location = external.get("location", "")
        try:
            if location not in self._beside:
                if len(self._beside) == self._MOST_FILES:
                    raise SourceError(
                        f"that is one file too many after {self._MOST_FILES}: save the model with "
                        "onnx.save(..., all_tensors_to_one_file=True)"
                    )
                self._beside[location] = self._file.sibling(location)
                self.files.append(self._beside[location])
        except SourceError as error:
            raise self._fault(info, f"is kept in '{printable(location[:200])}': {error}") from None
        file = self._beside[location]
        offset = self._natural(external, "offset", 0, info)
        length = self._natural(external, "length", max(0, file.size - offset), info)
        if offset + length > file.size:
            raise self._fault(
                info,
                f"is kept in bytes {offset} to {offset + length} of '{printable(location[:200])}', which has "
                f"{file.size}: truncated, or of another model",
            )
        return file, offset, length

    def _natural(self, external: dict[str, str], key: str, default: int, info: WeightInfo) -> int:
        text = external.get(key, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise self._fault(info, f"has the {key} '{printable(text[:40])}', which is no number of bytes: damaged")
        return int(text)

    def _fault(self, info: WeightInfo, problem: str) -> SourceError:
        return SourceError(f"{printable(self._file.label)}: '{printable(info.name[:200])}' {problem}")


def _plain(info: WeightInfo, file: File, offset: int, length: int, dtype: np.dtype[Any]) -> Weight:
    if width(dtype) < 8:
        return Weight(info, length, _blocks=lambda: read_packed(file, offset, info.size, dtype))
    return Weight(info, length, place=Place(file, offset, dtype.newbyteorder("<")))


@dataclass(frozen=True)
class _Typed:
    """Typed values that have to be decoded: varints, or numbers that are not packed or packed in several pieces."""

    file: File
    tensor: Tensor
    number: int
    dtype: np.dtype[Any]
    name: str

    def blocks(self) -> Iterator[Array]:
        """The values, by blocks.

        Raises:
            SourceError: there are more or fewer than the shape says, or one is malformed.
        """
        reader = Reader(self.file)
        left = math.prod(self.tensor.dims)
        expected = -(-left // _share(self.dtype))
        for kept in self._gathered(reader):
            expected -= kept.size
            if expected < 0:
                break
            values = self._values(kept)[:left]  # what is packed below a byte may end in padding
            left -= values.size
            yield values
        if expected:
            raise reader.fault(f"'{printable(self.name[:200])}' has more or fewer values than its shape says: damaged")

    def _gathered(self, reader: Reader) -> Iterator[Array]:
        # values that come one by one are handed out together, or each would be a block of its own
        waiting: list[Array] = []
        decode = self._fixed if self.number in _PLAIN else self._varints
        for found in reader.fields(self.tensor.start, self.tensor.end):
            if found.number == self.number:
                for kept in decode(reader, found):
                    waiting.append(kept)
                    if kept.size > 1 or len(waiting) == _WAITING:
                        yield np.concatenate(waiting)
                        waiting = []
        if waiting:
            yield np.concatenate(waiting)

    def _fixed(self, reader: Reader, found: Field) -> Iterator[Array]:
        size = self.dtype.itemsize
        if (found.end - found.start) % size:
            raise reader.fault(f"the values at byte {found.start} are no whole numbers of type {self.dtype.name}")
        count = (found.end - found.start) // size
        for start in range(0, count, BLOCK - _WAITING):
            stop = min(start + BLOCK - _WAITING, count)
            yield read_range(Place(reader.file, found.start, self.dtype), start, stop)

    def _varints(self, reader: Reader, found: Field) -> Iterator[Array]:
        if found.wire == LENGTH:
            yield from reader.varints(found.start, found.end)
        else:
            yield np.array([found.value], np.uint64)

    def _values(self, kept: Array) -> Array:
        """Varints cut to the bits of the type, as protobuf does."""
        if self.number in _PLAIN:
            return kept
        if self.dtype == bool:
            return kept.astype(bool)
        if width(self.dtype) < 8:
            return unpack(kept.astype(np.uint8), self.dtype)
        return kept.astype(f"u{self.dtype.itemsize}").view(self.dtype)


def _share(dtype: np.dtype[Any]) -> int:
    """Elements that one stored number holds."""
    return max(1, 8 // width(dtype))
