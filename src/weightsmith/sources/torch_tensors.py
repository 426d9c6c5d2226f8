"""From a tensor as PyTorch's files describe it to a weight: its view checked against the bytes that are really there.

Plain values keep their place in the file. Others (transposed, sliced, expanded, compressed) are gathered when asked.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File
from weightsmith.sources.numpy_objects import Array
from weightsmith.sources.roles import infer_role
from weightsmith.sources.source import BLOCK, Aside, Place, Weight
from weightsmith.sources.torch_objects import Storage, Tensor, Unreadable
from weightsmith.weight import WeightInfo

_Values = np.ndarray[Any, np.dtype[Any]]

_EXPANDED: Final = 64 << 20
"""Most bytes that an expanded tensor (a stride of 0) is written out to when they are more than its storage has."""


@dataclass(frozen=True)
class Bytes:
    """Where the bytes of a storage are.

    Attributes:
        file: the file that holds them.
        offset: of the first one, or None where they are compressed.
        length: how many there are.
        chunks: streams them from the first one on where they are compressed.
        modest: whether they may be held whole: not where a few bytes inflate to gigabytes.
    """

    file: File
    offset: int | None
    length: int
    chunks: Callable[[], Iterator[bytes]] | None = None
    modest: bool = True

    def stream(self, begin: int, end: int) -> Iterator[bytes]:
        """The compressed bytes [begin, end), inflated, piece by piece; the whole storage is checked on the way."""
        assert self.chunks is not None, "bytes that are not compressed are read by range"
        position = 0
        for chunk in self.chunks():
            yield chunk[max(0, begin - position) : max(0, end - position)]
            position += len(chunk)


class Tensors:
    """Makes the weights of one file, and knows which of them share their values.

    Args:
        label: name of the file.
        locate: finds the bytes of a storage; raises SourceError where the file has none of that key.
        big_endian: whether the elements are stored with their most significant byte first.
    """

    def __init__(self, label: str, locate: Callable[[Storage], Bytes], big_endian: bool) -> None:
        self._label = label
        self._locate = locate
        self._order: Literal["<", ">"] = ">" if big_endian else "<"
        self._first: dict[tuple[Any, ...], str] = {}

    def weight(self, name: str, tensor: Tensor | Array | Unreadable) -> Weight | Aside:
        """The weight of that name, or why it cannot be read.

        Raises:
            SourceError: the tensor does not fit into its storage, or the storage into the file.
        """
        if isinstance(tensor, Unreadable):
            return Aside(name, tensor.reason, tensor.nbytes)
        if isinstance(tensor, Array):
            return self._array(name, tensor)
        size = self._checked(name, tensor)
        where = self._locate(tensor.storage)
        if tensor.storage.total * tensor.storage.type.itemsize > where.length:
            needed = tensor.storage.total * tensor.storage.type.itemsize
            raise self._error(name, f"needs a storage of {needed} bytes, but the file has {where.length}")
        if tensor.type.dtype is None:
            return Aside(name, f"of type {tensor.type.name}, which cannot be read: convert it to float", size)
        held = tensor.storage.count * tensor.storage.type.itemsize
        if size > max(_EXPANDED, held):
            return Aside(name, f"repeats {held} bytes until they are {size}: too many to write out", held)
        if not (where.modest or _contiguous(tensor)):
            return Aside(name, f"not contiguous, and inflates to {held} bytes: too many to hold at once", held)
        return self._weight(name, tensor, tensor.type.dtype, where)

    def nbytes(self, value: Tensor | Array | Unreadable) -> int:
        """Bytes that a tensor refers to, checked against nothing."""
        if isinstance(value, Tensor):
            return min(math.prod(value.shape), value.storage.count) * value.type.itemsize
        return len(value.data) if isinstance(value, Array) else value.nbytes

    def _weight(self, name: str, tensor: Tensor, plain: np.dtype[Any], where: Bytes) -> Weight:
        dtype = plain.newbyteorder(self._order) if plain.itemsize > 1 else plain
        begin = tensor.storage.begin * tensor.storage.type.itemsize + tensor.offset * dtype.itemsize
        identity = (tensor.storage.key, begin, tensor.shape, tensor.stride, tensor.type.name)
        tied = self._first.setdefault(identity, name)
        role = infer_role(name, tensor.shape)
        info = WeightInfo(name, tensor.shape, tensor.type.name, role, tied_to=None if tied == name else tied)
        size = info.size * dtype.itemsize
        if size == 0:
            return Weight(info, 0, lambda: np.empty(tensor.shape, dtype))
        if not _contiguous(tensor):
            gathered = _Strided(tensor, dtype, begin, where)
            return Weight(info, size, gathered.read, _blocks=gathered.blocks)
        if where.offset is not None:
            return Weight(info, size, place=Place(where.file, where.offset + begin, dtype))
        return Weight(info, size, _blocks=lambda: _streamed(where, dtype, begin, size))

    def _checked(self, name: str, tensor: Tensor) -> int:
        """Bytes of a tensor whose every element lies in its storage."""
        itemsize = tensor.type.itemsize
        if math.prod(max(length, 1) for length in tensor.shape) * itemsize >= 1 << 63 or len(tensor.shape) > 32:
            raise self._error(name, f"has a shape of {len(tensor.shape)} dimensions that no array can have")
        if 0 in tensor.shape:
            return 0
        last = tensor.offset + sum(
            (length - 1) * step for length, step in zip(tensor.shape, tensor.stride, strict=True)
        )
        held = tensor.storage.count * tensor.storage.type.itemsize
        if (last + 1) * itemsize > held:
            shape = list(tensor.shape)
            raise self._error(name, f"of shape {shape} reaches to byte {(last + 1) * itemsize} of {held}")
        return math.prod(tensor.shape) * itemsize

    def _array(self, name: str, array: Array) -> Weight | Aside:
        if array.type is None or array.type.dtype is None:
            return Aside(name, "a NumPy array of objects or records", len(array.data))
        dtype = array.type.dtype.newbyteorder(">" if array.swapped else "<")
        if len(array.shape) > 32 or math.prod(array.shape) * dtype.itemsize != len(array.data):
            raise self._error(name, f"of shape {list(array.shape)} and {array.type.name} has {len(array.data)} bytes")
        if math.prod(max(length, 1) for length in array.shape) * dtype.itemsize >= 1 << 63:
            raise self._error(name, "has a shape that no array can have")

        def read() -> _Values:
            values = np.frombuffer(array.data, dtype) if array.data else np.empty(0, dtype)
            return values.reshape(array.shape, order="F" if array.columns_first else "C")

        info = WeightInfo(name, array.shape, array.type.name, infer_role(name, array.shape))
        return Weight(info, len(array.data), read)

    def _error(self, name: str, text: str) -> SourceError:
        return SourceError(f"{printable(self._label)}: '{printable(name)}' {text}: truncated or damaged")


def _contiguous(tensor: Tensor) -> bool:
    expected = 1
    for length, step in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if length != 1 and step != expected:
            return False
        expected *= length
    return True


def _streamed(where: Bytes, dtype: np.dtype[Any], begin: int, size: int) -> Iterator[_Values]:
    """The elements in bytes [begin, begin + size) of a compressed storage, a block at a time."""
    waiting, block = bytearray(), BLOCK * dtype.itemsize
    for chunk in where.stream(begin, begin + size):
        waiting += chunk
        while len(waiting) >= block:
            yield np.frombuffer(bytes(waiting[:block]), dtype)
            del waiting[:block]
    if waiting:  # the stream ends by an error where it is shorter than it claims
        yield np.frombuffer(bytes(waiting), dtype)


class _Strided:
    """A tensor whose elements do not lie in C order."""

    def __init__(self, tensor: Tensor, dtype: np.dtype[Any], begin: int, where: Bytes) -> None:
        self._shape = tensor.shape
        # the stride of an axis of one element means nothing, and may be too large for NumPy
        used = zip(tensor.shape, tensor.stride, strict=True)
        self._strides = tuple(step * dtype.itemsize if length > 1 else 0 for length, step in used)
        self._dtype, self._begin, self._where = dtype, begin, where
        moves = zip(tensor.shape, self._strides, strict=True)
        self._span = sum((length - 1) * step for length, step in moves) + dtype.itemsize

    def read(self) -> _Values:
        values: _Values = np.array(self._view(), order="C", copy=True)
        values.flags.writeable = False
        return values

    def blocks(self) -> Iterator[_Values]:
        return _pieces(self._view())

    def _view(self) -> _Values:
        where = self._where
        if where.offset is not None:
            held: memoryview | bytes = where.file.view(where.offset + self._begin, self._span)
        else:
            held = b"".join(where.stream(self._begin, self._begin + self._span))
        return np.ndarray(self._shape, self._dtype, buffer=held, strides=self._strides)


def _pieces(view: _Values) -> Iterator[_Values]:
    """A strided array as flat blocks in C order, of at most `BLOCK` elements each."""
    if view.size <= BLOCK:
        yield np.ascontiguousarray(view).reshape(-1)
        return
    rows = BLOCK // (view.size // len(view))
    if not rows:
        for row in view:
            yield from _pieces(row)
    for start in range(0, len(view) if rows else 0, max(rows, 1)):
        yield np.ascontiguousarray(view[start : start + rows]).reshape(-1)
